//! Which steps are still true of the newest files.
//!
//! A step is **stale** when a place that its latest execution consumed has since been
//! produced with other content, and so are the steps downstream of it. A step that updates
//! a file in place is not made stale by its own update, nor by later updates built upon
//! it; it is when the file below its update was produced anew.
//!
//! An execution is **superseded** when its step has a newer one, or when other steps have
//! since produced all its places and nobody that still counts consumed what it wrote. A
//! step is **orphaned** when it consumed a file that the step which made it no longer
//! makes, or is downstream of such a step. A **lost** execution is one whose end roar did
//! not live to see.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::graph::{ContentKey, Link, Place, PlaceKey, Production, SessionGraph};
use crate::model::{Digest, RawString};

/// The state of an execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StepState {
    /// The newest execution of its step, true of its inputs as they are now.
    Active,
    /// An input, or something upstream, has been produced anew since.
    Stale,
    /// A newer execution, or other steps, took its place.
    Superseded,
    /// It rests on a file that its maker no longer makes.
    Orphaned,
    /// roar was killed before it could record what the command did.
    Lost,
}

impl StepState {
    /// The word used in listings and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Stale => "stale",
            Self::Superseded => "superseded",
            Self::Orphaned => "orphaned",
            Self::Lost => "lost",
        }
    }
}

/// An input that has been produced with other content since it was consumed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaleInput<P = RawString, C = Digest> {
    /// The place.
    pub path: P,
    /// The content that was consumed.
    pub consumed: C,
    /// The content that was produced since.
    pub produced: C,
    /// The step that produced it.
    pub by_step: u32,
}

impl<P: PlaceKey, C: ContentKey> SessionGraph<P, C> {
    /// The state of every execution, in the order of [`SessionGraph::executions`].
    pub fn states(&self) -> Vec<StepState> {
        let mut states: Vec<StepState> = (0..self.executions().len())
            .map(|index| {
                if self.executions()[index].lost {
                    StepState::Lost
                } else if self.is_latest(index) {
                    StepState::Active
                } else {
                    StepState::Superseded
                }
            })
            .collect();
        self.mark_overtaken(&mut states);
        let dependents = self.dependents();
        let is_stale = |index| !self.stale_inputs(index).is_empty();
        let stale = self.with_downstream(&states, &dependents, is_stale);
        let is_orphan = |index| self.rests_on_orphan(index);
        let orphaned = self.with_downstream(&states, &dependents, is_orphan);
        for (index, state) in states.iter_mut().enumerate() {
            if *state == StepState::Active {
                if stale.contains(&index) {
                    *state = StepState::Stale;
                } else if orphaned.contains(&index) {
                    *state = StepState::Orphaned;
                }
            }
        }
        // What wrote nothing leaves its step as it is.
        for (step, index) in self.latest() {
            if let Some(newest) = self.executions_of(*step).last() {
                states[*newest] = states[*index];
            }
        }
        states
    }

    /// The inputs of an execution that other steps have since produced with other content.
    pub fn stale_inputs(&self, index: usize) -> Vec<StaleInput<P, C>> {
        self.executions()[index]
            .inputs
            .iter()
            .filter_map(|input| self.stale_input(index, input))
            .collect()
    }

    /// The steps downstream of a step, itself excluded, by the latest executions.
    pub fn downstream(&self, step: u32) -> BTreeSet<u32> {
        let dependents = self.dependents();
        let mut found = BTreeSet::new();
        let mut pending = vec![step];
        while let Some(next) = pending.pop() {
            for dependent in dependents.get(&next).into_iter().flatten() {
                if *dependent != step && found.insert(*dependent) {
                    pending.push(*dependent);
                }
            }
        }
        found
    }

