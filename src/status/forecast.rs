//! How long those who wait will take, at the pace of the last reboots. A guess for people: nothing is decided by it.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::View;
use super::describe::{by_node, committed, names};
use super::node_state::{NodeState, Rank, node_states};
use super::standstill::keep_all;
use super::times::{instant, span, until};
use crate::lock::survey::Survey;

/// From how many reboots a pace is taken.
const LAST: usize = 20;

/// How many it takes at least.
const FEWEST: usize = 3;

/// The gates that close for everybody: while one does, no pace holds.
const OF_ALL: [&str; 3] = ["pause", "line", "window"];

/// How long it will take.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Forecast {
    /// How many there are.
    pub(crate) left: usize,
    /// In how many seconds those are through that wait for no window of their own, when that is known.
    pub(crate) seconds: Option<i64>,
    /// Whether the window of this host is still open then, when that is known.
    pub(crate) in_window: Option<bool>,
    /// The same for people.
    pub(crate) text: String,
}

/// Of all that need a reboot and will go by themselves, or of those before a node in the queue. `None` when there is none.
pub(crate) fn forecast(view: &View, before: Option<&str>, now: Timestamp) -> Option<Forecast> {
    let survey = view.known()?;
    let reader = view.reader(now);
    let states = node_states(survey, &reader);
    let (left, outside) = match before {
        Some(node) => (older(survey, node)?, 0),
        None => going(survey, &states),
    };
    let count = i64::try_from(left.len()).ok()?;
    if left.len() + outside == 0 {
        return None;
    }
    let closed = |gate: &str| view.gates.iter().any(|it| it.gate == gate && it.blocks());
    let stuck = keep_all(survey, &reader, &states).map(names);
    let known = match OF_ALL.into_iter().find(|gate| closed(gate)) {
        _ if survey.partial => Err("there are more nodes than were read".to_owned()),
        Some(gate) => Err(format!("the gate {gate} is closed here")),
        None if stuck.is_some() => Err(format!(
            "every place is kept by {}",
            stuck.unwrap_or_default()
        )),
        None if left.is_empty() => Err("all of them wait for their own windows".to_owned()),
        None => pace(survey, &left, now),
    };
    let told = |seconds, in_window, text| Forecast {
        left: left.len() + outside,
        seconds,
        in_window,
        text,
    };
    let (many, each) = match known {
        Ok(pace) => pace,
        Err(why) => return Some(told(None, None, format!("how long is not known: {why}"))),
    };
    let seconds = each.saturating_mul(count) / 1000;
    let mut text = format!("about {} at the pace of the last {many}", span(seconds));
    let windows = view.local.config.windows.as_ref();
    let close = windows.and_then(|windows| windows.next_change(now));
    let in_window = close.map(|close| {
        let open = close.as_second() - now.as_second();
        text += &match seconds <= open {
            true => ", before the window here closes".to_owned(),
            false => format!(
                "; the window here closes {}, after about {} of them",
                until(now, close),
                open.saturating_mul(1000) / each
            ),
        };
        seconds <= open
    });
    text += &match outside {
        0 => String::new(),
        1 => "; 1 of them waits for its own window".to_owned(),
        outside => format!("; {outside} of them wait for their own windows"),
    };
    Some(told(Some(seconds), in_window, text))
}

/// Whose claims are older than that of a node in the queue.
fn older(survey: &Survey, node: &str) -> Option<Vec<String>> {
    let mut claims = survey.claims.iter();
    let place = claims.position(|(name, found)| name == node && !committed(found))?;
    let older = survey.claims[..place].iter();
    Some(older.map(|(name, _)| name.clone()).collect())
}

/// Who needs a reboot and waits for nobody's help, and how many of these wait for their own windows.
fn going(survey: &Survey, states: &[NodeState]) -> (Vec<String>, usize) {
    let standings = by_node(&survey.standings);
    let label = |node: &str| standings.get(node)?.as_ref().ok()?.label();
    let goes = |node: &str, rank| match rank {
        Rank::Under => true,
        Rank::Queued | Rank::Waits => label(node) != Some("dry_run"),
        Rank::Stuck | Rank::Blocked | Rank::Ill | Rank::Fine => false,
    };
    let going = states.iter().filter(|state| goes(&state.node, state.rank));
    let (outside, left): (Vec<_>, Vec<_>) =
        going.partition(|state| state.rank == Rank::Waits && label(&state.node) == Some("window"));
    let left = left.into_iter().map(|state| state.node.clone());
    (left.collect(), outside.len())
}

