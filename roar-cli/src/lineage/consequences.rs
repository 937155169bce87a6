//! What one execution means for the others: what it read that was stale, what it made stale.

use std::collections::BTreeSet;

use super::graph::{ContentKey, Link, PlaceKey, SessionGraph};
use super::order::dependencies_first;
use super::state::StepState;
use crate::model::{JobUid, RawString};

/// A file that a stale step made.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StaleRead<P = RawString> {
    /// The place.
    pub path: P,
    /// The step that made it.
    pub by_step: u32,
}

/// What the execution of a job means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consequences<P = RawString> {
    /// Inputs that stale steps had made.
    pub stale_reads: Vec<StaleRead<P>>,
    /// Steps that were not stale before it and are now, ascending.
    pub made_stale: Vec<u32>,
}

/// What the job meant in its session, of which `graph` is the graph.
pub fn consequences<P: PlaceKey, C: ContentKey>(
    graph: &SessionGraph<P, C>,
    job: &JobUid,
) -> Consequences<P> {
    let executions = graph.executions();
    let Some(index) = executions.iter().position(|e| e.uid == *job) else {
        return Consequences {
            stale_reads: Vec::new(),
            made_stale: Vec::new(),
        };
    };
    let before = SessionGraph::new(executions[..index].to_vec());
    let until_then;
    let after = if index + 1 == executions.len() {
        graph
    } else {
        until_then = SessionGraph::new(executions[..=index].to_vec());
        &until_then
    };
    let stale_before = before.stale_steps(&before.states());
    let states = after.states();
    let own = after.executions()[index].step_number;
    let mut stale_reads: Vec<StaleRead<P>> = after
        .sources(index)
        .iter()
        .filter(|source| source.link == Link::Content)
        .filter_map(|source| {
            let producer = &after.executions()[source.execution];
            let is_stale = states[source.execution] == StepState::Stale;
            (is_stale && producer.step_number != own).then(|| StaleRead {
                path: after.executions()[index].inputs[source.input].path.clone(),
                by_step: producer.step_number,
            })
        })
        .collect();
    stale_reads.sort();
    Consequences {
        stale_reads,
        made_stale: after
            .stale_steps(&states)
            .into_iter()
            .filter(|step| *step != own && !stale_before.contains(step))
            .collect(),
    }
}

impl<P: PlaceKey, C: ContentKey> SessionGraph<P, C> {
    /// The stale steps by number; `states` are those of [`SessionGraph::states`].
    pub fn stale_steps(&self, states: &[StepState]) -> BTreeSet<u32> {
        self.latest()
            .iter()
            .filter(|(_, index)| states[**index] == StepState::Stale)
            .map(|(step, _)| *step)
            .collect()
    }

    /// The stale steps in the order in which they are to be run again.
    pub fn stale_in_order(&self, states: &[StepState]) -> Vec<u32> {
        let steps: Vec<(u32, usize)> = self.latest().iter().map(|(s, i)| (*s, *i)).collect();
        let parents: Vec<BTreeSet<usize>> = steps
            .iter()
            .map(|(_, index)| {
                let needs = self.dependencies(*index);
                needs
                    .iter()
                    .filter_map(|need| steps.binary_search_by_key(need, |(step, _)| *step).ok())
                    .collect()
            })
            .collect();
        dependencies_first(&parents)
            .nodes
            .into_iter()
            .filter(|node| states[steps[*node].1] == StepState::Stale)
            .map(|node| steps[node].0)
            .collect()
    }

    /// What a step would read that stale steps made, if it read again what its latest
    /// execution did.
    pub fn would_read_stale(&self, step: u32, states: &[StepState]) -> Vec<StaleRead<P>> {
        let Some(index) = self.latest().get(&step) else {
            return Vec::new();
        };
        self.executions()[*index]
            .inputs
            .iter()
            .filter_map(|input| {
                let newest = self.productions(&input.path).last()?.execution;
                let by_step = self.executions()[newest].step_number;
                (by_step != step && states[newest] == StepState::Stale).then(|| StaleRead {
                    path: input.path.clone(),
                    by_step,
                })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lineage::testing::executions;

    /// `expected`: what the last job read that was stale, as `path@step`; then the steps that
    /// it made stale.
    fn check(jobs: &str, reads: &[&str], made: &[u32]) {
        let executions = executions(jobs);
        let last = executions.last().expect("a job").uid.clone();
        let found = consequences(&SessionGraph::new(executions), &last);
        let actual: Vec<String> = found
            .stale_reads
            .iter()
            .map(|read| {
                let path = read.path.to_string();
                format!("{}@{}", path.trim_start_matches("/p/"), read.by_step)
            })
            .collect();
        assert_eq!(actual, reads, "{jobs}");
        assert_eq!(found.made_stale, made, "{jobs}");
    }

    #[test]
    fn of_the_last_job() {
        let chain = "1: r=1 > a=1\n2: a=1 > b=1\n3: b=1 > c=1\n";
        check("1: > a=1", &[], &[]);
        check(chain, &[], &[]);
        // New content upstream, the same content upstream.
        check(&format!("{chain}1: r=2 > a=2"), &[], &[2, 3]);
        check(&format!("{chain}1: r=2 > a=1"), &[], &[]);
        // A stale step's output is read; what was stale already is not named again.
        check(&format!("{chain}1: > a=2\n3: b=1 > c=1"), &["b@2"], &[]);
        check(&format!("{chain}1: > a=2\n1: > a=3"), &[], &[]);
        check(&format!("{chain}1: > a=2\n2: a=2 > b=2"), &[], &[]);
        check(&format!("{chain}2: a=1 > b=2"), &[], &[3]);
        // An update in place is nobody's harm; a new base is.
        check("1: > d=1\n2: d=1 > d=2\n2: d=2 > d=3", &[], &[]);
        check("1: > d=1\n2: d=1 > d=2\n1: > d=4", &[], &[2]);
    }

    #[test]
    fn in_order() {
        let check = |jobs: &str, expected: &[u32]| {
            let graph = SessionGraph::new(executions(jobs));
            assert_eq!(graph.stale_in_order(&graph.states()), expected, "{jobs}");
        };
        check("1: > a=1\n2: a=1 > b=1", &[]);
        check("1: > a=1\n2: a=1 > b=1\n1: > a=2", &[2]);
        // Numbered against the order of dependence.
        check("3: > a=1\n2: a=1 > b=1\n1: b=1 > c=1\n3: > a=2", &[2, 1]);
        check(
            "1: > a=1\n2: a=1 > b=1\n3: a=1 > c=1\n4: b=1 c=1 > d=1\n1: > a=2",
            &[2, 3, 4],
        );
    }
}
