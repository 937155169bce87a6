//! Arguments that were secrets: no record has them, and whoever runs the steps again gives them.
//!
//! They are kept apart from the lineage: no digest, no state and no output of roar's is to hold them.

use std::ffi::OsString;

use crate::model::{PortableJob, RawString, RedactedPlace};

/// What stands in the place of a secret.
pub(super) const MARK: &[u8] = b"[redacted:";

/// An argument that held a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HiddenArgument {
    /// The position of the step.
    pub step: usize,
    /// Its place in the command line, from 0.
    pub index: usize,
    /// The option that it is the value of, as it was written.
    pub option: Option<String>,
    /// The whole argument, once it was given.
    value: Option<RawString>,
}

impl HiddenArgument {
    /// Whether it was given.
    pub fn is_given(&self) -> bool {
        self.value.is_some()
    }

    /// How it is given on the command line.
    pub fn spelling(&self) -> String {
        match &self.option {
            Some(option) => format!("{}=…", RawString::from(&**option)),
            None => format!("{}.{}=…", self.step + 1, self.index),
        }
    }

    /// The option, else the place in the command line, in words.
    pub fn name(&self) -> String {
        match &self.option {
            Some(option) => RawString::from(&**option).to_string(),
            None => format!("argument {}", self.index),
        }
    }

    /// What is missing, in words.
    pub fn problem(&self) -> String {
        format!(
            "the value of {} was a secret and is not recorded; give it at the end: -- {}",
            self.name(),
            self.spelling()
        )
    }

    /// `--option=`, where the option stands in the same word as its value.
    pub fn lead_of(&self, word: &RawString) -> Option<Vec<u8>> {
        let lead = [self.option.as_ref()?.as_bytes(), b"="].concat();
        word.as_bytes().starts_with(&lead).then_some(lead)
    }

    fn is_meant_by(&self, name: &str) -> bool {
        self.option.as_deref() == Some(name) || name == format!("{}.{}", self.step + 1, self.index)
    }
}

/// The arguments of a step that held secrets: what the record says, and wherever a mark stands
/// (a secret may have been taken out later, on its way to a server).
pub(super) fn hidden(step: usize, job: &PortableJob) -> Vec<HiddenArgument> {
    let recorded = |at: usize| {
        job.conditions
            .redactions
            .iter()
            .find_map(|redaction| match &redaction.place {
                RedactedPlace::Argument { index, option } if *index == at => Some(option.clone()),
                _ => None,
            })
    };
    job.argv
        .iter()
        .enumerate()
        .filter_map(|(index, word)| {
            let known = recorded(index);
            (known.is_some() || has_mark(word)).then(|| HiddenArgument {
                step,
                index,
                option: known.flatten().or_else(|| option_of(&job.argv, index)),
                value: None,
            })
        })
        .collect()
}

/// Whether something was taken out of a text.
pub fn has_mark(text: &RawString) -> bool {
    memchr::memmem::find(text.as_bytes(), MARK).is_some()
}

/// `--name=value`, or the option before a value that is a word of its own.
fn option_of(argv: &[RawString], index: usize) -> Option<String> {
    let word = argv[index].as_str()?;
    let is_name = |name: &str| {
        !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    if let Some((name, _)) = word.split_once('=')
        && is_name(name)
    {
        return Some(name.to_owned());
    }
    let before = argv[index.checked_sub(1)?].as_str()?;
    (before.starts_with("--") && is_name(before)).then(|| before.to_owned())
}

/// Takes the words that were given (`--token=VALUE`, or `STEP.ARGUMENT=VALUE` for one that is no
/// option's).
///
/// # Errors
/// A word means none of the arguments, in words.
pub(super) fn fill(hidden: &mut [HiddenArgument], words: &[OsString]) -> Result<(), String> {
    for word in words {
        let word = RawString::from_os(word);
        let bytes = word.as_bytes();
        let at = bytes.iter().position(|byte| *byte == b'=');
        let name = at.and_then(|at| std::str::from_utf8(&bytes[..at]).ok());
        let (Some(at), Some(name)) = (at, name) else {
            return Err("a secret is given as --option=VALUE or STEP.ARGUMENT=VALUE".to_owned());
        };
        let value = &bytes[at + 1..];
        let mut met = false;
        for one in hidden.iter_mut().filter(|one| one.is_meant_by(name)) {
            one.value = Some(RawString::new(value));
            met = true;
        }
        if !met {
            return Err(format!(
                "'{}' is no argument that was a secret",
                RawString::from(name)
            ));
        }
    }
    Ok(())
}

/// The command line of a step with what was given.
pub(super) fn filled(job: &PortableJob, step: usize, hidden: &[HiddenArgument]) -> Vec<RawString> {
    let mut argv = job.argv.clone();
    for one in hidden.iter().filter(|one| one.step == step) {
        let (Some(value), Some(word)) = (&one.value, argv.get_mut(one.index)) else {
            continue;
        };
        let lead = one.lead_of(word).unwrap_or_default();
        *word = RawString::new([&lead, value.as_bytes()].concat());
    }
    argv
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Redaction;

    fn check(argv: &[&str], words: &[&str], expected: &[&str]) {
        let mut job = PortableJob {
            argv: argv.iter().map(|word| RawString::from(*word)).collect(),
            ..PortableJob::default()
        };
        // Recorded without a mark that could be seen: the whole word was something else.
        job.conditions.redactions.push(Redaction {
            place: RedactedPlace::Argument {
                index: 1,
                option: None,
            },
            detector: "x".to_owned(),
        });
        let mut found = hidden(0, &job);
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        fill(&mut found, &words).expect("each means one");
        assert!(found.iter().all(HiddenArgument::is_given), "{found:?}");
        let expected: Vec<RawString> = expected.iter().map(|word| RawString::from(*word)).collect();
        assert_eq!(filled(&job, 0, &found), expected);
    }

    #[test]
    fn what_was_hidden_is_given_again() {
        check(&["t", "x"], &["1.1=a b=c"], &["t", "a b=c"]);
        check(
            &[
                "t",
                "x",
                "--token=[redacted:a]",
                "--key",
                "[redacted:a]",
                "KEY=[redacted:a]",
            ],
            &["1.1=y", "--token=1", "--key=2", "KEY=3"],
            &["t", "y", "--token=1", "--key", "2", "KEY=3"],
        );
        check(
            &["sh", "x", "curl -H 'Auth: [redacted:a]'"],
            &["1.1=-c", "1.2=curl"],
            &["sh", "-c", "curl"],
        );
    }

    #[test]
    fn what_means_nothing_is_refused() {
        let job = PortableJob {
            argv: vec!["t".into(), "--token=[redacted:a]".into()],
            ..PortableJob::default()
        };
        for word in ["--tokn=1", "1.0=1", "2.1=x", "--token"] {
            let mut found = hidden(0, &job);
            assert!(fill(&mut found, &[word.into()]).is_err(), "{word}");
        }
        assert_eq!(hidden(0, &job)[0].spelling(), "--token=…");
    }
}
