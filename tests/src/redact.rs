//! Replaces what differs from run to run by placeholders of the same width, so that a
//! snapshot still shows whether columns are aligned.

use std::path::Path;

use regex::{Captures, Regex};

/// Knows the patterns and the folder of one project.
#[derive(Clone, Debug)]
pub struct Redactor {
    rules: Vec<(Regex, &'static str)>,
}

impl Redactor {
    /// A redactor for the output of a project under `base`.
    pub fn new(base: &Path) -> Self {
        let base = regex::escape(&base.to_string_lossy());
        let patterns = [
            (base, "[base]"),
            (
                r"\d{4}-\d\d-\d\d(?:[ T]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?"
                    .into(),
                "[time]",
            ),
            (
                r"\b\d+(?:\.\d+)?\s?(?:ns|µs|us|ms|s|min|m|h)\b".into(),
                "[duration]",
            ),
            (r"\b[0-9a-f]{7,64}\b".into(), "[hex]"),
        ];
        let rules = patterns.map(|(pattern, placeholder): (String, _)| {
            // The spaces around belong to the column that the value stands in.
            let pattern = format!("(?P<before> *)(?P<value>{pattern})(?P<after> *)");
            let rule = Regex::new(&pattern).expect("the patterns are constant");
            (rule, placeholder)
        });
        Self {
            rules: rules.to_vec(),
        }
    }

    /// The text with placeholders. A value in a padded column keeps the column's width:
    /// what the placeholder is shorter or longer is taken from the padding.
    pub fn redact(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (rule, placeholder) in &self.rules {
            text = rule
                .replace_all(&text, |found: &Captures<'_>| padded(found, placeholder))
                .into_owned();
        }
        text
    }
}

fn padded(found: &Captures<'_>, placeholder: &str) -> String {
    let width = |name| {
        found
            .name(name)
            .map_or(0, |part| part.as_str().chars().count())
    };
    let (before, value, after) = (width("before"), width("value"), width("after"));
    let total = before + value + after;
    let fill = |count: usize| " ".repeat(count);
    // Padding behind means aligned to the left; padding in front alone, to the right.
    if after >= 2 {
        let right = total.saturating_sub(placeholder.len() + before).max(1);
        format!("{}{placeholder}{}", fill(before), fill(right))
    } else if before >= 2 {
        let left = total.saturating_sub(placeholder.len() + after).max(1);
        format!("{}{placeholder}{}", fill(left), fill(after))
    } else {
        format!("{}{placeholder}{}", fill(before), fill(after))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let redactor = Redactor::new(Path::new("/var/tmp/roar-test-abc"));
        assert_eq!(redactor.redact(text), expected, "{text}");
    }

    #[test]
    fn replaces_what_differs() {
        for (text, expected) in [
            ("job 0a1b2c3d done", "job [hex] done"),
            ("took 1.25 s, 13ms", "took [duration], [duration]"),
            (
                "at 2026-01-02 03:04:05 and 2026-01-02T03:04:05.123Z",
                "at [time] and [time]",
            ),
            ("/var/tmp/roar-test-abc/project/in", "[base]/project/in"),
            ("cafe is 4 bytes of 12 files", "cafe is 4 bytes of 12 files"),
        ] {
            check(text, expected);
        }
    }

    #[test]
    fn keeps_columns_aligned() {
        check("a  3 ms        x", "a  [duration]  x");
        check("a  13 ms       x", "a  [duration]  x");
        check("a          3 ms x", "a    [duration] x");
        check("a         13 ms x", "a    [duration] x");
    }
}
