//! What a session produced, version by version.
//!
//! A version is a content at a place. The same content written again at the same place is
//! the same version, held by its newest producer.

use std::collections::BTreeSet;

use hashbrown::{HashMap, HashSet};

use serde::Serialize;

use super::graph::{Consumer, ContentKey, PlaceKey, Production, SessionGraph};
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
    /// passed by: other steps depend on its step, but none has read this content.
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
    /// At an end of the pipeline: no other step depends on the step that made it.
    pub is_terminal: bool,
    /// Its place has since been written with other content.
    pub is_superseded: bool,
    /// The content that its place holds instead, where that could be hashed.
    pub superseded_by: Option<C>,
}

impl<P: PlaceKey, C: ContentKey> SessionGraph<P, C> {
    /// Every version that the session produced: those of a place stand together, places in the
    /// order in which they were last written.
    ///
    /// `states` are those of [`SessionGraph::states`].
    pub fn artifacts(&self, states: &[StepState]) -> Vec<ArtifactVersion<P, C>> {
        self.artifacts_that(states, |_| true)
    }

    /// The versions that are wanted, out of all, in that order: a session has ten times as many as
    /// most questions are about.
    pub fn artifacts_that(
        &self,
        states: &[StepState],
        mut wanted: impl FnMut(&ArtifactVersion<P, C>) -> bool,
    ) -> Vec<ArtifactVersion<P, C>> {
        let needed = self.needed_steps();
        let mut versions = Vec::new();
        let mut of_place = Vec::new();
        for (index, execution) in self.executions().iter().enumerate() {
            for (output, place) in execution.outputs.iter().enumerate() {
                let productions = self.productions(&place.path);
                let is_last = |last: &Production| (last.execution, last.output) == (index, output);
                if productions.last().is_some_and(is_last) {
                    self.add_versions(&place.path, productions, states, &needed, &mut of_place);
                    versions.extend(of_place.drain(..).filter(&mut wanted));
                }
            }
        }
        versions
    }

    /// The steps that others depend on.
    fn needed_steps(&self) -> HashSet<u32> {
        let latest = self.latest().values();
        latest.flat_map(|index| self.dependencies(*index)).collect()
    }

    /// Adds the versions of a place to none.
    fn add_versions(
        &self,
        path: &P,
        productions: &[Production],
        states: &[StepState],
        needed: &HashSet<u32>,
        versions: &mut Vec<ArtifactVersion<P, C>>,
    ) {
        let mut known: HashMap<Option<&C>, usize> = HashMap::new();
        // Newest first: the first production of a content is its newest.
        for production in productions.iter().rev() {
            let hash = self.content(*production);
            let at = if let Some(at) = known.get(&hash) {
                *at
            } else {
                let newer = versions.first();
                let version = self.version(path, *production, newer, states, needed);
                versions.push(version);
                if productions.len() > 1 {
                    known.insert(hash, versions.len() - 1);
                }
                versions.len() - 1
            };
            let version = &mut versions[at];
            let consumers = self.consumers_of(*production).iter();
            version
                .consumer_steps
                .extend(consumers.map(|consumer| self.step_of(consumer)));
            version.consumer_steps.remove(&version.producer_step);
        }
        // What nobody has read, be it aside or still to come, though the pipeline goes on.
        for version in versions {
            let is_read = version.is_terminal || !version.consumer_steps.is_empty();
            if version.state == ArtifactState::Active && !is_read {
                version.state = ArtifactState::Orphaned;
            }
        }
    }

    /// The version that a production is the newest of; `current` is what the place holds today,
    /// when that is another.
    fn version(
        &self,
        path: &P,
        production: Production,
        current: Option<&ArtifactVersion<P, C>>,
        states: &[StepState],
        needed: &HashSet<u32>,
    ) -> ArtifactVersion<P, C> {
        let producer = production.execution;
        let place = &self.executions()[producer].outputs[production.output];
        let producer_step = self.executions()[producer].step_number;
        ArtifactVersion {
            path: path.clone(),
            hash: place.hash.clone(),
            size_bytes: place.size_bytes,
            producer,
            producer_step,
            state: self.version_state(producer, path, current.is_some(), states),
            consumer_steps: BTreeSet::new(),
            is_terminal: (self.is_latest(producer) || current.is_none())
                && !needed.contains(&producer_step),
            is_superseded: current.is_some(),
            superseded_by: current.and_then(|current| current.hash.clone()),
        }
    }

    fn version_state(
        &self,
        producer: usize,
        path: &P,
        is_superseded: bool,
        states: &[StepState],
    ) -> ArtifactState {
        if is_superseded {
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

    /// Each version as `STEP path STATE consumers[ end][ old]`.
    fn check(jobs: &str, expected: &[&str]) {
        let graph = graph(jobs);
        let mut versions = graph.artifacts(&graph.states());
        versions.sort_by_key(|one| (one.producer_step, one.path.clone(), one.producer));
        let actual: Vec<String> = versions
            .iter()
            .map(|version| {
                format!(
                    "{} {} {:?} {:?}{}{}",
                    version.producer_step,
                    version.path.to_string().trim_start_matches("/p/"),
                    version.state,
                    version.consumer_steps,
                    if version.is_terminal { " end" } else { "" },
                    if version.is_superseded { " old" } else { "" },
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
                "1 a Superseded {2} old",
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
            &["1 d Superseded {2} old", "2 d Active {} end"],
        );
        // Made aside by a step on which others depend; by two steps at one place.
        check(
            "1: > a=1 log=1\n2: a=1 > b=1",
            &["1 a Active {2}", "1 log Orphaned {}", "2 b Active {} end"],
        );
        check(
            "1: > a=1\n2: > a=2",
            &["1 a Superseded {} end old", "2 a Active {} end"],
        );
        // Left behind by an older execution.
        check(
            "1: > c_005=1\n1: > c_004=2",
            &["1 c_004 Active {} end", "1 c_005 Orphaned {} end"],
        );
        check("1: > a=?", &["1 a Active {} end"]);
    }
}
