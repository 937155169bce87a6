//! Fills a server's database with made-up lineage, so that questions can be timed on a large one:
//! `cargo xtask server-bench` runs it.
//!
//! `make_lineage DATABASE SESSIONS`: each session has a hundred jobs, each job ten outputs of new
//! content, and up to three inputs among what the five jobs before it made. The sessions are of
//! twenty users in turn; every fourth is private, and its commands have the word `internal`.

use std::error::Error;

use glaas_api::jobs::{FileLink, JobRequest};
use glaas_api::sessions::SessionRequest;
use glaas_server::in_write;
use glaas_server::store::links::{self, Role};
use glaas_server::store::{Database, StoreError, Transaction, jobs, sessions, users};
use serde_json::json;

const JOBS: u64 = 100;
const OUTPUTS: u64 = 10;
const USERS: u64 = 20;
const SCRIPTS: [&str; 8] = [
    "train", "evaluate", "prepare", "export", "merge", "tokenize", "sample", "score",
];
/// A job that fails has another remainder than one on an H100.
const GPUS: [&str; 4] = ["NVIDIA H100 80GB", "NVIDIA A100", "NVIDIA L4", ""];
const TYPES: [&str; 4] = ["pt", "csv", "json", "npz"];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [database, count] = &arguments[..] else {
        return Err("usage: make_lineage DATABASE SESSIONS".into());
    };
    let count: u64 = count.parse()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let database = Database::open(database).await?;
        for number in 0..USERS {
            let name = format!("user{number}");
            let made: Result<_, StoreError> =
                in_write!(database, tx => users::add(tx, &name).await);
            made?;
        }
        for number in 0..count {
            let made: Result<(), StoreError> = in_write!(database, tx => session(tx, number).await);
            made?;
        }
        Ok(())
    })
}

fn hash(name: &str) -> String {
    blake3::hash(name.as_bytes()).to_hex().to_string()
}

async fn session(tx: &mut Transaction, number: u64) -> Result<(), StoreError> {
    let request = SessionRequest {
        hash: hash(&format!("session {number}")),
        git_repo: Some(format!("https://git.example/acme/p{}", number % 500)),
        git_commit: Some(commit(number)),
        git_branch: Some("main".to_owned()),
        ..SessionRequest::default()
    };
    let owner = users::named(tx, &format!("user{}", number % USERS)).await?;
    let owner = owner.ok_or(StoreError::NotFound)?;
    let (session, _) = sessions::upsert(tx, owner.id, &request, !is_private(number)).await?;
    for step in 0..JOBS {
        let job = number * JOBS + step;
        let uid = format!("job{job}");
        jobs::insert(tx, &session, &request_of(job, step, number)).await?;
        let outputs: Vec<FileLink> = (0..OUTPUTS).map(|output| file(job, output)).collect();
        links::add(tx, &session, &uid, Role::Output, &outputs).await?;
        let inputs: Vec<FileLink> = (1..=step.min(5))
            .step_by(2)
            .map(|back| file(job - back, (job + back) % OUTPUTS))
            .collect();
        links::add(tx, &session, &uid, Role::Input, &inputs).await?;
    }
    Ok(())
}

fn is_private(session: u64) -> bool {
    session % 4 == 3
}

fn commit(session: u64) -> String {
    hash(&format!("commit {}", session / 2))[..40].to_owned()
}

fn script(job: u64) -> &'static str {
    SCRIPTS[(job % SCRIPTS.len() as u64) as usize]
}

fn request_of(job: u64, step: u64, session: u64) -> JobRequest {
    let gpu = GPUS[(job % 4) as usize];
    let document = json!({ "roar": { "version": 1, "name": script(job),
        "host": { "hostname": format!("node{}", job % 64), "gpus": [{ "name": gpu }] },
        "completeness": { "backend": "ebpf", "complete": true } } });
    let more = if is_private(session) {
        " --set internal"
    } else {
        ""
    };
    JobRequest {
        command: format!(
            "python {}.py --seed {job} --lr 0.{}{more}",
            script(job),
            job % 97
        ),
        timestamp: 1_795_000_000.0 + job as f64,
        job_uid: format!("job{job}"),
        git_commit: Some(commit(session)),
        git_branch: Some("main".to_owned()),
        duration_seconds: Some(5.0),
        exit_code: Some(i64::from(job % 50 == 49)),
        job_type: Some("run".to_owned()),
        step_number: Some(step as i64 + 1),
        metadata: Some(json!(document.to_string())),
        ..JobRequest::default()
    }
}

fn file(job: u64, output: u64) -> FileLink {
    let extension = TYPES[(output % 4) as usize];
    FileLink {
        hash: hash(&format!("output {job} {output}")),
        path: Some(format!("/data/{}_{job}_{output}.{extension}", script(job))),
        size: Some(job.wrapping_mul(2_654_435_761) % 1_000_000_000),
        ..FileLink::default()
    }
}
