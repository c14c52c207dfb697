//! Reading numbers and durations.

use std::str::FromStr;
use std::time::Duration;

use jiff::{Span, SpanRelativeTo};

use super::reader::Field;
use super::tree::Value;

/// No duration in a configuration is longer: ten years. Beyond it is a typing mistake, and additions could overflow.
const MAX_SECONDS: f64 = 10.0 * 365.0 * 86_400.0;

/// Nor shorter, but for zero where that means something: nobody checks, answers or waits in less, and a loop would never rest.
const MIN_SECONDS: f64 = 0.01;

impl Field<'_> {
    /// A number; reports anything else as not being `wanted`.
    pub(super) fn number(&self, wanted: &str) -> Option<f64> {
        let node = self.node?;
        match node.value {
            // A configured number is far below the 53 bits that survive.
            #[allow(clippy::cast_precision_loss)]
            Value::Int(value) => Some(value as f64),
            Value::Float(value, _) if !value.is_nan() => Some(value),
            _ => self.wrong(node, wanted),
        }
    }

    /// A whole number within bounds. `None` if it is wrong, or absent without a number for this.
    pub(super) fn whole<T: TryFrom<i64> + FromStr>(&self, least: i64, most: i64) -> Option<T> {
        let Some(node) = self.node else {
            return self.default().parse().ok();
        };
        let value = match node.value {
            Value::Int(value) => i64::try_from(value).ok(),
            // `3.0` is a whole number too; the cast is exact within the bounds that are checked next.
            #[allow(clippy::cast_possible_truncation)]
            Value::Float(value, _) if value.fract() == 0.0 && value.abs() < 1e15 => {
                Some(value as i64)
            }
            _ => None,
        };
        let fits = |value: &i64| (least..=most).contains(value);
        match value.filter(fits) {
            Some(value) => T::try_from(value).ok(),
            None => self.wrong(node, &format!("a whole number from {least} to {most}")),
        }
    }

    /// Seconds greater than zero. `None` if wrong, or absent without a number for this.
    pub(super) fn seconds(&self) -> Option<Duration> {
        match self.seconds_or_zero()? {
            Duration::ZERO => self.refuse("must be greater than 0; it counts seconds"),
            value => Some(value),
        }
    }

    /// As [`Field::seconds`], zero allowed.
    pub(super) fn seconds_or_zero(&self) -> Option<Duration> {
        if self.node.is_none() {
            return self.default().parse().ok().map(Duration::from_secs);
        }
        if let Some(seconds) = self.plain_text().and_then(with_unit) {
            return self.refuse(format!(
                "must be a number of seconds, without quotes or unit; write {seconds}"
            ));
        }
        let value = self.number("a number of seconds, without quotes or unit")?;
        if value < 0.0 {
            return self.refuse(format!(
                "must not be negative, but is {value}; it counts seconds"
            ));
        }
        if value > 0.0 && value < MIN_SECONDS {
            return self.refuse(format!(
                "must be at least {MIN_SECONDS} seconds, but is {value}"
            ));
        }
        if value > MAX_SECONDS {
            return self.refuse(format!(
                "must be at most {MAX_SECONDS} seconds (10 years), but is {value}"
            ));
        }
        Some(Duration::from_secs_f64(value))
    }
}

/// What `90`, `5m`, `5 min`, `1h` or `500ms` in quotes is in seconds.
fn with_unit(text: &str) -> Option<f64> {
    let span = || {
        let span: Span = text.trim().parse().ok()?;
        let duration = span.to_duration(SpanRelativeTo::days_are_24_hours());
        Some(duration.ok()?.as_secs_f64())
    };
    let seconds = text.trim().parse().ok().or_else(span);
    seconds.filter(|it| it.is_finite() && *it >= 0.0)
}
