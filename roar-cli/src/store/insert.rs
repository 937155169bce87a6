//! Recording a job: one transaction, whole or not at all.

use std::collections::HashMap;

use rusqlite::{CachedStatement, Connection, OptionalExtension as _, TransactionBehavior, params};

use super::database::Store;
use super::error::StoreError;
use super::rows::{RawSql, access_code, basis_code, digest_bytes, document, kind_text, state_text};
use super::sessions;
use crate::model::{
    FileRecord, FilteredRecord, HashAlgorithm, Hashes, JobKind, JobRecord, JobUid, RawString,
    StepIdentity,
};

const OPERATION: &str = "record the job";

/// Where a job was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedJob {
    /// Database id, ascending in order of recording.
    pub id: i64,
    /// The job's uid: the record's own, or another one where that was taken by an older job.
    pub uid: JobUid,
    /// The session.
    pub session_id: i64,
    /// The step of that session.
    pub step_number: u32,
}

impl Store {
    /// Records a job in the active session (begun here if there is none). A job of the same
    /// kind and identity is another execution of the same step; any other takes the next number.
    ///
    /// # Errors
    /// The job is recorded already, holds a digest that is not hexadecimal, or the database
    /// cannot be written; then nothing of it is stored.
    pub fn insert_job(
        &mut self,
        record: &JobRecord,
        identity: &StepIdentity,
    ) -> Result<RecordedJob, StoreError> {
        self.insert_job_in_step(record, |connection, session_id| {
            step_of_identity(connection, session_id, record.kind, identity)
        })
    }

    /// Like [`Store::insert_job`]; where the session has no step of this identity but has the step
    /// `instead`, of the same kind, the job is an execution of that one.
    ///
    /// # Errors
    /// As [`Store::insert_job`].
    pub fn insert_job_instead(
        &mut self,
        record: &JobRecord,
        identity: &StepIdentity,
        instead: Option<u32>,
    ) -> Result<RecordedJob, StoreError> {
        self.insert_job_in_step(record, |connection, session_id| {
            let has_step = |sql: &str, which: &dyn rusqlite::ToSql| {
                connection.prepare_cached(sql)?.exists(params![
                    session_id,
                    kind_text(record.kind),
                    which
                ])
            };
            if let Some(step) = instead
                && !has_step(
                    "SELECT 1 FROM steps WHERE session_id = ?1 AND kind = ?2 AND identity = ?3",
                    &identity_digest(identity),
                )?
                && has_step(
                    "SELECT 1 FROM steps WHERE session_id = ?1 AND kind = ?2 AND number = ?3",
                    &step,
                )?
            {
                return Ok(step);
            }
            step_of_identity(connection, session_id, record.kind, identity)
        })
    }

    /// Records a job in the step that `find_step` gives for the session.
    pub(super) fn insert_job_in_step(
        &mut self,
        record: &JobRecord,
        find_step: impl FnOnce(&Connection, i64) -> rusqlite::Result<u32>,
    ) -> Result<RecordedJob, StoreError> {
        let failed = self.failed(OPERATION);
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(&failed)?;
        let uid = free_uid(&transaction, record, &failed)?;
        let place = || {
            let session = match sessions::active(&transaction)? {
                Some(session) => session,
                None => sessions::begin(&transaction, record.started_at_ns)?,
            };
            Ok((session.id, find_step(&transaction, session.id)?))
        };
        let (session_id, step_number) = place().map_err(&failed)?;
        let recorded = RecordedJob {
            id: insert_scalars(&transaction, record, &uid, session_id, step_number, &failed)?,
            uid,
            session_id,
            step_number,
        };
        FileWriter::new(&transaction)
            .map_err(&failed)?
            .write(recorded.id, record, &failed)?;
        transaction.commit().map_err(&failed)?;
        Ok(recorded)
    }
}

/// The number of the step with this identity, added with the next number if it is new.
pub(super) fn step_of_identity(
    connection: &Connection,
    session_id: i64,
    kind: JobKind,
    identity: &StepIdentity,
) -> rusqlite::Result<u32> {
    let digest = identity_digest(identity);
    let found = connection
        .prepare_cached(
            "SELECT number FROM steps WHERE session_id = ?1 AND kind = ?2 AND identity = ?3",
        )?
        .query_row(params![session_id, kind_text(kind), digest], |row| {
            row.get(0)
        })
        .optional()?;
    if let Some(number) = found {
        return Ok(number);
    }
    connection
        .prepare_cached(
            "INSERT INTO steps (session_id, number, kind, identity)
             SELECT ?1, coalesce(max(number), 0) + 1, ?2, ?3 FROM steps WHERE session_id = ?1
             RETURNING number",
        )?
        .query_row(params![session_id, kind_text(kind), digest], |row| {
            row.get(0)
        })
}

fn identity_digest(identity: &StepIdentity) -> [u8; 32] {
    *blake3::hash(identity.0.as_bytes()).as_bytes()
}

