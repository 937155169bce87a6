//! Secrets are taken out before anything is written down or sent.
//!
//! Pure: text goes in; text comes out with every secret replaced by `[redacted:DETECTOR]`, and the
//! detectors that fired. The shapes of known credentials are data (`detectors`); whether the NAME
//! of an option, variable or member says that its value is secret is decided in `names`.
//!
//! What it cannot know: a secret without a known shape that stands under an innocent name. For
//! that the user has `registration.omit.*`.

mod anchors;
mod arguments;
mod detectors;
mod names;

#[cfg(test)]
mod tests;

use regex::bytes::{Regex, RegexSet};

use detectors::{DETECTORS, Detector, Form};

pub use arguments::HiddenArgument;

/// What stands before the name of a detector in the place of a secret.
const MARK: &[u8] = b"[redacted:";

/// The detector of values that the user listed.
const LISTED: &str = "listed-value";
/// The detector of patterns that the user listed.
const PATTERN: &str = "listed-pattern";
/// The detector of values whose name says that they are secret.
const NAMED: &str = "named-secret";

/// Texts up to this length are searched without an automaton, which takes half a millisecond to
/// make: more than a command line is worth.
const SHORT_BYTES: usize = 4096;

/// What the user wants hidden, and what not (`registration.omit.*`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Values that always go.
    pub values: Vec<String>,
    /// Environment variables whose values always go.
    pub variables: Vec<String>,
    /// Regular expressions of what goes, too.
    pub patterns: Vec<String>,
    /// Regular expressions: a secret that one of them matches stays. Listed values go all the same.
    pub allowed: Vec<String>,
}

/// A pattern of the user's that is no regular expression.
#[derive(Debug, thiserror::Error)]
#[error("'{pattern}' is not a regular expression")]
pub struct BadPattern {
    /// The pattern.
    pattern: String,
    /// What is wrong with it.
    source: regex::Error,
}

/// Takes secrets out of texts.
#[derive(Clone, Debug)]
pub struct Redactor {
    values: Vec<Vec<u8>>,
    variables: Vec<String>,
    patterns: Vec<Regex>,
    allowed: RegexSet,
    enabled: bool,
}

/// A text without its secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redacted {
    /// The text with marks in the places of secrets.
    pub text: Vec<u8>,
    /// The detectors that fired, each once, in order of appearance.
    pub detectors: Vec<&'static str>,
}

impl Redactor {
    /// One that follows these rules besides its own.
    ///
    /// # Errors
    /// A pattern is no regular expression.
    pub fn new(rules: &Rules) -> Result<Self, BadPattern> {
        let compile = |pattern: &String| {
            Regex::new(pattern).map_err(|source| BadPattern {
                pattern: pattern.clone(),
                source,
            })
        };
        // One by one first: the set's error would not say which pattern is wrong.
        for pattern in &rules.allowed {
            compile(pattern)?;
        }
        let allowed = RegexSet::new(&rules.allowed).expect("each of them was just compiled");
        // The longest first: a value may begin with another one.
        let mut values: Vec<Vec<u8>> = rules
            .values
            .iter()
            .filter(|value| !value.is_empty())
            .map(|value| value.clone().into_bytes())
            .collect();
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        Ok(Self {
            values,
            variables: rules.variables.clone(),
            patterns: rules
                .patterns
                .iter()
                .map(compile)
                .collect::<Result<_, _>>()?,
            allowed,
            enabled: true,
        })
    }

    /// One that hides nothing.
    pub fn off() -> Self {
        Self {
            enabled: false,
            ..Self::default()
        }
    }

    /// The text without its secrets; none when it holds none.
    pub fn text(&self, text: &[u8]) -> Option<Redacted> {
        let spans = self.spans(text);
        (!spans.is_empty()).then(|| replace(text, &spans))
    }

