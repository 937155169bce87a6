//! The pipeline of a session: what every drawing of it shares, and its JSON form.
//!
//! [`DagView`] is the JSON document; its keys are a published interface. The text form
//! ([`DagView::text`]) draws the same document and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashMap;
use serde::Serialize;

use super::dag_text;
use super::shell;
use super::{Style, Terminal};
use crate::lineage::{ArtifactState, ArtifactVersion, SessionGraph, StepState};
use crate::model::{Digest, JobKind, RawString};
use crate::store::JobSummary;

/// What to show.
#[derive(Clone, Copy, Debug, Default)]
pub struct DagOptions {
    /// Every execution, not only the latest of each step.
    pub expanded: bool,
    /// Intermediate artifacts too, not only those at the ends.
    pub show_artifacts: bool,
    /// Only what is stale.
    pub stale_only: bool,
}

/// A session's pipeline as shown.
#[derive(Debug, Serialize)]
pub struct DagView {
    /// The session; none before the first job.
    pub session_id: Option<i64>,
    /// Steps of the session, shown or not.
    pub total_steps: usize,
    /// Stale steps.
    pub stale_count: usize,
    /// Artifacts in place that stale steps made.
    pub stale_artifact_count: usize,
    /// Versions of artifacts that have been written over.
    pub superseded_artifact_count: usize,
    /// Whether every execution is a node.
    pub is_expanded: bool,
    /// The steps, or the executions, by step number and age.
    pub nodes: Vec<DagNode>,
    /// The artifacts, by producing step and path.
    pub artifacts: Vec<DagArtifact>,
    /// For each node, the nodes (by position) that it depends on: what JSON tells by step number.
    #[serde(skip)]
    pub(super) parents: Vec<BTreeSet<usize>>,
}

/// A step, or one execution of it.
#[derive(Debug, Serialize)]
pub struct DagNode {
    /// The step's number.
    pub step_number: u32,
    /// The job's database id.
    pub job_id: i64,
    /// The job's uid.
    pub job_uid: String,
    /// The command line, quoted for the shell.
    pub command: String,
    /// `-n NAME`.
    pub step_name: Option<String>,
    /// Whether it is still true.
    pub state: StepState,
    /// A build step.
    pub is_build: bool,
    /// Exit code; none when killed or lost.
    pub exit_code: Option<i32>,
    /// Counts of files.
    pub metrics: DagMetrics,
    /// The steps that it depends on, ascending.
    pub dependencies: BTreeSet<u32>,
}

/// Counts of a node's files.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct DagMetrics {
    /// Files consumed.
    pub inputs: usize,
    /// Files produced.
    pub outputs: usize,
    /// Of the outputs, those that other steps consumed.
    pub consumed: usize,
}

/// A content at a place.
#[derive(Debug, Serialize)]
pub struct DagArtifact {
    /// Absolute path.
    pub path: RawString,
    /// BLAKE3; none when the content could not be hashed.
    pub hash: Option<Digest>,
    /// Made by a stale step.
    pub is_stale: bool,
    /// The step that produced it last.
    pub producer_step: u32,
    /// What it is worth today.
    pub state: ArtifactState,
    /// The content's database id; none when it could not be hashed.
    pub artifact_id: Option<i64>,
    /// The other steps that consumed it.
    pub consumer_steps: BTreeSet<u32>,
    /// At an end of the pipeline.
    pub is_terminal: bool,
    /// The step that wrote over it.
    pub superseded_by: Option<u32>,
    /// The producing job, for drawing.
    #[serde(skip)]
    pub(super) producer_job: i64,
    /// Size in bytes, for drawing.
    #[serde(skip)]
    pub(super) size_bytes: Option<u64>,
}

impl DagView {
    /// The view of a session. `jobs` are its jobs oldest first, as in the graph;
    /// `artifact_ids` gives the database ids of contents.
    pub fn new(
        session_id: Option<i64>,
        graph: &SessionGraph,
        jobs: &[JobSummary],
        artifact_ids: &HashMap<Digest, i64>,
        options: DagOptions,
    ) -> Self {
        let states = graph.states();
        let versions = graph.artifacts(&states);
        let wanted = |state: StepState| !options.stale_only || state == StepState::Stale;
        let mut shown: Vec<usize> = (0..graph.executions().len())
            .filter(|index| options.expanded || graph.is_latest(*index))
            .filter(|index| wanted(states[*index]))
            .collect();
        shown.sort_by_key(|index| (graph.executions()[*index].step_number, *index));
        let nodes = shown
            .iter()
            .filter_map(|index| Some((*index, jobs.get(*index)?)))
            .map(|(index, job)| node(graph, index, job, states[index], options.expanded))
            .collect();
        Self {
            session_id,
            total_steps: graph.latest().len(),
            stale_count: states.iter().filter(|s| **s == StepState::Stale).count(),
            stale_artifact_count: count(&versions, ArtifactState::Stale),
            superseded_artifact_count: versions
                .iter()
                .filter(|version| version.superseded_by.is_some())
                .count(),
            is_expanded: options.expanded,
            nodes,
            artifacts: versions
                .into_iter()
                .filter(|version| is_shown(version, graph, options))
                .map(|version| artifact(version, graph, artifact_ids))
                .collect(),
            parents: parents(graph, &shown, options.expanded),
        }
    }

