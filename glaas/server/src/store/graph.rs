//! What led to a content, and what came of it: walks along the links, as far as a viewer sees.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use glaas_api::artifacts::ArtifactHash;
use glaas_api::document::COLLECTION;
use glaas_api::lineage::{ClosureJob, LinkedFile};

use super::links::Role;
use super::{StoreError, Transaction, Viewer, artifacts, jobs, listings};
use crate::facts;

/// Producers of one content that are looked at; the newest count.
const PRODUCERS: i64 = 16;

/// How far a walk goes.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Steps away from the start.
    pub depth: u32,
    /// Jobs in all.
    pub jobs: usize,
}

/// A job.
#[derive(Clone, Debug)]
pub struct Node {
    /// The job with its files.
    pub job: ClosureJob,
    /// The session's row.
    pub session_id: i64,
    /// The metadata as it was sent.
    pub metadata: Option<String>,
}

impl Node {
    /// The id of the launch that the job is a part of.
    pub fn launch(&self) -> Option<&str> {
        let document = self.job.document.as_ref()?;
        document.launch.as_ref()?.id.as_deref()
    }
}

/// What a walk found.
#[derive(Clone, Debug, Default)]
pub struct Walk {
    /// Jobs by their rows.
    pub nodes: BTreeMap<i64, Node>,
    /// The job that was chosen as the producer of a content, for a consumer's session.
    pub edges: BTreeSet<(i64, i64)>,
    /// Jobs that are parts of one launch: each with each other one.
    pub parts: BTreeSet<(i64, i64)>,
    /// Contents that were looked for and that no visible job made.
    pub unsourced: BTreeSet<String>,
    /// Jobs that were found and left out.
    pub hidden: u64,
}

/// A job with its files.
///
/// # Errors
/// The viewer sees no such job, or the database fails.
pub async fn node(tx: &mut Transaction, viewer: Viewer, job_id: i64) -> Result<Node, StoreError> {
    let row = tx
        .first(
            &format!(
                "{} WHERE j.id = $1 AND (j.public = 1 OR j.owner_id = $2)",
                jobs::SUMMARY
            ),
            &[job_id.into(), viewer.into()],
        )
        .await?;
    let row = row.ok_or(StoreError::NotFound)?;
    let session_id = row.int(17)?;
    let metadata = row.text_or_null(16)?;
    let mut job = ClosureJob {
        summary: jobs::summary(&row)?,
        document: facts::document(metadata.as_deref()),
        metadata: facts::parse(metadata.as_deref()),
        ..ClosureJob::default()
    };
    if job.document.is_some() {
        // The document has its own place.
        if let Some(serde_json::Value::Object(members)) = &mut job.metadata {
            members.remove(glaas_api::document::KEY);
            if members.is_empty() {
                job.metadata = None;
            }
        }
    }
    let rows = tx
        .query(
            "SELECT l.role, a.hash, a.algorithm, l.path, l.raw_path,
             coalesce(l.size, r.size), l.basis, l.note, r.source_url, r.id
             FROM links l JOIN artifacts a ON a.id = l.artifact_id
             LEFT JOIN registrations r ON r.session_id = $2 AND r.artifact_id = l.artifact_id
             WHERE l.job_id = $1 ORDER BY l.role, l.position",
            &[job_id.into(), session_id.into()],
        )
        .await?;
    let hashes = artifacts::hashes_of_job(tx, job_id, session_id).await?;
    for row in &rows {
        let hash = row.text(1)?;
        let hashes = match row.int_or_null(9)? {
            Some(registration) => hashes.get(&registration).cloned().unwrap_or_default(),
            None => vec![ArtifactHash {
                algorithm: row.text(2)?,
                digest: hash.clone(),
            }],
        };
        let raw_path = row.text_or_null(4)?;
        let file = LinkedFile {
            hash,
            hashes,
            path: row.text(3)?,
            raw_path: raw_path.and_then(|text| serde_json::from_str(&text).ok()),
            size: row.int_or_null(5)?.map(i64::unsigned_abs),
            basis: row.text_or_null(6)?,
            note: row.text_or_null(7)?,
            source_url: row.text_or_null(8)?,
        };
        if row.int(0)? == Role::Input as i64 {
            job.inputs.push(file);
        } else {
            job.outputs.push(file);
        }
    }
    Ok(Node {
        job,
        session_id,
        metadata,
    })
}

