//! The pipeline of a session: what every drawing of it shares, and its JSON form.
//!
//! [`DagView`] is the JSON document; its keys are a published interface. The text form
//! ([`DagView::text`]) draws the same document and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use hashbrown::HashMap;
use serde::Serialize;

use super::dag_files;
use super::dag_text;
use super::{Style, Terminal, human, paths, shell};
use crate::lineage::graph::{ContentKey, PlaceKey};
use crate::lineage::{ArtifactState, ArtifactVersion, Link, SessionGraph, StepState};
use crate::model::{Digest, JobKind, RawString};
use crate::store::{JobSummary, Names, ProducedCollection};

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
    /// Artifacts of the executions shown that have been written over.
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
    /// For drawing: it read a file of another step after something unrecorded had changed it.
    #[serde(skip)]
    pub(super) read_edited: bool,
}

/// Counts of a node's files.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct DagMetrics {
    /// Files consumed.
    pub inputs: usize,
    /// Files produced.
    pub outputs: usize,
    /// Of the inputs, those that other steps had made.
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
    /// The content's id, the beginning of its hash; none when it could not be hashed.
    pub artifact_id: Option<String>,
    /// The other steps that consumed it.
    pub consumer_steps: BTreeSet<u32>,
    /// At an end of the pipeline.
    pub is_terminal: bool,
    /// The id of what its place holds instead.
    pub superseded_by: Option<String>,
    /// For drawing: its place holds something else.
    #[serde(skip)]
    pub(super) is_superseded: bool,
    /// The producing job, for drawing.
    #[serde(skip)]
    pub(super) producer_job: i64,
    /// Size in bytes, for drawing.
    #[serde(skip)]
    pub(super) size_bytes: Option<u64>,
    /// For drawing: how many files a collection has; none for a file.
    #[serde(skip)]
    pub(super) files: Option<usize>,
}

impl DagView {
    /// The view of a session: `jobs` has those to be shown, `versions` are the plan's with their
    /// names, and of the `collections` that the session produced, each is shown as one artifact.
    pub fn new<P: PlaceKey, C: ContentKey>(
        session_id: Option<i64>,
        graph: &SessionGraph<P, C>,
        plan: &DagPlan<P, C>,
        jobs: &Names<JobSummary>,
        versions: Vec<ArtifactVersion>,
        collections: &[ProducedCollection],
    ) -> Self {
        let options = plan.options;
        let job_of = |index: usize| graph.executions()[index].job_id;
        let nodes = plan
            .shown
            .iter()
            .filter_map(|index| Some((*index, jobs.get(job_of(*index))?)))
            .map(|(index, job)| node(graph, index, job, plan))
            .collect();
        Self {
            session_id,
            total_steps: graph.latest().len(),
            stale_count: graph
                .latest()
                .values()
                .filter(|index| plan.states[**index] == StepState::Stale)
                .count(),
            stale_artifact_count: plan.stale_artifact_count,
            superseded_artifact_count: plan.superseded_artifact_count,
            is_expanded: options.expanded,
            nodes,
            artifacts: dag_files::shown(versions, job_of, collections, options),
            parents: parents(graph, &plan.shown, options.expanded),
        }
    }

    /// The document for machines.
    pub fn json(&self) -> String {
        super::json(self)
    }

    /// The drawing for people; paths below `cwd` are shown relative to it.
    pub fn text(&self, cwd: &Path, terminal: Terminal) -> String {
        dag_text::draw(self, cwd, terminal)
    }
}

impl DagArtifact {
    /// Its place as it is shown: a folder ends in a slash.
    pub(super) fn shown_path(&self, cwd: &Path) -> String {
        let path = paths::shown(&self.path, cwd);
        match self.files {
            Some(_) => format!("{path}/"),
            None => path,
        }
    }

    /// Its hash, its size and how many files it is.
    pub(super) fn facts(&self) -> String {
        let mut facts = match &self.hash {
            Some(hash) => hash.short().to_owned(),
            None => "not hashed".to_owned(),
        };
        if let Some(bytes) = self.size_bytes {
            let _ = write!(facts, " {}", human::size(bytes));
        }
        if let Some(files) = self.files {
            let _ = write!(facts, ", {}", human::count(files, "file"));
        }
        facts
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

/// What of a session's graph is to be shown, before anything has a name.
#[derive(Debug)]
pub struct DagPlan<P, C> {
    /// The executions, by their places in the graph, in the order of the nodes.
    pub shown: Vec<usize>,
    /// The versions of artifacts, from which [`DagView::new`] takes what it shows.
    pub versions: Vec<ArtifactVersion<P, C>>,
    states: Vec<StepState>,
    stale_artifact_count: usize,
    superseded_artifact_count: usize,
    options: DagOptions,
}

impl<P: PlaceKey, C: ContentKey> DagPlan<P, C> {
    /// Plans the view of a graph. Where there are collections, all their members are needed, be
    /// they shown by themselves or not.
    pub fn new(graph: &SessionGraph<P, C>, options: DagOptions, with_collections: bool) -> Self {
        let states = graph.states();
        let wanted = |state: StepState| !options.stale_only || state == StepState::Stale;
        let mut shown: Vec<usize> = (0..graph.executions().len())
            .filter(|index| options.expanded || graph.is_newest(*index))
            .filter(|index| wanted(states[*index]))
            .collect();
        shown.sort_by_key(|index| (graph.executions()[*index].step_number, *index));
        let (mut stale_artifact_count, mut superseded_artifact_count) = (0, 0);
        let versions = graph.artifacts_that(&states, |version| {
            stale_artifact_count += usize::from(version.state == ArtifactState::Stale);
            let counts = options.expanded
                || graph.is_latest(version.producer)
                || version.state == ArtifactState::Orphaned;
            superseded_artifact_count += usize::from(counts && version.is_superseded);
            counts && (with_collections || options.show_artifacts || version.is_terminal)
        });
        Self {
            shown,
            versions,
            states,
            stale_artifact_count,
            superseded_artifact_count,
            options,
        }
    }
}

fn node<P: PlaceKey, C: ContentKey>(
    graph: &SessionGraph<P, C>,
    index: usize,
    job: &JobSummary,
    plan: &DagPlan<P, C>,
) -> DagNode {
    let execution = &graph.executions()[index];
    // A step depends on what its latest execution that counts had read.
    let counting = if plan.options.expanded {
        index
    } else {
        graph.latest()[&execution.step_number]
    };
    DagNode {
        step_number: execution.step_number,
        job_id: execution.job_id,
        job_uid: execution.uid.to_string(),
        command: shell::join(&job.argv),
        step_name: job.name.clone(),
        state: plan.states[index],
        is_build: execution.kind == JobKind::Build,
        exit_code: job.outcome.exit_code,
        metrics: DagMetrics {
            inputs: execution.inputs.len(),
            outputs: execution.outputs.len(),
            consumed: graph.consumed_count(index),
        },
        dependencies: graph.dependencies(counting),
        read_edited: graph
            .sources(counting)
            .iter()
            .any(|source| source.link == Link::Place),
    }
}

/// For each shown execution, the shown ones it depends on, by position.
fn parents<P: PlaceKey, C: ContentKey>(
    graph: &SessionGraph<P, C>,
    shown: &[usize],
    expanded: bool,
) -> Vec<BTreeSet<usize>> {
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
                let step = graph.executions()[*index].step_number;
                graph
                    .dependencies(graph.latest()[&step])
                    .iter()
                    .filter_map(|step| of_step.get(step).copied())
                    .collect()
            }
        })
        .collect()
}