    fn stale_input(&self, index: usize, input: &Place<P, C>) -> Option<StaleInput<P, C>> {
        let consumed = input.hash.as_ref()?;
        let own = self.production_by(index, &input.path);
        // Below an in-place update the place must still hold the update, not what it read.
        let expected = match own {
            Some(own) => self.content(own)?,
            None => consumed,
        };
        let newest = self.newest_foreign(index, &input.path, own)?;
        let produced = self.content(newest)?;
        (produced != expected).then(|| StaleInput {
            path: input.path.clone(),
            consumed: consumed.clone(),
            produced: produced.clone(),
            by_step: self.executions()[newest.execution].step_number,
        })
    }

    /// The newest later production of a place, leaving out those that continue, through updates in
    /// place, what execution `index` itself wrote there.
    fn newest_foreign(
        &self,
        index: usize,
        path: &P,
        own: Option<Production>,
    ) -> Option<Production> {
        if let Some(own) = own {
            return self.newest_outside(path, own);
        }
        let newest = self.productions(path).last();
        newest.filter(|newest| newest.execution > index).copied()
    }

    /// Marks latest executions superseded whose places were all taken over by other steps,
    /// unless something that still counts consumed what they wrote. Newest first, so that
    /// consumers are decided before their producers.
    fn mark_overtaken(&self, states: &mut [StepState]) {
        for index in (0..self.executions().len()).rev() {
            let execution = &self.executions()[index];
            if states[index] != StepState::Active || execution.outputs.is_empty() {
                continue;
            }
            let overtaken = execution
                .outputs
                .iter()
                .all(|output| self.is_overtaken(index, &output.path));
            let needed = self.consumers(index).iter().any(|consumer| {
                consumer.link == Link::Content && states[consumer.execution] == StepState::Active
            });
            if overtaken && !needed {
                states[index] = StepState::Superseded;
            }
        }
    }

    /// Whether a place that an execution wrote was written later. When that was the step whose
    /// content it had updated in place, its update is missing there, not replaced: it is stale.
    fn is_overtaken(&self, index: usize, path: &P) -> bool {
        let productions = self.productions(path);
        let Some(last) = productions.last().filter(|last| last.execution > index) else {
            return false;
        };
        let step_of = |execution: usize| self.executions()[execution].step_number;
        let base = self.production_by(index, path).and_then(|own| own.updates);
        base.is_none_or(|base| step_of(base) != step_of(last.execution))
    }

    /// Whether an input is a file that an older execution left behind: its step no longer
    /// makes it, and nobody else has made it since.
    fn rests_on_orphan(&self, index: usize) -> bool {
        self.sources(index).iter().any(|source| {
            let producer = source.execution;
            let own_step = self.executions()[index].step_number;
            self.executions()[producer].step_number != own_step
                && self.is_left_behind(
                    producer,
                    &self.executions()[producer].outputs[source.output].path,
                )
        })
    }

    /// Whether a newer execution of its step no longer produces this place (one that failed may
    /// not have come so far, one that wrote nothing had nothing to do), and nobody else has produced
    /// it since.
    pub(super) fn is_left_behind(&self, producer: usize, path: &P) -> bool {
        let is_last = || {
            let last = self.productions(path).last();
            last.is_some_and(|last| last.execution == producer)
        };
        // Nearly always the newest of its step, which needs no look at the place.
        let newer = self.executions_of(self.executions()[producer].step_number);
        let newer = newer.iter().rev().take_while(|index| **index > producer);
        let mut newer = newer.map(|index| &self.executions()[*index]);
        newer.any(|newer| !newer.failed && !newer.outputs.is_empty()) && is_last()
    }

    /// The latest executions for which `seed` holds, and those downstream of them.
    fn with_downstream(
        &self,
        states: &[StepState],
        dependents: &BTreeMap<u32, BTreeSet<u32>>,
        seed: impl Fn(usize) -> bool,
    ) -> BTreeSet<usize> {
        let mut found: BTreeSet<usize> = self
            .latest()
            .values()
            .copied()
            .filter(|index| states[*index] == StepState::Active && seed(*index))
            .collect();
        let mut pending: Vec<usize> = found.iter().copied().collect();
        while let Some(index) = pending.pop() {
            let step = self.executions()[index].step_number;
            for dependent in dependents.get(&step).into_iter().flatten() {
                let latest = self.latest()[dependent];
                if states[latest] == StepState::Active && found.insert(latest) {
                    pending.push(latest);
                }
            }
        }
        found
    }

