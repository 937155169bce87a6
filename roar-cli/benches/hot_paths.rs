//! What is done for every event, file or question: decoding, folding, path resolution, storing,
//! lineage. `cargo bench -p roar-cli`; `cargo xtask bench` measures whole runs.
#![expect(
    missing_docs,
    clippy::unwrap_used,
    reason = "criterion's macros make undocumented items; a benchmark that cannot run should say so"
)]

use std::convert::Infallible;
use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

use roar_cli::event::{Access, EventKind, FileId, FileState, PathQuality, ProcessId, TraceEvent};
use roar_cli::lineage::ancestry::{Producers, ancestry};
use roar_cli::lineage::{Execution, Place};
use roar_cli::lineage::{SessionGraph, step_identity};
use roar_cli::model::{
    Basis, Completeness, Conditions, Digest, FileRecord, HashAlgorithm, Hashes, HostFacts, JobKind,
    JobRecord, JobState, JobUid, Outcome, RawString,
};
use roar_cli::observe::Fold;
use roar_cli::project::Project;
use roar_cli::store::Store;
use roar_cli::trace::ebpf::Offline;

/// Files of a job.
const FILES: u32 = 10_000;

/// Jobs of a session.
const JOBS: u32 = 1_000;

criterion_group!(benches, events, store, lineage);
criterion_main!(benches);