/// From how many reboots, and how many thousandths of a second each took. Only those count that ended while one of these waited
/// already: no idle time lies between them. That nobody has come through for longer than usual counts as well.
fn pace(survey: &Survey, left: &[String], now: Timestamp) -> Result<(usize, i64), String> {
    let (standings, claims) = (by_node(&survey.standings), by_node(&survey.claims));
    let asked = |node: &String| {
        let standing = standings.get(node.as_str());
        let required = standing.and_then(|it| it.as_ref().ok()?.required.as_ref());
        let claim = claims.get(node.as_str());
        let claim = claim.and_then(|found| found.claim.as_ref().ok());
        instant(required.map(|it| &it.since).or(claim.map(|it| &it.since))?)
    };
    let first = left.iter().filter_map(asked).min();
    let records = survey.nodes.iter().filter_map(|(_, it)| it.as_ref().ok());
    let mut ends: Vec<Timestamp> = records
        .filter_map(|record| instant(&record.last_reboot.as_ref()?.at))
        .filter(|at| *at <= now && first.is_some_and(|first| *at >= first))
        .collect();
    ends.sort_by(|a, b| b.cmp(a));
    ends.truncate(LAST);
    let many = ends.len();
    let (Some(last), Some(oldest)) = (ends.first(), ends.last().filter(|_| many >= FEWEST)) else {
        return Err(format!(
            "{many} rebooted since the first of them waits; a pace takes {FEWEST}"
        ));
    };
    let each = |end: Timestamp, gaps: usize| {
        let whole: SignedDuration = end.duration_since(*oldest);
        i64::try_from(whole.as_millis()).unwrap_or(i64::MAX) / i64::try_from(gaps).unwrap_or(1)
    };
    Ok((many, each(*last, many - 1).max(each(now, many)).max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::Phase;
    use crate::lock::record::Standing;
    use crate::lock::record::{Blocked, Required};
    use crate::status::fixtures::{at, found, local, member, now, pause, view};

    /// What each tells of itself: since when it needs a reboot, and what holds it up.
    fn says(node: &str, since: &str, label: Option<&str>) -> (String, Standing) {
        let standing = Standing {
            node: node.into(),
            node_id: format!("id-{node}"),
            state: if label.is_some() { "blocked" } else { "queued" }.into(),
            required: Some(Required {
                since: at(since),
                by: vec!["kernel".into()],
            }),
            blocked: label.map(|label| Blocked {
                label: label.into(),
                ..Blocked::default()
            }),
            ..Standing::default()
        };
        (node.into(), standing)
    }

    /// It is noon, the window closes at 18:00. `waiting` nodes are in the queue since 08:00, and these went through before.
    fn fleet(waiting: usize, ends: &[&str]) -> Survey {
        let name = |n: usize| format!("w{n}");
        let queued = |n| {
            found(
                &name(n),
                Phase::Queued,
                i64::try_from(n).unwrap() + 1,
                "08:00",
            )
        };
        let done = |(n, end): (usize, &&str)| member(&format!("d{n}"), Some(end), 0);
        Survey {
            claims: (0..waiting).map(queued).collect(),
            standings: (0..waiting)
                .map(|n| says(&name(n), "08:00", None))
                .map(|(node, standing)| (node, Ok(standing)))
                .collect(),
            nodes: ends.iter().enumerate().map(done).collect(),
            ..Survey::default()
        }
    }

    fn told(survey: Survey, before: Option<&str>) -> Option<(usize, Option<bool>, String)> {
        let forecast = forecast(&view(local(), survey), before, now())?;
        assert_eq!(
            forecast.seconds.is_none(),
            forecast.text.contains("not known")
        );
        Some((forecast.left, forecast.in_window, forecast.text))
    }

    const HALF_HOURLY: [&str; 4] = ["10:30", "11:00", "11:30", "12:00"];

    #[test]
    fn what_is_left_takes_as_long_as_the_last_took_and_what_is_unknown_is_said_to_be() {
        let paused = |survey| Survey {
            pause: Some(Ok(pause(None))),
            ..survey
        };
        let partial = |survey| Survey {
            partial: true,
            ..survey
        };
        let unknown = |why: &str| (None, format!("how long is not known: {why}"));
        let few = |many| {
            unknown(&format!(
                "{many} rebooted since the first of them waits; a pace takes 3"
            ))
        };
        let known = |in_window, text: &str| (Some(in_window), text.to_owned());
        let rows = [
            (
                fleet(12, &HALF_HOURLY),
                known(
                    true,
                    "about 6 h at the pace of the last 4, before the window here closes",
                ),
            ),
            (
                fleet(13, &HALF_HOURLY),
                known(
                    false,
                    "about 6 h 30 min at the pace of the last 4; the window here closes in 6 h, after about 12 of them",
                ),
            ),
            // Nobody came through for longer than it took before: four in four hours.
            (
                fleet(2, &["08:00", "08:10", "08:20", "08:30"]),
                known(
                    true,
                    "about 2 h at the pace of the last 4, before the window here closes",
                ),
            ),
            // What ended before anybody waited, after now, or at no time at all, tells nothing.
            (
                fleet(2, &["06:00", "07:00", "07:59", "11:00", "12:01", "25:00"]),
                few(1),
            ),
            (fleet(2, &["11:00", "11:30"]), few(2)),
            (fleet(2, &[]), few(0)),
            // At one moment: three at a time, then nobody.
            (
                fleet(4, &["12:00", "12:00", "12:00"]),
                known(
                    true,
                    "about 0 s at the pace of the last 3, before the window here closes",
                ),
            ),
            (
                paused(fleet(2, &HALF_HOURLY)),
                unknown("the gate pause is closed here"),
            ),
            (
                partial(fleet(2, &HALF_HOURLY)),
                unknown("there are more nodes than were read"),
            ),
        ];
        for (survey, (in_window, text)) in rows {
            let left = survey.claims.len();
            assert_eq!(told(survey, None), Some((left, in_window, text)));
        }
    }

    #[test]
    fn only_the_last_twenty_make_the_pace() {
        let slow = ["08:00", "09:00"].into_iter().map(str::to_owned);
        let fast = (41..=60).map(|minute| match minute {
            60 => "12:00".to_owned(),
            minute => format!("11:{minute}"),
        });
        let ends: Vec<String> = slow.chain(fast).collect();
        let ends: Vec<&str> = ends.iter().map(String::as_str).collect();
        let (_, _, text) = told(fleet(10, &ends), None).unwrap();
        assert!(
            text.starts_with("about 10 min at the pace of the last 20,"),
            "{text}"
        );
    }

    #[test]
    fn a_node_in_the_queue_hears_of_those_before_it() {
        let (left, _, text) = told(fleet(12, &HALF_HOURLY), Some("w3")).unwrap();
        assert_eq!(left, 3);
        assert!(text.starts_with("about 1 h 30 min at"), "{text}");
        assert_eq!(
            told(fleet(12, &HALF_HOURLY), Some("w0")),
            None,
            "nobody is before it"
        );
        assert_eq!(
            told(fleet(12, &HALF_HOURLY), Some("d0")),
            None,
            "it does not wait"
        );
        let mut survey = fleet(4, &HALF_HOURLY);
        survey.claims[3] = found("w3", Phase::Rebooting, 4, "11:00");
        assert_eq!(
            told(survey, Some("w3")),
            None,
            "it waits for nobody any more"
        );
        assert_eq!(told(fleet(0, &HALF_HOURLY), None), None, "nobody waits");
    }

    #[test]
    fn who_waits_for_somebody_s_help_or_only_looks_is_not_counted() {
        let mut survey = fleet(2, &HALF_HOURLY);
        for label in ["budget", "dry_run", "health", "wave", "window", "cooldown"] {
            let (node, standing) = says(label, "08:00", Some(label));
            survey.standings.push((node, Ok(standing)));
        }
        let (left, ..) = told(survey.clone(), None).unwrap();
        assert_eq!(
            left, 4,
            "both in the queue, and those behind a window and a cooldown: of a wave it is not known who goes first"
        );
        // It only looks, in the queue as well.
        survey
            .claims
            .push(found("dry_run", Phase::Queued, 9, "08:00"));
        assert_eq!(told(survey, None).unwrap().0, 4);
    }

    #[test]
    fn nobody_goes_while_every_place_is_held_by_who_does_not_finish() {
        for (limit, since, unknown) in
            [(1, "11:00", true), (2, "11:00", false), (1, "11:59", false)]
        {
            let mut survey = fleet(2, &HALF_HOURLY);
            let (node, mut stuck) = found("s", Phase::Rebooting, 1, since);
            // Its own limit binds nobody else.
            stuck.claim.as_mut().unwrap().limit = 3 - limit;
            for (_, other) in &mut survey.claims {
                other.claim.as_mut().unwrap().limit = limit;
            }
            survey.claims.insert(0, (node, stuck));
            let (_, _, text) = told(survey, None).unwrap();
            let why = "how long is not known: every place is kept by s";
            assert_eq!(text == why, unknown, "{limit} {since}: {text}");
        }
    }

    #[test]
    fn the_pace_of_others_says_nothing_of_who_waits_for_a_window_of_its_own() {
        let outside = |survey: Survey, count: usize| {
            let names = (0..count).map(|n| format!("x{n}"));
            let said = names.map(|node| says(&node, "02:00", Some("window")));
            let said = said.map(|(node, standing)| (node, Ok(standing)));
            let standings = survey.standings.into_iter().chain(said).collect();
            told(
                Survey {
                    standings,
                    ..survey
                },
                None,
            )
            .unwrap()
        };
        let all = "about 1 h at the pace of the last 4, before the window here closes";
        for (count, more) in [
            (1, "; 1 of them waits for its own window"),
            (2, "; 2 of them wait for their own windows"),
        ] {
            let (left, in_window, text) = outside(fleet(2, &HALF_HOURLY), count);
            assert_eq!((left, in_window), (2 + count, Some(true)));
            assert_eq!(text, format!("{all}{more}"));
        }
        let (left, _, text) = outside(fleet(0, &HALF_HOURLY), 2);
        let none = "how long is not known: all of them wait for their own windows";
        assert_eq!((left, text.as_str()), (2, none));
    }
}
