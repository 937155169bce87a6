//! Reads what `strace -f -y -xx` prints: one finished call a record.
//!
//! With `-xx` every string and every path is hexadecimal, so that no quote, bracket, comma
//! or newline of a file name is ever mistaken for strace's own. Of calls that another
//! process interrupted, the two halves are joined; a call stands where it ended.

use std::collections::HashMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

/// A finished call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The thread that made it.
    pub thread: u32,
    /// The call's name.
    pub name: String,
    /// Its arguments as printed.
    pub arguments: Vec<String>,
    /// What stands after the equals sign.
    pub result: String,
}

impl Call {
    /// The result, when the call succeeded.
    pub fn value(&self) -> Option<u64> {
        let digits = self.result.split([' ', '<']).next().unwrap_or_default();
        match digits.strip_prefix("0x") {
            Some(hexadecimal) => u64::from_str_radix(hexadecimal, 16).ok(),
            None => digits.parse().ok(),
        }
    }

    /// An argument, empty when it is not there.
    pub fn argument(&self, index: usize) -> &str {
        self.arguments.get(index).map_or("", String::as_str)
    }

    /// The file behind a descriptor argument.
    pub fn file(&self, index: usize) -> Option<PathBuf> {
        described_path(self.argument(index))
    }

    /// The file behind the descriptor that the call returned.
    pub fn result_file(&self) -> Option<PathBuf> {
        described_path(&self.result)
    }

    /// A string argument as a path.
    pub fn path(&self, index: usize) -> Option<PathBuf> {
        let quoted = self.argument(index).strip_prefix('"')?;
        Some(decode(quoted.split('"').next()?))
    }

    /// A numeric argument.
    pub fn number(&self, index: usize) -> Option<u64> {
        let text = self.argument(index);
        match text.strip_prefix("0x") {
            Some(hexadecimal) => u64::from_str_radix(hexadecimal, 16).ok(),
            None => text.parse().ok(),
        }
    }
}

/// All finished calls in the order in which they ended.
pub fn parse(log: &str) -> Vec<Call> {
    let mut unfinished: HashMap<u32, String> = HashMap::new();
    let mut calls = Vec::new();
    for line in log.lines() {
        let Some((thread, rest)) = line.split_once(' ') else {
            continue;
        };
        let (Ok(thread), rest) = (thread.parse(), rest.trim_start()) else {
            continue;
        };
        if let Some(start) = rest.strip_suffix("<unfinished ...>") {
            unfinished.insert(thread, start.trim_end().to_owned());
        } else if let Some(resumed) = rest.strip_prefix("<... ") {
            let start = unfinished.remove(&thread).unwrap_or_default();
            if let Some((_, end)) = resumed.split_once(" resumed>") {
                calls.extend(parse_call(thread, &format!("{start}{end}")));
            }
        } else {
            calls.extend(parse_call(thread, rest));
        }
    }
    calls
}

/// `name(argument, …) = result`; anything else (signals, exits) is none.
fn parse_call(thread: u32, text: &str) -> Option<Call> {
    let (call, result) = text.rsplit_once(" = ")?;
    let (name, arguments) = call.trim_end().strip_suffix(')')?.split_once('(')?;
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return None;
    }
    Some(Call {
        thread,
        name: name.to_owned(),
        arguments: split_arguments(arguments),
        result: result.trim().to_owned(),
    })
}

/// Splits at the commas that no bracket encloses.
fn split_arguments(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut depth = 0_i32;
    for c in text.chars() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(part) = parts.last_mut() {
            part.push(c);
        }
    }
    parts.iter().map(|part| part.trim().to_owned()).collect()
}

/// `3<\x2f\x61>` is `/a`; sockets and pipes have no path.
fn described_path(text: &str) -> Option<PathBuf> {
    let path = decode(text.split_once('<')?.1.split('>').next()?);
    path.is_absolute().then_some(path)
}

/// Decodes `\x2f\x61`.
fn decode(text: &str) -> PathBuf {
    let bytes: Vec<u8> = text
        .split("\\x")
        .filter_map(|pair| u8::from_str_radix(pair, 16).ok())
        .collect();
    PathBuf::from(OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(log: &str, expected: &[(u32, &str, &[&str], &str)]) {
        let calls: Vec<_> = parse(log)
            .into_iter()
            .map(|call| (call.thread, call.name, call.arguments, call.result))
            .collect();
        let expected: Vec<_> = expected
            .iter()
            .map(|(thread, name, arguments, result)| {
                let arguments = arguments.iter().map(|&a| a.to_owned()).collect();
                (*thread, (*name).to_owned(), arguments, (*result).to_owned())
            })
            .collect();
        assert_eq!(calls, expected, "{log}");
    }

    #[test]
    fn reads_every_form_of_line() {
        check(
            "7  read(3<\\x2f\\x61>, \"\"..., 64) = 5",
            &[(7, "read", &["3<\\x2f\\x61>", "\"\"...", "64"], "5")],
        );
        check(
            "7 exit_group(0)                     = ?",
            &[(7, "exit_group", &["0"], "?")],
        );
        check(
            "7 +++ exited with 0 +++\n7 --- SIGCHLD {si_signo=SIGCHLD, si_pid=8} ---",
            &[],
        );
        check(
            "7 wait4(-1 <unfinished ...>\n8 getpid() = 8\n7 <... wait4 resumed>, [{WIFEXITED(s) && \
             WEXITSTATUS(s) == 0}], 0, NULL) = 8",
            &[
                (8, "getpid", &[""], "8"),
                (
                    7,
                    "wait4",
                    &["-1", "[{WIFEXITED(s) && WEXITSTATUS(s) == 0}]", "0", "NULL"],
                    "8",
                ),
            ],
        );
    }

    #[test]
    fn paths_are_decoded_whatever_they_contain() {
        let calls =
            parse("7 openat(AT_FDCWD<\\x2f>, \"\\x0a\\xff\\x22\", O_RDONLY) = 3<\\x2f\\x3e\\x29>");
        assert_eq!(calls[0].file(0), Some(PathBuf::from("/")));
        assert_eq!(
            calls[0]
                .path(1)
                .map(|path| path.into_os_string().into_vec()),
            Some(b"\n\xff\"".to_vec())
        );
        assert_eq!(calls[0].result_file(), Some(PathBuf::from("/>)")));
        assert_eq!(calls[0].value(), Some(3));
    }

    #[test]
    fn failed_calls_have_no_value() {
        let calls =
            parse("7 openat(AT_FDCWD<\\x2f>, \"\\x61\", O_RDONLY) = -1 ENOENT (No such file)");
        assert_eq!(calls[0].value(), None);
    }
}