fn events(criterion: &mut Criterion) {
    let records: Vec<Vec<u8>> = (0..FILES).map(file_record).collect();
    let events: Vec<TraceEvent> = (0..FILES).map(written).collect();
    let mut group = criterion.benchmark_group("event");
    group.throughput(Throughput::Elements(u64::from(FILES)));
    group.bench_function("decode", |bencher| {
        bencher.iter(|| {
            records
                .iter()
                .filter(|bytes| Offline::is_record(bytes))
                .count()
        });
    });
    group.bench_function("decode and resolve the path", |bencher| {
        bencher.iter_batched_ref(
            Offline::new,
            |offline| {
                let mut count = 0;
                for bytes in &records {
                    offline.events(bytes, &mut |_| count += 1);
                }
                count
            },
            BatchSize::LargeInput,
        );
    });
    group.bench_function("fold", |bencher| {
        bencher.iter_batched(
            Fold::new,
            |mut fold| {
                for event in &events {
                    fold.push(event);
                }
                fold.finish()
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

fn store(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join(".roar")).unwrap();
    let root = folder.path().canonicalize().unwrap();
    let mut store = Store::open(&Project { root: root.clone() }).unwrap();
    let mut serial = 0;
    let mut group = criterion.benchmark_group("store");
    group.throughput(Throughput::Elements(u64::from(FILES)));
    group.sample_size(10);
    group.bench_function("insert a job with its files", |bencher| {
        bencher.iter_batched(
            || {
                serial += 1;
                job(serial)
            },
            |record| {
                store
                    .insert_job(&record, &step_identity(&record, &root))
                    .unwrap()
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

fn lineage(criterion: &mut Criterion) {
    let executions: Vec<Execution> = (0..JOBS).map(execution).collect();
    let mut group = criterion.benchmark_group("lineage");
    group.throughput(Throughput::Elements(u64::from(JOBS)));
    group.bench_function("graph of a session", |bencher| {
        bencher.iter_batched(
            || executions.clone(),
            SessionGraph::new,
            BatchSize::LargeInput,
        );
    });
    let graph = SessionGraph::new(executions);
    group.bench_function("states of its steps", |bencher| {
        bencher.iter(|| black_box(&graph).states());
    });
    let mut producers = InMemory(graph.executions().to_vec());
    group.bench_function("closure of the last content", |bencher| {
        bencher.iter(|| ancestry([i64::from(JOBS)], None, &mut producers));
    });
    group.finish();
}

/// Producers without a database.
struct InMemory(Vec<Execution>);

impl Producers for InMemory {
    type Error = Infallible;
    type Path = RawString;
    type Content = Digest;

    fn producer_of(
        &mut self,
        _hash: &Digest,
        path: &RawString,
        _before: i64,
        _elsewhere: bool,
    ) -> Result<Option<i64>, Infallible> {
        let number = path
            .to_string()
            .rsplit('t')
            .next()
            .and_then(|n| n.parse().ok());
        let producer = number.and_then(|number: usize| self.0.get(number));
        Ok(producer.map(|execution| execution.job_id))
    }

    fn writer_of(&mut self, _path: &RawString, _before: i64) -> Result<Option<i64>, Infallible> {
        // Every content of the benchmark is known.
        Ok(None)
    }

    fn inputs(&mut self, job_id: i64) -> Result<Vec<Place>, Infallible> {
        let found = self.0.binary_search_by_key(&job_id, |known| known.job_id);
        Ok(found.map_or_else(|_| Vec::new(), |at| self.0[at].inputs.clone()))
    }
}

/// A record of kind FILE as the programs write it (`roar_common::record`).
fn file_record(number: u32) -> Vec<u8> {
    let path = format!("file{number}.txt\0folder{}\0project\0home\0", number / 100);
    let len = 24 + 80 + path.len() as u32;
    let mut bytes = Vec::with_capacity(len as usize);
    bytes.extend(4_u16.to_ne_bytes());
    bytes.extend(0_u16.to_ne_bytes());
    bytes.extend(len.to_ne_bytes());
    bytes.extend(u64::from(number).to_ne_bytes());
    bytes.extend([77_u32, 77].map(u32::to_ne_bytes).concat());
    // Inode, size, two times in seconds.
    bytes.extend(
        [u64::from(number), 100, 5, 5]
            .map(u64::to_ne_bytes)
            .concat(),
    );
    bytes.extend([0_u32, 0].map(u32::to_ne_bytes).concat());
    bytes.extend(100_u64.to_ne_bytes());
    // Device, generation, mount, links, length of the path, file system.
    let rest = [8 << 20 | 1, 1, 1, 1, path.len() as u32, 0xef53];
    bytes.extend(rest.map(u32::to_ne_bytes).concat());
    bytes.extend([4, 0, 0, 0, 0, 0, 0, 0]);
    bytes.extend(path.bytes());
    bytes
}

fn written(number: u32) -> TraceEvent {
    TraceEvent {
        at_ns: number.into(),
        process: ProcessId(77),
        kind: EventKind::Touched {
            file: FileState {
                id: Some(FileId {
                    device: 1,
                    inode: number.into(),
                    generation: 1,
                }),
                path: format!("/project/folder{}/file{number}.txt", number / 100).into(),
                quality: PathQuality::Full,
                size_bytes: 100,
                mtime_ns: 5,
                ctime_ns: 5,
            },
            access: Access::Written { bytes: 100 },
        },
    }
}

fn digest(number: u32) -> Digest {
    Digest::from_bytes(blake3::hash(&number.to_ne_bytes()).as_bytes())
}

/// The job of that number, with files of its own.
fn job(number: u32) -> JobRecord {
    let files = (0..FILES).map(|file| FileRecord {
        path: format!("/project/job{number}/file{file}.txt").into(),
        hashes: Hashes::from([(HashAlgorithm::Blake3, digest(number * FILES + file))]),
        size_bytes: Some(100),
        basis: Basis::Written,
        note: None,
    });
    JobRecord {
        uid: JobUid::from_bits(number),
        kind: JobKind::Run,
        state: JobState::Done,
        name: None,
        argv: vec!["make".into(), number.to_string().into()],
        cwd: ".".into(),
        started_at_ns: number.into(),
        duration_ns: Some(1),
        outcome: Outcome::default(),
        inputs: Vec::new(),
        outputs: files.collect(),
        filtered: Vec::new(),
        completeness: Completeness::default(),
        git: None,
        host: HostFacts::default(),
        conditions: Conditions::default(),
    }
}

/// What a step writes.
fn place(number: u32) -> Place {
    Place {
        path: format!("/project/part{number}").into(),
        hash: Some(digest(number)),
        size_bytes: Some(1),
    }
}

/// A step that reads what the three before it wrote.
fn execution(number: u32) -> Execution {
    Execution {
        job_id: i64::from(number) + 1,
        uid: JobUid::from_bits(number),
        kind: JobKind::Run,
        step_number: number + 1,
        lost: false,
        failed: false,
        inputs: (number.saturating_sub(3)..number).map(place).collect(),
        outputs: vec![place(number)],
    }
}
