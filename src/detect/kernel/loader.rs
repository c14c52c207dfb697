//! Which kernel the boot loader starts next, where its files say so without doubt.
//!
//! It is asked about one thing: whether somebody has told it to go on with an older kernel than the newest. So it is believed
//! only where it knows the newest one too; a file that was left behind, or not written anew yet, does not.

use std::path::Path;

use super::image::{image_release, names};
use crate::trust;

/// Files larger than this are not a boot loader's.
const LIMIT: u64 = 1 << 20;

/// What starts next on the host below `root`, and what says so, if its boot loader knows `newest` and names one of its entries.
pub(super) fn next(root: &Path, newest: &str) -> Option<(String, &'static str)> {
    let read = |path: &str| read(&root.join(path));
    let grub = ["boot/grub2/", "boot/grub/"]
        .iter()
        .find_map(|folder| Some((folder, read(&format!("{folder}grub.cfg"))?)));
    let loader = ["boot/", "boot/efi/", "efi/"]
        .iter()
        .find_map(|folder| Some((folder, read(&format!("{folder}loader/loader.conf"))?)));
    let (entries, chosen, says) = match (grub, loader) {
        (Some((folder, config)), None) => {
            let environment = read(&format!("{folder}grubenv")).unwrap_or_default();
            let entries = match config.lines().any(|line| line.trim() == "blscfg") {
                true => snippets(&root.join("boot")),
                false => menu(&config),
            };
            (entries, grub_default(&config, &environment)?, "GRUB")
        }
        (None, Some((folder, config))) if !has_variable(root) => {
            let chosen = config.lines().find_map(|line| value(line, "default"))?;
            let chosen = chosen.strip_suffix(".conf").unwrap_or(chosen).to_owned();
            (snippets(&root.join(folder)), chosen, "systemd-boot")
        }
        _ => return None,
    };
    if !entries.iter().any(|entry| entry.release == newest) {
        return None;
    }
    let entry = match chosen.as_str() {
        // The order of snippets is another one in each version of GRUB.
        "" | "0" => entries.into_iter().find(|entry| entry.first)?,
        name => {
            let name = name.rsplit_once('>').map_or(name, |(_, last)| last);
            entries
                .into_iter()
                .find(|entry| entry.names.iter().any(|known| known == name))?
        }
    };
    Some((entry.release, says))
}

/// One kernel that can be started.
#[derive(Debug)]
struct Entry {
    /// By which it can be chosen.
    names: Vec<String>,
    release: String,
    /// Whether it is the first of its menu.
    first: bool,
}

/// The entry that `grub.cfg` takes, by name or number; none where it depends on more than can be seen.
fn grub_default(config: &str, environment: &str) -> Option<String> {
    let variable = |name: &str| {
        let line = |line: &str| Some(line.strip_prefix(name)?.strip_prefix('=')?.to_owned());
        environment.lines().find_map(line).unwrap_or_default()
    };
    // What follows the header changes it only while starts are counted down.
    let header = config
        .split("### END /etc/grub.d/00_header")
        .next()
        .unwrap_or(config);
    let set = header
        .lines()
        .filter_map(|line| line.trim().strip_prefix("set default="));
    let mut values: Vec<&str> = set.map(|value| value.trim_matches(['"', '\''])).collect();
    let once = variable("next_entry");
    let asks_once = values.contains(&"${next_entry}");
    if asks_once && !once.is_empty() {
        return Some(once);
    }
    values.retain(|value| *value != "${next_entry}");
    match values.as_slice() {
        _ if !variable("boot_counter").is_empty() => None,
        ["${saved_entry}"] => Some(variable("saved_entry")),
        // One that holds another variable names no entry.
        [value] => Some((*value).to_owned()),
        _ => None,
    }
}

