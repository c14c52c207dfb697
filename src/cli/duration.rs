//! Durations on a command line.

use std::time::Duration;

/// No duration on a command line is longer: ten years.
const MAX_SECONDS: u64 = 10 * 365 * 86_400;

/// A duration such as `90s`, `10m`, `1h30m`, `2d` or `45` (seconds).
///
/// # Errors
/// What is wrong, on one line.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong =
        || format!("{text:?} is not a duration; write 45 (seconds), 90s, 10m, 4h, 1h30m or 2d");
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // What is left to read, and the seconds so far; none when they are beyond all counting.
    let (mut rest, mut total) = match is_number(text) {
        true => ("", text.parse().ok()),
        false => (text, Some(0_u64)),
    };
    // Larger units first, each at most once.
    for (unit, seconds) in [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)] {
        if let Some((amount, after)) = rest.split_once(unit) {
            if !is_number(amount) {
                return Err(wrong());
            }
            let amount: Option<u64> = amount.parse().ok();
            total = total.and_then(|total| amount?.checked_mul(seconds)?.checked_add(total));
            rest = after;
        }
    }
    match total {
        _ if text.is_empty() || !rest.is_empty() => Err(wrong()),
        Some(seconds) if seconds <= MAX_SECONDS => Ok(Duration::from_secs(seconds)),
        _ => Err(format!("{text:?} is too long; at most 3650d")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        for (text, seconds) in [
            ("0", 0),
            ("45", 45),
            ("90s", 90),
            ("10m", 600),
            ("4h", 14_400),
            ("1h30m", 5_400),
            ("2d", 172_800),
            ("1d2h3m4s", 93_784),
            ("3650d", MAX_SECONDS),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in [
            "",
            "m",
            "10x",
            "10 m",
            "-5",
            "+5",
            "1.5h",
            "30m1h",
            "1m1m",
            "1h30",
            "3651d",
            "99999999999999999999",
            "99999999999999999999h",
            "٣s",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
