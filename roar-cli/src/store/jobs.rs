//! Questions about jobs: lists of them, and one of them in full.

use rusqlite::types::Value;
use rusqlite::{OptionalExtension as _, Row, params_from_iter};

use super::database::Store;
use super::error::StoreError;
use super::rows::{from_document, json, kind, raw, state, unsigned};
use crate::model::{
    Completeness, Conditions, GitState, HostFacts, JobKind, JobRecord, JobState, JobUid, Outcome,
    RawString, StoredJob,
};

/// Which jobs to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobQuery {
    /// Of this session only.
    pub session: Option<i64>,
    /// Of this step only.
    pub step: Option<u32>,
    /// Only those that are parts of this launch.
    pub launch: Option<String>,
    /// Only those that did not succeed: another exit code than 0, a signal, or lost.
    pub failed_only: bool,
    /// Only those that started at or after this time (nanoseconds since the Unix epoch).
    pub since_ns: Option<i64>,
    /// Only those whose name or command (arguments joined by spaces) contains this text,
    /// letter case ignored.
    pub grep: Option<String>,
    /// At most so many.
    pub limit: Option<u32>,
}

/// A job without its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobSummary {
    /// Database id, ascending in order of recording.
    pub id: i64,
    /// Identifier.
    pub uid: JobUid,
    /// Run or build.
    pub kind: JobKind,
    /// Whether roar saw the end of it.
    pub state: JobState,
    /// The session it belongs to.
    pub session_id: i64,
    /// The step of that session.
    pub step_number: u32,
    /// `-n NAME`.
    pub name: Option<String>,
    /// The command, argument by argument.
    pub argv: Vec<RawString>,
    /// Wall-clock start, nanoseconds since the Unix epoch.
    pub started_at_ns: i64,
    /// Monotonic duration in nanoseconds; none for a lost job.
    pub duration_ns: Option<u64>,
    /// How it ended.
    pub outcome: Outcome,
    /// Nothing lost, cut or unseen.
    pub complete: bool,
    /// How many inputs it has.
    pub input_count: u64,
    /// How many outputs it has.
    pub output_count: u64,
}

/// The columns that [`summary_row`] reads, in its order, of `jobs j`.
pub(super) const SUMMARY_COLUMNS: &str = "j.id, j.uid, j.kind, j.state, j.session_id, \
    j.step_number, j.name, j.argv, j.started_at_ns, j.duration_ns, j.exit_code, j.signal, \
    j.interrupted, j.complete, j.input_count, j.output_count";

/// How many columns those are.
pub(super) const SUMMARY_WIDTH: usize = 16;

impl Store {
    /// Jobs, newest first. "Newer" means recorded later: clocks may jump.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn job_summaries(&self, query: &JobQuery) -> Result<Vec<JobSummary>, StoreError> {
        let limit = query.limit.map_or(usize::MAX, |limit| limit as usize);
        let pattern = query.grep.as_ref().map(|text| text.to_lowercase());
        let Some(pattern) = pattern else {
            let (sql, values) = summary_sql(query);
            return self.read("list the jobs", || {
                let mut statement = self.connection.prepare_cached(&sql)?;
                let rows = statement.query_map(params_from_iter(values), summary_row)?;
                rows.take(limit).collect()
            });
        };
        let (sql, values) = text_sql(query);
        let one = format!("SELECT {SUMMARY_COLUMNS} FROM jobs j WHERE j.id = ?1");
        self.read("list the jobs", || {
            let mut statement = self.connection.prepare_cached(&sql)?;
            let mut one = self.connection.prepare_cached(&one)?;
            let mut rows = statement.query(params_from_iter(values))?;
            let mut found = Vec::new();
            let search = TextSearch::new(&pattern);
            while let Some(row) = rows.next()? {
                if found.len() >= limit {
                    break;
                }
                if search.matches(row)? {
                    found.push(one.query_row([row.get::<_, i64>(0)?], summary_row)?);
                }
            }
            Ok(found)
        })
    }

    /// Jobs whose uid begins with these hexadecimal digits, newest first; none for other text.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn job_by_uid_prefix(&self, prefix: &str) -> Result<Vec<JobSummary>, StoreError> {
        let low = prefix.to_ascii_lowercase();
        if low.is_empty() || !low.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Ok(Vec::new());
        }
        let high = format!("{low}g"); // above every continuation by a hexadecimal digit
        let sql = format!(
            "SELECT {SUMMARY_COLUMNS} FROM jobs j WHERE j.uid >= ?1 AND j.uid < ?2 \
             ORDER BY j.id DESC"
        );
        self.read("find the job", || {
            self.connection
                .prepare_cached(&sql)?
                .query_map([&low, &high], summary_row)?
                .collect()
        })
    }

    /// The newest execution of a step.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn latest_job_of_step(
        &self,
        session_id: i64,
        step_number: u32,
    ) -> Result<Option<JobSummary>, StoreError> {
        let query = JobQuery {
            session: Some(session_id),
            step: Some(step_number),
            limit: Some(1),
            ..JobQuery::default()
        };
        Ok(self.job_summaries(&query)?.into_iter().next())
    }

    /// One job in full.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn job(&self, id: i64) -> Result<Option<StoredJob>, StoreError> {
        // One transaction: the job and its files are of one moment.
        let failed = self.failed("read the job");
        let _moment = self.snapshot().map_err(&failed)?;
        let sql = format!(
            "SELECT {SUMMARY_COLUMNS}, j.cwd, j.completeness, j.git, h.facts, j.conditions
             FROM jobs j JOIN hosts h ON h.id = j.host_id WHERE j.id = ?1"
        );
        let job = self
            .connection
            .prepare_cached(&sql)
            .and_then(|mut query| query.query_row([id], stored_row).optional())
            .map_err(&failed)?;
        let Some(mut job) = job else {
            return Ok(None);
        };
        (job.record.inputs, job.record.outputs) = self.file_records(id)?;
        job.record.filtered = self.filtered_records(id)?;
        Ok(Some(job))
    }
}

