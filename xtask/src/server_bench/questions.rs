//! What the server is asked, and how long it takes to answer.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// Sends a question and returns the answer's body.
fn ask(address: &str, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address)?;
    let head = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    if !answer.starts_with("HTTP/1.1 200") {
        bail!("{path}: {}", answer.lines().next().unwrap_or_default());
    }
    let (_, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    Ok(body.to_owned())
}

/// Hashes that questions are about, spread over the database.
pub(super) struct Known {
    artifacts: Vec<String>,
    commits: Vec<String>,
}

const KNOWN: u64 = 50;
const SCRIPTS: [&str; 8] = [
    "train", "evaluate", "prepare", "export", "merge", "tokenize", "sample", "score",
];

/// The script of a job, as `make_lineage` chooses it.
fn script(job: u64) -> &'static str {
    SCRIPTS[(job % 8) as usize]
}

/// A job that everyone may see: every fourth session is private.
fn public(job: u64) -> u64 {
    if job / 100 % 4 == 3 { job - 100 } else { job }
}

impl Known {
    /// Finds them on the server.
    ///
    /// # Errors
    /// The server does not answer, or has other jobs.
    pub(super) fn ask(address: &str, jobs: u64) -> Result<Self> {
        let mut known = Self {
            artifacts: Vec::new(),
            commits: Vec::new(),
        };
        for number in 0..KNOWN {
            let job = public(number * 7_919 % jobs);
            let first = |path: &str, field: &str| -> Result<String> {
                let answer: serde_json::Value = serde_json::from_str(&ask(address, path)?)?;
                let text = answer["data"]["items"][0][field].as_str();
                Ok(text
                    .with_context(|| format!("nothing at {path}"))?
                    .to_owned())
            };
            let name = format!("/api/v1/artifacts?name={}_{job}_3.npz", script(job));
            known.artifacts.push(first(&name, "hash")?);
            let seed = format!("/api/v1/jobs?command=seed+{job}");
            known.commits.push(first(&seed, "git_commit")?);
        }
        Ok(known)
    }
}

/// What is asked: a name, and paths that are asked in turn.
pub(super) fn all(known: &Known, jobs: u64) -> Vec<(&'static str, Vec<String>)> {
    let api = |path: &str| vec![format!("/api/v1/{path}")];
    let each = |all: &[String], path: &dyn Fn(&str) -> String| -> Vec<String> {
        all.iter().map(|hash| path(hash)).collect()
    };
    let any = |path: &dyn Fn(u64) -> String| -> Vec<String> {
        (0..KNOWN)
            .map(|number| path(public(number * 6_007 % jobs)))
            .collect()
    };
    let artifacts = &known.artifacts;
    vec![
        ("a word that every job has", api("jobs?q=python")),
        (
            "a frequent and a rare word",
            any(&|job| format!("/api/v1/jobs?q=python+{job}")),
        ),
        (
            "a word and a host",
            any(&|job| format!("/api/v1/jobs?q=train&host=node{}", job % 64)),
        ),
        ("a beginning, trai*", api("jobs?q=trai*")),
        ("two words that never meet", api("jobs?q=train+evaluate")),
        (
            "a word of private jobs, asked by others",
            api("jobs?q=internal"),
        ),
        (
            "failed jobs on a GPU of which none failed",
            api("jobs?exit=failed&gpu=h100"),
        ),
        (
            "the beginning of a commit",
            each(&known.commits, &|hash| {
                format!("/api/v1/jobs?commit={}", &hash[..8])
            }),
        ),
        (
            "files by type and size",
            api("artifacts?type=csv&min_size=900M"),
        ),
        ("files by size alone", api("artifacts?min_size=950M")),
        (
            "a file by name",
            any(&|job| format!("/api/v1/artifacts?name={}_{job}_3.npz", script(job))),
        ),
        (
            "an artifact by 10 digits",
            each(artifacts, &|hash| {
                format!("/api/v1/artifacts/{}", &hash[..10])
            }),
        ),
        (
            "lineage, depth 5",
            each(artifacts, &|hash| {
                format!("/api/v1/artifacts/{hash}/lineage?depth=5")
            }),
        ),
        (
            "closure, whole (up to 100 jobs)",
            each(artifacts, &|hash| {
                format!("/api/v1/artifacts/{hash}/closure")
            }),
        ),
        (
            "an artifact's page",
            each(artifacts, &|hash| format!("/artifact/{hash}")),
        ),
        ("the home page", vec!["/".to_owned()]),
        ("the newest sessions", vec!["/sessions".to_owned()]),
    ]
}

/// Has every client ask; how long each answer took.
///
/// # Errors
/// An answer is missing, or none of the kind that is a success.
pub(super) fn ask_all(
    address: &str,
    clients: u64,
    requests: u64,
    paths: &[String],
) -> Result<Vec<Duration>> {
    let one = |client: u64| -> Result<Vec<Duration>> {
        (0..requests)
            .map(|number| {
                let path = &paths[((client * 13 + number) % paths.len() as u64) as usize];
                let start = Instant::now();
                ask(address, path)?;
                Ok(start.elapsed())
            })
            .collect()
    };
    let mut times = Vec::new();
    std::thread::scope(|scope| {
        let asking: Vec<_> = (0..clients)
            .map(|client| scope.spawn(move || one(client)))
            .collect();
        for client in asking {
            let asked = client
                .join()
                .map_err(|_| anyhow::anyhow!("a client panicked"))?;
            times.extend(asked?);
        }
        Ok(times)
    })
}
