//! Maintenance windows: when a reboot may happen, in civil time of a zone.
//!
//! An entry says what a wall clock shows, so an instant is judged by turning it into civil time and looking that up. From
//! this follows what happens when clocks change: a window that begins in a skipped hour begins at the jump, one that lies
//! within it does not happen that day, and one in a repeated hour applies both times.
//!
//! Pure but for one thing: parsing looks the zone up in the time zone database of the system.

mod entry;
mod hints;
mod span;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, fs};

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use self::entry::Entry;
use self::span::Span;

/// After this long without a change of the clock's rules or a date that matters, every minute of the week has been seen, whatever
/// hour or (in Pacific/Apia in 2011) day the zone skipped. A state that held throughout holds on.
const SEARCH: SignedDuration = SignedDuration::from_hours(15 * 24);

/// The same where entries are of some months or of the nth weekday: each of them comes in this time. Two that meet more rarely,
/// such as the last Sunday of February and not the 4th, are seen when it is no longer until then.
const SEARCH_OF_MONTHS: SignedDuration = SignedDuration::from_hours((366 + 15) * 24);

/// How many entries there may be. A search looks at each of them at each boundary, and the main loop waits for it.
const MOST_ENTRIES: usize = 200;

/// How often a search looks at an entry. Entries of every day for many years need less; whatever a file or a zone says, it ends.
const MOST_LOOKS: usize = 2_000_000;

/// How many openings the longest is looked for among: two weeks of a few a day.
const LOOKED_AT: usize = 50;

/// Parsed maintenance windows.
#[derive(Clone, Debug, PartialEq)]
pub struct Windows {
    timezone: String,
    zone: TimeZone,
    deny: Vec<Entry>,
    allow: Vec<Entry>,
}

/// Whether the window is open at an instant, and which entry decided.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct WindowVerdict {
    /// Whether a reboot may happen.
    pub open: bool,
    /// The text of the deny entry that closes it or of the allow entry that opens it. `None` when no entry covers the instant:
    /// closed if there are allow entries, else open.
    pub by: Option<String>,
}

/// Which part of the windows an error is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowsField {
    /// The time zone.
    Timezone,
    /// A deny entry, counted from 0.
    Deny(usize),
    /// An allow entry, counted from 0.
    Allow(usize),
}

/// What is wrong with windows as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowsError {
    /// The part that is wrong.
    pub field: WindowsField,
    /// What is wrong with it and what to write instead.
    pub message: String,
}

impl Windows {
    /// Parses entries. `timezone` is an IANA name, `local` or `UTC`.
    ///
    /// # Errors
    /// Everything that is wrong, at once.
    pub fn parse(
        timezone: &str,
        deny: &[String],
        allow: &[String],
    ) -> Result<Windows, Vec<WindowsError>> {
        if deny.len() + allow.len() > MOST_ENTRIES {
            return Err(vec![too_many(deny.len(), allow.len())]);
        }
        let mut errors = Vec::new();
        let mut entries = |texts: &[String], field: fn(usize) -> WindowsField| -> Vec<Entry> {
            let mut parsed = Vec::new();
            for (index, text) in texts.iter().enumerate() {
                match Entry::parse(text) {
                    Ok(entry) => parsed.push(entry),
                    Err(message) => errors.push(WindowsError {
                        field: field(index),
                        message,
                    }),
                }
            }
            parsed
        };
        let (deny, allow) = (
            entries(deny, WindowsField::Deny),
            entries(allow, WindowsField::Allow),
        );
        let zone = zone(timezone.trim()).map_err(|message| {
            let field = WindowsField::Timezone;
            errors.insert(0, WindowsError { field, message });
        });
        match zone {
            Ok(zone) if errors.is_empty() => Ok(Windows {
                timezone: timezone.trim().to_owned(),
                zone,
                deny,
                allow,
            }),
            _ => Err(errors),
        }
    }

    /// Whether a reboot may happen at `now`. Deny wins; without an allow entry whatever is not denied is allowed.
    pub fn verdict(&self, now: Timestamp) -> WindowVerdict {
        let civil = self.zone.to_datetime(now);
        let covers = |entries: &[Entry]| {
            entries
                .iter()
                .find(|entry| entry.span.covers(civil))
                .map(|entry| entry.text.clone())
        };
        let denied = covers(&self.deny);
        let open = denied.is_none();
        let by = denied.or_else(|| covers(&self.allow));
        WindowVerdict {
            open: open && (by.is_some() || self.allow.is_empty()),
            by,
        }
    }

