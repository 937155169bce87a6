//! Commands as a user can paste them: POSIX `sh` quoting of any bytes.
//!
//! The result stands for exactly the given bytes in any POSIX shell, and it is inert on a
//! terminal: control characters, bidirectional overrides and bytes that are not UTF-8 are
//! spelled by `printf` in octal. A newline at the end of an argument is the one exception:
//! it stands as itself, because command substitution drops it.

use std::fmt::Write as _;

use crate::model::RawString;

/// A command line for the shell.
pub fn join(argv: &[RawString]) -> String {
    let mut line = String::new();
    for (index, argument) in argv.iter().enumerate() {
        if index > 0 {
            line.push(' ');
        }
        let bytes = argument.as_bytes();
        // In the first place, a word with `=` assigns and a reserved word rules.
        if index == 0 && (bytes.contains(&b'=') || is_reserved(bytes)) && is_plain(bytes) {
            let _ = write!(line, "'{}'", String::from_utf8_lossy(bytes));
        } else {
            line.push_str(&quote(bytes));
        }
    }
    line
}

/// The same on one line for listings: a newline shows as `\n`.
pub fn one_line(argv: &[RawString]) -> String {
    join(argv).replace('\n', "\\n")
}

/// One argument, quoted where it must be.
pub fn quote(bytes: &[u8]) -> String {
    if is_plain(bytes) {
        return String::from_utf8_lossy(bytes).into_owned();
    }
    let mut quoted = String::new();
    let mut pending: Vec<u8> = Vec::new();
    for piece in pieces(bytes) {
        match piece {
            Piece::Inert(text) => {
                if ends_in_newline(&pending) {
                    // The substitution must not end in the newline: take a character along.
                    let first = text.chars().next().map_or(0, char::len_utf8);
                    pending.extend_from_slice(&text.as_bytes()[..first]);
                    flush(&mut quoted, &mut pending);
                    push_single_quoted(&mut quoted, &text[first..]);
                } else {
                    flush(&mut quoted, &mut pending);
                    push_single_quoted(&mut quoted, text);
                }
            }
            Piece::Unsafe(raw) => pending.extend_from_slice(raw),
        }
    }
    let newlines = pending.iter().rev().take_while(|b| **b == b'\n').count();
    pending.truncate(pending.len() - newlines);
    flush(&mut quoted, &mut pending);
    push_single_quoted(&mut quoted, &"\n".repeat(newlines));
    if quoted.is_empty() {
        quoted.push_str("''");
    }
    quoted
}

enum Piece<'a> {
    Inert(&'a str),
    Unsafe(&'a [u8]),
}

/// Splits into runs that can stand in single quotes and runs that must be spelled.
fn pieces(bytes: &[u8]) -> Vec<Piece<'_>> {
    let mut found = Vec::new();
    for chunk in bytes.utf8_chunks() {
        let text = chunk.valid();
        let mut start = 0;
        let mut inert = true;
        for (at, c) in text.char_indices() {
            if is_inert(c) != inert {
                push_run(&mut found, &text[start..at], inert);
                start = at;
                inert = !inert;
            }
        }
        push_run(&mut found, &text[start..], inert);
        if !chunk.invalid().is_empty() {
            found.push(Piece::Unsafe(chunk.invalid()));
        }
    }
    found
}

fn push_run<'a>(pieces: &mut Vec<Piece<'a>>, text: &'a str, inert: bool) {
    if text.is_empty() {
        return;
    }
    pieces.push(if inert {
        Piece::Inert(text)
    } else {
        Piece::Unsafe(text.as_bytes())
    });
}

fn is_inert(c: char) -> bool {
    // The one definition of "inert" is that of the escaped form: unchanged by it.
    c == '\\' || {
        let mut buffer = [0; 4];
        let text: &str = c.encode_utf8(&mut buffer);
        RawString::from(text).to_string() == text
    }
}

fn ends_in_newline(bytes: &[u8]) -> bool {
    bytes.last() == Some(&b'\n')
}

