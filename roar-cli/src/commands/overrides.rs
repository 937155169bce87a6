//! A recorded command with some of its options exchanged: `roar run @2 --lr=0.1`.
//!
//! The recorded arguments are taken one by one, as they were given to the program; nothing is
//! joined or split. An override names an option by its whole token and takes the place of
//! `--k=old` or `--k old`, in the spelling that was recorded. It knows no program's options:
//! a word after `--k` that does not begin with `-` counts as its value.

use std::ffi::{OsStr, OsString};

use crate::model::RawString;

/// The command to run, and what had no place in the recorded one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Overridden {
    pub(super) argv: Vec<OsString>,
    /// Options that the recorded command did not have: they went to its end.
    pub(super) appended: Vec<OsString>,
}

/// Puts `words` into a recorded command.
///
/// An option that occurs more than once in the recorded command gives way as a whole: all its
/// new values stand where it first stood.
pub(super) fn apply(recorded: &[RawString], words: &[OsString]) -> Overridden {
    let mut argv: Vec<OsString> = recorded.iter().map(RawString::to_os_string).collect();
    let mut appended = Vec::new();
    let given = parse(words);
    let mut done: Vec<&OsStr> = Vec::new();
    for one in &given {
        match one {
            Given::Word(word) => argv.push(word.clone()),
            Given::Option { name, .. } if done.contains(&name.as_os_str()) => {}
            Given::Option { name, .. } => {
                done.push(name);
                let values: Vec<Option<&OsString>> = given
                    .iter()
                    .filter_map(|other| match other {
                        Given::Option { name: same, value } if same == name => Some(value.as_ref()),
                        _ => None,
                    })
                    .collect();
                if !replace(&mut argv, name, &values) {
                    appended.push(name.clone());
                    for value in values {
                        argv.extend(spell(name, value, true));
                    }
                }
            }
        }
    }
    Overridden { argv, appended }
}

/// A piece of the override.
enum Given {
    /// `--k=v`, `--k v` or `--k`.
    Option {
        name: OsString,
        value: Option<OsString>,
    },
    /// Anything else.
    Word(OsString),
}

fn parse(words: &[OsString]) -> Vec<Given> {
    let mut given = Vec::new();
    let mut rest = words;
    while let Some((word, tail)) = rest.split_first() {
        rest = tail;
        if !is_long_option(word) {
            given.push(Given::Word(word.clone()));
            continue;
        }
        let (name, mut value) = split(word);
        if value.is_none()
            && let Some((next, after)) = rest.split_first()
            && may_be_value(next)
        {
            value = Some(next.clone());
            rest = after;
        }
        given.push(Given::Option { name, value });
    }
    given
}

/// Exchanges every occurrence of an option after the program's name; whether there was one.
fn replace(argv: &mut Vec<OsString>, name: &OsStr, values: &[Option<&OsString>]) -> bool {
    let mut found = false;
    let mut at = 1;
    while at < argv.len() {
        let (recorded, joined_value) = if is_long_option(&argv[at]) {
            split(&argv[at])
        } else {
            (OsString::new(), None)
        };
        if recorded != name {
            at += 1;
            continue;
        }
        let joined = joined_value.is_some();
        let wants_value = values.iter().any(Option::is_some);
        if !joined && !wants_value {
            // A flag that is there already; the word after it may be anybody's.
            found = true;
            at += 1;
            continue;
        }
        let has_next = !joined && argv.get(at + 1).is_some_and(|next| may_be_value(next));
        let end = at + 1 + usize::from(has_next);
        let new: Vec<OsString> = if found {
            Vec::new()
        } else {
            let joined = joined || !has_next;
            values
                .iter()
                .flat_map(|value| spell(name, *value, joined))
                .collect()
        };
        let count = new.len();
        argv.splice(at..end, new);
        at += count;
        found = true;
    }
    found
}

/// `--k=v`, or the two words `--k v`; just `--k` without a value.
fn spell(name: &OsStr, value: Option<&OsString>, joined: bool) -> Vec<OsString> {
    match value {
        None => vec![name.to_owned()],
        Some(value) if joined => {
            let mut word = name.to_owned();
            word.push("=");
            word.push(value);
            vec![word]
        }
        Some(value) => vec![name.to_owned(), value.clone()],
    }
}

