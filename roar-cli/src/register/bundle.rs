//! What is sent of a lineage: session, jobs, artifacts, links and kept contents.

use std::collections::{BTreeMap, BTreeSet};

use glaas_api::artifacts::{ArtifactHash, ArtifactRequest};
use glaas_api::document::{COLLECTION, KEY};
use glaas_api::jobs::{FileLink, JobRequest};
use glaas_api::members::ListingPage;
use glaas_api::sessions::{SessionRequest, Visibility};
use serde_json::{Value, json};

use super::canonical::{job_uid, session_hash};
use super::document::{document, to_wire};
use super::listing::{self, Pages};
use crate::model::{
    Digest, HashAlgorithm, JobKind, PortableCollection, PortableFile, PortableJob, PortableLineage,
    RawString,
};
use crate::present::shell;
use crate::redact::Redactor;

/// A lineage as it is sent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bundle {
    /// The session.
    pub session: SessionRequest,
    /// Its jobs.
    pub jobs: Vec<BundledJob>,
    /// Every content that a job read or wrote.
    pub artifacts: Vec<ArtifactRequest>,
    /// Patches and untracked files.
    pub blobs: Vec<Digest>,
    /// Members of collections, in pages; none where each member is linked to its job.
    pub listings: BTreeMap<Digest, Vec<u8>>,
    /// What was asked for.
    pub targets: Vec<Digest>,
    /// Files without a hash: they cannot be told.
    pub unhashed: usize,
}

/// A job and its files.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BundledJob {
    /// The job.
    pub request: JobRequest,
    /// What it read.
    pub inputs: Vec<FileLink>,
    /// What it wrote.
    pub outputs: Vec<FileLink>,
    /// How many files of its collections are listed apart.
    pub members: u64,
}

/// Bundles a lineage, registered by `creator` (a key's fingerprint, or `anonymous`). With a redactor,
/// members of collections are listed apart from the jobs, for a server that takes that; without,
/// each is linked to its job.
pub fn bundle(
    lineage: &PortableLineage,
    creator: &str,
    visibility: Option<Visibility>,
    listing: Option<&Redactor>,
) -> Bundle {
    let mut jobs = lineage.jobs.clone();
    join_launches(&mut jobs);
    let last = jobs.iter().rev().find_map(|job| job.git.as_ref());
    let git = last.map_or([None; 3], |git| {
        [&git.remote, &git.commit, &git.branch].map(Option::as_deref)
    });
    let hash = session_hash(&jobs, git, creator);
    let mut uids = BTreeSet::new();
    let mut artifacts: BTreeMap<Digest, ArtifactRequest> = BTreeMap::new();
    let mut blobs = BTreeSet::new();
    let mut listings = Pages::new();
    let mut bundled = Vec::with_capacity(jobs.len());
    let mut unhashed = 0;
    for (sequence, job) in jobs.iter().enumerate() {
        let mut attempt = 0;
        let mut uid = job_uid(job, attempt);
        while !uids.insert(uid.clone()) {
            attempt += 1;
            uid = job_uid(job, attempt);
        }
        for collection in &job.collections {
            let digest = Digest::from_hex(&collection.hash);
            artifacts
                .entry(digest)
                .or_insert_with(|| artifact_of_collection(collection, &hash));
        }
        let alone = |produced: bool| -> Vec<&PortableFile> {
            let files = if produced { &job.outputs } else { &job.inputs };
            let is_alone = |file: &&PortableFile| {
                listing.is_none() || !listing::is_listed(job, file, produced)
            };
            files.iter().filter(is_alone).collect()
        };
        let (inputs, outputs) = (alone(false), alone(true));
        for file in inputs.iter().chain(&outputs) {
            match file.hash() {
                Some(digest) => {
                    artifacts
                        .entry(digest.clone())
                        .or_insert_with(|| artifact(file, &hash));
                }
                None => unhashed += 1,
            }
        }
        if let Some(git) = &job.git {
            let files = git.untracked.iter().filter_map(|file| file.blob.as_ref());
            blobs.extend(
                files
                    .chain(&git.patch_hash)
                    .map(|blob| Digest::from_hex(blob.as_str())),
            );
        }
        let pages = job.collections.iter().map(|collection| match listing {
            Some(redactor) => listing::list(job, collection, redactor, &mut listings),
            None => Vec::new(),
        });
        let pages: Vec<_> = pages.collect();
        bundled.push(BundledJob {
            members: pages.iter().flatten().map(|page| page.files).sum(),
            request: request(job, uid, sequence, pages),
            inputs: [links_of_collections(job, false), links(&inputs)].concat(),
            outputs: [links_of_collections(job, true), links(&outputs)].concat(),
        });
    }
    let [git_repo, git_commit, git_branch] = git.map(|text| text.map(str::to_owned));
    Bundle {
        session: SessionRequest {
            hash,
            git_repo,
            git_commit,
            git_branch,
            visibility,
            scope_request: None,
        },
        jobs: bundled,
        artifacts: artifacts.into_values().collect(),
        blobs: blobs.into_iter().collect(),
        listings,
        targets: lineage
            .targets
            .iter()
            .filter_map(|target| target.hash().cloned())
            .collect(),
        unhashed,
    }
}

