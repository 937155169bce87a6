//! Fills a project's record with made-up jobs, so that queries can be timed on a large one:
//! `cargo xtask queries` runs it.
//!
//! `make_database FOLDER SESSIONS STEPS EXECUTIONS`: each session has STEPS steps that ran
//! EXECUTIONS times, in a shape with chains, diamonds, a wide fan-in and updates in place;
//! each job has up to four inputs and ten outputs of new content. The files of the last session
//! are on disk as it left them, and in the cache of hashes as after a run.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

use roar_cli::capture::hash::{HashCache, hash_files};
use roar_cli::lineage::step_identity;
use roar_cli::model::{
    Basis, CacheKey, CachedHash, Completeness, Conditions, Digest, FileRecord, HashAlgorithm,
    Hashes, HostFacts, JobKind, JobRecord, JobState, JobUid, Outcome, RawString,
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
        on_disk: None,
    };
    let sessions = sessions.parse::<u64>()?;
    for session in 0..sessions {
        if session + 1 == sessions {
            made.on_disk = Some(Vec::new());
        }
        if session > 0 {
            store.start_session()?;
        }
        for _ in 0..executions.parse::<u64>()? {
            let mut latest: Vec<Vec<FileRecord>> = Vec::new();
            for step in 0..steps.parse::<usize>()? {
                let record = made.job(session, step, &latest)?;
                let identity = step_identity(&record, &made.root);
                store.insert_job(&record, &identity)?;
                latest.push(record.outputs);
            }
        }
    }
    let mut paths = made.on_disk.unwrap_or_default();
    paths.sort();
    paths.dedup();
    hash_files(&paths, &[], &mut Cache(&mut store));
    Ok(())
}

/// Counts what has been made.
struct Made {
    root: PathBuf,
    serial: u32,
    content: u64,
    /// The files that were written, when they are.
    on_disk: Option<Vec<PathBuf>>,
}

struct Cache<'a>(&'a mut Store);

impl HashCache for Cache<'_> {
    fn get(&mut self, keys: &[CacheKey]) -> Vec<Option<CachedHash>> {
        vec![None; keys.len()]
    }

    fn put(&mut self, entries: &[(CacheKey, CachedHash)]) {
        let remembered = self.0.remember_hashes(entries);
        remembered.expect("the cache can be written");
    }
}

impl Made {
    /// The next execution of a step; `latest` has the outputs of the steps before it.
    fn job(
        &mut self,
        session: u64,
        step: usize,
        latest: &[Vec<FileRecord>],
    ) -> io::Result<JobRecord> {
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
            let raw = self.root.join(format!("data/raw_{session}.csv"));
            inputs.push(self.file(&raw, Some(session))?);
        }
        let mut outputs = Vec::new();
        for n in 0..OUTPUTS {
            let path = match inputs.first() {
                Some(base) if updates && n == 0 => base.path.to_path_buf(),
                _ => self.root.join(format!("out/{session}/s{step}x/part{n}")),
            };
            outputs.push(self.file(&path, None)?);
        }
        let argv = format!("python step.py --number {step} --seed {}", self.serial);
        Ok(JobRecord {
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
        })
    }

    /// A file of new content unless one is named.
    fn file(&mut self, path: &Path, content: Option<u64>) -> io::Result<FileRecord> {
        let content = content.unwrap_or_else(|| {
            self.content += 1;
            self.content + (1 << 40)
        });
        let bytes = content.to_le_bytes();
        if let Some(written) = &mut self.on_disk {
            std::fs::create_dir_all(path.parent().unwrap_or(path))?;
            std::fs::write(path, bytes)?;
            written.push(path.to_path_buf());
        }
        let digest = Digest::from_bytes(blake3::hash(&bytes).as_bytes());
        Ok(FileRecord {
            path: RawString::from_path(path),
            hashes: Hashes::from([(HashAlgorithm::Blake3, digest)]),
            size_bytes: Some(bytes.len() as u64),
            basis: Basis::Written,
            note: None,
        })
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