/// The statement and the values of a query, newest first; text and limit are left to the reader
/// of its rows.
pub(super) fn summary_sql(query: &JobQuery) -> (String, Vec<Value>) {
    let (conditions, values) = conditions(query);
    let sql = format!("SELECT {SUMMARY_COLUMNS} FROM jobs j WHERE {conditions} ORDER BY j.id DESC");
    (sql, values)
}

/// The statement that gives id, name and arguments of the jobs to be searched for a text. Unless
/// other conditions leave few of them, these come from an index: jobs are long, and nearly all of
/// them are only passed by. Sessions follow each other, so that their order is that of the jobs.
pub(super) fn text_sql(query: &JobQuery) -> (String, Vec<Value>) {
    let (conditions, values) = conditions(query);
    let (index, order) = match query {
        JobQuery {
            failed_only: false,
            step: None,
            ..
        } => ("INDEXED BY jobs_overview", "j.session_id DESC, j.id DESC"),
        _ => ("", "j.id DESC"),
    };
    let sql = format!(
        "SELECT j.id, j.name, j.argv FROM jobs j {index} WHERE {conditions} ORDER BY {order}"
    );
    (sql, values)
}

fn conditions(query: &JobQuery) -> (String, Vec<Value>) {
    let JobQuery {
        session,
        step,
        launch,
        failed_only,
        since_ns,
        grep: _,
        limit: _,
    } = query;
    let mut sql = "1".to_owned();
    let mut values: Vec<Value> = Vec::new();
    if let Some(session) = session {
        sql.push_str(" AND j.session_id = ?");
        values.push((*session).into());
    }
    if let Some(step) = step {
        sql.push_str(" AND j.step_number = ?");
        values.push((*step).into());
    }
    if let Some(launch) = launch {
        sql.push_str(" AND j.launch = ?");
        values.push(launch.clone().into());
    }
    if *failed_only {
        sql.push_str(" AND (j.state <> 'done' OR j.exit_code IS NOT 0 OR j.signal IS NOT NULL)");
    }
    if let Some(since_ns) = since_ns {
        // No job before the first that is young enough has to be looked at.
        sql.push_str(
            " AND j.id >= (SELECT min(id) FROM jobs INDEXED BY jobs_started
                 WHERE started_at_ns >= ?)
             AND j.started_at_ns >= ?",
        );
        values.extend([(*since_ns).into(), (*since_ns).into()]);
    }
    (sql, values)
}