/// The jobs of one launch are one step: the first that any of them is.
fn join_launches(jobs: &mut [PortableJob]) {
    let mut steps: BTreeMap<String, u32> = BTreeMap::new();
    let launch = |job: &PortableJob| job.conditions.launch.as_ref()?.id.clone();
    for job in jobs.iter() {
        if let Some(id) = launch(job) {
            let step = steps.entry(id).or_insert(job.step_number);
            *step = (*step).min(job.step_number);
        }
    }
    for job in jobs {
        if let Some(step) = launch(job).and_then(|id| steps.get(&id)) {
            job.step_number = *step;
        }
    }
}

fn request(
    job: &PortableJob,
    uid: String,
    sequence: usize,
    pages: Vec<Vec<ListingPage>>,
) -> JobRequest {
    const NS: f64 = 1e9;
    let git = job.git.as_ref();
    let document = document(job, sequence as i64, pages);
    let metadata = json!({ KEY: document, "recorded_as": job.uid });
    JobRequest {
        command: shell::join(&job.argv),
        timestamp: job.started_at_ns as f64 / NS,
        job_uid: uid,
        git_commit: git.and_then(|git| git.commit.clone()),
        git_branch: git.and_then(|git| git.branch.clone()),
        duration_seconds: job.duration_ns.map(|ns| ns as f64 / NS),
        exit_code: job.outcome.exit_code.map(i64::from),
        job_type: Some(
            match job.kind {
                JobKind::Run => "run",
                JobKind::Build => "build",
            }
            .to_owned(),
        ),
        step_number: Some(i64::from(job.step_number)),
        parent_step_number: None,
        // As a string: that is what the protocol says.
        metadata: Some(Value::String(metadata.to_string())),
    }
}

fn artifact(file: &PortableFile, session: &str) -> ArtifactRequest {
    let mut hashes: Vec<ArtifactHash> = file
        .hashes
        .iter()
        .map(|(algorithm, digest)| ArtifactHash {
            algorithm: algorithm.name().to_owned(),
            digest: digest.to_string(),
        })
        .collect();
    hashes.sort_by_key(|hash| hash.algorithm != HashAlgorithm::Blake3.name());
    ArtifactRequest {
        hashes,
        size: file.size_bytes,
        session_hash: Some(session.to_owned()),
        ..ArtifactRequest::default()
    }
}

