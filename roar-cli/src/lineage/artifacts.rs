//! What a session produced, version by version.
//!
//! A version is a content at a place. The same content written again at the same place is
//! the same version, held by its newest producer.

use std::collections::BTreeSet;

use hashbrown::HashMap;

use serde::Serialize;

use super::graph::{Consumer, ContentKey, PlaceKey, SessionGraph};
use super::state::StepState;
use crate::model::{Digest, RawString};

/// The state of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ArtifactState {
    /// What its step makes today.
    Active,
    /// Made by a step that is stale.
    Stale,
    /// Its place has since been written with other content.
    Superseded,
    /// Left behind: the step that made it no longer does, or rests on such a file itself; or
    /// passed by: steps read its place, but none has read this content.
    Orphaned,
}

/// One content that a session produced at one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArtifactVersion<P = RawString, C = Digest> {
    /// Absolute path.
    pub path: P,
    /// The content; none when it could not be hashed.
    pub hash: Option<C>,
    /// Size in bytes, where known.
    pub size_bytes: Option<u64>,
    /// The newest execution that produced it.
    pub producer: usize,
    /// That execution's step.
    pub producer_step: u32,
    /// What it is worth today.
    pub state: ArtifactState,
    /// The other steps that consumed it, ascending.
    pub consumer_steps: BTreeSet<u32>,
    /// It stands at its place, and no other step reads that place: an end of the pipeline.
    pub is_terminal: bool,
    /// The step that wrote its place with other content.
    pub superseded_by: Option<u32>,
}

impl<P: PlaceKey, C: ContentKey> SessionGraph<P, C> {
    /// Every version that the session produced, by producing step, then path.
    ///
    /// `states` are those of [`SessionGraph::states`].
    pub fn artifacts(&self, states: &[StepState]) -> Vec<ArtifactVersion<P, C>> {
        let mut versions: Vec<ArtifactVersion<P, C>> = self
            .produced_paths()
            .flat_map(|(path, _)| self.versions_of(path, states))
            .collect();
        versions.sort_by(|a, b| {
            (a.producer_step, &a.path, a.producer).cmp(&(b.producer_step, &b.path, b.producer))
        });
        versions
    }

    fn versions_of(&self, path: &P, states: &[StepState]) -> Vec<ArtifactVersion<P, C>> {
        let productions = self.productions(path);
        // Newest first: the first production of a content is its newest.
        let mut versions: Vec<ArtifactVersion<P, C>> = Vec::new();
        let mut known: HashMap<Option<&C>, usize> = HashMap::new();
        for production in productions.iter().rev() {
            let hash = self.content(*production);
            let consumers = self
                .consumers(production.execution)
                .iter()
                .filter(|consumer| consumer.output == production.output);
            let at = *known.entry(hash).or_insert_with(|| {
                let superseded_by = versions
                    .first()
                    .map(|current: &ArtifactVersion<P, C>| current.producer_step);
                let producer = production.execution;
                versions.push(ArtifactVersion {
                    path: path.clone(),
                    hash: hash.cloned(),
                    size_bytes: self.executions()[producer].outputs[production.output].size_bytes,
                    producer,
                    producer_step: self.executions()[producer].step_number,
                    state: self.version_state(producer, path, superseded_by, states),
                    consumer_steps: BTreeSet::new(),
                    is_terminal: false,
                    superseded_by,
                });
                versions.len() - 1
            });
            let version = &mut versions[at];
            version
                .consumer_steps
                .extend(consumers.map(|consumer| self.step_of(consumer)));
            version.consumer_steps.remove(&version.producer_step);
        }
        if let Some(current) = versions.first_mut() {
            // A place that a step reads is not an end merely because its newest content is
            // still waiting to be read.
            current.is_terminal = !self.is_read_elsewhere(path, current.producer_step);
            let is_read = current.is_terminal || !current.consumer_steps.is_empty();
            if current.state == ArtifactState::Active && !is_read {
                current.state = ArtifactState::Orphaned;
            }
        }
        versions
    }

    /// Whether the latest execution of another step consumed this place from a job.
    fn is_read_elsewhere(&self, path: &P, producer_step: u32) -> bool {
        self.productions(path).iter().any(|production| {
            self.consumers(production.execution).iter().any(|consumer| {
                consumer.output == production.output
                    && self.is_latest(consumer.execution)
                    && self.step_of(consumer) != producer_step
                    && !self.produces(consumer.execution, path)
            })
        })
    }

    fn produces(&self, execution: usize, path: &P) -> bool {
        self.executions()[execution]
            .outputs
            .iter()
            .any(|output| output.path == *path)
    }

    fn version_state(
        &self,
        producer: usize,
        path: &P,
        superseded_by: Option<u32>,
        states: &[StepState],
    ) -> ArtifactState {
        if superseded_by.is_some() {
            ArtifactState::Superseded
        } else if self.is_left_behind(producer, path) {
            ArtifactState::Orphaned
        } else {
            match states[producer] {
                StepState::Stale => ArtifactState::Stale,
                StepState::Orphaned => ArtifactState::Orphaned,
                StepState::Superseded => ArtifactState::Superseded,
                StepState::Active | StepState::Lost => ArtifactState::Active,
            }
        }
    }

    fn step_of(&self, consumer: &Consumer) -> u32 {
        self.executions()[consumer.execution].step_number
    }
}

#[cfg(test)]
mod tests {
    use crate::lineage::testing::graph;

    /// Each version as `STEP path STATE consumers[ end][ <STEP]`.
    fn check(jobs: &str, expected: &[&str]) {
        let graph = graph(jobs);
        let actual: Vec<String> = graph
            .artifacts(&graph.states())
            .iter()
            .map(|version| {
                format!(
                    "{} {} {:?} {:?}{}{}",
                    version.producer_step,
                    version.path.to_string().trim_start_matches("/p/"),
                    version.state,
                    version.consumer_steps,
                    if version.is_terminal { " end" } else { "" },
                    version
                        .superseded_by
                        .map_or(String::new(), |step| format!(" <{step}")),
                )
            })
            .collect();
        assert_eq!(actual, expected, "{jobs}");
    }

    #[test]
    fn versions() {
        check(
            "1: > a=1\n2: a=1 > b=1 c=1",
            &["1 a Active {2}", "2 b Active {} end", "2 c Active {} end"],
        );
        check(
            "1: > a=1\n2: a=1 > b=1\n1: > a=2",
            &[
                "1 a Superseded {2} <1",
                "1 a Orphaned {}",
                "2 b Stale {} end",
            ],
        );
        // The same content again is the same version.
        check(
            "1: > a=1\n2: a=1 > b=1\n1: > a=1",
            &["1 a Active {2}", "2 b Active {} end"],
        );
        // In place.
        check(
            "1: > d=1\n2: d=1 > d=2",
            &["1 d Superseded {2} <2", "2 d Active {} end"],
        );
        // Left behind by an older execution.
        check(
            "1: > c_005=1\n1: > c_004=2",
            &["1 c_004 Active {} end", "1 c_005 Orphaned {} end"],
        );
        check("1: > a=?", &["1 a Active {} end"]);
    }
}
