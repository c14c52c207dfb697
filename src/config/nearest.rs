//! "Did you mean": the known name nearest to a mistyped one.

/// The known name nearest to `name`, when a few slips of the finger or a forgotten first or last part explain the difference.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    // A third of the letters may be wrong, but never so many that anything fits a short name.
    let limit = (name.chars().count() / 3).clamp(1, 4);
    let known: Vec<&str> = known.into_iter().collect();
    let slip = known
        .iter()
        .map(|candidate| (distance(&name, candidate), *candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance);
    slip.map(|(_, candidate)| candidate)
        .or_else(|| only(&known, |known| is_part(&name, known)))
        .or_else(|| {
            only(&known, |known| {
                is_short_for(&name, known) || is_short_for(known, &name)
            })
        })
}

/// The one name of which this is true.
fn only<'a>(known: &[&'a str], is_it: impl Fn(&str) -> bool) -> Option<&'a str> {
    let mut all = known.iter().filter(|name| is_it(name));
    let only = all.next()?;
    all.next().is_none().then_some(*only)
}

/// Whether `name` begins or ends with `part`.
fn is_part(part: &str, name: &str) -> bool {
    part.len() >= 4 && (name.starts_with(part) || name.ends_with(part))
}

/// `cmd` for `command`: begins alike, and its letters stand there in this order.
fn is_short_for(short: &str, long: &str) -> bool {
    let mut left = long.chars();
    short.len() >= 3
        && short.chars().next() == long.chars().next()
        && short.chars().all(|letter| left.any(|it| it == letter))
}

/// Insertions, deletions, replacements and swaps of neighbours that turn one name into the other.
fn distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=to.len()).collect()];
    for (i, &a) in from.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, &b) in to.iter().enumerate() {
            let mut best = (rows[i][j] + usize::from(a != b))
                .min(rows[i][j + 1] + 1)
                .min(row[j] + 1);
            if i > 0 && j > 0 && a == to[j - 1] && from[i - 1] == b {
                best = best.min(rows[i - 1][j - 1] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[from.len()][to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_find_their_name_and_strangers_find_none() {
        let known = ["node_name", "node_id", "health_script", "lock_key", "run"];
        for (typed, meant) in [
            ("nodename", Some("node_name")),
            ("node-name", Some("node_name")),
            ("helath_script", Some("health_script")),
            ("NODE_ID", Some("node_id")),
            ("lock_kye", Some("lock_key")),
            ("rnu", Some("run")),
            ("script", Some("health_script")),
            ("node", None),
            ("password", None),
            ("x", None),
            ("hlths", Some("health_script")),
            ("running", Some("run")),
            ("lk", None),
            ("ode", None),
            ("nid", Some("node_id")),
        ] {
            assert_eq!(nearest(typed, known), meant, "{typed}");
        }
    }

    #[test]
    fn distances_count_slips() {
        for (from, to, slips) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "acb", 1),
            ("abc", "abd", 1),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(from, to), slips, "{from} {to}");
        }
    }
}
