//! A project in a temporary folder, jobs for it, and `roar` in a hermetic environment.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use roar_cli::lineage::step_identity;
use roar_cli::model::{
    Basis, Collection, Completeness, Conditions, Digest, FileAccess, FileRecord, FilteredRecord,
    GitState, HashAlgorithm, Hashes, HostFacts, JobKind, JobRecord, JobState, JobUid, Outcome,
    RawString,
};
use roar_cli::store::{JobCollection, Store};
use serde_json::Value;

/// A project and the jobs recorded in it.
pub(crate) struct TestProject {
    folder: tempfile::TempDir,
    next_uid: u32,
}

/// What `roar` answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) status: i32,
}

impl Answer {
    /// Standard output as JSON; it must be nothing else, and the command must have succeeded.
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.status, 0, "{self:?}");
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// The three streams in one text, for snapshots.
    pub(crate) fn whole(&self) -> String {
        format!(
            "{}--- stderr\n{}--- status {}",
            self.stdout, self.stderr, self.status
        )
    }
}

/// An empty folder, not yet a project.
pub(crate) fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// Runs roar in `cwd` with nothing of the tester's environment.
pub(crate) fn roar_in(cwd: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Answer {
    let output = Command::new(env!("CARGO_BIN_EXE_roar"))
        .args(arguments)
        .current_dir(cwd)
        .env_clear()
        .env("HOME", "/nonexistent")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("TZ", "UTC")
        .env("LC_ALL", "C.UTF-8")
        .envs(environment.iter().copied())
        .stdin(std::process::Stdio::null())
        .output()
        .expect("the binary runs");
    Answer {
        stdout: String::from_utf8(output.stdout).expect("UTF-8 on stdout"),
        stderr: String::from_utf8(output.stderr).expect("UTF-8 on stderr"),
        status: output.status.code().expect("an exit status"),
    }
}

impl TestProject {
    /// A project made by `roar init`.
    pub(crate) fn new() -> Self {
        let folder = folder();
        let answer = roar_in(folder.path(), &["init", "-n"], &[]);
        assert_eq!(answer.status, 0, "{answer:?}");
        Self {
            folder,
            next_uid: 0,
        }
    }

    /// The project's folder, symbolic links resolved.
    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().canonicalize().expect("it exists")
    }

    /// Runs roar in the project's folder.
    pub(crate) fn roar(&self, arguments: &[&str]) -> Answer {
        let mut answer = roar_in(&self.root(), arguments, &[]);
        let root = self.root().display().to_string();
        answer.stderr = answer.stderr.replace(&root, "/PROJECT");
        answer
    }

    /// Writes a file below the project.
    pub(crate) fn write(&self, path: &str, content: &str) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().expect("below the project")).expect("folder");
        fs::write(path, content).expect("write");
    }

    /// Records a job that read these files as they are on disk and wrote those, with content.
    /// Its uid counts from 00000001, its start from one second after the epoch.
    pub(crate) fn job(&mut self, command: &str, reads: &[&str], writes: &[(&str, &str)]) -> String {
        self.job_with(command, reads, writes, |_| {})
    }

    /// The same, with changes to the record.
    pub(crate) fn job_with(
        &mut self,
        command: &str,
        reads: &[&str],
        writes: &[(&str, &str)],
        change: impl FnOnce(&mut JobRecord),
    ) -> String {
        self.next_uid += 1;
        let inputs = reads.iter().map(|path| self.file(path)).collect();
        let outputs = writes
            .iter()
            .map(|(path, content)| {
                self.write(path, content);
                FileRecord {
                    basis: Basis::Written,
                    ..self.file(path)
                }
            })
            .collect();
        let mut record = JobRecord {
            uid: JobUid::from_bits(self.next_uid),
            kind: JobKind::Run,
            state: JobState::Done,
            name: None,
            argv: command.split(' ').map(RawString::from).collect(),
            cwd: ".".into(),
            started_at_ns: i64::from(self.next_uid) * 1_000_000_000,
            duration_ns: Some(1_500_000_000),
            outcome: Outcome {
                exit_code: Some(0),
                ..Outcome::default()
            },
            inputs,
            outputs,
            filtered: vec![FilteredRecord {
                path: "/usr/lib/libc.so".into(),
                access: FileAccess::Read,
                by: "filters.ignore_system_reads".to_owned(),
            }],
            completeness: Completeness {
                backend: "replay".to_owned(),
                complete: true,
                ..Completeness::default()
            },
            git: Some(GitState {
                commit: Some("0123456789abcdef0123456789abcdef01234567".to_owned()),
                branch: Some("main".to_owned()),
                remote: Some("https://example.org/p.git".to_owned()),
                dirty: true,
                top: None,
                patch_hash: None,
                ..GitState::default()
            }),
            host: HostFacts {
                hostname: "box".to_owned(),
                cpu_count: 2,
                ..HostFacts::default()
            },
            conditions: Conditions::default(),
        };
        change(&mut record);
        let identity = step_identity(&record, &self.root());
        self.store()
            .insert_job(&record, &identity)
            .expect("the job is recorded");
        record.uid.to_string()
    }

    /// Records that the job with this database id met a folder as a collection, with whatever
    /// is on disk below it now; returns the collection's hash.
    pub(crate) fn collection(&self, job_id: i64, folder: &str, produced: bool) -> Digest {
        let place = self.root().join(folder);
        let entries = fs::read_dir(&place).expect("a folder");
        let members = entries.map(|entry| {
            let entry = entry.expect("readable");
            let content = fs::read(entry.path()).expect("readable");
            (RawString::from_os(&entry.file_name()), digest(&content))
        });
        let collection = Collection {
            name: folder.to_owned(),
            members: members.collect(),
        };
        let hash = collection.hash();
        let met = JobCollection {
            folder: RawString::from_path(&place),
            produced,
            collection,
        };
        let added = self.store().add_collection(job_id, &met);
        added.expect("the collection is recorded");
        hash
    }

    /// The project's store, for writing.
    pub(crate) fn store(&self) -> Store {
        Store::open(&roar_cli::project::Project { root: self.root() }).expect("the store opens")
    }

    /// A file as it is on disk, as an input.
    pub(crate) fn file(&self, path: &str) -> FileRecord {
        let absolute = self.root().join(path);
        let content = fs::read(&absolute).unwrap_or_else(|e| panic!("{path}: {e}"));
        FileRecord {
            path: RawString::from_path(&absolute),
            hashes: Hashes::from([(HashAlgorithm::Blake3, digest(&content))]),
            size_bytes: Some(content.len() as u64),
            basis: Basis::Read,
            note: None,
        }
    }
}

