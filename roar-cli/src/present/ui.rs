//! The only writer to stdout and stderr: data to stdout, everything else to stderr.

use std::io::{self, IsTerminal as _, Write as _};

use anstream::{AutoStream, ColorChoice};
use owo_colors::OwoColorize as _;

use super::style::without_colour;
use crate::error::CommandError;

/// The user's terminal or pipes. A closed pipe is not an error: the reader had enough.
#[derive(Debug)]
pub struct Ui {
    stdout_closed: bool,
    /// Data was lost that somebody still wanted.
    stdout_failed: bool,
}

impl Ui {
    /// Colour follows NO_COLOR, CLICOLOR, TERM and whether the stream is a terminal.
    pub fn from_environment() -> Self {
        Self {
            stdout_closed: false,
            stdout_failed: false,
        }
    }

    /// Whether data could not be written, though nobody had closed the pipe: a full disk.
    pub fn has_failed(&self) -> bool {
        self.stdout_failed
    }

    /// Writes data (a listing, JSON) to stdout, without colour where that is not wanted.
    pub fn data(&mut self, text: &str) {
        if self.stdout_closed {
            return;
        }
        let has_codes = memchr::memchr(b'\x1b', text.as_bytes()).is_some();
        let written = if has_codes && AutoStream::choice(&io::stdout()) != ColorChoice::Never {
            let mut out = anstream::stdout().lock();
            out.write_all(text.as_bytes()).and_then(|()| out.flush())
        } else {
            // Codes are taken out of the whole: a stream that does it writes piece by piece. And
            // where there are none, megabytes of JSON need not be searched for any.
            let plain = has_codes.then(|| without_colour(text));
            let text = plain.as_deref().unwrap_or(text);
            let mut out = io::stdout().lock();
            out.write_all(text.as_bytes()).and_then(|()| out.flush())
        };
        if let Err(error) = written {
            self.stdout_closed = true;
            if error.kind() != io::ErrorKind::BrokenPipe {
                self.stdout_failed = true;
                self.note(&format!("cannot write to stdout: {error}"));
            }
        }
    }

    /// Asks a question that Enter answers with `default`; none when there is nobody to ask
    /// (stdin or stderr is not a terminal) or the answer ended early.
    pub fn confirm(&self, question: &str, default: bool) -> Option<bool> {
        if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
            return None;
        }
        let choices = if default { "[Y/n]" } else { "[y/N]" };
        loop {
            let mut err = anstream::stderr().lock();
            write!(err, "{question} {choices} ").ok()?;
            err.flush().ok()?;
            drop(err);
            let mut answer = String::new();
            if io::stdin().read_line(&mut answer).ok()? == 0 {
                stderr_line("");
                return None;
            }
            match answer.trim().to_ascii_lowercase().as_str() {
                "" => return Some(default),
                "y" | "yes" => return Some(true),
                "n" | "no" => return Some(false),
                _ => {}
            }
        }
    }

    /// Writes a line about what is going on to stderr.
    pub fn note(&self, text: &str) {
        stderr_line(&format!("{} {text}", "roar:".dimmed()));
    }

    /// Writes a warning to stderr.
    pub fn warning(&self, text: &str) {
        stderr_line(&format!("{} {text}", "warning:".yellow().bold()));
    }

    /// Writes a failure and its hints to stderr.
    pub fn error(&self, error: &CommandError) {
        stderr_line(&format!("{} {error}", "error:".red().bold()));
        for hint in &error.hints {
            stderr_line(&format!("{} {hint}", "hint:".cyan()));
        }
    }
}

/// A line to stderr; when even stderr is closed there is nobody left to tell.
fn stderr_line(line: &str) {
    let mut err = anstream::stderr().lock();
    drop(
        err.write_all(line.as_bytes())
            .and_then(|()| err.write_all(b"\n")),
    );
}
