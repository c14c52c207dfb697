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
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return bounded(text.parse().ok(), text);
    }
    let (mut total, mut digits, mut last_unit) = (0_u64, String::new(), u64::MAX);
    for character in text.chars() {
        let unit = match character {
            '0'..='9' => {
                digits.push(character);
                continue;
            }
            'd' => 86_400,
            'h' => 3_600,
            'm' => 60,
            's' => 1,
            _ => return Err(wrong()),
        };
        // Larger units first, each at most once.
        if digits.is_empty() || unit >= last_unit {
            return Err(wrong());
        }
        let amount: Option<u64> = digits.parse().ok();
        total = amount
            .and_then(|amount| amount.checked_mul(unit)?.checked_add(total))
            .unwrap_or(u64::MAX);
        (digits, last_unit) = (String::new(), unit);
    }
    if !digits.is_empty() || last_unit == u64::MAX {
        return Err(wrong());
    }
    bounded(Some(total), text)
}

fn bounded(seconds: Option<u64>, text: &str) -> Result<Duration, String> {
    match seconds {
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