/// A collection is one more artifact: whoever has its hash finds what made the whole.
fn artifact_of_collection(collection: &PortableCollection, session: &str) -> ArtifactRequest {
    ArtifactRequest {
        hashes: vec![ArtifactHash {
            algorithm: HashAlgorithm::Blake3.name().to_owned(),
            digest: collection.hash.clone(),
        }],
        size: collection.size_bytes,
        session_hash: Some(session.to_owned()),
        ..ArtifactRequest::default()
    }
}

fn links_of_collections(job: &PortableJob, produced: bool) -> Vec<FileLink> {
    let collections = job.collections.iter().filter(|c| c.produced == produced);
    let link = |collection: &PortableCollection| FileLink {
        hash: collection.hash.clone(),
        path: Some(collection.folder.to_string()),
        raw_path: collection
            .folder
            .as_str()
            .is_none()
            .then(|| to_wire(&collection.folder)),
        size: collection.size_bytes,
        basis: Some(COLLECTION.to_owned()),
        note: Some(format!("collection of {} files", collection.files)),
    };
    collections.map(link).collect()
}

fn links(files: &[&PortableFile]) -> Vec<FileLink> {
    let mut seen: BTreeSet<(&Digest, &RawString)> = BTreeSet::new();
    files
        .iter()
        .filter_map(|file| Some((file.hash()?, file)))
        .filter(|(hash, file)| seen.insert((hash, &file.path)))
        .map(|(hash, file)| FileLink {
            hash: hash.to_string(),
            path: Some(file.path.to_string()),
            raw_path: file.path.as_str().is_none().then(|| to_wire(&file.path)),
            size: file.size_bytes,
            basis: None,
            note: file.note.clone(),
        })
        .collect()
}

/// Parts of a list whose JSON has at most `bytes`, and at most `count` entries each.
pub fn batches<T: serde::Serialize>(entries: &[T], count: usize, bytes: usize) -> Vec<&[T]> {
    let mut batches = Vec::new();
    let (mut start, mut size) = (0, 0);
    for (index, entry) in entries.iter().enumerate() {
        let own = serde_json::to_vec(entry).map_or(0, |text| text.len() + 1);
        if index > start && (size + own > bytes || index - start >= count) {
            batches.push(&entries[start..index]);
            (start, size) = (index, 0);
        }
        size += own;
    }
    if start < entries.len() {
        batches.push(&entries[start..]);
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_keep_to_their_limits() {
        let entries: Vec<String> = (0..10).map(|n| "x".repeat(n)).collect();
        for (count, bytes, expected) in [
            (100, 1000, vec![10]),
            (3, 1000, vec![3, 3, 3, 1]),
            (100, 20, vec![4, 2, 2, 1, 1]),
            (100, 1, vec![1; 10]),
        ] {
            let found: Vec<usize> = batches(&entries, count, bytes)
                .iter()
                .map(|batch| batch.len())
                .collect();
            assert_eq!(found, expected, "{count} {bytes}");
        }
        assert!(batches::<String>(&[], 1, 1).is_empty());
    }

    #[test]
    fn ranks_of_one_launch_are_one_step() {
        let rank = |step_number, rank| {
            let mut job = PortableJob {
                step_number,
                ..PortableJob::default()
            };
            job.conditions.launch = Some(crate::model::Launch {
                id: Some("join:x".to_owned()),
                ranks: vec![crate::model::Rank {
                    rank,
                    ..crate::model::Rank::default()
                }],
                ..crate::model::Launch::default()
            });
            job
        };
        let lineage = PortableLineage {
            jobs: vec![rank(4, 0), rank(2, 1)],
            ..PortableLineage::default()
        };
        let bundle = bundle(&lineage, "anonymous", None, None);
        let steps: Vec<_> = bundle
            .jobs
            .iter()
            .map(|job| job.request.step_number)
            .collect();
        assert_eq!(steps, [Some(2), Some(2)]);
        let mut uids: Vec<_> = bundle.jobs.iter().map(|job| &job.request.job_uid).collect();
        uids.dedup();
        assert_eq!(uids.len(), 2);
    }
}
