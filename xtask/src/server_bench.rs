//! `cargo xtask server-bench`: how long the lineage server's answers take on a large database.
//!
//! Makes a SQLite database of 100,000 jobs and a million artifacts (once; it is kept in the target
//! folder). Another engine's is filled with the same rows, through `sqlite3` and `psql`. What was
//! measured of each engine is kept in `target/bench`; BENCHMARKS.md has it beside each other.

mod database;
mod questions;
mod report;

use std::time::Duration;

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

use self::database::{Place, Server};
use self::questions::Known;
use crate::bench::results;
use crate::{console, process, workspace};

/// Time the lineage server's answers on a database of 100,000 jobs and a million artifacts
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Jobs, a hundred a session, with ten outputs each
    #[arg(long, default_value_t = 100_000)]
    jobs: u64,
    /// An empty PostgreSQL database (postgres://…) to copy the rows to and ask instead; one that
    /// was filled is asked as it is
    #[arg(long)]
    postgres: Option<String>,
    /// Clients that ask at once, after one was alone
    #[arg(long, default_value_t = 8)]
    clients: u64,
    /// Requests of each kind and client
    #[arg(long, default_value_t = 200)]
    requests: u64,
    /// Make the databases and ask nothing
    #[arg(long)]
    only_make: bool,
    /// Print the figures and leave BENCHMARKS.md as it is
    #[arg(long)]
    only_print: bool,
}

/// What one engine took.
#[derive(Debug, Serialize, Deserialize)]
struct Measured {
    engine: String,
    jobs: u64,
    bytes: u64,
    /// How long the rows took to make, or to copy; not known of a database that was there.
    filled_s: Option<f64>,
    clients: u64,
    answers: Vec<Answer>,
}

/// What one question took, in seconds.
#[derive(Debug, Serialize, Deserialize)]
struct Answer {
    question: String,
    alone: Times,
    together: Times,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Times {
    median: f64,
    p99: f64,
}

impl Times {
    fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let at = |part: usize| times[(times.len() * part / 100).min(times.len() - 1)].as_secs_f64();
        Self {
            median: at(50),
            p99: at(99),
        }
    }
}

/// The parts of what is measured, by engine.
const SQLITE: &str = "server-sqlite";
const POSTGRES: &str = "server-postgres";

pub(crate) fn run(args: &Args) -> Result<()> {
    let sessions = args.jobs / 100;
    ensure!(
        sessions >= 4 && args.requests > 0 && args.clients > 0,
        "at least 400 jobs, a request and a client"
    );
    let mut build = workspace::cargo();
    build.args(["build", "--release", "-p", "glaas-server"]);
    process::run(build.args(["--bin", "glaas-server", "--example", "make_lineage"]))?;
    let made = database::make(sessions)?;
    let (part, place) = match &args.postgres {
        Some(url) => (POSTGRES, database::fill(url, &made)?),
        None => (SQLITE, made),
    };
    if args.only_make {
        return Ok(());
    }
    let measured = measure(args, part, &place)?;
    if args.only_print {
        return Ok(());
    }
    let requests = u32::try_from(args.requests).unwrap_or(u32::MAX);
    results::write(part, requests, &measured)?;
    report::write()
}

fn measure(args: &Args, part: &str, place: &Place) -> Result<Measured> {
    let server = Server::start(&place.url)?;
    let known = Known::ask(&server.address, args.jobs)?;
    console::heading(&format!(
        "{part}: milliseconds as a client sees them: median, 99 of 100; then of {} clients at once",
        args.clients
    ));
    let mut answers = Vec::new();
    for (question, paths) in questions::all(&known, args.jobs) {
        let ask = |clients| -> Result<Times> {
            let times = questions::ask_all(&server.address, clients, args.requests, &paths)?;
            Ok(Times::of(times))
        };
        let (alone, together) = (ask(1)?, ask(args.clients)?);
        let [a, b, c, d] =
            [alone.median, alone.p99, together.median, together.p99].map(|seconds| seconds * 1e3);
        console::line(&format!("{a:8.1} {b:8.1} {c:8.1} {d:8.1}  {question}"));
        answers.push(Answer {
            question: question.to_owned(),
            alone,
            together,
        });
    }
    Ok(Measured {
        engine: place.engine.clone(),
        jobs: args.jobs,
        bytes: place.bytes,
        filled_s: place.filled_s,
        clients: args.clients,
        answers,
    })
}
