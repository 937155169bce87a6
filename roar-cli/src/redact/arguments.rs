//! Command lines: an option's name may stand in another argument than its value.

use super::{NAMED, Redactor, Span, names, replace};
use crate::model::RawString;

/// An argument that held a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HiddenArgument {
    /// Its place in the command line, from 0.
    pub index: usize,
    /// The option it belongs to, as it was written.
    pub option: Option<String>,
    /// What found it.
    pub detector: &'static str,
}

impl Redactor {
    /// A command line without its secrets, and which arguments held any.
    pub fn arguments(&self, argv: &[RawString]) -> (Vec<RawString>, Vec<HiddenArgument>) {
        let mut hidden = Vec::new();
        let mut shown: Vec<RawString> = Vec::with_capacity(argv.len());
        for (index, argument) in argv.iter().enumerate() {
            let bytes = argument.as_bytes();
            let previous = index.checked_sub(1).and_then(|index| argv[index].as_str());
            let (option, whole) = match assignment(argument) {
                Some((option, name, value_at)) => {
                    let value = &bytes[value_at..];
                    let secret = names::is_secret(name, value).then_some(value_at);
                    (Some(option), secret)
                }
                None => match previous.filter(|_| !bytes.starts_with(b"-")) {
                    Some(option) if is_long_option(option) => {
                        let name = option.trim_start_matches('-');
                        let secret = names::is_secret(name, bytes).then_some(0);
                        (Some(option), secret)
                    }
                    Some(option) if is_login(option, argv, bytes) => (Some(option), Some(0)),
                    _ => (None, None),
                },
            };
            let redacted = match whole {
                Some(start) if self.enabled && !self.is_allowed(&bytes[start..]) => {
                    let span = Span {
                        start,
                        ..Span::whole(bytes, NAMED)
                    };
                    Some(replace(bytes, &[span]))
                }
                _ => self.text(bytes),
            };
            shown.push(match redacted {
                None => argument.clone(),
                Some(redacted) => {
                    hidden.extend(redacted.detectors.iter().map(|detector| HiddenArgument {
                        index,
                        option: option.map(str::to_owned),
                        detector,
                    }));
                    RawString::new(redacted.text)
                }
            });
        }
        (shown, hidden)
    }
}

/// `--name=value` and `name=value`: what stands before the sign, the bare name, and where the
/// value begins.
fn assignment(argument: &RawString) -> Option<(&str, &str, usize)> {
    let bytes = argument.as_bytes();
    let at = bytes.iter().position(|b| *b == b'=')?;
    let option = std::str::from_utf8(&bytes[..at]).ok()?;
    let name = option.trim_start_matches('-');
    let is_name = !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
    // `tiktoken==0.11.0` compares.
    (is_name && bytes.get(at + 1) != Some(&b'=')).then_some((option, name, at + 1))
}

fn is_long_option(argument: &str) -> bool {
    argument.starts_with("--") && argument.len() > 2 && !argument.contains('=')
}

/// `-u name:password` of curl and its like.
fn is_login(option: &str, argv: &[RawString], value: &[u8]) -> bool {
    let program = argv.first().map_or(&b""[..], RawString::file_name);
    let takes_login = matches!(program, b"curl" | b"http" | b"https" | b"xh");
    takes_login && matches!(option, "-u" | "-a" | "--user" | "--auth") && value.contains(&b':')
}
