//! What was probably meant by an entry that is not in the grammar: it is rewritten until the grammar takes it.

mod words;

use self::words::{ADVICE, DAYS, SIGNS, WORDS};
use super::entry::joined;

/// What to write instead of `text`, if that can be told; `fits` says whether the grammar takes it.
pub(super) fn hint(text: &str, fits: impl Fn(&str) -> bool) -> Option<String> {
    if text.chars().count() > 200 {
        return None;
    }
    if let Some(cron) = cron(text).filter(|entry| fits(entry)) {
        return Some(format!(
            "cron names an instant, and a window has an end; write for example {cron:?}"
        ));
    }
    if text.split([';', ',']).map(str::trim).all(&fits) {
        return Some("write each window as an entry of its own".to_owned());
    }
    let meant = rewritten(text);
    if let Some(entry) = orders(&meant).into_iter().find(|entry| fits(entry)) {
        return Some(format!("write {entry:?}"));
    }
    if let Some((entry, zone)) = without_zone(text) {
        let entry = orders(&rewritten(entry)).into_iter().find(|it| fits(it))?;
        return Some(format!("write {entry:?}, and {zone} as windows.timezone"));
    }
    // A start alone: with an end it would be an entry.
    let open = format!("{meant}-23:59");
    if fits(&open) {
        return Some(format!(
            "a window has an end; write for example {:?} with the end that is meant",
            format!("{meant}-24:00")
        ));
    }
    let advice = ADVICE
        .iter()
        .find(|(signs, _)| signs.iter().any(|sign| text.contains(sign)));
    advice.map(|(_, advice)| (*advice).to_owned())
}

/// `MINUTE HOUR * * DAYS` as a window of two hours.
fn cron(text: &str) -> Option<String> {
    let fields: Vec<&str> = text.split_whitespace().collect();
    let [minute, hour, _, _, days] = fields[..] else {
        return None;
    };
    let (minute, hour): (u8, u8) = (minute.parse().ok()?, hour.parse().ok()?);
    let days = rewritten(&format!("{days} 01:00"));
    let days = days.strip_suffix(" 01:00")?;
    Some(format!(
        "{days} {hour:02}:{minute:02}-{:02}:{minute:02}",
        (hour % 24 + 2) % 24
    ))
}

/// As it is, with the days moved from the end to the front, with commas between days, and for the whole day.
fn orders(text: &str) -> Vec<String> {
    let words: Vec<&str> = text.split(' ').collect();
    let is_time = |word: &str| word.contains(':');
    let first = words.iter().position(|word| is_time(word));
    let last = words.iter().rposition(|word| is_time(word));
    let mut found = vec![text.to_owned()];
    if let (Some(first), Some(last)) = (first, last) {
        let (times, behind) = words.split_at(last + 1);
        found.push(format!("{} {}", behind.concat(), times.join(" ")));
        let (days, times) = words.split_at(first);
        found.push(format!("{} {}", days.join(","), times.join(" ")));
    } else if !text.is_empty() {
        found.push(format!("{text} 00:00-24:00"));
        found.extend(
            text.split_once("-20")
                .map(|(from, to)| format!("{from} 00:00-20{to} 24:00")),
        );
    }
    found
}

/// A zone behind the entry: `UTC`, `CET`, `Europe/Berlin`, `+02:00`.
fn without_zone(text: &str) -> Option<(&str, &str)> {
    let at = text
        .rfind(char::is_whitespace)
        .or_else(|| text.ends_with('Z').then(|| text.len() - 1))?;
    let zone = text[at..].trim_start();
    let is_name = zone.contains('/')
        || zone.starts_with(['+', '-'])
        || zone.len() <= 5 && zone.bytes().all(|byte| byte.is_ascii_uppercase());
    let zone = match zone {
        "Z" | "GMT" => "UTC",
        name if name.contains('/') || name == "UTC" => name,
        _ => "a name such as Europe/Berlin",
    };
    is_name.then(|| (text[..at].trim_end(), zone))
}

