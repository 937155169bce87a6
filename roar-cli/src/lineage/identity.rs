//! When two jobs are executions of the same step.
//!
//! A step is known by the places it reads and writes, not by its command line, so that a
//! run with another learning rate is the same step. Numbered places are one place:
//! `ckpt_0001.pt` and `ckpt_0500.pt` are both `ckpt_*.pt`. A job with neither inputs nor
//! outputs is known by its script or command.
//!
//! The identity is stored. Its form is versioned by its prefix and must never change for
//! jobs that are already recorded:
//! `files-1:` or `command-1:` and the BLAKE3 digest of the length-prefixed parts.

use std::collections::BTreeSet;
use std::path::Path;

use crate::model::{FileRecord, JobRecord, RawString, StepIdentity};

/// The identity of the step that `record` is an execution of.
///
/// `project_root` is the absolute path of the project: places below it count relative to
/// it, so that the identity is the same in every checkout.
pub fn step_identity(record: &JobRecord, project_root: &Path) -> StepIdentity {
    let root = RawString::from_path(project_root);
    let mut hasher = blake3::Hasher::new();
    let form = if record.inputs.is_empty() && record.outputs.is_empty() {
        for part in command_parts(&record.argv, &record.cwd) {
            add_part(&mut hasher, &part);
        }
        "command-1"
    } else {
        for files in [&record.inputs, &record.outputs] {
            let places = normalised_places(files, root.as_bytes());
            hasher.update(&(places.len() as u64).to_le_bytes());
            for place in &places {
                add_part(&mut hasher, place);
            }
        }
        "files-1"
    };
    StepIdentity(format!("{form}:{}", hasher.finalize().to_hex()))
}

/// Whether a job reads and writes nothing but places that another reads and writes: what an execution
/// of the same step came to that failed, or had nothing to do.
pub fn is_part_of(
    (inputs, outputs): (&[RawString], &[RawString]),
    (all_inputs, all_outputs): (&[RawString], &[RawString]),
) -> bool {
    let places = |paths: &[RawString]| -> BTreeSet<Vec<u8>> {
        let bytes = paths.iter().map(RawString::as_bytes);
        bytes.map(normalise_digits).collect()
    };
    places(inputs).is_subset(&places(all_inputs)) && places(outputs).is_subset(&places(all_outputs))
}

fn add_part(hasher: &mut blake3::Hasher, part: &[u8]) {
    hasher.update(&(part.len() as u64).to_le_bytes());
    hasher.update(part);
}

fn normalised_places(files: &[FileRecord], root: &[u8]) -> BTreeSet<Vec<u8>> {
    files
        .iter()
        .map(|file| normalise_digits(relative(file.path.as_bytes(), root)))
        .collect()
}

/// The path below `root`, or the whole path when it lies elsewhere.
fn relative<'a>(path: &'a [u8], root: &[u8]) -> &'a [u8] {
    path.strip_prefix(root)
        .and_then(|rest| rest.strip_prefix(b"/"))
        .unwrap_or(path)
}

/// Replaces every run of three or more digits by `*` when it follows `_` or `-` and ends at
/// `.`, `/` or the end.
pub fn normalise_digits(path: &[u8]) -> Vec<u8> {
    let mut normal = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((&byte, tail)) = rest.split_first() {
        normal.push(byte);
        rest = tail;
        if byte != b'_' && byte != b'-' {
            continue;
        }
        let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
        let ends = matches!(rest.get(digits), None | Some(b'.' | b'/'));
        if digits >= 3 && ends {
            normal.push(b'*');
            rest = &rest[digits..];
        }
    }
    normal
}

/// What a job without files is known by: its script when an interpreter runs one, else the
/// whole command; either way with the folder it ran in.
fn command_parts(argv: &[RawString], cwd: &RawString) -> Vec<Vec<u8>> {
    if let Some(script) = script_of(argv) {
        return vec![
            b"script".to_vec(),
            cwd.as_bytes().to_vec(),
            script.strip_prefix(b"./").unwrap_or(script).to_vec(),
        ];
    }
    let mut parts = vec![b"command".to_vec(), cwd.as_bytes().to_vec()];
    parts.extend(argv.iter().map(|argument| argument.as_bytes().to_vec()));
    parts
}

