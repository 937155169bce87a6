//! Databases to ask, made once, and a server on one.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use crate::{process, workspace};

/// A database that is filled.
pub(super) struct Place {
    /// What the server calls it by.
    pub(super) url: String,
    pub(super) engine: String,
    pub(super) bytes: u64,
    /// How long that took, where it is known.
    pub(super) filled_s: Option<f64>,
    file: PathBuf,
}

/// The SQLite database of that size, made if it is not there yet.
///
/// # Errors
/// It cannot be made.
pub(super) fn make(sessions: u64) -> Result<Place> {
    let file = workspace::target().join(format!("lineage-{sessions}.db"));
    let seconds = file.with_extension("seconds");
    if !file.is_file() {
        let start = Instant::now();
        generate(sessions, &file)?;
        std::fs::write(&seconds, start.elapsed().as_secs_f64().to_string())
            .context("cannot note how long it took")?;
    }
    let filled_s = std::fs::read_to_string(&seconds).ok();
    let bytes = std::fs::metadata(&file).context("the database")?.len();
    Ok(Place {
        url: format!("sqlite:{}", file.display()),
        engine: "SQLite".to_owned(),
        bytes,
        filled_s: filled_s.and_then(|text| text.parse().ok()),
        file,
    })
}

fn generate(sessions: u64, file: &Path) -> Result<()> {
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
    std::fs::rename(&unfinished, file).context("cannot put the database in place")
}

/// The order in which rows may be copied, what is referred to first, and which are.
const TABLES: [(&str, &str); 12] = [
    // One is in every database.
    ("users", "id <> 0"),
    ("sessions", "true"),
    ("jobs", "true"),
    ("job_terms", "true"),
    ("artifacts", "true"),
    ("registrations", "true"),
    ("registration_hashes", "true"),
    ("registration_terms", "true"),
    ("links", "true"),
    ("blob_references", "true"),
    ("labels", "true"),
    ("blob_owners", "true"),
];

/// Copies all rows into a database that has none.
///
/// # Errors
/// One of the engines refuses, or the database was filled with another number of rows.
pub(super) fn fill(url: &str, from: &Place) -> Result<Place> {
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
    let asked = |sql: &str| -> Result<String> {
        let answer = process::output(&mut psql(sql))?;
        Ok(answer.trim().to_owned())
    };
    let mut filled_s = None;
    if asked("SELECT count(*) FROM sessions")? == "0" {
        let start = Instant::now();
        copy(&from.file, psql)?;
        filled_s = Some(start.elapsed().as_secs_f64());
    }
    let mut count = Command::new("sqlite3");
    count.arg("-readonly").arg(&from.file).arg(COUNT);
    let (there, wanted) = (asked(COUNT)?, process::output(&mut count)?);
    if there != wanted.trim() {
        bail!(
            "{there} jobs are in that database, not {}: empty it",
            wanted.trim()
        );
    }
    let bytes = asked("SELECT pg_database_size(current_database())")?;
    Ok(Place {
        url: url.to_owned(),
        engine: format!(
            "PostgreSQL {}",
            asked("SHOW server_version")?
                .split(' ')
                .next()
                .unwrap_or_default()
        ),
        bytes: bytes.parse().context("the database's size")?,
        filled_s,
        file: from.file.clone(),
    })
}

const COUNT: &str = "SELECT count(*) FROM jobs";

fn copy(file: &Path, psql: impl Fn(&str) -> Command) -> Result<()> {
    for (table, which) in TABLES {
        let mut rows = Command::new("sqlite3")
            .args(["-readonly", "-csv"])
            .arg(file)
            .arg(format!("SELECT * FROM {table} WHERE {which}"))
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

/// A server that serves until it is dropped.
pub(super) struct Server {
    child: Child,
    pub(super) address: String,
}

impl Server {
    /// Starts one.
    ///
    /// # Errors
    /// It does not start.
    pub(super) fn start(database: &str) -> Result<Self> {
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
