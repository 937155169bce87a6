//! `cargo xtask server-bench`: how long the lineage server's answers take on a large database.
//!
//! Makes a SQLite database of 100,000 jobs and a million artifacts (once; it is kept in the target
//! folder). Another engine's is filled with the same rows, through `sqlite3` and `psql`.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::{console, process, workspace};

/// Time the lineage server's answers on a database of 100,000 jobs and a million artifacts
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Sessions of a hundred jobs with ten outputs each
    #[arg(long, default_value_t = 1000)]
    sessions: u64,
    /// An empty PostgreSQL database (postgres://…) to copy the rows to and ask instead; one that
    /// was filled is asked as it is
    #[arg(long)]
    postgres: Option<String>,
    /// Clients that ask at once
    #[arg(long, default_value_t = 1)]
    clients: u64,
    /// Requests of each kind and client
    #[arg(long, default_value_t = 200)]
    requests: u64,
    /// Make the databases and ask nothing
    #[arg(long)]
    only_make: bool,
}

/// The order in which rows may be copied: what is referred to comes first.
const TABLES: [&str; 11] = [
    "sessions",
    "jobs",
    "job_terms",
    "artifacts",
    "registrations",
    "registration_hashes",
    "registration_terms",
    "links",
    "blob_references",
    "labels",
    "blob_owners",
];

pub(crate) fn run(args: &Args) -> Result<()> {
    let mut build = workspace::cargo();
    build.args(["build", "--release", "-p", "glaas-server"]);
    process::run(build.args(["--bin", "glaas-server", "--example", "make_lineage"]))?;
    let file = make(args.sessions)?;
    let database = match &args.postgres {
        Some(url) => {
            fill(url, &file)?;
            url.clone()
        }
        None => format!("sqlite:{}", file.display()),
    };
    if args.only_make {
        return Ok(());
    }
    let server = Server::start(&database)?;
    let known = Known::ask(&server.address, args.sessions)?;
    console::heading("milliseconds as a client sees them: median, 99 of 100");
    for (name, paths) in questions(&known, args.sessions) {
        let mut times = ask_all(&server.address, args, &paths)?;
        times.sort_unstable();
        let at = |part: usize| times[(times.len() * part / 100).min(times.len() - 1)].as_secs_f64();
        console::line(&format!(
            "{:8.1} {:8.1}  {name}",
            at(50) * 1e3,
            at(99) * 1e3
        ));
    }
    Ok(())
}

/// The SQLite database of that size, made if it is not there yet.
fn make(sessions: u64) -> Result<PathBuf> {
    let file = workspace::target().join(format!("lineage-{sessions}.db"));
    if file.is_file() {
        return Ok(file);
    }
    let unfinished = file.with_extension("unfinished");
    for end in ["", "-wal", "-shm"] {
        let mut leftover = unfinished.clone().into_os_string();
        leftover.push(end);
        if Path::new(&leftover).is_file() {
            std::fs::remove_file(&leftover).context("cannot remove an unfinished database")?;
        }
    }
    let mut make = Command::new(workspace::target().join("release/examples/make_lineage"));
    make.arg(format!("sqlite:{}", unfinished.display()));
    process::run(make.arg(sessions.to_string()))?;
    std::fs::rename(&unfinished, &file).context("cannot put the database in place")?;
    Ok(file)
}

/// Copies all rows into a database that has none.
fn fill(url: &str, file: &Path) -> Result<()> {
    // The server makes the tables.
    drop(Server::start(url)?);
    let psql = |sql: &str| {
        let mut psql = Command::new("psql");
        psql.args([
            "-X",
            "-q",
            "-A",
            "-t",
            "-v",
            "ON_ERROR_STOP=1",
            "-c",
            sql,
            url,
        ]);
        psql
    };
    let filled = process::output(&mut psql("SELECT count(*) FROM sessions"))?;
    if filled.trim() != "0" {
        return Ok(());
    }
    for table in TABLES {
        let mut rows = Command::new("sqlite3")
            .args(["-readonly", "-csv"])
            .arg(file)
            .arg(format!("SELECT * FROM {table}"))
            .stdout(Stdio::piped())
            .spawn()
            .context("sqlite3 cannot be started")?;
        let from = rows.stdout.take().context("sqlite3 has no output")?;
        let copy = format!("COPY {table} FROM STDIN WITH (FORMAT csv)");
        let copied = psql(&copy).stdin(from).status().context("psql")?;
        if !copied.success() || !rows.wait()?.success() {
            bail!("cannot copy {table}");
        }
    }
    process::run(&mut psql("ANALYZE"))
}

struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(database: &str) -> Result<Self> {
        let mut child = Command::new(workspace::target().join("release/glaas-server"))
            .args(["--port", "0", "--rate", "0", "--log-level", "error"])
            .args(["--database", database])
            .stdout(Stdio::piped())
            .spawn()
            .context("the server cannot be started")?;
        let mut line = String::new();
        let stdout = child.stdout.take().context("the server has no output")?;
        BufReader::new(stdout).read_line(&mut line)?;
        let address = line.trim().rsplit("//").next().unwrap_or_default();
        let server = Self {
            address: address.to_owned(),
            child,
        };
        if server.address.is_empty() {
            bail!("the server did not start");
        }
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

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
struct Known {
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

impl Known {
    fn ask(address: &str, sessions: u64) -> Result<Self> {
        let mut known = Self {
            artifacts: Vec::new(),
            commits: Vec::new(),
        };
        for number in 0..KNOWN {
            let job = number * 7_919 % (sessions * 100);
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
fn questions(known: &Known, sessions: u64) -> Vec<(&'static str, Vec<String>)> {
    let jobs = sessions * 100;
    let api = |path: &str| vec![format!("/api/v1/{path}")];
    let each = |all: &[String], path: &dyn Fn(&str) -> String| -> Vec<String> {
        all.iter().map(|hash| path(hash)).collect()
    };
    let any = |path: &dyn Fn(u64) -> String| -> Vec<String> {
        (0..KNOWN)
            .map(|number| path(number * 6_007 % jobs))
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
    ]
}

/// Has every client ask; how long each answer took.
fn ask_all(address: &str, args: &Args, paths: &[String]) -> Result<Vec<Duration>> {
    let one = |client: u64| -> Result<Vec<Duration>> {
        (0..args.requests)
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
        let clients: Vec<_> = (0..args.clients)
            .map(|client| scope.spawn(move || one(client)))
            .collect();
        for client in clients {
            let asked = client
                .join()
                .map_err(|_| anyhow::anyhow!("a client panicked"))?;
            times.extend(asked?);
        }
        Ok(times)
    })
}
