//! Questions about jobs: lists of them, and one of them in full.

use rusqlite::types::Value;
use rusqlite::{OptionalExtension as _, Row, params, params_from_iter};

use super::database::Store;
use super::error::StoreError;
use super::rows::{RawSql, from_document, json, kind, kind_text, raw, state, unsigned};
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
    /// The folder it ran in, relative to the project.
    pub cwd: RawString,
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
    j.step_number, j.name, j.argv, j.cwd, j.started_at_ns, j.duration_ns, j.exit_code, j.signal, \
    j.interrupted, j.complete, j.input_count, j.output_count";

/// How many columns those are.
pub(super) const SUMMARY_WIDTH: usize = 17;

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
        self.read("list the jobs", || {
            self.jobs_with_text(query, &pattern, limit)
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

    /// The newest job of the session that ran this command, if it was in this folder; one that wrote
    /// files before those that wrote none.
    ///
    /// # Errors
    /// The command cannot be written down, or the database cannot be read.
    pub fn latest_job_of_command(
        &self,
        session_id: i64,
        record: &JobRecord,
    ) -> Result<Option<JobSummary>, StoreError> {
        let operation = "find the command";
        let argv = serde_json::to_string(&record.argv).map_err(|error| {
            let detail = error.to_string();
            StoreError::InvalidRecord { operation, detail }
        })?;
        let sql = format!(
            "SELECT {SUMMARY_COLUMNS} FROM jobs j
             WHERE j.id = (SELECT coalesce(max(iif(output_count > 0, id, NULL)), max(id))
                 FROM jobs INDEXED BY jobs_overview
                 WHERE session_id = ?1 AND kind = ?2 AND argv = ?3)
                 AND j.cwd = ?4"
        );
        self.read(operation, || {
            let values = params![
                session_id,
                kind_text(record.kind),
                argv,
                RawSql(&record.cwd)
            ];
            self.connection
                .prepare_cached(&sql)?
                .query_row(values, summary_row)
                .optional()
        })
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
            "SELECT {SUMMARY_COLUMNS}, j.completeness, j.git, h.facts, j.conditions
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

/// What the jobs of a query fulfil, but for text and limit: SQL and its values.
pub(super) fn conditions(query: &JobQuery) -> (String, Vec<Value>) {
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
        cwd: raw(row, 8)?,
        started_at_ns: row.get(9)?,
        duration_ns: unsigned(row, 10)?,
        outcome: Outcome {
            exit_code: row.get(11)?,
            signal: row.get(12)?,
            interrupted: row.get(13)?,
        },
        complete: row.get(14)?,
        input_count: unsigned(row, 15)?.unwrap_or(0),
        output_count: unsigned(row, 16)?.unwrap_or(0),
    })
}

/// Reads [`SUMMARY_COLUMNS`] and the documents after them; the files are still missing.
fn stored_row(row: &Row<'_>) -> rusqlite::Result<StoredJob> {
    let summary = summary_row(row)?;
    let completeness: Completeness = json(row, SUMMARY_WIDTH, from_document)?;
    let git: Option<GitState> = optional(row, SUMMARY_WIDTH + 1)?;
    let host: HostFacts = json(row, SUMMARY_WIDTH + 2, from_document)?;
    let conditions: Option<Conditions> = optional(row, SUMMARY_WIDTH + 3)?;
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
            cwd: summary.cwd,
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