/// The script that a command runs: `train.py` of `python -u train.py --lr 1`, or a program
/// of the project named by a relative path.
fn script_of(argv: &[RawString]) -> Option<&[u8]> {
    let (program, arguments) = argv.split_first()?;
    let Some(interpreter) = Interpreter::named(program.file_name()) else {
        let path = program.as_bytes();
        let relative_path = path.contains(&b'/') && !path.starts_with(b"/");
        return relative_path.then_some(path);
    };
    let mut arguments = arguments.iter().map(RawString::as_bytes);
    while let Some(argument) = arguments.next() {
        if argument == b"--" {
            return arguments.next();
        }
        if interpreter.inline.contains(&argument) {
            return None;
        }
        if interpreter.valued.contains(&argument) {
            arguments.next();
        } else if !argument.starts_with(b"-") && !argument.starts_with(b"+") {
            return Some(argument);
        }
    }
    None
}

/// The options of an interpreter that matter for finding its script.
struct Interpreter {
    /// Options that carry the program itself, so that there is no script.
    inline: &'static [&'static [u8]],
    /// Options whose value is the next argument.
    valued: &'static [&'static [u8]],
}

impl Interpreter {
    fn named(name: &[u8]) -> Option<Self> {
        let stem_length = name.iter().take_while(|b| b.is_ascii_alphabetic()).count();
        let version = &name[stem_length..];
        if !version.iter().all(|b| b.is_ascii_digit() || *b == b'.') {
            return None;
        }
        Some(match &name[..stem_length] {
            b"python" | b"pypy" => Self {
                inline: &[b"-c", b"-m"],
                valued: &[b"-W", b"-X"],
            },
            b"sh" | b"bash" | b"dash" | b"zsh" | b"ksh" => Self {
                inline: &[b"-c", b"-lc", b"-ec", b"-euc", b"-xc", b"-s"],
                valued: &[b"-o", b"+o", b"-O", b"+O", b"--rcfile"],
            },
            b"perl" | b"ruby" | b"node" | b"Rscript" | b"julia" | b"lua" => Self {
                inline: &[b"-e", b"-E", b"--eval", b"-p", b"--print"],
                valued: &[b"-I", b"-r", b"--require"],
            },
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_step() {
        let paths = |text: &str| -> Vec<RawString> {
            text.split_whitespace().map(RawString::from).collect()
        };
        let check = |inputs: &str, outputs: &str, expected: bool| {
            let whole = (&*paths("/a /b"), &*paths("/c_001 /d"));
            let part = (&*paths(inputs), &*paths(outputs));
            assert_eq!(is_part_of(part, whole), expected, "{inputs} > {outputs}");
        };
        check("", "", true);
        check("/a", "", true);
        check("/b /a", "/c_999", true);
        check("/a /x", "", false);
        check("/a", "/x", false);
        check("", "/a", false);
    }
    use crate::model::{
        Basis, Completeness, Conditions, Hashes, HostFacts, JobKind, JobState, JobUid, Outcome,
    };

    fn job(argv: &[&str], cwd: &str, inputs: &[&str], outputs: &[&str]) -> JobRecord {
        let files = |paths: &[&str]| {
            paths
                .iter()
                .map(|path| FileRecord {
                    path: (*path).into(),
                    hashes: Hashes::new(),
                    size_bytes: None,
                    basis: Basis::Read,
                    note: None,
                })
                .collect()
        };
        JobRecord {
            uid: JobUid::from_bits(1),
            kind: JobKind::Run,
            state: JobState::Done,
            name: None,
            argv: argv.iter().map(|a| (*a).into()).collect(),
            cwd: cwd.into(),
            started_at_ns: 0,
            duration_ns: None,
            outcome: Outcome::default(),
            inputs: files(inputs),
            outputs: files(outputs),
            filtered: Vec::new(),
            completeness: Completeness::default(),
            git: None,
            host: HostFacts::default(),
            conditions: Conditions::default(),
        }
    }

    #[test]
    fn digit_runs_become_wildcards() {
        for (path, expected) in [
            ("ckpt_0001.pt", "ckpt_*.pt"),
            ("ckpt-500", "ckpt-*"),
            ("run_123/log_045.txt", "run_*/log_*.txt"),
            ("a_12.pt", "a_12.pt"),
            ("a123.pt", "a123.pt"),
            ("a_123b.pt", "a_123b.pt"),
            ("a_123_456.pt", "a_123_*.pt"),
            ("data-2024-001.csv", "data-2024-*.csv"),
            ("_999", "_*"),
            ("x_1234567890123456789012.y", "x_*.y"),
            ("", ""),
            ("_", "_"),
            ("é_007.bin", "é_*.bin"),
        ] {
            assert_eq!(
                normalise_digits(path.as_bytes()),
                expected.as_bytes(),
                "{path}"
            );
        }
    }

    #[test]
    fn places_decide_not_arguments_or_order() {
        let root = Path::new("/p");
        let first = step_identity(
            &job(
                &["python", "t.py", "--lr", "1"],
                ".",
                &["/p/a", "/p/b"],
                &["/p/ckpt_001.pt"],
            ),
            root,
        );
        let again = step_identity(
            &job(
                &["python", "u.py"],
                "sub",
                &["/p/b", "/p/a"],
                &["/p/ckpt_900.pt"],
            ),
            root,
        );
        assert_eq!(first, again);
        for other in [
            job(&["x"], ".", &["/p/a"], &["/p/ckpt_001.pt"]),
            job(&["x"], ".", &["/p/ckpt_001.pt"], &["/p/a", "/p/b"]),
            job(&["x"], ".", &["/p/a", "/p/b", "/p/ckpt_001.pt"], &[]),
            job(&["x"], ".", &["/pa", "/p/b"], &["/p/ckpt_001.pt"]),
        ] {
            assert_ne!(step_identity(&other, root), first);
        }
    }

    #[test]
    fn the_same_in_every_checkout() {
        let here = step_identity(&job(&["x"], ".", &["/p/a"], &["/p/b"]), Path::new("/p"));
        let there = step_identity(
            &job(&["x"], ".", &["/home/me/q/a"], &["/home/me/q/b"]),
            Path::new("/home/me/q"),
        );
        assert_eq!(here, there);
    }

    #[test]
    fn without_files_the_script_or_command_decides() {
        let same = |a: &[&str], b: &[&str]| {
            let of = |argv: &[&str]| step_identity(&job(argv, ".", &[], &[]), Path::new("/p"));
            of(a) == of(b)
        };
        for (a, b) in [
            (
                &["python", "t.py", "--lr", "1"][..],
                &["python3.11", "-u", "./t.py"][..],
            ),
            (&["python", "-W", "ignore", "t.py"], &["python", "t.py"]),
            (&["bash", "-o", "pipefail", "x.sh"], &["sh", "x.sh", "1"]),
            (&["./x.sh", "1"], &["./x.sh", "2"]),
            (&["true"], &["true"]),
        ] {
            assert!(same(a, b), "{a:?} {b:?}");
        }
        for (a, b) in [
            (&["echo", "1"][..], &["echo", "2"][..]),
            (&["sh", "-c", "exit 3"], &["sh", "-c", "exit 4"]),
            (&["python", "-m", "a"], &["python", "-m", "b"]),
            (&["python", "a.py"], &["python", "b.py"]),
            (&["echo", "a b"], &["echo", "a", "b"]),
            (&[], &["x"]),
        ] {
            assert!(!same(a, b), "{a:?} {b:?}");
        }
        let elsewhere = step_identity(&job(&["true"], "sub", &[], &[]), Path::new("/p"));
        assert_ne!(
            elsewhere,
            step_identity(&job(&["true"], ".", &[], &[]), Path::new("/p"))
        );
    }
}
