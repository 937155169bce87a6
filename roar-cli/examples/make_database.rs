//! Fills a project's record with made-up jobs, so that queries can be timed on a large one:
//! `cargo xtask queries` runs it.
//!
//! `make_database FOLDER SESSIONS STEPS EXECUTIONS`: each session has STEPS steps that ran
//! EXECUTIONS times, in a shape with chains, diamonds, a wide fan-in and updates in place;
//! each job has up to four inputs and ten outputs of new content.

use std::error::Error;
use std::path::{Path, PathBuf};

use roar_cli::lineage::step_identity;
use roar_cli::model::{
    Basis, Completeness, Conditions, Digest, FileRecord, HashAlgorithm, Hashes, HostFacts, JobKind,
    JobRecord, JobState, JobUid, Outcome, RawString,
};
use roar_cli::project::Project;
use roar_cli::store::Store;

const OUTPUTS: u64 = 10;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, sessions, steps, executions] = &arguments[..] else {
        return Err("usage: make_database FOLDER SESSIONS STEPS EXECUTIONS".into());
    };
    std::fs::create_dir_all(Path::new(folder).join(".roar"))?;
    let root = PathBuf::from(folder).canonicalize()?;
    let mut store = Store::open(&Project { root: root.clone() })?;
    let mut made = Made {
        root,
        serial: 0,
        content: 0,
    };
    for session in 0..sessions.parse::<u64>()? {
        if session > 0 {
            store.start_session()?;
        }
        for _ in 0..executions.parse::<u64>()? {
            let mut latest: Vec<Vec<FileRecord>> = Vec::new();
            for step in 0..steps.parse::<usize>()? {
                let record = made.job(session, step, &latest);
                let identity = step_identity(&record, &made.root);
                store.insert_job(&record, &identity)?;
                latest.push(record.outputs);
            }
        }
    }
    Ok(())
}

/// Counts what has been made.
struct Made {
    root: PathBuf,
    serial: u32,
    content: u64,
}

impl Made {
    /// The next execution of a step; `latest` has the outputs of the steps before it.
    fn job(&mut self, session: u64, step: usize, latest: &[Vec<FileRecord>]) -> JobRecord {
        self.serial += 1;
        let updates = step % 50 == 49;
        let mut inputs: Vec<FileRecord> = sources(step)
            .into_iter()
            .filter_map(|(from, output)| latest.get(from)?.get(output).cloned())
            .map(|file| FileRecord {
                basis: Basis::Read,
                ..file
            })
            .collect();
        if inputs.is_empty() {
            inputs.push(self.file(&format!("data/raw_{session}.csv"), Some(session)));
        }
        let mut outputs: Vec<FileRecord> = (0..OUTPUTS)
            .map(|n| self.file(&format!("out/{session}/s{step}x/part{n}"), None))
            .collect();
        if updates && let Some(base) = inputs.first() {
            let path = base.path.clone();
            outputs[0] = FileRecord {
                path,
                ..self.file("", None)
            };
        }
        let argv = format!("python step.py --number {step} --seed {}", self.serial);
        JobRecord {
            conditions: Conditions::default(),
            // Spread like random ones.
            uid: JobUid::from_bits(self.serial.wrapping_mul(0x9e37_79b1)),
            kind: JobKind::Run,
            state: JobState::Done,
            name: None,
            argv: argv.split(' ').map(RawString::from).collect(),
            cwd: ".".into(),
            started_at_ns: i64::from(self.serial) * 60_000_000_000,
            duration_ns: Some(1_500_000_000),
            outcome: Outcome {
                exit_code: Some(i32::from(self.serial.is_multiple_of(997))),
                ..Outcome::default()
            },
            inputs,
            outputs,
            filtered: Vec::new(),
            completeness: Completeness {
                backend: "replay".to_owned(),
                complete: true,
                ..Completeness::default()
            },
            git: None,
            host: HostFacts::default(),
        }
    }

    /// A file below the project; of new content unless one is named.
    fn file(&mut self, path: &str, content: Option<u64>) -> FileRecord {
        let content = content.unwrap_or_else(|| {
            self.content += 1;
            self.content + (1 << 40)
        });
        let digest = Digest::from_bytes(blake3::hash(&content.to_le_bytes()).as_bytes());
        FileRecord {
            path: RawString::from_path(&self.root.join(path)),
            hashes: Hashes::from([(HashAlgorithm::Blake3, digest)]),
            size_bytes: Some(1000 + content % 1000),
            basis: Basis::Written,
            note: None,
        }
    }
}

/// What a step reads, as (step, output): chains, diamonds, and one wide fan-in a hundred.
fn sources(step: usize) -> Vec<(usize, usize)> {
    match step % 10 {
        0 if step.is_multiple_of(100) && step > 0 => (step - 40..step).map(|s| (s, 2)).collect(),
        0 => Vec::new(),
        4 => vec![(step - 1, 0), (step - 2, 1), (step - 3, 1)],
        _ => vec![(step - 1, 0)],
    }
}
