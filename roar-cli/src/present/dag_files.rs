//! The artifacts of a pipeline as every drawing of it shows them: file by file, a collection
//! (a folder of many files that one job wrote) as one.

use hashbrown::HashMap;

use super::dag::{DagArtifact, DagOptions};
use crate::lineage::{ArtifactState, ArtifactVersion};
use crate::model::{Digest, RawString};
use crate::store::ProducedCollection;

/// Digits of a hash that make an artifact's id: 128 bits, and a prefix that every command takes.
const ID_DIGITS: usize = 32;

/// What is to be shown of a session's versions, in their order; `job_of` gives the job of a
/// producer.
pub(super) fn shown(
    versions: Vec<ArtifactVersion>,
    job_of: impl Fn(usize) -> i64,
    collections: &[ProducedCollection],
    options: DagOptions,
) -> Vec<DagArtifact> {
    let mut by_job: HashMap<i64, Vec<&ProducedCollection>> = HashMap::new();
    for collection in collections {
        by_job
            .entry(collection.job_id)
            .or_default()
            .push(collection);
    }
    let mut artifacts: Vec<DagArtifact> = Vec::new();
    let mut known: HashMap<(i64, &RawString), usize> = HashMap::new();
    for version in versions {
        let job = job_of(version.producer);
        let holds = |met: &&&ProducedCollection| version.path.is_below(&met.folder);
        let Some(met) = by_job.get(&job).and_then(|its| its.iter().find(holds)) else {
            artifacts.push(artifact(version, job));
            continue;
        };
        if let Some(at) = known.get(&(job, &met.folder)) {
            artifacts[*at].take_in(version);
        } else {
            known.insert((job, &met.folder), artifacts.len());
            artifacts.push(collection(artifact(version, job), met));
        }
    }
    artifacts.retain(|artifact| {
        (options.show_artifacts || artifact.is_terminal)
            && (!options.stale_only || artifact.state == ArtifactState::Stale)
    });
    artifacts
}

fn artifact(version: ArtifactVersion, producer_job: i64) -> DagArtifact {
    DagArtifact {
        is_stale: version.state == ArtifactState::Stale,
        artifact_id: version.hash.as_ref().and_then(id),
        path: version.path,
        hash: version.hash,
        producer_step: version.producer_step,
        state: version.state,
        consumer_steps: version.consumer_steps,
        is_terminal: version.is_terminal,
        superseded_by: version.superseded_by.as_ref().and_then(id),
        is_superseded: version.is_superseded,
        producer_job,
        size_bytes: version.size_bytes,
        files: None,
    }
}

fn id(hash: &Digest) -> Option<String> {
    hash.as_str().get(..ID_DIGITS).map(str::to_owned)
}

/// The collection, of which the first member is known.
fn collection(first: DagArtifact, met: &ProducedCollection) -> DagArtifact {
    DagArtifact {
        artifact_id: id(&met.hash),
        path: met.folder.clone(),
        hash: Some(met.hash.clone()),
        files: Some(1),
        ..first
    }
}

impl DagArtifact {
    /// Adds a member to a collection. It stands as long as one of its files does, and is at an
    /// end of the pipeline when all of them are.
    fn take_in(&mut self, version: ArtifactVersion) {
        self.files = self.files.map(|files| files + 1);
        self.is_stale |= version.state == ArtifactState::Stale;
        self.state = self.state.min(version.state);
        self.consumer_steps.extend(version.consumer_steps);
        self.is_terminal &= version.is_terminal;
        // It is others that stand in its place then, one for each file.
        self.is_superseded &= version.is_superseded;
        self.superseded_by = None;
        self.size_bytes = self
            .size_bytes
            .zip(version.size_bytes)
            .map(|(all, one)| all + one);
    }
}
