//! What a program said: status, stdout and stderr in one block.

use std::fmt::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, ExitStatus, Output};

use serde_json::Value;

use crate::redact::Redactor;

/// The end of a program: its status and everything it printed.
#[derive(Clone, Debug)]
pub struct Transcript {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: Vec<u8>,
    redactor: Option<Redactor>,
}

impl Transcript {
    /// Runs a command to its end.
    pub fn of(command: &mut Command) -> Self {
        match command.output() {
            Ok(output) => Self::from(output),
            Err(error) => panic!("{command:?} could not be started: {error}"),
        }
    }

    /// Has [`Transcript::snapshot`] leave out what differs from run to run.
    #[must_use]
    pub fn redacted_by(mut self, redactor: Redactor) -> Self {
        self.redactor = Some(redactor);
        self
    }

    /// The exit code, or 128 + the signal.
    pub fn code(&self) -> i32 {
        self.status
            .code()
            .or(self.status.signal().map(|signal| 128 + signal))
            .expect("a program that ended has a code or a signal")
    }

    /// Standard output as text.
    pub fn stdout_text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text.
    pub fn stderr_text(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// Checks the exit code.
    #[track_caller]
    pub fn exits(&self, code: i32) -> &Self {
        assert_eq!(self.code(), code, "unexpected status\n{}", self.snapshot());
        self
    }

    /// Checks that the exit code is 0.
    #[track_caller]
    pub fn succeeds(&self) -> &Self {
        self.exits(0)
    }

    /// Checks that stderr names something.
    #[track_caller]
    pub fn says(&self, text: &str) -> &Self {
        assert!(
            self.stderr_text().contains(text),
            "stderr does not say '{text}'\n{}",
            self.snapshot()
        );
        self
    }

    /// Standard output as JSON, all of it.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.stdout)
            .unwrap_or_else(|error| panic!("stdout is not JSON: {error}\n{}", self.snapshot()))
    }

    /// Everything in one block, ready for an inline snapshot.
    pub fn snapshot(&self) -> String {
        let mut block = format!("status: {}\n", self.code());
        for (name, text) in [
            ("stdout", self.stdout_text()),
            ("stderr", self.stderr_text()),
        ] {
            if !text.is_empty() {
                let text = match &self.redactor {
                    Some(redactor) => redactor.redact(&text),
                    None => text,
                };
                writeln!(block, "----- {name}\n{}", text.trim_end_matches('\n'))
                    .expect("a string can be written to");
            }
        }
        block
    }
}

impl From<Output> for Transcript {
    fn from(output: Output) -> Self {
        let Output {
            status,
            stdout,
            stderr,
        } = output;
        Self {
            status,
            stdout,
            stderr,
            redactor: None,
        }
    }
}