/// The BLAKE3 digest of a content.
pub(crate) fn digest(content: &[u8]) -> Digest {
    Digest::from_bytes(blake3::hash(content).as_bytes())
}

/// The keys of a JSON object, sorted.
pub(crate) fn keys(json: &Value) -> Vec<&str> {
    json.as_object()
        .expect("an object")
        .keys()
        .map(String::as_str)
        .collect()
}

/// The published keys of `dag --json`.
pub(crate) const DAG_KEYS: [&str; 8] = [
    "artifacts",
    "is_expanded",
    "nodes",
    "session_id",
    "stale_artifact_count",
    "stale_count",
    "superseded_artifact_count",
    "total_steps",
];

/// The keys of its nodes.
pub(crate) const NODE_KEYS: [&str; 10] = [
    "command",
    "dependencies",
    "exit_code",
    "is_build",
    "job_id",
    "job_uid",
    "metrics",
    "state",
    "step_name",
    "step_number",
];

/// The keys of its artifacts.
pub(crate) const VERSION_KEYS: [&str; 9] = [
    "artifact_id",
    "consumer_steps",
    "hash",
    "is_stale",
    "is_terminal",
    "path",
    "producer_step",
    "state",
    "superseded_by",
];

/// The published keys of the jobs of `lineage --json`.
pub(crate) const LINEAGE_JOB_KEYS: [&str; 8] = [
    "command",
    "duration_seconds",
    "exit_code",
    "inputs",
    "job_uid",
    "outputs",
    "step_number",
    "timestamp",
];

/// prepare → train → evaluate: 3 steps, one job each.
pub(crate) fn pipeline() -> TestProject {
    let mut project = TestProject::new();
    project.write("raw.csv", "raw");
    project.job(
        "python prepare.py",
        &["raw.csv"],
        &[("train.csv", "train"), ("test.csv", "test")],
    );
    project.job(
        "python train.py --lr 0.1",
        &["train.csv"],
        &[("model.pkl", "model")],
    );
    project.job(
        "python evaluate.py",
        &["model.pkl", "test.csv"],
        &[("metrics.json", "{}")],
    );
    project
}