/// Jobs that wrote or read a content, alone or as a member of a collection, newest first, with their
/// sessions' rows.
///
/// # Errors
/// The database fails.
pub async fn jobs_with(
    tx: &mut Transaction,
    viewer: Viewer,
    hash: &str,
    role: Role,
    limit: i64,
) -> Result<Vec<(i64, i64)>, StoreError> {
    let rows = tx
        .query(
            "SELECT l.job_id, j.session_id FROM links l JOIN jobs j ON j.id = l.job_id
             WHERE l.artifact_id = (SELECT id FROM artifacts WHERE hash = $1) AND l.role = $2
             AND (j.public = 1 OR j.owner_id = $3)
             ORDER BY l.job_id DESC LIMIT $4",
            &[
                hash.into(),
                (role as i64).into(),
                viewer.into(),
                limit.into(),
            ],
        )
        .await?;
    let mut jobs = listings::jobs_with(tx, viewer, hash, role, limit).await?;
    for row in &rows {
        jobs.push((row.int(0)?, row.int(1)?));
    }
    jobs.sort_unstable_by(|one, other| other.cmp(one));
    jobs.dedup();
    jobs.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(jobs)
}

/// The job that is taken as the producer of a content for a reader in a session: one of the same
/// session before others, then the newest. An empty file is nobody's across sessions: everyone
/// makes the same.
async fn producer(
    tx: &mut Transaction,
    viewer: Viewer,
    hash: &str,
    reader: Option<(i64, i64)>,
    is_empty: bool,
) -> Result<Option<i64>, StoreError> {
    let made = jobs_with(tx, viewer, hash, Role::Output, PRODUCERS).await?;
    Ok(chosen(&made, reader, is_empty))
}

fn chosen(made: &[(i64, i64)], reader: Option<(i64, i64)>, is_empty: bool) -> Option<i64> {
    let others = |job: i64| reader.is_none_or(|(reader, _)| reader != job);
    let same = made
        .iter()
        .find(|(job, session)| others(*job) && reader.is_some_and(|(_, own)| own == *session));
    let chosen = match same {
        Some(same) => Some(same),
        None if is_empty && reader.is_some() => None,
        None => made.iter().find(|(job, _)| others(*job)),
    };
    chosen.map(|(job, _)| *job)
}

/// The jobs that are taken as the producers of a collection's members, where no job made the whole.
async fn member_producers(
    tx: &mut Transaction,
    viewer: Viewer,
    node: &Node,
    job_id: i64,
    hash: &str,
) -> Result<BTreeSet<i64>, StoreError> {
    let collections = node.job.document.iter().flat_map(|one| &one.collections);
    let mut read = collections.filter(|one| !one.produced && one.hash == hash);
    let Some(collection) = read.next() else {
        return Ok(BTreeSet::new());
    };
    let writers = listings::writers(tx, viewer, collection).await?;
    let reader = Some((job_id, node.session_id));
    let chosen = writers
        .values()
        .filter_map(|made| chosen(made, reader, false));
    Ok(chosen.collect())
}

/// Everything upstream of a content, within bounds.
///
/// # Errors
/// The database fails.
pub async fn upstream(
    tx: &mut Transaction,
    viewer: Viewer,
    hash: &str,
    bounds: Bounds,
) -> Result<Walk, StoreError> {
    let mut walk = Walk::default();
    if let Some(first) = producer(tx, viewer, hash, None, false).await? {
        climb(tx, viewer, &[first], bounds, &mut walk).await?;
    }
    Ok(walk)
}

