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
        .or_else(|| only_part(&name, &known))
}

/// The one name that begins or ends with `part`.
fn only_part<'a>(part: &str, known: &[&'a str]) -> Option<&'a str> {
    let holds = |name: &&&str| part.len() >= 4 && (name.starts_with(part) || name.ends_with(part));
    let mut holders = known.iter().filter(holds);
    let only = holders.next()?;
    holders.next().is_none().then_some(*only)
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
