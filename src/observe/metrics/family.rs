//! One metric with all its series, and how Prometheus wants to read it (text format 0.0.4).

use std::fmt::Write as _;
use std::time::Duration;

/// A metric: a name, a meaning, and a value for every set of label values.
#[derive(Debug)]
pub(super) struct Family {
    name: &'static str,
    help: &'static str,
    kind: &'static str,
    labels: Vec<&'static str>,
    /// Of a histogram: the upper bounds of its buckets, rising; the last one, infinity, is left out.
    bounds: &'static [f64],
    series: Vec<Series>,
}

/// Names of labels, each with the values that are there from the start.
type Labels<'a> = &'a [(&'static str, &'a [&'a str])];

#[derive(Debug)]
pub(super) struct Series {
    labels: Vec<String>,
    /// The sum of a histogram. Counters too: a double counts without loss up to 2^53.
    value: f64,
    /// Of a histogram: one a bound, and one for everything above; not cumulative.
    counts: Vec<u64>,
}

impl Family {
    /// A counter, as [`Family::gauge`].
    pub(super) fn counter(name: &'static str, help: &'static str, labels: Labels<'_>) -> Family {
        Family {
            kind: "counter",
            ..Family::gauge(name, help, labels)
        }
    }

    /// A gauge, 0 for each value of its label, or for every one of the first with every one of the second.
    pub(super) fn gauge(name: &'static str, help: &'static str, labels: Labels<'_>) -> Family {
        let mut family = Family {
            name,
            help,
            kind: "gauge",
            labels: labels.iter().map(|(name, _)| *name).collect(),
            bounds: &[],
            series: Vec::new(),
        };
        let mut series: Vec<Vec<&str>> = vec![Vec::new()];
        for (_, values) in labels {
            let with = |before: Vec<_>| values.iter().map(move |it| [&before[..], &[*it]].concat());
            series = series.into_iter().flat_map(with).collect();
        }
        family.keep(series);
        family
    }

    /// A histogram of seconds, without labels.
    pub(super) fn histogram(
        name: &'static str,
        help: &'static str,
        bounds: &'static [f64],
    ) -> Family {
        let mut family = Family::gauge(name, help, &[]);
        (family.kind, family.bounds) = ("histogram", bounds);
        family.series(&[]).counts = vec![0; bounds.len() + 1];
        family
    }

    /// One more.
    pub(super) fn count(&mut self, labels: &[&str]) {
        self.series(labels).value += 1.0;
    }

    pub(super) fn set(&mut self, labels: &[&str], to: f64) {
        self.series(labels).value = to;
    }

    /// This number for this value of the only label, or for none, and 0 for all others.
    pub(super) fn set_only(&mut self, only: Option<(&str, f64)>) {
        for series in &mut self.series {
            series.value = 0.0;
        }
        if let Some((label, number)) = only {
            self.set(&[label], number);
        }
    }

    pub(super) fn observe(&mut self, took: Duration) {
        let seconds = took.as_secs_f64();
        let at = self.bounds.partition_point(|bound| *bound < seconds);
        let series = self.series(&[]);
        series.value += seconds;
        if let Some(count) = series.counts.get_mut(at) {
            *count += 1;
        }
    }

    /// Keeps the series with these labels, and only them; those that are missing are made.
    pub(super) fn keep(&mut self, wanted: Vec<Vec<&str>>) {
        self.series
            .retain(|series| wanted.iter().any(|labels| series.labels == *labels));
        for labels in wanted {
            self.series(&labels);
        }
    }

    /// A series, which is made when there is none yet. Label values come from fixed sets and from the configuration, never
    /// from outside, so there cannot be many.
    pub(super) fn series(&mut self, labels: &[&str]) -> &mut Series {
        debug_assert_eq!(labels.len(), self.labels.len(), "{}", self.name);
        let known = self
            .series
            .iter()
            .position(|series| series.labels == labels);
        let at = known.unwrap_or_else(|| {
            self.series.push(Series {
                labels: labels.iter().map(|label| (*label).to_owned()).collect(),
                value: 0.0,
                counts: Vec::new(),
            });
            self.series.len() - 1
        });
        &mut self.series[at]
    }

    /// Appends the metric as text.
    pub(super) fn write(&self, out: &mut String) {
        let (name, kind) = (self.name, self.kind);
        let help = escaped(self.help, false);
        line(out, format_args!("# HELP {name} {help}"));
        line(out, format_args!("# TYPE {name} {kind}"));
        for series in &self.series {
            let labels = self.braces(series, None);
            let value = series.value;
            if kind != "histogram" {
                line(out, format_args!("{name}{labels} {value}"));
                continue;
            }
            let bounds = self.bounds.iter().map(f64::to_string);
            let mut total = 0;
            for (bound, count) in bounds.chain(["+Inf".to_owned()]).zip(&series.counts) {
                total += count;
                let labels = self.braces(series, Some(&bound));
                line(out, format_args!("{name}_bucket{labels} {total}"));
            }
            line(out, format_args!("{name}_sum{labels} {value}"));
            line(out, format_args!("{name}_count{labels} {total}"));
        }
    }

    /// The labels as they stand behind the name; `le` is the bound of a bucket.
    fn braces(&self, series: &Series, le: Option<&str>) -> String {
        let named = self.labels.iter().copied();
        let pairs: Vec<String> = named
            .zip(series.labels.iter().map(String::as_str))
            .chain(le.map(|bound| ("le", bound)))
            .map(|(name, value)| format!("{name}=\"{}\"", escaped(value, true)))
            .collect();
        if pairs.is_empty() {
            return String::new();
        }
        format!("{{{}}}", pairs.join(","))
    }
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(out, "{text}").expect("writing to a string cannot fail");
}

/// A help text or the value of a label. The format knows no other escapes; only in a label a quote ends the text.
fn escaped(text: &str, label: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if label => out.push_str("\\\""),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(family: &Family) -> String {
        let mut out = String::new();
        family.write(&mut out);
        out
    }

    #[test]
    fn what_would_end_a_label_or_a_line_is_escaped() {
        let mut family = Family::gauge("g", "a \"b\" \\\nc", &[("path", &["C:\\new\n\"x\" ä"])]);
        family.set(&["C:\\new\n\"x\" ä"], 1.5);
        assert_eq!(
            text(&family),
            "# HELP g a \"b\" \\\\\\nc\n# TYPE g gauge\ng{path=\"C:\\\\new\\n\\\"x\\\" ä\"} 1.5\n"
        );
    }

    #[test]
    fn buckets_are_cumulative_and_a_value_on_a_bound_belongs_below_it() {
        let mut family = Family::histogram("h", "h", &[0.1, 1.0, 10.0]);
        for seconds in [0.0, 0.1, 0.5, 1.0, 10.5, 100.0] {
            family.observe(Duration::from_secs_f64(seconds));
        }
        assert_eq!(
            text(&family),
            "# HELP h h\n# TYPE h histogram\nh_bucket{le=\"0.1\"} 2\nh_bucket{le=\"1\"} 4\nh_bucket{le=\"10\"} 4\n\
             h_bucket{le=\"+Inf\"} 6\nh_sum 112.1\nh_count 6\n"
        );
    }

    #[test]
    fn one_of_several_is_set_and_the_others_are_not() {
        let mut family = Family::gauge("s", "s", &[("state", &["a", "b"])]);
        family.set_only(Some(("a", 1.0)));
        family.set_only(Some(("b", 1.0)));
        assert!(text(&family).ends_with("s{state=\"a\"} 0\ns{state=\"b\"} 1\n"));
        family.set_only(None);
        assert!(text(&family).ends_with("s{state=\"a\"} 0\ns{state=\"b\"} 0\n"));
    }

    #[test]
    fn numbers_are_written_in_full() {
        let mut family = Family::gauge("n", "n", &[]);
        for (number, written) in [
            (1_795_420_800.125, "1795420800.125"),
            (1e15, "1000000000000000"),
            (0.0, "0"),
        ] {
            family.set(&[], number);
            assert!(text(&family).ends_with(&format!("\nn {written}\n")));
        }
    }
}