fn flush(quoted: &mut String, pending: &mut Vec<u8>) {
    if pending.is_empty() {
        return;
    }
    quoted.push_str("\"$(printf '");
    for byte in pending.drain(..) {
        let _ = write!(quoted, "\\{byte:03o}");
    }
    quoted.push_str("')\"");
}

fn push_single_quoted(quoted: &mut String, text: &str) {
    if text.is_empty() {
        return;
    }
    for (index, part) in text.split('\'').enumerate() {
        if index > 0 {
            quoted.push_str("\\'");
        }
        if !part.is_empty() {
            let _ = write!(quoted, "'{part}'");
        }
    }
}

/// Whether the shell takes the word as it is.
fn is_plain(bytes: &[u8]) -> bool {
    !bytes.is_empty()
        && bytes
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || b"_@%+=:,./-".contains(b))
}

fn is_reserved(word: &[u8]) -> bool {
    const RESERVED: [&[u8]; 16] = [
        b"if",
        b"then",
        b"else",
        b"elif",
        b"fi",
        b"do",
        b"done",
        b"case",
        b"esac",
        b"while",
        b"until",
        b"for",
        b"in",
        b"function",
        b"select",
        b"time",
    ];
    RESERVED.contains(&word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readable_forms() {
        for (bytes, expected) in [
            (&b"train.py"[..], "train.py"),
            (b"--lr=0.1", "--lr=0.1"),
            (b"a b", "'a b'"),
            (b"", "''"),
            (b"it's", "'it'\\''s'"),
            (b"$HOME", "'$HOME'"),
            (b"~", "'~'"),
            ("é".as_bytes(), "'é'"),
            (b"a\x1b[2J", r#"'a'"$(printf '\033')"'[2J'"#),
            (b"\xff", r#""$(printf '\377')""#),
            (b"a\nb", r#"'a'"$(printf '\012\142')""#),
            (b"a\n", "'a''\n'"),
        ] {
            assert_eq!(quote(bytes), expected);
        }
        assert_eq!(join(&["A=1".into(), "B=1".into()]), "'A=1' B=1");
        assert_eq!(join(&["if".into(), "if".into()]), "'if' if");
        assert_eq!(one_line(&["a\n".into()]), "'a''\\n'");
    }

    #[cfg(unix)]
    mod through_sh {
        use std::os::unix::ffi::OsStringExt as _;
        use std::process::Command;

        use proptest::prelude::*;

        use super::super::*;

        /// What a real shell makes of the quoted arguments, each ended by a NUL.
        fn shell_reads(shell: &str, script: &str) -> Vec<u8> {
            let output = Command::new(shell)
                .arg("-c")
                .arg(std::ffi::OsString::from_vec(script.as_bytes().to_vec()))
                .output()
                .expect("a POSIX system has sh");
            assert!(output.status.success(), "{script}");
            output.stdout
        }

        fn argument() -> impl Strategy<Value = Vec<u8>> {
            prop_oneof![
                // Any bytes but NUL, which no argument can hold.
                proptest::collection::vec(1_u8..=255, 0..12),
                proptest::collection::vec(
                    proptest::sample::select(&b"\n\n'\"\\$`!-%a ~=*\x1b\xff\t"[..]),
                    0..10
                ),
                any::<String>().prop_map(|text| text.replace('\0', "").into_bytes()),
            ]
        }

        proptest! {
            #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

            #[test]
            fn arguments_come_back_byte_for_byte(
                arguments in proptest::collection::vec(argument(), 1..6)
            ) {
                let argv: Vec<RawString> = arguments.iter().cloned().map(RawString::new).collect();
                let mut line = vec![RawString::from("printf"), RawString::from("%s\\000")];
                line.extend(argv);
                let quoted = join(&line);
                let mut expected = arguments.join(&0);
                expected.push(0);
                prop_assert_eq!(shell_reads("sh", &quoted), expected, "{}", quoted);
                let inert = quoted.replace('\n', "");
                prop_assert_eq!(
                    RawString::from(inert.as_str()).to_string().replace("\\\\", "\\"),
                    inert
                );
            }
        }
    }
}