    /// The next instant after `now` at which open turns to closed or closed to open; `None` if that never happens again.
    pub fn next_change(&self, now: Timestamp) -> Option<Timestamp> {
        let open = self.is_open(now);
        let mut at = now;
        let mut horizon = self.horizon(at)?;
        for _ in 0..self.most_boundaries() {
            let next = self.next_boundary(at)?;
            if next > horizon {
                // Nothing but a date far ahead can still change it.
                let mark = self.dates().filter(|date| *date > horizon).min()?;
                at = at.max(mark.checked_sub(SignedDuration::from_hours(48)).ok()?);
                horizon = self.horizon(mark)?;
                continue;
            }
            if self.is_open(next) != open {
                return Some(next);
            }
            at = next;
        }
        None
    }

    /// Since when the same entry decides in the same way, when that began within `span` before.
    pub fn since(&self, now: Timestamp, span: SignedDuration) -> Option<Timestamp> {
        let mut at = now.checked_sub(span).ok()?;
        let (mut verdict, mut since) = (self.verdict(at), None);
        for _ in 0..self.most_boundaries() {
            let Some(next) = self.next_boundary(at).filter(|next| *next <= now) else {
                break;
            };
            let then = self.verdict(next);
            if then != verdict {
                since = Some(next);
            }
            (verdict, at) = (then, next);
        }
        since
    }

    /// The next instant after `now` at which the window is open, `now` itself if it is open; `None` if it never is again.
    pub fn next_open(&self, now: Timestamp) -> Option<Timestamp> {
        if self.is_open(now) {
            Some(now)
        } else {
            self.next_change(now)
        }
    }

    /// The next openings from `now` on, each with its end, if it ends: an open window first, with `now` as its start.
    pub fn openings(
        &self,
        now: Timestamp,
    ) -> impl Iterator<Item = (Timestamp, Option<Timestamp>)> + '_ {
        let next = |at: Timestamp| {
            self.next_open(at)
                .map(|open| (open, self.next_change(open)))
        };
        std::iter::successors(next(now), move |(_, end)| next(*end.as_ref()?))
    }

    /// The same without the deny entries.
    pub fn without_deny(&self) -> Windows {
        Windows {
            deny: Vec::new(),
            ..self.clone()
        }
    }

    /// How long the longest of the next openings is; `None` when one of them has no end, or none comes.
    pub fn longest(&self, now: Timestamp) -> Option<Duration> {
        let length = |(start, end): (Timestamp, Option<Timestamp>)| {
            end.map(|end| end.duration_since(start).unsigned_abs())
        };
        let lengths: Option<Vec<_>> = self.openings(now).take(LOOKED_AT).map(length).collect();
        lengths?.into_iter().max()
    }

    /// Whether the same words were parsed, in whatever zone that is local by now.
    pub fn are_written_as(&self, other: &Windows) -> bool {
        let words = (&self.timezone, &self.deny, &self.allow);
        words == (&other.timezone, &other.deny, &other.allow)
    }

    /// The last change of the clock, when the zone's table ends with it and no rule says what follows.
    pub fn table_ended(&self, now: Timestamp) -> Option<Timestamp> {
        let next = self.zone.following(now).next()?.timestamp();
        (Timestamp::MIN < next && next <= now).then_some(next)
    }

    /// The time zone as written.
    pub fn timezone(&self) -> &str {
        &self.timezone
    }

    /// The zone in which the entries are judged, to show instants in.
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// The deny entries as written.
    pub fn deny(&self) -> impl Iterator<Item = &str> {
        self.deny.iter().map(|entry| entry.text.as_str())
    }

    /// The allow entries as written.
    pub fn allow(&self) -> impl Iterator<Item = &str> {
        self.allow.iter().map(|entry| entry.text.as_str())
    }

    fn is_open(&self, now: Timestamp) -> bool {
        self.verdict(now).open
    }

    fn most_boundaries(&self) -> usize {
        MOST_LOOKS / (self.deny.len() + self.allow.len() + 1)
    }

    fn spans(&self) -> impl Iterator<Item = &Span> {
        self.deny.iter().chain(&self.allow).map(|entry| &entry.span)
    }

    /// Where the search from `start` ends: [`SEARCH`] after the last date on the way.
    fn horizon(&self, start: Timestamp) -> Option<Timestamp> {
        let search = if self.spans().any(Span::skips_weeks) {
            SEARCH_OF_MONTHS
        } else {
            SEARCH
        };
        let mut horizon = start.checked_add(search).ok()?;
        while let Some(date) = self
            .dates()
            .find(|date| *date <= horizon && horizon < date.saturating_add(search).unwrap_or(*date))
        {
            horizon = date.checked_add(search).ok()?;
        }
        Some(horizon)
    }

    /// The instants of the written dates, near enough to know where to look.
    fn dates(&self) -> impl Iterator<Item = Timestamp> {
        let dates = self
            .spans()
            .filter_map(Span::dates)
            .flat_map(<[DateTime; 2]>::from);
        dates.filter_map(|date| self.zone.to_ambiguous_timestamp(date).compatible().ok())
    }

    /// The next instant after `at` at which an entry begins or ends, or the clock jumps. Between two of these nothing changes.
    fn next_boundary(&self, at: Timestamp) -> Option<Timestamp> {
        let at = Timestamp::from_second(at.as_second()).ok()?;
        let civil = self.zone.to_datetime(at);
        let entry = self
            .spans()
            .filter_map(|span| span.seconds_to_boundary(civil))
            .min();
        let entry =
            entry.and_then(|seconds| at.checked_add(SignedDuration::from_secs(seconds)).ok());
        // A zone file whose table has ended and that has no rule for what follows names the last of the table for ever.
        let jump = self
            .zone
            .following(at)
            .next()
            .map(|transition| transition.timestamp())
            .filter(|jump| *jump > at);
        entry.into_iter().chain(jump).min()
    }
}

