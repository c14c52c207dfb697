//! Words and signs of people and of other schedulers, and ours for them.

/// Our words, and those of people and of other schedulers for each. What has none of ours is left out.
pub(super) const WORDS: &[(&str, &str)] = &[
    ("Mon-Fri", "weekday weekdays workdays werktags"),
    ("Sat,Sun", "weekend weekends wochenende"),
    ("*", "daily everyday always täglich day days anytime"),
    ("Mon", "mo montag montags mondays lun lundi"),
    ("Tue", "tu di dienstag dienstags tuesdays mardi"),
    ("Wed", "we mi mittwoch mittwochs wednesdays mercredi"),
    ("Thu", "th do donnerstag donnerstags thursdays jeudi"),
    ("Fri", "fr freitag freitags fridays vendredi"),
    ("Sat", "sa samstag samstags sonnabend saturdays samedi"),
    ("Sun", "su so sonntag sonntags sundays dimanche"),
    ("-", "to until till through bis"),
    (",", "and und"),
    (
        "",
        "every each on at of the month from between von um uhr o'clock hrs",
    ),
    ("00:00", "midnight"),
    ("12:00", "noon"),
    ("1st", "erster ersten"),
    ("2nd", "zweiter zweiten"),
    ("3rd", "dritter dritten"),
    ("4th", "vierter vierten"),
    ("last", "letzter letzten"),
    ("Jan", "januar"),
    ("Feb", "februar"),
    ("Mar", "märz"),
    ("May", "mai"),
    ("Jun", "juni"),
    ("Jul", "juli"),
    ("Oct", "oktober okt"),
    ("Dec", "dezember dez"),
];

/// Signs that look like ours.
pub(super) const SIGNS: &[(&str, &str)] = &[
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
pub(super) const DAYS: [&str; 8] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// What to say where nothing can be rewritten: a sign in the text, and the advice.
pub(super) const ADVICE: &[(&[&str], &str)] = &[
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
