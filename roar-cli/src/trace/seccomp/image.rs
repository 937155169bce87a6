//! What a program file says about its own start: `#!` line or ELF header. Pure.
//!
//! The kernel opens the interpreter of a script and the dynamic loader of a program by
//! itself, without a system call that could be watched; both are read from the file here.

/// How many bytes of a program file are looked at.
pub(super) const HEAD_BYTES: usize = 4096;
/// How much of a `#!` line the kernel regards (`BINPRM_BUF_SIZE`).
const SCRIPT_BYTES: usize = 256;
/// How deep scripts may be interpreted by scripts (`exec_binprm` in the kernel's `fs/exec.c`).
pub(super) const SCRIPT_DEPTH: usize = 5;

/// What a program file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// Starts with `#!`.
    Script {
        /// The interpreter as written.
        interpreter: Vec<u8>,
        /// The one argument that may follow it.
        argument: Option<Vec<u8>>,
    },
    /// An ELF program.
    Elf {
        /// Where in the file the path of the dynamic loader stands: offset and length in bytes.
        loader: Option<(u64, usize)>,
        /// `e_machine`.
        machine: u16,
    },
    /// Neither: the kernel refuses it (ENOEXEC) unless another handler is registered.
    Other,
}

/// Reads the head of a program file.
pub(super) fn parse(head: &[u8]) -> Format {
    if let Some(line) = head.strip_prefix(b"#!") {
        return script(&line[..line.len().min(SCRIPT_BYTES - 2)]);
    }
    elf(head).unwrap_or(Format::Other)
}

fn script(line: &[u8]) -> Format {
    let line = line
        .split(|byte| *byte == b'\n' || *byte == 0)
        .next()
        .unwrap_or_default();
    let line = line.trim_ascii();
    let blank = |byte: &u8| *byte == b' ' || *byte == b'\t';
    let end = line.iter().position(blank).unwrap_or(line.len());
    let (interpreter, rest) = line.split_at(end);
    if interpreter.is_empty() {
        return Format::Other;
    }
    let rest = rest.trim_ascii();
    Format::Script {
        interpreter: interpreter.to_vec(),
        argument: (!rest.is_empty()).then(|| rest.to_vec()),
    }
}

/// Field offsets differ between the two classes; byte order is that of the file.
fn elf(head: &[u8]) -> Option<Format> {
    if head.get(..4)? != b"\x7fELF" {
        return None;
    }
    let wide = *head.get(4)? == 2;
    let little = *head.get(5)? == 1;
    let number = |at: usize, bytes: usize| -> Option<u64> {
        let field = head.get(at..at.checked_add(bytes)?)?;
        let fold = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        Some(if little {
            field.iter().rev().fold(0, fold)
        } else {
            field.iter().fold(0, fold)
        })
    };
    let machine = number(18, 2)? as u16;
    let (table, entry_bytes, entries) = if wide {
        (number(32, 8)?, number(54, 2)?, number(56, 2)?)
    } else {
        (number(28, 4)?, number(42, 2)?, number(44, 2)?)
    };
    let loader = (0..entries).find_map(|index| {
        let at = usize::try_from(table.checked_add(index * entry_bytes)?).ok()?;
        if number(at, 4)? != u64::from(libc::PT_INTERP) {
            return None;
        }
        let (offset, length) = if wide {
            (number(at + 8, 8)?, number(at + 32, 8)?)
        } else {
            (number(at + 4, 4)?, number(at + 16, 4)?)
        };
        // The kernel refuses loader paths over PATH_MAX.
        let length = usize::try_from(length)
            .ok()
            .filter(|length| (2..=4096).contains(length))?;
        Some((offset, length))
    });
    Some(Format::Elf { loader, machine })
}

/// The arguments that the interpreter of a script gets: `interpreter [argument] script rest…`.
pub(super) fn script_arguments(
    interpreter: &[u8],
    argument: Option<&[u8]>,
    script: &[u8],
    argv: &[Vec<u8>],
) -> Vec<Vec<u8>> {
    let mut result = vec![interpreter.to_vec()];
    result.extend(argument.map(<[u8]>::to_vec));
    result.push(script.to_vec());
    result.extend(argv.iter().skip(1).cloned());
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script_of(interpreter: &str, argument: Option<&str>) -> Format {
        Format::Script {
            interpreter: interpreter.into(),
            argument: argument.map(Into::into),
        }
    }

    #[test]
    fn script_lines() {
        let long = format!("#!/{}\n", "x".repeat(400));
        let cut = format!("/{}", "x".repeat(253));
        let cases = [
            ("#!/bin/sh\necho", script_of("/bin/sh", None)),
            (
                "#! /usr/bin/env  python3 -u \n",
                script_of("/usr/bin/env", Some("python3 -u")),
            ),
            ("#!/bin/sh", script_of("/bin/sh", None)),
            ("#!\n/bin/sh", Format::Other),
            ("#!", Format::Other),
            ("", Format::Other),
            ("#", Format::Other),
            ("echo hello", Format::Other),
            (&long, script_of(&cut, None)),
        ];
        for (head, expected) in cases {
            assert_eq!(parse(head.as_bytes()), expected, "{head:?}");
        }
    }

    /// A 64-bit little-endian header with one PT_LOAD and one PT_INTERP entry.
    fn elf64() -> Vec<u8> {
        let mut head = vec![0; 64 + 2 * 56];
        head[..6].copy_from_slice(b"\x7fELF\x02\x01");
        head[18] = 62;
        head[32] = 64;
        head[54] = 56;
        head[56] = 2;
        head[64] = 1;
        let entry = 64 + 56;
        head[entry] = 3;
        head[entry + 8..entry + 10].copy_from_slice(&[0x18, 0x03]);
        head[entry + 32] = 28;
        head
    }

    #[test]
    fn elf_names_its_loader() {
        let head = elf64();
        assert_eq!(
            parse(&head),
            Format::Elf {
                loader: Some((0x318, 28)),
                machine: 62
            }
        );
        let mut fixed = head.clone();
        fixed[56] = 1;
        assert_eq!(
            parse(&fixed),
            Format::Elf {
                loader: None,
                machine: 62
            }
        );
    }

    #[test]
    fn any_cut_of_a_header_parses_without_panic() {
        let head = elf64();
        // The last field that is looked at ends at byte 160.
        for length in 0..160 {
            let format = parse(&head[..length]);
            assert!(
                !matches!(
                    format,
                    Format::Elf {
                        loader: Some(_),
                        ..
                    }
                ),
                "{length}"
            );
        }
        let mut hostile = head;
        hostile[32..40].fill(0xff);
        assert_eq!(
            parse(&hostile),
            Format::Elf {
                loader: None,
                machine: 62
            }
        );
    }

    #[test]
    fn interpreters_see_the_script_in_place_of_its_name() {
        let argv = [b"name".to_vec(), b"-x".to_vec()];
        let result = script_arguments(b"/bin/sh", Some(b"-e"), b"./s", &argv);
        assert_eq!(result, [&b"/bin/sh"[..], b"-e", b"./s", b"-x"]);
        assert_eq!(
            script_arguments(b"/bin/sh", None, b"./s", &[]),
            [&b"/bin/sh"[..], b"./s"]
        );
    }
}
