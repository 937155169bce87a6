//! Bringing a lineage back from a server.

use std::collections::{BTreeMap, BTreeSet};

use glaas_api::artifacts::ArtifactRecord;
use glaas_api::lineage::{CLOSURE_VERSION, Closure};
use glaas_api::paths;
use serde_json::Value;

use super::client::Client;
use super::document::{hashes, portable};
use super::error::RegisterError;
use super::{listing, published};
use crate::lineage::portable::below;
use crate::model::{Digest, PORTABLE_VERSION, PortableFile, PortableJob, PortableLineage};

/// What a server knows of an artifact.
#[derive(Clone, Debug, PartialEq)]
pub struct Fetched {
    /// Everything that led to it.
    pub lineage: PortableLineage,
    /// What is missing from that, in words: without it, the jobs cannot be run.
    pub gaps: Vec<String>,
    /// What is not known for sure, in words.
    pub doubts: Vec<String>,
}

/// Everything that led to the artifact whose hash begins with `prefix`; none when the server
/// knows no such artifact.
///
/// # Errors
/// The server does not answer, or the prefix means several.
pub fn closure(client: &Client, prefix: &str) -> Result<Option<Fetched>, RegisterError> {
    if !client.features()?.reproduction {
        let found: Option<Value> = client.get(&paths::artifact(prefix))?;
        let Some(artifact) = found else {
            return Ok(None);
        };
        let dag = client.get(&paths::artifact_dag(prefix))?;
        let dag = dag.unwrap_or_default();
        return Ok(Some(published::lineage(client.server(), &artifact, &dag)));
    }
    let found: Option<Closure> = client.get(&paths::artifact_closure(prefix))?;
    let Some(closure) = found else {
        return Ok(None);
    };
    let mut gaps = Vec::new();
    if closure.version > CLOSURE_VERSION {
        gaps.push("the server is newer than this roar".to_owned());
    }
    if closure.hidden_jobs > 0 {
        gaps.push(format!("the server left {} jobs out", closure.hidden_jobs));
    }
    // As they were recorded: a job consumes what earlier ones made. Numbers say so within one
    // registration, times where there are several.
    let sessions: BTreeSet<&str> = closure
        .jobs
        .iter()
        .map(|job| job.summary.session_hash.as_str())
        .collect();
    let mut order: Vec<(i64, PortableJob)> = Vec::with_capacity(closure.jobs.len());
    let mut pages: BTreeMap<Digest, Option<Vec<u8>>> = BTreeMap::new();
    let mut page = |digest: &Digest| {
        if let Some(known) = pages.get(digest) {
            return Ok(known.clone());
        }
        let found = client.content(digest)?;
        pages.insert(digest.clone(), found.clone());
        Ok(found)
    };
    let foreign = closure.jobs.iter().any(|job| job.document.is_none());
    for job in &closure.jobs {
        let known = match &job.document {
            Some(_) => portable(job),
            None => published::job_of_closure(job),
        };
        match known {
            Ok(mut portable) => {
                let document = job.document.as_ref();
                let sequence = document.map_or(0, |document| document.sequence);
                let collections = document.map_or(&[][..], |document| &document.collections);
                listing::read(&mut portable, collections, &mut page, &mut gaps)?;
                let key = if sessions.len() > 1 {
                    portable.started_at_ns
                } else {
                    sequence
                };
                order.push((key, portable));
            }
            Err(gap) => gaps.push(gap),
        }
    }
    order.sort_by_key(|(key, _)| *key);
    let jobs: Vec<PortableJob> = order.into_iter().map(|(_, job)| job).collect();
    let hash = hashes(&closure.artifact.hash, &closure.artifact.hashes);
    let made = jobs
        .iter()
        .rev()
        .flat_map(|job| &job.outputs)
        .find(|output| output.hash().is_some() && output.hash() == hash.values().next());
    let members = members(&jobs, &closure.artifact.hash);
    let targets = if members.is_empty() {
        vec![target(&closure.artifact, made)]
    } else {
        members
    };
    Ok(Some(Fetched {
        lineage: PortableLineage {
            version: PORTABLE_VERSION,
            targets,
            jobs,
            foreign,
        },
        gaps,
        doubts: foreign
            .then(|| published::doubt(client.server()))
            .into_iter()
            .collect(),
    }))
}

/// The members of the collection with this hash, as the last job wrote it; none for other hashes.
fn members(jobs: &[PortableJob], hash: &str) -> Vec<PortableFile> {
    let made = jobs.iter().rev().find_map(|job| {
        let mut written = job.collections.iter().filter(|met| met.produced);
        let collection = written.find(|collection| collection.hash == hash)?;
        Some((job, collection))
    });
    let Some((job, collection)) = made else {
        return Vec::new();
    };
    let outputs = job.outputs.iter();
    let members = outputs.filter(|file| below(&file.path, &collection.folder).is_some());
    members.cloned().collect()
}

fn target(artifact: &ArtifactRecord, made: Option<&PortableFile>) -> PortableFile {
    let path = made.map(|made| made.path.clone());
    PortableFile {
        path: path.unwrap_or_else(|| artifact.path.clone().unwrap_or_default().into()),
        hashes: hashes(&artifact.hash, &artifact.hashes),
        size_bytes: artifact.size,
        note: None,
    }
}
