//! What was probably meant by an entry that is not in the grammar: it is rewritten until the grammar takes it.

/// Words of people and of other schedulers, and ours. An empty one is left out.
const WORDS: &[(&str, &str)] = &[
    ("weekday", "Mon-Fri"),
    ("weekdays", "Mon-Fri"),
    ("workdays", "Mon-Fri"),
    ("werktags", "Mon-Fri"),
    ("weekend", "Sat,Sun"),
    ("weekends", "Sat,Sun"),
    ("wochenende", "Sat,Sun"),
    ("daily", "*"),
    ("everyday", "*"),
    ("always", "*"),
    ("täglich", "*"),
    ("day", "*"),
    ("days", "*"),
    ("anytime", "*"),
    ("mo", "Mon"),
    ("montag", "Mon"),
    ("montags", "Mon"),
    ("mondays", "Mon"),
    ("lun", "Mon"),
    ("lundi", "Mon"),
    ("tu", "Tue"),
    ("di", "Tue"),
    ("dienstag", "Tue"),
    ("dienstags", "Tue"),
    ("tuesdays", "Tue"),
    ("mardi", "Tue"),
    ("we", "Wed"),
    ("mi", "Wed"),
    ("mittwoch", "Wed"),
    ("mittwochs", "Wed"),
    ("wednesdays", "Wed"),
    ("mercredi", "Wed"),
    ("th", "Thu"),
    ("do", "Thu"),
    ("donnerstag", "Thu"),
    ("donnerstags", "Thu"),
    ("thursdays", "Thu"),
    ("jeudi", "Thu"),
    ("fr", "Fri"),
    ("freitag", "Fri"),
    ("freitags", "Fri"),
    ("fridays", "Fri"),
    ("vendredi", "Fri"),
    ("sa", "Sat"),
    ("samstag", "Sat"),
    ("samstags", "Sat"),
    ("sonnabend", "Sat"),
    ("saturdays", "Sat"),
    ("samedi", "Sat"),
    ("su", "Sun"),
    ("so", "Sun"),
    ("sonntag", "Sun"),
    ("sonntags", "Sun"),
    ("sundays", "Sun"),
    ("dimanche", "Sun"),
    ("to", "-"),
    ("until", "-"),
    ("till", "-"),
    ("through", "-"),
    ("bis", "-"),
    ("and", ","),
    ("und", ","),
    ("every", ""),
    ("each", ""),
    ("on", ""),
    ("at", ""),
    ("of", ""),
    ("the", ""),
    ("month", ""),
    ("from", ""),
    ("between", ""),
    ("von", ""),
    ("um", ""),
    ("uhr", ""),
    ("o'clock", ""),
    ("hrs", ""),
    ("midnight", "00:00"),
    ("noon", "12:00"),
    ("erster", "1st"),
    ("ersten", "1st"),
    ("zweiter", "2nd"),
    ("zweiten", "2nd"),
    ("dritter", "3rd"),
    ("dritten", "3rd"),
    ("vierter", "4th"),
    ("vierten", "4th"),
    ("letzter", "last"),
    ("letzten", "last"),
    ("januar", "Jan"),
    ("februar", "Feb"),
    ("märz", "Mar"),
    ("mai", "May"),
    ("juni", "Jun"),
    ("juli", "Jul"),
    ("oktober", "Oct"),
    ("okt", "Oct"),
    ("dezember", "Dec"),
    ("dez", "Dec"),
];

/// Signs that look like ours.
const SIGNS: &[(&str, &str)] = &[
    ("\u{2010}", "-"),
    ("\u{2011}", "-"),
    ("\u{2012}", "-"),
    ("\u{2013}", "-"),
    ("\u{2014}", "-"),
    ("\u{2015}", "-"),
    ("\u{2212}", "-"),
    ("\u{a0}", " "),
    ("\u{2026}", "-"),
    ("\u{ff1a}", ":"),
    ("...", "-"),
    ("..", "-"),
    ("*-*-*", " "),
    ("~", "-"),
    ("\"", ""),
    ("'", ""),
    ("\u{201c}", ""),
    ("\u{201d}", ""),
    ("a.m.", "am"),
    ("p.m.", "pm"),
    (" am", "am"),
    (" pm", "pm"),
    ("all day", "00:00-24:00"),
    ("ganztags", "00:00-24:00"),
    ("(", ""),
    (")", ""),
];

/// Days as cron and systemd count them.
const DAYS: [&str; 8] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// What to say where nothing can be rewritten: a sign in the text, and the advice.
const ADVICE: &[(&[&str], &str)] = &[
    (
        &["@daily", "@weekly", "@hourly", "@monthly", "@reboot"],
        "a window has a start and an end; write for example * 02:00-04:00",
    ),
    (
        &["RRULE", "FREQ="],
        "a rule of a calendar is not known; write for example 1st Sun 02:00-04:00",
    ),
    (&["*/"], "steps are not known; write each window on its own"),
    (
        &["*-*", "Mon..", "..Fri"],
        "a systemd calendar names an instant, and a window has an end; write for example Mon-Fri 02:00-04:00",
    ),
    (
        &["P1", "PT", "+"],
        "a length is not known; write the end, as in Sat 02:00-04:00",
    ),
    (
        &["except", "not ", "!", "außer"],
        "exceptions are entries of windows.deny",
    ),
];

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
        (hour + 2) % 24
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
    } else {
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
        .map(|at| at + 1)
        .or_else(|| text.ends_with('Z').then(|| text.len() - 1))?;
    let zone = &text[at..];
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
            let ours = WORDS.iter().find(|(theirs, _)| *theirs == word);
            let ours = ours.map_or(word, |(_, ours)| *ours);
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
    let words = out.split_whitespace().collect::<Vec<_>>().join(" ");
    words
        .replace(" - ", "-")
        .replace(" -", "-")
        .replace("- ", "-")
        .replace(" ,", ",")
        .replace(", ", ",")
}

/// A date, a time, a day or an hour at the beginning: how much of the text it takes, and how we write it.
fn number(text: &str, has_times: bool) -> (usize, String) {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let first = digits(text);
    let (head, tail) = text.split_at(first);
    let value: usize = head.parse().unwrap_or(usize::MAX);
    // 2026-2-3, 2026/02/03, 20260203, 3.2.2026
    let mut parts = text.splitn(3, ['-', '/', '.']);
    let three = (parts.next(), parts.next(), parts.next());
    if let (Some(a), Some(b), Some(c)) = three {
        let c = &c[..digits(c)];
        let used = a.len() + b.len() + c.len() + 2;
        let date = |year: &str, month: &str, day: &str| format!("{year}-{month:0>2}-{day:0>2}");
        let short = |part: &str| (1..=2).contains(&part.len());
        if a.len() == 4 && digits(a) == 4 && short(b) && short(c) {
            return (used, date(a, b, c));
        }
        if tail.starts_with('.') && short(a) && short(b) && c.len() == 4 {
            return (used, date(c, b, a));
        }
    }
    if first == 8 && head.starts_with("20") {
        return (
            first,
            format!("{}-{}-{}", &head[..4], &head[4..6], &head[6..]),
        );
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