/// The record's uid, or one derived from it when another job has it: 32 random bits meet
/// themselves within some ten thousand jobs.
fn free_uid(
    connection: &Connection,
    record: &JobRecord,
    failed: &impl Fn(rusqlite::Error) -> StoreError,
) -> Result<JobUid, StoreError> {
    let mut uid = record.uid.clone();
    for attempt in 0_u64.. {
        let holder: Option<i64> = connection
            .prepare_cached("SELECT started_at_ns FROM jobs WHERE uid = ?1")
            .and_then(|mut query| query.query_row([uid.as_str()], |row| row.get(0)).optional())
            .map_err(failed)?;
        match holder {
            None => break,
            Some(start) if start == record.started_at_ns => {
                return Err(StoreError::DuplicateJob { uid });
            }
            Some(_) => {
                let seed = format!("{} {} {attempt}", record.uid, record.started_at_ns);
                let [a, b, c, d, ..] = *blake3::hash(seed.as_bytes()).as_bytes();
                uid = JobUid::from_bits(u32::from_be_bytes([a, b, c, d]));
            }
        }
    }
    Ok(uid)
}

fn insert_scalars(
    connection: &Connection,
    record: &JobRecord,
    uid: &JobUid,
    session_id: i64,
    step_number: u32,
    failed: &impl Fn(rusqlite::Error) -> StoreError,
) -> Result<i64, StoreError> {
    let JobRecord {
        uid: _,
        kind,
        state,
        name,
        argv,
        cwd,
        started_at_ns,
        duration_ns,
        outcome,
        inputs,
        outputs,
        filtered: _,
        completeness,
        git,
        host,
        conditions,
    } = record;
    let invalid = |error: serde_json::Error| StoreError::InvalidRecord {
        operation: OPERATION,
        detail: error.to_string(),
    };
    let argv = serde_json::to_string(argv).map_err(invalid)?;
    let completeness_document = document(completeness).map_err(invalid)?;
    let git = git.as_ref().map(document).transpose().map_err(invalid)?;
    let facts = document(host).map_err(invalid)?;
    let launch = conditions.launch.as_ref();
    let launch = launch.and_then(|launch| launch.id.as_deref());
    let conditions = document(conditions).map_err(invalid)?;
    let insert = || {
        let host_id = intern(
            connection,
            "SELECT id FROM hosts WHERE facts = ?1",
            "INSERT INTO hosts (facts) VALUES (?1)",
            &facts,
        )?;
        connection
            .prepare_cached(
                "INSERT INTO jobs (uid, session_id, step_number, kind, state, name, argv, cwd,
                     started_at_ns, duration_ns, exit_code, signal, interrupted, complete,
                     input_count, output_count, completeness, git, host_id, conditions,
                     launch)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16,
                     ?17, ?18, ?19, ?20, ?21)",
            )?
            .execute(params![
                uid.as_str(),
                session_id,
                step_number,
                kind_text(*kind),
                state_text(*state),
                name,
                argv,
                RawSql(cwd),
                started_at_ns,
                duration_ns.map(u64::cast_signed),
                outcome.exit_code,
                outcome.signal,
                outcome.interrupted,
                completeness.complete,
                inputs.len() as i64,
                outputs.len() as i64,
                completeness_document,
                git,
                host_id,
                conditions,
                launch,
            ])?;
        Ok(connection.last_insert_rowid())
    };
    insert().map_err(failed)
}

/// The id of a text in a table of distinct texts, added if it is new.
fn intern(connection: &Connection, find: &str, insert: &str, text: &str) -> rusqlite::Result<i64> {
    let found = connection
        .prepare_cached(find)?
        .query_row([text], |row| row.get(0))
        .optional()?;
    if let Some(id) = found {
        return Ok(id);
    }
    connection.prepare_cached(insert)?.execute([text])?;
    Ok(connection.last_insert_rowid())
}

/// The statements that a job's files pass through, prepared once for all of them.
///
/// Files go in as they come. Sorting a million of them by path and digest first, so that
/// index look-ups are neighbours, was measured slower: the ids it deals out make every later
/// look-up by id, and the indexes of `job_files`, random.
struct FileWriter<'c> {
    connection: &'c Connection,
    find_path: CachedStatement<'c>,
    insert_path: CachedStatement<'c>,
    paths_are_new: bool,
    find_artifact: CachedStatement<'c>,
    insert_artifact: CachedStatement<'c>,
    artifacts_are_new: bool,
    insert_hash: CachedStatement<'c>,
    insert_file: CachedStatement<'c>,
    insert_filtered: CachedStatement<'c>,
}