/// Named at the first entry of the longer list that is too much.
fn too_many(deny: usize, allow: usize) -> WindowsError {
    let field = if deny > allow {
        WindowsField::Deny(MOST_ENTRIES.saturating_sub(allow))
    } else {
        WindowsField::Allow(MOST_ENTRIES.saturating_sub(deny))
    };
    WindowsError {
        field,
        message: format!(
            "there are {} entries, of at most {MOST_ENTRIES}; name several days in one entry, and leave out dates that are over",
            deny + allow
        ),
    }
}

/// The zone of this host. As systemd documents: one without /etc/localtime is in UTC.
pub(crate) fn local() -> Result<TimeZone, String> {
    const FILE: &str = "/etc/localtime";
    if env::var_os("TZ").is_none() && fs::symlink_metadata(FILE).is_err() {
        return Ok(TimeZone::UTC);
    }
    let variable = env::var("TZ").unwrap_or_else(|_| FILE.to_owned());
    refuse_endless(variable.trim_start_matches(':'))?;
    TimeZone::try_system()
        .map_err(|error| format!("the local time zone cannot be found: {error}; name one, for example Europe/Berlin or UTC"))
}

/// What is there is opened and read to its end, for which a FIFO or a device lets wait.
fn refuse_endless(zone: &str) -> Result<(), String> {
    let folder = env::var("TZDIR").unwrap_or_default();
    let folders = [
        &folder,
        ".",
        "/usr/share/zoneinfo",
        "/usr/share/lib/zoneinfo",
        "/etc/zoneinfo",
    ];
    let paths = folders.map(|folder| Path::new(folder).join(zone));
    let endless =
        |path: &&PathBuf| fs::metadata(path).is_ok_and(|it| !it.is_file() && !it.is_dir());
    match paths.iter().find(endless) {
        Some(path) => Err(format!(
            "{} is not a regular file, so that reading it might not end; put the file of a zone there, or name another one",
            path.display()
        )),
        None => Ok(()),
    }
}

fn zone(name: &str) -> Result<TimeZone, String> {
    if name.eq_ignore_ascii_case("utc") {
        return Ok(TimeZone::UTC);
    }
    // The host is asked now, and not five minutes ago, nor a database that an update has replaced since.
    jiff::tz::db().reset();
    if name.eq_ignore_ascii_case("local") {
        jiff::tz::reset_system_time_zone_cache();
        return local();
    }
    if jiff::tz::db().is_definitively_empty() {
        return Err(format!(
            "{name:?} cannot be looked up: this host has no time zone database; install tzdata or use UTC"
        ));
    }
    refuse_endless(name)?;
    TimeZone::get(name)
        .map_err(|_| format!("{name:?} is not in this host's time zone database; use a name such as Europe/Berlin, local or UTC"))
}