/// Reads [`SUMMARY_COLUMNS`].
pub(super) fn summary_row(row: &Row<'_>) -> rusqlite::Result<JobSummary> {
    Ok(JobSummary {
        id: row.get(0)?,
        uid: json(row, 1, |text| {
            text.parse().map_err(serde::de::Error::custom)
        })?,
        kind: kind(row, 2)?,
        state: state(row, 3)?,
        session_id: row.get(4)?,
        step_number: row.get(5)?,
        name: row.get(6)?,
        argv: json(row, 7, |text| serde_json::from_str(text))?,
        started_at_ns: row.get(8)?,
        duration_ns: unsigned(row, 9)?,
        outcome: Outcome {
            exit_code: row.get(10)?,
            signal: row.get(11)?,
            interrupted: row.get(12)?,
        },
        complete: row.get(13)?,
        input_count: unsigned(row, 14)?.unwrap_or(0),
        output_count: unsigned(row, 15)?.unwrap_or(0),
    })
}

/// Reads [`SUMMARY_COLUMNS`] and the documents after them; the files are still missing.
fn stored_row(row: &Row<'_>) -> rusqlite::Result<StoredJob> {
    let summary = summary_row(row)?;
    let completeness: Completeness = json(row, SUMMARY_WIDTH + 1, from_document)?;
    let git: Option<GitState> = optional(row, SUMMARY_WIDTH + 2)?;
    let host: HostFacts = json(row, SUMMARY_WIDTH + 3, from_document)?;
    let conditions: Option<Conditions> = optional(row, SUMMARY_WIDTH + 4)?;
    Ok(StoredJob {
        id: summary.id,
        session_id: summary.session_id,
        step_number: summary.step_number,
        record: JobRecord {
            uid: summary.uid,
            kind: summary.kind,
            state: summary.state,
            name: summary.name,
            argv: summary.argv,
            cwd: raw(row, SUMMARY_WIDTH)?,
            started_at_ns: summary.started_at_ns,
            duration_ns: summary.duration_ns,
            outcome: summary.outcome,
            inputs: Vec::new(),
            outputs: Vec::new(),
            filtered: Vec::new(),
            completeness,
            git,
            host,
            conditions: conditions.unwrap_or_default(),
        },
    })
}

/// Reads an optional document.
fn optional<T: serde::de::DeserializeOwned>(
    row: &Row<'_>,
    column: usize,
) -> rusqlite::Result<Option<T>> {
    match row.get_ref(column)? {
        rusqlite::types::ValueRef::Null => Ok(None),
        _ => json(row, column, from_document).map(Some),
    }
}

/// Looks for a text in names and commands, letter case ignored.
struct TextSearch<'a> {
    /// In lower case.
    pattern: &'a str,
    /// Its longest word, if the stored form of a command would have that as it is: most jobs are
    /// told by it alone, without decoding them.
    word: Option<&'a [u8]>,
}

impl<'a> TextSearch<'a> {
    fn new(pattern: &'a str) -> Self {
        let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
        let word = pattern
            .split(' ')
            .map(str::as_bytes)
            .max_by_key(|word| word.len());
        Self {
            pattern,
            word: word.filter(|word| !word.is_empty() && word.iter().copied().all(plain)),
        }
    }

    /// Whether a row of id, name and arguments has the text.
    fn matches(&self, row: &Row<'_>) -> rusqlite::Result<bool> {
        let contains = |text: &str| text.to_lowercase().contains(self.pattern);
        if let rusqlite::types::ValueRef::Text(name) = row.get_ref(1)?
            && contains(&String::from_utf8_lossy(name))
        {
            return Ok(true);
        }
        let stored = row.get_ref(2)?.as_bytes().unwrap_or_default();
        // Letters that are not ASCII may be ASCII ones in lower case.
        if let Some(word) = self.word
            && stored.is_ascii()
            && !contains_ignoring_case(stored, word)
        {
            return Ok(false);
        }
        let argv: Vec<RawString> = json(row, 2, |text| serde_json::from_str(text))?;
        let words: Vec<&[u8]> = argv.iter().map(RawString::as_bytes).collect();
        Ok(contains(&String::from_utf8_lossy(&words.join(&b' '))))
    }
}

/// Whether ASCII text contains a lower-case word that is not empty.
fn contains_ignoring_case(text: &[u8], word: &[u8]) -> bool {
    let first = word[0];
    memchr::memchr2_iter(first, first.to_ascii_uppercase(), text).any(|at| {
        text.get(at..at + word.len())
            .is_some_and(|found| found.eq_ignore_ascii_case(word))
    })
}
