//! Tests of the store against real files.

use tempfile::TempDir;

use super::*;
use crate::model::{
    Basis, Completeness, Conditions, Digest, FileAccess, FileRecord, FilteredRecord, Gap, GapKind,
    GitState, HashAlgorithm, Hashes, HostFacts, JobKind, JobRecord, JobState, JobUid, Outcome,
    RawString, RedactedPlace, Redaction, StepIdentity,
};
use crate::project::Project;

mod crash;
mod faults;
mod log;
mod makers;
mod markers;
mod parallel;
mod queries;
mod records;
mod scale;

/// A project in a fresh folder; the folder lives as long as the guard.
fn project() -> (TempDir, Project) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let project = Project {
        root: folder.path().to_path_buf(),
    };
    (folder, project)
}

/// A digest made of a number.
fn digest(number: u64) -> Digest {
    Digest::from_bytes(blake3::hash(&number.to_le_bytes()).as_bytes())
}

/// A file at `path` with content `content`.
fn file(path: &str, content: u64) -> FileRecord {
    FileRecord {
        path: path.into(),
        hashes: Hashes::from([(HashAlgorithm::Blake3, digest(content))]),
        size_bytes: Some(content),
        basis: Basis::Read,
        note: None,
    }
}

/// A successful job without files.
fn job(uid: u32, command: &str) -> JobRecord {
    JobRecord {
        uid: JobUid::from_bits(uid),
        kind: JobKind::Run,
        state: JobState::Done,
        name: None,
        argv: command.split(' ').map(RawString::from).collect(),
        cwd: ".".into(),
        started_at_ns: 1_000 + i64::from(uid),
        duration_ns: Some(5),
        outcome: Outcome {
            exit_code: Some(0),
            signal: None,
            interrupted: false,
        },
        inputs: Vec::new(),
        outputs: Vec::new(),
        filtered: Vec::new(),
        completeness: Completeness {
            backend: "replay".into(),
            complete: true,
            ..Completeness::default()
        },
        git: None,
        host: HostFacts::default(),
        conditions: Conditions::default(),
    }
}

/// A step identity.
fn step(text: &str) -> StepIdentity {
    StepIdentity(text.into())
}

/// The schema with one migration more, as the next roar may have it.
fn next_schema(migration: &'static str) -> schema::Schema {
    schema::Schema::new(&[schema::MIGRATIONS, &[migration]].concat())
}

/// Whether SQLite finds the database whole.
fn is_intact(project: &Project) -> bool {
    let connection = rusqlite::Connection::open(project.database()).expect("opens");
    let verdict: String = connection
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .expect("checks");
    verdict == "ok"
}