    /// For each step, the steps whose latest executions depend on it.
    fn dependents(&self) -> BTreeMap<u32, BTreeSet<u32>> {
        let mut dependents: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
        for (step, index) in self.latest() {
            for dependency in self.dependencies(*index) {
                dependents.entry(dependency).or_default().insert(*step);
            }
        }
        dependents
    }

    pub(super) fn content(&self, production: Production) -> Option<&C> {
        self.executions()[production.execution].outputs[production.output]
            .hash
            .as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::graph;
    use super::*;

    /// `expected`: the states of all executions, oldest first: `.` active, `*` stale,
    /// `x` superseded, `o` orphaned, `?` lost.
    fn check(jobs: &str, expected: &str) {
        let actual: String = graph(jobs)
            .states()
            .iter()
            .map(|state| match state {
                StepState::Active => '.',
                StepState::Stale => '*',
                StepState::Superseded => 'x',
                StepState::Orphaned => 'o',
                StepState::Lost => '?',
            })
            .collect();
        assert_eq!(actual, expected, "{jobs}");
    }

    #[test]
    fn what_failed_leaves_what_it_did_not_write() {
        let chain = "1: r=1 > a=1\n2: a=1 > b=1\n3: b=1 > c=1\n";
        check(&format!("{chain}2x:"), "....");
        check(&format!("{chain}1: r=1 > a=2\n2x: a=2 >"), "x**.*");
        // It came half way: the other half is not left behind.
        check("1: > a=1 b=1\n2: b=1 > c=1\n1x: > a=2", "x..");
        check("1: > a=1 b=1\n2: b=1 > c=1\n1: > a=2", "xo.");
        check("1x: r=1 >", ".");
    }

    #[test]
    fn what_had_nothing_to_do_leaves_its_step() {
        check("1: r=1 > a=1\n2: a=1 > b=1\n1: r=1 >", "...");
        check("1: r=1 > a=1\n1: >\n2: a=1 > b=1", "...");
        // It looked at what it did not see changed: still stale.
        let chain = "1: > r=1\n2: r=1 q=1 > a=1\n3: a=1 > b=1\n1: > r=2\n";
        check(chain, "x**.");
        check(&format!("{chain}2: q=1 >"), "x**.*");
        // Nothing but idle executions: the newest counts.
        check("1: r=1 >\n1: r=1 >", "x.");
    }

    #[test]
    fn staleness_follows_content_and_reaches_downstream() {
        let chain = "1: r=1 > a=1\n2: a=1 > b=1\n3: b=1 > c=1\n";
        check(chain, "...");
        // Re-run with other content: everything below is stale, until re-run in order.
        check(&format!("{chain}1: r=1 > a=2"), "x**.");
        check(&format!("{chain}1: r=1 > a=2\n2: a=2 > b=2"), "xx*..");
        check(
            &format!("{chain}1: r=1 > a=2\n2: a=2 > b=2\n3: b=2 > c=2"),
            "xxx...",
        );
        // Re-run with the same content: nothing is stale; nor below an unchanged middle.
        check(&format!("{chain}1: r=1 > a=1"), "x...");
        check(&format!("{chain}1: r=1 > a=2\n2: a=2 > b=1"), "xx...");
        // There and back again.
        check(&format!("{chain}1: r=1 > a=2\n1: r=1 > a=1"), "x..x.");
        // Produced by another step than the one it came from.
        check("1: > a=1\n2: a=1 > b=1\n3: x=1 > a=2", ".*.");
        // An external input that a step has taken over since.
        check("1: a=1 > b=1\n2: > a=2", "*.");
        // Edited by hand: nothing produced it; but its step still depends on the place.
        check("1: > a=1\n2: a=9 > b=1", "..");
        check("1: r=1 > a=1\n2: a=9 > b=1\n3: > r=2", "**.");
        // Contents that could not be hashed say nothing either way.
        check("1: > a=1\n2: a=? > b=1\n1: > a=2", "x..");
        check("1: > a=1\n2: a=1 > b=1\n1: > a=?", "x..");
        // One side of a diamond.
        let diamond = "1: > a=1\n2: a=1 > b=1\n3: r=1 > c=1\n4: b=1 c=1 > d=1\n";
        check(&format!("{diamond}1: > a=2"), "x*.*.");
    }

    #[test]
    fn updates_in_place() {
        let chain = "1: r=1 > d=1\n2: d=1 > d=2\n3: d=2 > d=3\n4: d=3 > e=1\n";
        check(chain, "....");
        // The base was written anew: each update above it is stale, with any content.
        check(&format!("{chain}1: r=1 > d=9"), "x***.");
        check(&format!("{chain}1: r=1 > d=1"), "x***.");
        check("1: > d=1\n2: d=1 > d=2\n1: > d=9", "x*.");
        // Repaired from below, one by one.
        check(&format!("{chain}1: r=1 > d=9\n2: d=9 > d=8"), "xx**..");
        check(
            &format!("{chain}1: r=1 > d=9\n2: d=9 > d=8\n3: d=8 > d=7\n4: d=7 > e=2"),
            "xxxx....",
        );
        // The same step again and again.
        check("1: d=1 > d=2\n1: d=2 > d=3\n1: d=3 > d=4", "xx.");
        // A log that every step appends to does not hide that a real input is stale.
        check(
            "1: l=1 > l=2 m=1\n2: l=2 m=1 > l=3 n=1\n1: l=3 > l=4 m=2",
            "x**",
        );
        check(
            "1: l=1 > l=2 m=1\n2: l=2 m=1 > l=3 n=1\n1: l=3 > l=4 m=1",
            "x..",
        );
    }

    #[test]
    fn superseded_orphaned_lost() {
        // Another step took over everything, and nobody needs the old content.
        check("1: r=1 > a=1\n2: q=1 > a=2", "x.");
        check("1: r=1 > a=1 b=1\n2: q=1 > a=2", "..");
        check(
            "1: r=1 > a=1\n2: a=1 > b=1\n3: q=1 > a=2\n4: z=1 > b=2",
            "xx..",
        );
        // The file at the base of step 2 is no longer made by step 1.
        check(
            "1: > c_005=1\n2: c_005=1 > e=1\n3: e=1 > f=1\n1: > c_004=2",
            "xoo.",
        );
        check("1: > c_005=1\n1: > c_004=2\n2: c_005=1 > e=1", "x.o");
        check("1!:\n2: > a=1", "?.");
        check("", "");
    }

    #[test]
    fn why_stale_and_what_is_below() {
        let graph = graph("1: > a=1\n2: a=1 > b=1\n3: b=1 > c=1\n4: z=1 > y=1\n1: > a=2");
        let inputs = graph.stale_inputs(1);
        assert_eq!(inputs.len(), 1);
        assert_eq!(inputs[0].path, "/p/a".into());
        assert_eq!(inputs[0].by_step, 1);
        assert_eq!(graph.downstream(1), BTreeSet::from([2, 3]));
        assert_eq!(graph.downstream(4), BTreeSet::new());
    }

    #[test]
    fn steps_that_feed_each_other_end() {
        check("1: a=1 > b=1\n2: b=1 > a=2\n1: a=2 > b=2", "x**");
    }

    #[test]
    fn twenty_thousand_updates_of_one_file() {
        let jobs: Vec<String> = (1..=20_000)
            .map(|n| format!("{n}: log=c{} > log=c{n}", n - 1))
            .collect();
        check(&jobs.join("\n"), &".".repeat(20_000));
    }
}
