//! Kernel releases (`uname -r`): which are of one flavour, and which is newer.
//!
//! Every distribution builds the name in its own way, and none marks where the version ends and the flavour begins:
//!
//! | release | version | flavour |
//! | --- | --- | --- |
//! | `6.1.0-26-cloud-amd64` | 6.1.0 26 | cloud amd64 |
//! | `5.14.0-362.8.1.el9_3.x86_64+rt` | 5.14.0 362.8.1.el9_3 | x86_64 rt |
//! | `6.4.0-150600.23.7-default` | 6.4.0 150600.23.7 | default |
//! | `6.9.7-arch1-1` | 6.9.7 1 1 | arch |
//! | `6.6.35-gentoo-r1` | 6.6.35 1 | gentoo |
//! | `6.11-rc4-amd64` | 6.11 before the release, 4 | amd64 |
//!
//! So the name is taken apart by what the parts look like: numbers are version, words after the first part are flavour, a
//! word that ends in a number is both, unless the whole of it is known to name hardware (`x86_64`, `64k`, `v8`).

use std::cmp::Ordering;

/// A kernel release, taken apart.
#[derive(Clone, Debug)]
pub struct Release {
    /// As `uname -r` says it.
    pub name: String,
    version: Vec<Part>,
    flavour: Vec<String>,
}

/// A part of a version. The order of the variants is the order of releases: `6.11-rc4` < `6.11` < `6.11.el9` < `6.11.1`,
/// with the end of the list between the first two. As rpm does it, a number is newer than a word in the same place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    /// `rc`, or `~`.
    Before,
    /// After the last part, so that a shorter list is compared as this.
    End,
    Word(String),
    Number(u64),
}

impl Release {
    /// `None` when the name does not begin with a number, as a kernel release does.
    pub fn parse(name: &str) -> Option<Release> {
        if !name.starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        let mut release = Release {
            name: name.into(),
            version: Vec::new(),
            flavour: Vec::new(),
        };
        let rest = release.take_rpm_tail(name);
        let mut segments = rest.trim_end_matches('+').split('-');
        release.add_version(segments.next().unwrap_or_default());
        for segment in segments {
            release.add_segment(segment);
        }
        release.version.push(Part::End);
        // `6.1.0-rpi8-rpi-v8` became `6.6.20+rpt-rpi-v8`.
        release.flavour.dedup();
        Some(release)
    }

    /// Whether both come from one series of packages, so that the newer replaces the older.
    pub fn same_flavour(&self, other: &Release) -> bool {
        self.flavour == other.flavour
    }

    /// The order in which the distribution released them. Of use only within a flavour.
    pub fn compare(&self, other: &Release) -> Ordering {
        self.version.cmp(&other.version)
    }

    /// `.x86_64`, `.aarch64+64k`: rpm's architecture and what Red Hat puts behind it. Returns what comes before.
    fn take_rpm_tail<'a>(&mut self, name: &'a str) -> &'a str {
        let Some((before, tail)) = name.rsplit_once('.') else {
            return name;
        };
        let (architecture, variant) = tail.split_once('+').unwrap_or((tail, ""));
        if !is_hardware(architecture) {
            return name;
        }
        self.flavour.push(architecture.into());
        let variants = variant.split('+').filter(|v| !v.is_empty());
        self.flavour.extend(variants.map(String::from));
        before
    }

    /// One part between dashes, after the first.
    fn add_segment(&mut self, segment: &str) {
        let is_hash = |text: &str| {
            text.len() >= 7 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        };
        let is_commit = segment.strip_prefix('g').is_some_and(is_hash);
        if is_commit {
            // From `git describe`; the count before it gives the order.
        } else if is_hardware(segment) {
            self.flavour.push(segment.into());
        } else if segment.contains('.') || segment.starts_with(|c: char| c.is_ascii_digit()) {
            // `1omv2390`, `13parrot1`, `76060800daily20240311`: a flavour does not begin with a digit, unless it is hardware.
            self.add_dotted(segment);
        } else {
            self.add_word(segment);
        }
    }

    /// `150600.23.7`, `362.8.1.el9_3`, `7.el9.elrepo`: version, except for words that stand alone or name another kernel.
    fn add_dotted(&mut self, segment: &str) {
        let mut version = segment;
        while let Some((before, word)) = version.rsplit_once('.') {
            if word.is_empty() || !word.bytes().all(|b| b.is_ascii_alphabetic()) {
                break;
            }
            self.flavour.push(word.into());
            version = before;
        }
        self.add_version(version);
    }

    /// `generic`, `arch1`, `r1`, `rc4`, `v8`.
    fn add_word(&mut self, segment: &str) {
        let word = segment.trim_end_matches(|c: char| c.is_ascii_digit());
        let number = segment[word.len()..].parse();
        match (word, number) {
            ("rc", Ok(number)) => self.version.extend([Part::Before, Part::Number(number)]),
            // Gentoo's revision, which the first build of a version does not have.
            ("r", Ok(number)) => self.version.push(Part::Number(number)),
            (_, Ok(number)) if word.bytes().all(|b| b.is_ascii_alphabetic()) => {
                self.flavour.push(word.into());
                self.version.push(Part::Number(number));
            }
            _ => self.flavour.push(segment.into()),
        }
    }

    /// Splits at everything that is neither letter nor digit, and between letters and digits.
    fn add_version(&mut self, text: &str) {
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let same = |c: char| match first {
                c0 if c0.is_ascii_digit() => c.is_ascii_digit(),
                c0 if c0.is_ascii_alphabetic() => c.is_ascii_alphabetic(),
                _ => c == first,
            };
            let end = rest.find(|c| !same(c)).unwrap_or(rest.len());
            let (token, after) = rest.split_at(end);
            rest = after;
            match token {
                // A realtime or Oracle kernel next to the standard one, named in the middle of rpm's release.
                "rt" | "uek" => self.flavour.push(token.into()),
                "rc" => self.version.push(Part::Before),
                _ if first == '~' => self.version.push(Part::Before),
                _ if first.is_ascii_digit() => self
                    .version
                    .push(Part::Number(token.parse().unwrap_or(u64::MAX))),
                _ if first.is_ascii_alphabetic() => self.version.push(Part::Word(token.into())),
                _ => {}
            }
        }
    }
}

/// Names of machines that contain or are numbers, and so could be taken for versions.
fn is_hardware(segment: &str) -> bool {
    #[rustfmt::skip]
    const NAMES: &[&str] = &[
        "amd64", "arm64", "aarch64", "x86_64", "x86", "i386", "i486", "i586", "i686", "586", "686",
        "s390", "s390x", "ppc64", "ppc64le", "powerpc64", "powerpc64le", "riscv64", "loong64",
        "loongarch64", "mips64", "mips64el", "mips64r2el", "sparc64", "alpha", "noarch", "arm",
        "v6", "v7", "v8", "4k", "16k", "64k", "4kc", "5kc", "2712", "m68k", "ia64",
    ];
    NAMES.contains(&segment) || segment.starts_with("armv")
}

#[cfg(test)]
mod tests;