/// Everything upstream of jobs, themselves included.
///
/// # Errors
/// The database fails.
pub async fn climb(
    tx: &mut Transaction,
    viewer: Viewer,
    from: &[i64],
    bounds: Bounds,
    walk: &mut Walk,
) -> Result<(), StoreError> {
    let mut chosen: HashMap<(String, i64), Option<i64>> = HashMap::new();
    let mut hidden = BTreeSet::new();
    let mut queue: VecDeque<(i64, u32)> = from.iter().map(|job| (*job, 1)).collect();
    while let Some((job_id, depth)) = queue.pop_front() {
        if walk.nodes.contains_key(&job_id) {
            continue;
        }
        if depth > bounds.depth || walk.nodes.len() >= bounds.jobs {
            hidden.insert(job_id);
            continue;
        }
        let found = node(tx, viewer, job_id).await?;
        // The parts of a launch are one step.
        if let Some(launch) = found.launch() {
            let parts = jobs::parts_of_launch(tx, viewer, job_id, launch).await?;
            walk.parts.extend(parts.iter().map(|part| (job_id, *part)));
            queue.extend(parts.into_iter().map(|part| (part, depth)));
        }
        for file in &found.job.inputs {
            let key = (file.hash.clone(), found.session_id);
            let made_by = match chosen.get(&key) {
                Some(known) if *known != Some(job_id) => *known,
                _ => {
                    let reader = Some((job_id, found.session_id));
                    let is_empty = file.size == Some(0);
                    let made_by = producer(tx, viewer, &file.hash, reader, is_empty).await?;
                    chosen.insert(key, made_by);
                    made_by
                }
            };
            let makers = match made_by {
                Some(producer) => BTreeSet::from([producer]),
                None if file.basis.as_deref() == Some(COLLECTION) => {
                    member_producers(tx, viewer, &found, job_id, &file.hash).await?
                }
                None => BTreeSet::new(),
            };
            if makers.is_empty() {
                walk.unsourced.insert(file.hash.clone());
            }
            for producer in makers {
                walk.edges.insert((producer, job_id));
                queue.push_back((producer, depth + 1));
            }
        }
        walk.nodes.insert(job_id, found);
    }
    hidden.retain(|job| !walk.nodes.contains_key(job));
    walk.hidden += hidden.len() as u64;
    Ok(())
}

/// Build jobs of sessions.
///
/// # Errors
/// The database fails.
pub async fn build_jobs(
    tx: &mut Transaction,
    viewer: Viewer,
    sessions: &BTreeSet<i64>,
) -> Result<Vec<i64>, StoreError> {
    let mut found = Vec::new();
    for session in sessions {
        let rows = tx
            .query(
                "SELECT id FROM jobs WHERE session_id = $1 AND kind = 'build'
                 AND (public = 1 OR owner_id = $2) ORDER BY step, id LIMIT 1000",
                &[(*session).into(), viewer.into()],
            )
            .await?;
        for row in &rows {
            found.push(row.int(0)?);
        }
    }
    Ok(found)
}

impl Walk {
    /// The jobs so that each comes after those whose outputs it read; builds first, then by time.
    /// Where the links run in a circle, by time alone.
    pub fn ordered(&self) -> Vec<i64> {
        let mut waiting: BTreeMap<i64, usize> = self.nodes.keys().map(|job| (*job, 0)).collect();
        let mut readers: HashMap<i64, Vec<i64>> = HashMap::new();
        for (producer, reader) in &self.edges {
            if producer != reader
                && self.nodes.contains_key(producer)
                && let Some(count) = waiting.get_mut(reader)
            {
                *count += 1;
                readers.entry(*producer).or_default().push(*reader);
            }
        }
        let rank = |job: i64| {
            let summary = &self.nodes[&job].job.summary;
            let kind = u8::from(summary.job_type != "build");
            (
                kind,
                summary.timestamp.max(0.0) as u64,
                summary.step_number,
                job,
            )
        };
        let mut ready: BTreeSet<_> = waiting
            .iter()
            .filter(|(_, count)| **count == 0)
            .map(|(job, _)| rank(*job))
            .collect();
        let mut ordered = Vec::with_capacity(self.nodes.len());
        loop {
            let Some(next) = ready.pop_first() else {
                // A circle: the earliest of those that wait goes first.
                let Some(earliest) = waiting.keys().map(|job| rank(*job)).min() else {
                    return ordered;
                };
                ready.insert(earliest);
                continue;
            };
            let job = next.3;
            if waiting.remove(&job).is_none() {
                continue;
            }
            ordered.push(job);
            for reader in readers.get(&job).into_iter().flatten() {
                if let Some(count) = waiting.get_mut(reader) {
                    *count -= 1;
                    if *count == 0 {
                        ready.insert(rank(*reader));
                    }
                }
            }
        }
    }
}