/// With our words, signs, dates and times.
fn rewritten(text: &str) -> String {
    // `2026-12-20T02:00/2026-12-20T04:00` of ISO 8601.
    let mut text = text.to_owned();
    let dates = text.contains("T0") || text.contains("T1") || text.contains("T2");
    if dates && text.starts_with("20") {
        text = text.replace('T', " ").replace('/', "-");
    }
    let mut text = text.to_lowercase();
    for (theirs, ours) in SIGNS {
        text = text.replace(theirs, ours);
    }
    let has_times = text.contains(':') || text.contains("am") || text.contains("pm");
    let mut out = String::new();
    let mut rest = text.as_str();
    while let Some(first) = rest.chars().next() {
        let kind = |c: char| (c.is_alphabetic() || c == '\'', c.is_ascii_digit());
        if kind(first).1 {
            let end = rest
                .find(|c: char| !(c.is_ascii_digit() || ".:/-hamp".contains(c)))
                .unwrap_or(rest.len());
            let (used, number) = number(&rest[..end], has_times);
            out.push_str(&number);
            rest = &rest[used..];
        } else if kind(first).0 {
            let end = rest.find(|c| !kind(c).0).unwrap_or(rest.len());
            let word = &rest[..end];
            let is_it = |theirs: &str| theirs.split(' ').any(|known| known == word);
            let ours = WORDS.iter().find(|(_, theirs)| is_it(theirs));
            let ours = ours.map_or(word, |(ours, _)| *ours);
            // Days as people write them, the first letter large.
            let mut letters = ours.chars();
            out.extend(letters.next().map(|c| c.to_ascii_uppercase()));
            out.push_str(letters.as_str());
            rest = &rest[end..];
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    joined(&out)
}

/// A date as in 2026-2-3, 2026/02/03, 20260203, 3.2.2026.
fn date(text: &str) -> Option<(usize, String)> {
    let first = digits(text);
    let (head, tail) = text.split_at(first);
    let mut parts = text.splitn(3, ['-', '/', '.']);
    let three = (parts.next(), parts.next(), parts.next());
    if let (Some(a), Some(b), Some(c)) = three {
        let c = &c[..digits(c)];
        let used = a.len() + b.len() + c.len() + 2;
        let date = |year: &str, month: &str, day: &str| format!("{year}-{month:0>2}-{day:0>2}");
        let short = |part: &str| (1..=2).contains(&part.len());
        if a.len() == 4 && digits(a) == 4 && short(b) && short(c) {
            return Some((used, date(a, b, c)));
        }
        if tail.starts_with('.') && short(a) && short(b) && c.len() == 4 {
            return Some((used, date(c, b, a)));
        }
    }
    (first == 8 && head.starts_with("20")).then(|| {
        let date = format!("{}-{}-{}", &head[..4], &head[4..6], &head[6..]);
        (first, date)
    })
}

fn digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

/// A date, a time, a day or an hour at the beginning: how much of the text it takes, and how we write it.
fn number(text: &str, has_times: bool) -> (usize, String) {
    let first = digits(text);
    let (head, tail) = text.split_at(first);
    let value: usize = head.parse().unwrap_or(usize::MAX);
    if let Some(date) = date(text) {
        return date;
    }
    // 2:00, 02.00, 02:00:00, 2h, 22h30
    let (mut used, mut minute) = (first, "00");
    let parted = tail.starts_with([':', '.', 'h']);
    if parted {
        let length = digits(&tail[1..]);
        if (1..=2).contains(&length) || tail.starts_with('h') {
            minute = if length == 0 { "00" } else { &tail[1..=length] };
            used += 1 + length;
            if text[used..].starts_with(":00") {
                used += 3;
            }
        }
    }
    let after = &text[used..];
    let half = ["am", "pm"].iter().find(|half| after.starts_with(**half));
    if first == 4 && !parted && !has_times {
        return (first, format!("{}:{}", &head[..2], &head[2..]));
    }
    if first > 2 {
        return (first, head.to_owned());
    }
    if let Some(half) = half {
        let hour = value % 12 + if *half == "pm" { 12 } else { 0 };
        return (used + 2, format!("{hour:02}:{minute:0>2}"));
    }
    if used > first || !has_times {
        return (used, format!("{value:02}:{minute:0>2}"));
    }
    (first, DAYS.get(value).copied().unwrap_or(head).to_owned())
}
