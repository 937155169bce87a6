//! Running other programs: shown as typed, checked, explained when they fail.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::console;

/// Shows the command line, runs it on xtask's own streams and demands success.
///
/// # Errors
/// The program cannot be started or fails.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    show(command);
    quietly(command)
}

/// Shows the command line as one would type it.
pub(crate) fn show(command: &Command) {
    console::line(&format!("$ {}", shown(command)));
}

/// As [`run`], without showing the command line.
///
/// # Errors
/// The program cannot be started or fails.
pub(crate) fn quietly(command: &mut Command) -> Result<()> {
    let status = status(command)?;
    if !status.success() {
        bail!("'{}' failed: {status}", shown(command));
    }
    Ok(())
}

/// Runs the command on xtask's own streams and returns how it ended.
///
/// # Errors
/// The program cannot be started.
pub(crate) fn status(command: &mut Command) -> Result<ExitStatus> {
    command
        .status()
        .with_context(|| format!("cannot start '{}'", shown(command)))
}

/// As [`status`], but both of the program's output streams reach xtask's own through a pipe:
/// wherever xtask writes to, the program cannot tell.
///
/// # Errors
/// The program cannot be started, or its output cannot be read.
pub(crate) fn relayed(command: &mut Command) -> Result<ExitStatus> {
    let name = shown(command);
    let failed = || format!("cannot follow '{name}'");
    let (reader, writer) = std::io::pipe().with_context(failed)?;
    let mut child = command
        .stdout(writer.try_clone().with_context(failed)?)
        .stderr(writer)
        .spawn()
        .with_context(|| format!("cannot start '{name}'"))?;
    // The command keeps copies of the writing end; the stream would never end.
    command.stdout(Stdio::inherit()).stderr(Stdio::inherit());
    console::relay(reader).with_context(failed)?;
    child.wait().with_context(failed)
}

/// What the program writes to stdout; its stderr is passed through.
///
/// # Errors
/// The program cannot be started or fails, or does not write UTF-8.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start '{}'", shown(command)))?;
    if !output.status.success() {
        bail!("'{}' failed: {}", shown(command), output.status);
    }
    String::from_utf8(output.stdout).with_context(|| format!("output of '{}'", shown(command)))
}

/// Whether the program can be started and succeeds, whatever it prints.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Where a program of that name is on PATH.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    search_path()
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file())
}

/// The folders of PATH, and those where Debian keeps administrators' programs.
pub(crate) fn search_path() -> impl Iterator<Item = PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .collect();
    folders.into_iter()
}

/// `first` in front of PATH.
///
/// # Errors
/// A folder holds the separator of PATH.
pub(crate) fn path_with(first: &[&Path]) -> Result<std::ffi::OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let rest = std::env::split_paths(&path);
    std::env::join_paths(first.iter().map(PathBuf::from).chain(rest))
        .context("a folder name cannot stand in PATH")
}

/// The command line as one would type it.
fn shown(command: &Command) -> String {
    std::iter::once(program_name(command.get_program()))
        .chain(command.get_args().map(quoted))
        .collect::<Vec<_>>()
        .join(" ")
}

/// The program's name without its folder: that is what one types.
fn program_name(program: &OsStr) -> String {
    quoted(Path::new(program).file_name().unwrap_or(program))
}

fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_alphanumeric() || "-_./=:@,+%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.into_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines_are_shown_as_typed() {
        fn check(words: &[&str], expected: &str) {
            let mut command = Command::new(words[0]);
            command.args(&words[1..]);
            assert_eq!(shown(&command), expected);
        }
        check(&["/opt/bin/roar", "run", "--n=1"], "roar run --n=1");
        check(
            &["git", "commit", "-m", "two words"],
            "git commit -m 'two words'",
        );
        check(&["sh", "-c", "echo 'a'", ""], r"sh -c 'echo '\''a'\''' ''");
    }
}