impl<'c> FileWriter<'c> {
    fn new(connection: &'c Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            connection,
            find_path: connection.prepare_cached("SELECT id FROM paths WHERE path = ?1")?,
            insert_path: connection
                .prepare_cached("INSERT INTO paths (path) VALUES (?1) ON CONFLICT DO NOTHING")?,
            paths_are_new: false,
            find_artifact: connection
                .prepare_cached("SELECT id FROM artifacts WHERE blake3 = ?1")?,
            insert_artifact: connection.prepare_cached(
                "INSERT INTO artifacts (blake3, size_bytes, first_seen_ns) VALUES (?1, ?2, ?3)
                 ON CONFLICT DO NOTHING",
            )?,
            artifacts_are_new: false,
            insert_hash: connection.prepare_cached(
                "INSERT INTO artifact_hashes (artifact_id, algorithm, digest) VALUES (?1, ?2, ?3)
                 ON CONFLICT DO NOTHING",
            )?,
            insert_file: connection.prepare_cached(
                "INSERT INTO job_files (job_id, role, position, path_id, artifact_id, size_bytes,
                     basis, note)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?,
            insert_filtered: connection.prepare_cached(
                "INSERT INTO job_filtered (job_id, position, path_id, access, rule_id)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?,
        })
    }

    fn write(
        &mut self,
        job_id: i64,
        record: &JobRecord,
        failed: &impl Fn(rusqlite::Error) -> StoreError,
    ) -> Result<(), StoreError> {
        for (role, files) in [(0, &record.inputs), (1, &record.outputs)] {
            for (position, file) in files.iter().enumerate() {
                let FileRecord {
                    path,
                    hashes,
                    size_bytes,
                    basis,
                    note,
                } = file;
                let path_id = self.path(path).map_err(failed)?;
                let size_bytes = size_bytes.map(u64::cast_signed);
                let artifact_id =
                    self.artifact(hashes, size_bytes, record.started_at_ns, failed)?;
                self.insert_file
                    .execute(params![
                        job_id,
                        role,
                        position as i64,
                        path_id,
                        artifact_id,
                        size_bytes,
                        basis_code(*basis),
                        note,
                    ])
                    .map_err(failed)?;
            }
        }
        self.filtered(job_id, &record.filtered).map_err(failed)
    }

    fn filtered(&mut self, job_id: i64, filtered: &[FilteredRecord]) -> rusqlite::Result<()> {
        let mut rules: HashMap<&str, i64> = HashMap::new();
        for (position, FilteredRecord { path, access, by }) in filtered.iter().enumerate() {
            let rule_id = if let Some(id) = rules.get(by.as_str()) {
                *id
            } else {
                let id = intern(
                    self.connection,
                    "SELECT id FROM filter_rules WHERE name = ?1",
                    "INSERT INTO filter_rules (name) VALUES (?1)",
                    by,
                )?;
                rules.insert(by, id);
                id
            };
            let path_id = self.path(path)?;
            self.insert_filtered.execute(params![
                job_id,
                position as i64,
                path_id,
                access_code(*access),
                rule_id,
            ])?;
        }
        Ok(())
    }

    fn path(&mut self, path: &RawString) -> rusqlite::Result<i64> {
        let path = RawSql(path);
        let (find, insert) = (&mut self.find_path, &mut self.insert_path);
        find_or_insert(
            self.connection,
            &mut self.paths_are_new,
            || find.query_row([&path], |row| row.get(0)).optional(),
            || insert.execute([&path]),
        )
    }

    /// The artifact of a content. Without BLAKE3 there is none: the content was not hashed.
    fn artifact(
        &mut self,
        hashes: &Hashes,
        size_bytes: Option<i64>,
        seen_at_ns: i64,
        failed: &impl Fn(rusqlite::Error) -> StoreError,
    ) -> Result<Option<i64>, StoreError> {
        let Some(blake3) = hashes.get(&HashAlgorithm::Blake3) else {
            return Ok(None);
        };
        let blake3 = digest_bytes(blake3, OPERATION)?;
        let (find, insert) = (&mut self.find_artifact, &mut self.insert_artifact);
        let id = find_or_insert(
            self.connection,
            &mut self.artifacts_are_new,
            || find.query_row([&blake3], |row| row.get(0)).optional(),
            || insert.execute(params![blake3, size_bytes, seen_at_ns]),
        )
        .map_err(failed)?;
        for (algorithm, digest) in hashes {
            if *algorithm != HashAlgorithm::Blake3 {
                let digest = digest_bytes(digest, OPERATION)?;
                self.insert_hash
                    .execute(params![id, algorithm.name(), digest])
                    .map_err(failed)?;
            }
        }
        Ok(Some(id))
    }
}

/// The id of a row of a table of distinct values. Neighbours in a job tend to be alike, all known or
/// all new, so that one statement mostly does: the one that served last time comes first.
fn find_or_insert(
    connection: &Connection,
    is_new: &mut bool,
    mut find: impl FnMut() -> rusqlite::Result<Option<i64>>,
    mut insert: impl FnMut() -> rusqlite::Result<usize>,
) -> rusqlite::Result<i64> {
    if !*is_new && let Some(id) = find()? {
        return Ok(id);
    }
    *is_new = insert()? == 1;
    if *is_new {
        return Ok(connection.last_insert_rowid());
    }
    find()?.ok_or(rusqlite::Error::QueryReturnedNoRows)
}