/// The entries of a `grub.cfg`, those of its submenus too.
fn menu(config: &str) -> Vec<Entry> {
    let (mut entries, mut names) = (Vec::new(), None);
    // Whether nothing of the menu was seen yet, and whether the entry that was seen last is its first.
    let (mut begins, mut first) = (true, false);
    for line in config.lines() {
        let text = line.trim();
        if text.starts_with("submenu ") {
            begins = false;
        } else if let Some(rest) = text.strip_prefix("menuentry ") {
            // One that is indented stands in a submenu, or below a condition.
            first = std::mem::take(&mut begins) && text == line;
            let id = rest
                .split_once("$menuentry_id_option ")
                .map(|(_, id)| quoted(id));
            names = Some([Some(quoted(rest)), id].into_iter().flatten().collect());
        } else if let Some((_, path)) = text
            .split_once(char::is_whitespace)
            .filter(|(word, _)| ["linux", "linux16", "linuxefi"].contains(word))
            && let Some(names) = names.take()
            && let Some(release) = release_of(path)
        {
            entries.push(Entry {
                names,
                release,
                first,
            });
        }
    }
    entries
}

/// The entries that stand in files of their own, as the Boot Loader Specification lays them out.
fn snippets(folder: &Path) -> Vec<Entry> {
    let folder = folder.join("loader/entries");
    let entry = |file: String| {
        let name = file.strip_suffix(".conf")?.to_owned();
        let text = read(&folder.join(&file))?;
        let field = |key| text.lines().find_map(|line| value(line, key));
        let release = field("linux").and_then(release_of);
        Some(Entry {
            names: vec![name],
            release: release.or_else(|| field("version").map(str::to_owned))?,
            first: false,
        })
    };
    let files = names(&folder).unwrap_or_default();
    files.into_iter().filter_map(entry).collect()
}

/// Whether the firmware holds a choice of its own, which goes before `loader.conf`.
fn has_variable(root: &Path) -> bool {
    let variables = names(&root.join("sys/firmware/efi/efivars")).unwrap_or_default();
    variables.iter().any(|name| {
        name.starts_with("LoaderEntryDefault-") || name.starts_with("LoaderEntryOneShot-")
    })
}

fn release_of(path: &str) -> Option<String> {
    let path = path.split_whitespace().next()?;
    image_release(path.rsplit('/').next()?).map(str::to_owned)
}

/// What follows `key` and blanks in a line.
fn value<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    let rest = line.trim().strip_prefix(key)?;
    rest.starts_with(char::is_whitespace).then(|| rest.trim())
}

/// The text in quotes at the beginning, or the first word.
fn quoted(text: &str) -> String {
    let text = match text.strip_prefix(['"', '\'']) {
        Some(rest) => rest.split(&text[..1]).next(),
        None => text.split_whitespace().next(),
    };
    text.unwrap_or_default().to_owned()
}

fn read(path: &Path) -> Option<String> {
    let bytes = trust::plain(path, LIMIT + 1).ok()?;
    // The environment block of GRUB ends in padding, and titles may be of any encoding.
    let text = String::from_utf8_lossy(&bytes).into_owned();
    (bytes.len() as u64 <= LIMIT).then_some(text)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const KERNEL: &str = "menuentry 'Debian' {\n\tlinux /boot/vmlinuz-6.1.0-9-amd64 ro\n}\n";

    /// Which entries are the first of the menu.
    fn first(config: &str) -> Vec<bool> {
        menu(config).iter().map(|entry| entry.first).collect()
    }

    #[test]
    fn only_a_kernel_that_the_menu_begins_with_is_its_first() {
        assert_eq!(first(&KERNEL.repeat(2)), [true, false]);
        let memtest = "menuentry 'Memory test' {\n\tlinux16 /boot/memtest86+x64.bin\n}\n";
        assert_eq!(first(&format!("{memtest}{KERNEL}")), [false]);
        assert_eq!(first(&format!("submenu 'More' {{\n}}\n{KERNEL}")), [false]);
        let indented = format!("if [ -e /flag ]; then\n\t{KERNEL}fi\n");
        assert_eq!(first(&format!("{indented}{KERNEL}")), [false, false]);
    }

    #[test]
    fn a_field_is_a_whole_word_and_has_a_value() {
        assert_eq!(value("  default\t a b \n", "default"), Some("a b"));
        for line in ["default", "default ", "defaults a", "a default b"] {
            assert_eq!(value(line, "default"), None, "{line:?}");
        }
    }

    #[test]
    fn a_file_that_is_larger_than_any_of_a_boot_loader_says_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("grub.cfg");
        for (bytes, is_read) in [(1 << 20, true), ((1 << 20) + 1, false), (3 << 20, false)] {
            fs::write(&file, vec![b'#'; bytes]).unwrap();
            assert_eq!(read(&file).is_some(), is_read, "{bytes}");
        }
    }
}