fn is_long_option(word: &OsStr) -> bool {
    let bytes = word.as_encoded_bytes();
    bytes.len() > 2 && bytes.starts_with(b"--") && bytes[2] != b'='
}

/// `--k=v` as name and value.
fn split(word: &OsStr) -> (OsString, Option<OsString>) {
    let raw = RawString::from_os(word);
    let bytes = raw.as_bytes();
    match bytes.iter().position(|byte| *byte == b'=') {
        Some(at) => (
            RawString::new(&bytes[..at]).to_os_string(),
            Some(RawString::new(&bytes[at + 1..]).to_os_string()),
        ),
        None => (word.to_owned(), None),
    }
}

/// Whether the word after an option may be its value: no option itself, but for negative numbers.
fn may_be_value(word: &OsStr) -> bool {
    let bytes = word.as_encoded_bytes();
    !bytes.starts_with(b"-") || bytes.len() == 1 || {
        let text = word.to_str().unwrap_or_default();
        text.parse::<f64>().is_ok_and(f64::is_finite)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words are separated by blanks; `expected` ends with what was appended, in brackets.
    fn check(recorded: &str, given: &str, expected: &str) {
        let recorded: Vec<RawString> = recorded.split(' ').map(RawString::from).collect();
        let words: Vec<OsString> = given.split_whitespace().map(OsString::from).collect();
        let Overridden { argv, appended } = apply(&recorded, &words);
        let join = |words: &[OsString]| {
            let words: Vec<&str> = words.iter().filter_map(|word| word.to_str()).collect();
            words.join(" ")
        };
        let mut actual = join(&argv);
        if !appended.is_empty() {
            actual = format!("{actual} [{}]", join(&appended));
        }
        assert_eq!(actual, expected, "{recorded:?} with {given}");
    }

    #[test]
    fn options_are_exchanged_by_their_whole_token() {
        check("t.py --lr=1 x", "", "t.py --lr=1 x");
        check("t.py --lr=1 x", "--lr=2", "t.py --lr=2 x");
        check("t.py --lr 1 x", "--lr=2", "t.py --lr 2 x");
        check("t.py --lr=1 x", "--lr 2", "t.py --lr=2 x");
        check("t.py --lr 1 x", "--lr 2", "t.py --lr 2 x");
        check("t.py --lr -1 x", "--lr -2e3", "t.py --lr -2e3 x");
        check("t.py --lr=1", "--lr=", "t.py --lr=");
        check("t.py --lr=a=b", "--lr=c=d", "t.py --lr=c=d");
        // No part of a token, no prefix of a name, nothing in the program's place.
        check(
            "t.py --lr-decay=1 --l=2",
            "--lr=3",
            "t.py --lr-decay=1 --l=2 --lr=3 [--lr]",
        );
        check("--lr=1 x", "--lr=2", "--lr=1 x --lr=2 [--lr]");
        check(
            "sh -c t.py\u{a0}--lr=1",
            "--lr=2",
            "sh -c t.py\u{a0}--lr=1 --lr=2 [--lr]",
        );
    }

    #[test]
    fn what_has_no_place_goes_to_the_end() {
        check("t.py a", "--lr=2", "t.py a --lr=2 [--lr]");
        check("t.py a", "--lr 2", "t.py a --lr=2 [--lr]");
        check("t.py a", "b -v -n 3", "t.py a b -v -n 3");
        check("t.py a", "--fast", "t.py a --fast [--fast]");
        check("t.py a", "-- b", "t.py a -- b");
    }

    #[test]
    fn flags_and_repeated_options() {
        check("t.py --fast a", "--fast", "t.py --fast a");
        check("t.py --fast=no a", "--fast", "t.py --fast a");
        check("t.py --fast", "--fast=no", "t.py --fast=no");
        check("t.py --fast --lr=1", "--fast=no", "t.py --fast=no --lr=1");
        check("t.py --in=a --x --in=b", "--in=c", "t.py --in=c --x");
        check(
            "t.py --in=a --x --in=b",
            "--in=c --in=d",
            "t.py --in=c --in=d --x",
        );
    }
}