    /// The document for machines.
    pub fn json(&self) -> String {
        super::json(self)
    }

    /// The drawing for people; paths below `cwd` are shown relative to it.
    pub fn text(&self, cwd: &std::path::Path, terminal: Terminal) -> String {
        dag_text::draw(self, cwd, terminal)
    }
}

impl DagNode {
    /// `@2` or `@B2`.
    pub(super) fn reference(&self) -> String {
        reference(self.step_number, self.is_build)
    }
}

/// How a step is referred to: `@2` or `@B2`.
pub fn reference(step_number: u32, is_build: bool) -> String {
    format!("@{}{step_number}", if is_build { "B" } else { "" })
}

/// The colour of a state.
pub(super) fn state_style(state: StepState) -> Style {
    match state {
        StepState::Active => Style::Plain,
        StepState::Stale | StepState::Orphaned => Style::Warning,
        StepState::Superseded => Style::Dim,
        StepState::Lost => Style::Bad,
    }
}

fn count(versions: &[ArtifactVersion], state: ArtifactState) -> usize {
    versions.iter().filter(|v| v.state == state).count()
}

fn node(
    graph: &SessionGraph,
    index: usize,
    job: &JobSummary,
    state: StepState,
    expanded: bool,
) -> DagNode {
    let execution = &graph.executions()[index];
    DagNode {
        step_number: execution.step_number,
        job_id: execution.job_id,
        job_uid: execution.uid.to_string(),
        command: shell::join(&job.argv),
        step_name: job.name.clone(),
        state,
        is_build: execution.kind == JobKind::Build,
        exit_code: job.outcome.exit_code,
        metrics: DagMetrics {
            inputs: execution.inputs.len(),
            outputs: execution.outputs.len(),
            consumed: graph.consumed_count(index, expanded),
        },
        dependencies: graph.dependencies(index),
    }
}

fn is_shown(version: &ArtifactVersion, graph: &SessionGraph, options: DagOptions) -> bool {
    let current = options.expanded
        || graph.is_latest(version.producer)
        || version.state == ArtifactState::Orphaned;
    current
        && (options.show_artifacts || version.is_terminal)
        && (!options.stale_only || version.state == ArtifactState::Stale)
}

fn artifact(
    version: ArtifactVersion,
    graph: &SessionGraph,
    artifact_ids: &HashMap<Digest, i64>,
) -> DagArtifact {
    DagArtifact {
        is_stale: version.state == ArtifactState::Stale,
        artifact_id: version
            .hash
            .as_ref()
            .and_then(|hash| artifact_ids.get(hash).copied()),
        producer_job: graph.executions()[version.producer].job_id,
        path: version.path,
        hash: version.hash,
        producer_step: version.producer_step,
        state: version.state,
        consumer_steps: version.consumer_steps,
        is_terminal: version.is_terminal,
        superseded_by: version.superseded_by,
        size_bytes: version.size_bytes,
    }
}

/// For each shown execution, the shown ones it depends on, by position.
fn parents(graph: &SessionGraph, shown: &[usize], expanded: bool) -> Vec<BTreeSet<usize>> {
    let position: HashMap<usize, usize> = shown.iter().enumerate().map(|(p, i)| (*i, p)).collect();
    let of_step: BTreeMap<u32, usize> = shown
        .iter()
        .enumerate()
        .map(|(p, i)| (graph.executions()[*i].step_number, p))
        .collect();
    shown
        .iter()
        .map(|index| {
            if expanded {
                graph
                    .sources(*index)
                    .iter()
                    .filter_map(|source| position.get(&source.execution).copied())
                    .collect()
            } else {
                graph
                    .dependencies(*index)
                    .iter()
                    .filter_map(|step| of_step.get(step).copied())
                    .collect()
            }
        })
        .collect()
}
