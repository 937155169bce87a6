//! A small language for sessions in tests.
//!
//! One job a line, oldest first: `STEP[!|x]: INPUT… > OUTPUT…`. A file is `path=content`; a content
//! is the path's own (`a=1` and `b=1` differ) unless it is a capital letter (`a=X`, `b=X` are
//! the same), `0` (the empty file) or `?` (could not be hashed). `!` marks a lost job, `x`
//! one that failed.

use super::{Execution, Place, SessionGraph};
use crate::model::{
    Basis, Completeness, Conditions, Digest, FileRecord, HashAlgorithm, Hashes, HostFacts, JobKind,
    JobRecord, JobState, JobUid, Outcome,
};

/// The graph of a session written in the language above.
pub(super) fn graph(jobs: &str) -> SessionGraph {
    SessionGraph::new(executions(jobs))
}

/// The executions of a session written in the language above; job ids count from 1.
pub(super) fn executions(jobs: &str) -> Vec<Execution> {
    jobs.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .enumerate()
        .map(|(index, line)| {
            let (step, files) = line.split_once(':').expect("'STEP:'");
            let (inputs, outputs) = files.split_once('>').unwrap_or((files, ""));
            let id = i64::try_from(index).expect("few jobs") + 1;
            Execution {
                job_id: id,
                uid: JobUid::from_bits(id as u32),
                kind: JobKind::Run,
                step_number: step
                    .trim_end_matches(['!', 'x'])
                    .parse()
                    .expect("a step number"),
                lost: step.ends_with('!'),
                failed: step.ends_with('x'),
                inputs: places(inputs),
                outputs: places(outputs),
            }
        })
        .collect()
}

fn places(text: &str) -> Vec<Place> {
    text.split_whitespace()
        .map(|file| {
            let (path, content) = file.split_once('=').expect("'path=content'");
            Place {
                path: format!("/p/{path}").into(),
                hash: (content != "?").then(|| digest(path, content)),
                size_bytes: Some(u64::from(content != "0")),
            }
        })
        .collect()
}

/// The digest that stands for a content of the language.
pub(super) fn digest(path: &str, content: &str) -> Digest {
    let shared = content == "0" || content.bytes().all(|b| b.is_ascii_uppercase());
    let text = if shared {
        content.to_owned()
    } else {
        format!("{path}={content}")
    };
    Digest::from_bytes(blake3::hash(text.as_bytes()).as_bytes())
}

/// A job without files that ended well.
pub(super) fn record() -> JobRecord {
    JobRecord {
        uid: JobUid::from_bits(1),
        kind: JobKind::Run,
        state: JobState::Done,
        name: None,
        argv: vec!["true".into()],
        cwd: ".".into(),
        started_at_ns: 0,
        duration_ns: None,
        outcome: Outcome::default(),
        inputs: Vec::new(),
        outputs: Vec::new(),
        filtered: Vec::new(),
        completeness: Completeness::default(),
        git: None,
        host: HostFacts::default(),
        conditions: Conditions::default(),
    }
}

/// A file of a job.
pub(super) fn file(path: &str, content: &str) -> FileRecord {
    FileRecord {
        path: path.into(),
        hashes: Hashes::from([(HashAlgorithm::Blake3, digest("", content))]),
        size_bytes: None,
        basis: Basis::Read,
        note: None,
    }
}
