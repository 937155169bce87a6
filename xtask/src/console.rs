//! The only place of xtask that prints.
//!
//! Everything goes to stdout in order, between the output of the commands that tasks run;
//! failures go to stderr.

use std::io::{self, Write as _};

/// Writes a line. A closed stdout means that nobody reads: not an error.
pub(crate) fn line(text: &str) {
    let mut out = io::stdout().lock();
    drop(writeln!(out, "{text}").and_then(|()| out.flush()));
}

/// Opens a part of a task's output.
pub(crate) fn heading(text: &str) {
    line(&format!("\n== {text}"));
}

/// Passes on what a command writes, until it ends.
///
/// # Errors
/// The command's stream cannot be read.
pub(crate) fn relay(mut stream: impl io::Read) -> io::Result<()> {
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => {
                let mut out = io::stdout().lock();
                drop(out.write_all(&buffer[..length]).and_then(|()| out.flush()));
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Says why the task failed.
pub(crate) fn failure(text: &str) {
    drop(writeln!(io::stderr().lock(), "xtask: {text}"));
}