    /// The value of an environment variable without its secrets; none when it holds none.
    pub fn variable(&self, name: &str, value: &[u8]) -> Option<Redacted> {
        if !self.enabled || value.is_empty() {
            return None;
        }
        let listed = self.variables.iter().any(|listed| listed == name);
        if listed || (names::is_secret_variable(name, value) && !self.is_allowed(value)) {
            let span = Span::whole(value, if listed { LISTED } else { NAMED });
            return Some(replace(value, &[span]));
        }
        self.text(value)
    }

    fn is_allowed(&self, secret: &[u8]) -> bool {
        self.allowed.is_match(secret)
    }

    /// Every secret, in order and without overlaps.
    fn spans(&self, text: &[u8]) -> Vec<Span> {
        if !self.enabled {
            return Vec::new();
        }
        let mut found = Vec::new();
        for detector in candidates(text) {
            detector.find(text, &mut found);
        }
        for pattern in &self.patterns {
            let matches = pattern.find_iter(text).filter(|m| !m.is_empty());
            found.extend(matches.map(|m| Span {
                start: m.start(),
                end: m.end(),
                detector: PATTERN,
            }));
        }
        found.retain(|span| {
            let secret = &text[span.start..span.end];
            !secret.starts_with(MARK) && !self.is_allowed(secret)
        });
        for value in &self.values {
            let places = memchr::memmem::find_iter(text, value);
            found.extend(places.map(|start| Span {
                start,
                end: start + value.len(),
                detector: LISTED,
            }));
        }
        merge(found)
    }
}

impl Default for Redactor {
    fn default() -> Self {
        Self::new(&Rules::default()).expect("there are no patterns")
    }
}

/// The place of a secret in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    start: usize,
    end: usize,
    detector: &'static str,
}

impl Span {
    fn whole(text: &[u8], detector: &'static str) -> Self {
        Self {
            start: 0,
            end: text.len(),
            detector,
        }
    }
}

/// The detectors one of whose anchors occurs: most texts have none, and then no regular
/// expression is compiled.
fn candidates(text: &[u8]) -> impl Iterator<Item = &'static Detector> {
    let met = if text.len() <= SHORT_BYTES {
        anchors::met_in_short(text)
    } else {
        anchors::met_in_long(text)
    };
    DETECTORS
        .iter()
        .zip(met)
        .filter_map(|(detector, met)| met.then_some(detector))
}

impl Detector {
    fn find(&self, text: &[u8], found: &mut Vec<Span>) {
        for captures in self.regex().captures_iter(text) {
            let secret = captures.name("secret").or_else(|| captures.get(0));
            let Some(secret) = secret.filter(|secret| !secret.is_empty()) else {
                continue;
            };
            if let Form::Named = self.form {
                let name = captures
                    .name("name")
                    .map_or(&b""[..], |name| name.as_bytes());
                if !names::is_secret(&String::from_utf8_lossy(name), secret.as_bytes()) {
                    continue;
                }
            }
            found.push(Span {
                start: secret.start(),
                end: secret.end(),
                detector: self.name,
            });
        }
    }
}

/// Joins what overlaps; the first to begin names the detector.
fn merge(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_by_key(|span| (span.start, std::cmp::Reverse(span.end)));
    let mut merged: Vec<Span> = Vec::with_capacity(spans.len());
    for span in spans {
        match merged.last_mut() {
            Some(last) if span.start < last.end => last.end = last.end.max(span.end),
            _ => merged.push(span),
        }
    }
    merged
}

fn replace(text: &[u8], spans: &[Span]) -> Redacted {
    let mut redacted = Redacted {
        text: Vec::with_capacity(text.len()),
        detectors: Vec::new(),
    };
    let mut from = 0;
    for span in spans {
        redacted.text.extend_from_slice(&text[from..span.start]);
        redacted.text.extend_from_slice(MARK);
        redacted.text.extend_from_slice(span.detector.as_bytes());
        redacted.text.push(b']');
        if !redacted.detectors.contains(&span.detector) {
            redacted.detectors.push(span.detector);
        }
        from = span.end;
    }
    redacted.text.extend_from_slice(&text[from..]);
    redacted
}
