//! The graph of one session: executions linked by what they handed on.
//!
//! An input belongs to the newest earlier execution that produced its content at its
//! place; failing that, to one that produced the same content elsewhere before anyone read it
//! here (the file was moved or copied); failing that, to the last one that produced the place, whose file was
//! then changed by something that was not recorded. Links go from newer to older
//! executions only, so executions never form a cycle; *steps* may, when files are updated
//! in place, and everything that walks steps must bear that.

use std::collections::{BTreeMap, BTreeSet};

use std::hash::Hash;

use hashbrown::HashMap;
use smallvec::SmallVec;

use super::lines::Lines;
use crate::model::{Digest, JobKind, JobUid, RawString};

/// What stands for a path in a graph: the path, or its id.
pub trait PlaceKey: Clone + Eq + Hash + Ord {}
impl<T: Clone + Eq + Hash + Ord> PlaceKey for T {}

/// What stands for a content in a graph: its digest, or its id.
pub trait ContentKey: Clone + Eq + Hash {}
impl<T: Clone + Eq + Hash> ContentKey for T {}

/// A session's executions and how they depend on each other.
#[derive(Debug)]
pub struct SessionGraph<P = RawString, C = Digest> {
    executions: Vec<Execution<P, C>>,
    sources: Vec<Vec<Source>>,
    consumers: Vec<Vec<Consumer>>,
    /// Who wrote each place, oldest first.
    productions: HashMap<P, Productions>,
    /// Who builds upon whom, of places that were written many times.
    lines: HashMap<P, Lines>,
    latest: BTreeMap<u32, usize>,
    steps: HashMap<u32, Vec<usize>>,
    /// Of each execution, whether it is the latest of its step that counts.
    is_latest: Vec<bool>,
}

/// One recorded job, reduced to what lineage needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Execution<P = RawString, C = Digest> {
    /// Database id; ascending in order of recording.
    pub job_id: i64,
    /// The job's uid.
    pub uid: JobUid,
    /// Run or build.
    pub kind: JobKind,
    /// The step it is an execution of.
    pub step_number: u32,
    /// roar was killed before it could record what the command did.
    pub lost: bool,
    /// Its command did not succeed.
    pub failed: bool,
    /// What it consumed.
    pub inputs: Vec<Place<P, C>>,
    /// What it produced.
    pub outputs: Vec<Place<P, C>>,
}

/// A content at a place.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place<P = RawString, C = Digest> {
    /// Absolute path.
    pub path: P,
    /// The content; none when it could not be hashed.
    pub hash: Option<C>,
    /// Size in bytes, where known.
    pub size_bytes: Option<u64>,
}

/// Where an input came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// The input, as an index into the consumer's inputs.
    pub input: usize,
    /// The producing execution.
    pub execution: usize,
    /// The output, as an index into the producer's outputs.
    pub output: usize,
    /// What connects the two.
    pub link: Link,
}

/// Who consumed an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Consumer {
    /// The output, as an index into the producer's outputs.
    pub output: usize,
    /// The consuming execution.
    pub execution: usize,
    /// What connects the two.
    pub link: Link,
}

/// What connects an input to its producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// The same content, or the same place where a content is unknown.
    Content,
    /// Only the place: its content was changed by something unrecorded in between.
    Place,
}

/// One writing of a place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Production {
    pub(super) execution: usize,
    pub(super) output: usize,
    /// The execution whose content of this place was read and then written over.
    pub(super) updates: Option<usize>,
}

/// The writings of one place, or of one content, oldest first: nearly always a single one.
type Productions = SmallVec<[Production; 1]>;

impl<P: PlaceKey, C: ContentKey> SessionGraph<P, C> {
    /// Links the executions of one session, given in any order.
    pub fn new(mut executions: Vec<Execution<P, C>>) -> Self {
        executions.sort_by_key(|execution| execution.job_id);
        let (sources, productions) = link(&executions);
        let mut consumers = vec![Vec::new(); executions.len()];
        for (index, of_one) in sources.iter().enumerate() {
            for source in of_one {
                consumers[source.execution].push(Consumer {
                    output: source.output,
                    execution: index,
                    link: source.link,
                });
            }
        }
        for of_one in &mut consumers {
            of_one.sort_by_key(|consumer| consumer.output);
        }
        let mut steps: HashMap<u32, Vec<usize>> = HashMap::new();
        for (index, execution) in executions.iter().enumerate() {
            steps.entry(execution.step_number).or_default().push(index);
        }
        let wrote = |index: &&usize| {
            let execution = &executions[**index];
            execution.lost || !execution.outputs.is_empty()
        };
        let succeeded = |index: &&usize| !executions[**index].failed;
        let latest: BTreeMap<u32, usize> = steps
            .iter()
            .filter_map(|(step, list)| {
                let newest_first = || list.iter().rev();
                let index = newest_first()
                    .find(wrote)
                    .or_else(|| newest_first().find(succeeded))
                    .or_else(|| newest_first().next());
                Some((*step, *index?))
            })
            .collect();
        let mut is_latest = vec![false; executions.len()];
        for index in latest.values() {
            is_latest[*index] = true;
        }
        Self {
            executions,
            sources,
            consumers,
            lines: lines(&productions),
            productions,
            latest,
            steps,
            is_latest,
        }
    }

    /// Every execution, oldest first; other methods take indices into this.
    pub fn executions(&self) -> &[Execution<P, C>] {
        &self.executions
    }

    /// The latest execution of each step that counts, by step number: one that wrote nothing, because
    /// it failed or had nothing to do, leaves everything as it was, and counts only where none wrote.
    pub fn latest(&self) -> &BTreeMap<u32, usize> {
        &self.latest
    }

    /// Whether an execution is the one that tells how its step went last.
    pub fn is_newest(&self, index: usize) -> bool {
        self.newest(self.executions[index].step_number) == Some(index)
    }

    /// The execution that tells how a step went last: its newest, whether that counts or not, but for
    /// one that had nothing to do.
    pub fn newest(&self, step: u32) -> Option<usize> {
        let newest = *self.executions_of(step).last()?;
        let Execution {
            failed,
            lost,
            outputs,
            ..
        } = &self.executions[newest];
        let was_idle = !failed && !lost && outputs.is_empty();
        if was_idle {
            return self.latest.get(&step).copied();
        }
        Some(newest)
    }

    /// Whether an execution is the latest of its step that counts.
    pub fn is_latest(&self, index: usize) -> bool {
        self.is_latest[index]
    }

    /// Where an execution's inputs came from.
    pub fn sources(&self, index: usize) -> &[Source] {
        &self.sources[index]
    }

    /// Who consumed an execution's outputs, by output and age.
    pub fn consumers(&self, index: usize) -> &[Consumer] {
        &self.consumers[index]
    }

    /// Who consumed what a production wrote.
    pub(super) fn consumers_of(&self, production: Production) -> &[Consumer] {
        let all = &self.consumers[production.execution];
        let from = all.partition_point(|consumer| consumer.output < production.output);
        let to = all.partition_point(|consumer| consumer.output <= production.output);
        &all[from..to]
    }

    /// What an execution wrote at a place; none where it wrote nothing there.
    pub(super) fn production_by(&self, index: usize, path: &P) -> Option<Production> {
        let all = self.productions(path);
        let at = all.binary_search_by_key(&index, |production| production.execution);
        at.ok().map(|at| all[at])
    }

    /// The other steps that an execution's inputs came from, ascending.
    pub fn dependencies(&self, index: usize) -> BTreeSet<u32> {
        let own = self.executions[index].step_number;
        self.sources[index]
            .iter()
            .map(|source| self.executions[source.execution].step_number)
            .filter(|step| *step != own)
            .collect()
    }

    /// How many of an execution's inputs other steps had made.
    pub fn consumed_count(&self, index: usize) -> usize {
        let own = self.executions[index].step_number;
        self.sources[index]
            .iter()
            .filter(|source| self.executions[source.execution].step_number != own)
            .count()
    }

    /// The newest later production of a place that does not build upon one by updates in place.
    pub(super) fn newest_outside(&self, path: &P, own: Production) -> Option<Production> {
        let all = self.productions(path);
        let at = all.partition_point(|one| one.execution < own.execution);
        let newest = match self.lines.get(path) {
            Some(lines) => lines.newest_outside(at),
            None if all.len() < MANY => Lines::of(&bases(all)).newest_outside(at),
            // Nobody builds upon another.
            None => all.len().checked_sub(1).filter(|last| *last > at),
        };
        newest.map(|newest| all[newest])
    }

    /// All executions of a step, oldest first.
    pub fn executions_of(&self, step: u32) -> &[usize] {
        self.steps.get(&step).map_or(&[], Vec::as_slice)
    }

    /// Who wrote a place, oldest first.
    pub(super) fn productions(&self, path: &P) -> &[Production] {
        self.productions.get(path).map_or(&[], SmallVec::as_slice)
    }
}

/// Of places with fewer writings, looking is as quick as looking up.
const MANY: usize = 4;

/// Of places with many writings, some of which build upon others.
fn lines<P: PlaceKey>(productions: &HashMap<P, Productions>) -> HashMap<P, Lines> {
    let builds_upon = |production: &Production| production.updates.is_some();
    productions
        .iter()
        .filter(|(_, all)| all.len() >= MANY && all.iter().any(builds_upon))
        .map(|(path, all)| (path.clone(), Lines::of(&bases(all))))
        .collect()
}

/// For each production of a place, the earlier one that it updates.
fn bases(productions: &[Production]) -> Vec<Option<usize>> {
    let base = |production: &Production| {
        let base = production.updates?;
        productions
            .binary_search_by_key(&base, |one| one.execution)
            .ok()
    };
    productions.iter().map(base).collect()
}

/// Where the inputs of each execution came from, and who wrote each place.
fn link<P: PlaceKey, C: ContentKey>(
    executions: &[Execution<P, C>],
) -> (Vec<Vec<Source>>, HashMap<P, Productions>) {
    let outputs = executions.iter().map(|one| one.outputs.len()).sum();
    let read = executions.iter().flat_map(|one| &one.inputs);
    let mut linker = Linker {
        by_path: HashMap::with_capacity(outputs),
        by_hash: read
            .filter_map(|input| Some((input.hash.as_ref()?, Productions::new())))
            .collect(),
        first_read: HashMap::new(),
    };
    let mut sources = Vec::with_capacity(executions.len());
    for (index, execution) in executions.iter().enumerate() {
        linker.note_reads(index, execution);
        let of_one = linker.sources_of(executions, execution);
        linker.add(executions, index, &of_one);
        sources.push(of_one);
    }
    (sources, linker.by_path)
}

/// What has been produced so far, while the executions are gone through oldest first.
struct Linker<'a, P, C> {
    by_path: HashMap<P, Productions>,
    /// Of the contents that were read: ten times as many are written.
    by_hash: HashMap<&'a C, Productions>,
    /// The execution that first consumed a content at a place: it was there before.
    first_read: HashMap<(&'a P, &'a C), usize>,
}

impl<'a, P: PlaceKey, C: ContentKey> Linker<'a, P, C> {
    fn add(&mut self, executions: &'a [Execution<P, C>], index: usize, sources: &[Source]) {
        let execution = &executions[index];
        let mut read_at_place: Vec<(&P, usize)> = sources
            .iter()
            .filter(|source| source.link == Link::Content)
            .map(|source| (source, &execution.inputs[source.input].path))
            .filter(|(source, path)| {
                executions[source.execution].outputs[source.output].path == **path
            })
            .map(|(source, path)| (path, source.execution))
            .collect();
        read_at_place.sort_unstable();
        let read_at = |path: &P| {
            let at = read_at_place.binary_search_by_key(&path, |(path, _)| *path);
            at.ok().map(|at| read_at_place[at].1)
        };
        for (output, place) in execution.outputs.iter().enumerate() {
            let production = Production {
                execution: index,
                output,
                updates: read_at(&place.path),
            };
            self.by_path
                .entry(place.path.clone())
                .or_default()
                .push(production);
            if let Some(hash) = &place.hash
                && let Some(productions) = self.by_hash.get_mut(hash)
            {
                productions.push(production);
            }
        }
    }

    fn note_reads(&mut self, index: usize, execution: &'a Execution<P, C>) {
        for place in &execution.inputs {
            if let Some(hash) = &place.hash {
                self.first_read.entry((&place.path, hash)).or_insert(index);
            }
        }
    }

    fn sources_of(
        &self,
        executions: &[Execution<P, C>],
        consumer: &Execution<P, C>,
    ) -> Vec<Source> {
        consumer
            .inputs
            .iter()
            .enumerate()
            .filter_map(|(input, place)| {
                let (production, link) = self.source_of(executions, place)?;
                Some(Source {
                    input,
                    execution: production.execution,
                    output: production.output,
                    link,
                })
            })
            .collect()
    }

    fn source_of(
        &self,
        executions: &[Execution<P, C>],
        place: &Place<P, C>,
    ) -> Option<(Production, Link)> {
        let content_of = |production: &Production| {
            &executions[production.execution].outputs[production.output].hash
        };
        let at_place = self
            .by_path
            .get(&place.path)
            .map_or(&[][..], SmallVec::as_slice);
        let Some(hash) = &place.hash else {
            return at_place.last().map(|last| (*last, Link::Content));
        };
        if let Some(last) = at_place.last()
            && content_of(last).is_none()
        {
            return Some((*last, Link::Content));
        }
        if let Some(same) = at_place
            .iter()
            .rev()
            .find(|production| content_of(production).as_ref() == Some(hash))
        {
            return Some((*same, Link::Content));
        }
        // Every empty file has the same content: it says nothing about where it came from.
        // And who copied a file did not make the original: the place held it before.
        let first_read = self
            .first_read
            .get(&(&place.path, hash))
            .copied()
            .unwrap_or(usize::MAX);
        if place.size_bytes != Some(0)
            && let Some(moved) = self.by_hash.get(hash).and_then(|list| {
                list.iter()
                    .rev()
                    .find(|production| production.execution < first_read)
            })
        {
            return Some((*moved, Link::Content));
        }
        at_place.last().map(|last| (*last, Link::Place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lineage::testing::graph;

    /// Each line of `expected`: `STEP: dependencies`, for the latest execution of each step.
    fn check(jobs: &str, expected: &[(u32, &[u32])]) {
        let graph = graph(jobs);
        let actual: Vec<(u32, Vec<u32>)> = graph
            .latest()
            .iter()
            .map(|(step, index)| (*step, graph.dependencies(*index).into_iter().collect()))
            .collect();
        let expected: Vec<(u32, Vec<u32>)> = expected
            .iter()
            .map(|(step, dependencies)| (*step, dependencies.to_vec()))
            .collect();
        assert_eq!(actual, expected, "{jobs}");
    }

    #[test]
    fn dependencies() {
        // A chain, a diamond, a fan-in.
        check(
            "1: raw=r > a=1\n2: a=1 > b=1\n3: b=1 > c=1",
            &[(1, &[]), (2, &[1]), (3, &[2])],
        );
        check(
            "1: > a=1\n2: a=1 > b=1\n3: a=1 > c=1\n4: b=1 c=1 > d=1",
            &[(1, &[]), (2, &[1]), (3, &[1]), (4, &[2, 3])],
        );
        // An in-place update is no dependency on itself; a later reader depends on the updater.
        check(
            "1: > d=1\n2: d=1 > d=2\n3: d=2 > e=1",
            &[(1, &[]), (2, &[1]), (3, &[2])],
        );
        check("1: d=1 > d=2\n1: d=2 > d=3", &[(1, &[])]);
        // Two steps that feed each other.
        check(
            "1: a=1 > b=1\n2: b=1 > a=2\n1: a=2 > b=2",
            &[(1, &[2]), (2, &[1])],
        );
        // Moved, copied, edited by hand, unhashed.
        check("1: > a=X\n2: moved=X > c=1", &[(1, &[]), (2, &[1])]);
        check("1: > a=1\n2: a=9 > c=1", &[(1, &[]), (2, &[1])]);
        check("1: > a=?\n2: a=9 > c=1", &[(1, &[]), (2, &[1])]);
        check("1: > a=1\n2: a=? > c=1", &[(1, &[]), (2, &[1])]);
        // An earlier version was put back: the execution that wrote that content is the source.
        check(
            "1: > a=1\n2: > a=2\n3: a=1 > c=1",
            &[(1, &[]), (2, &[]), (3, &[1])],
        );
        // Who copied a file did not make the original.
        check("1: r=X > a=X\n2: r=X > b=1", &[(1, &[]), (2, &[])]);
        check(
            "1: > a=X\n2: m=X > n=X\n3: m=X > b=1\n4: n=X > c=1",
            &[(1, &[]), (2, &[1]), (3, &[1]), (4, &[2])],
        );
        // Empty files elsewhere connect nothing; at the same place they do.
        check("1: > a=0\n2: b=0 > c=1", &[(1, &[]), (2, &[])]);
        check("1: > a=0\n2: a=0 > c=1", &[(1, &[]), (2, &[1])]);
        // A reader before the writer does not depend on it.
        check("2: a=1 > b=1\n1: > a=2", &[(1, &[]), (2, &[])]);
    }

    #[test]
    fn inputs_that_other_steps_made_are_consumed() {
        let graph = graph("1: r=1 > a=1 b=1\n2: a=1 b=1 q=1 > c=1\n1: r=1 c=0 b=1 > b=2");
        let consumed: Vec<usize> = (0..3).map(|index| graph.consumed_count(index)).collect();
        assert_eq!(consumed, [0, 2, 1]);
    }

    #[test]
    fn a_thousand_steps_of_a_hundred_files_link_quickly() {
        let file = |step: u32, n: u32| Place {
            path: RawString::from(format!("/p/{step}/{n}")),
            hash: Some(Digest::from_hex(format!("{step:032x}{n:032x}"))),
            size_bytes: Some(1),
        };
        let executions = (1..=1000)
            .map(|step| Execution {
                job_id: i64::from(step),
                uid: JobUid::from_bits(step),
                kind: JobKind::Run,
                step_number: step,
                lost: false,
                failed: false,
                inputs: (0..50).map(|n| file(step - 1, n)).collect(),
                outputs: (0..50).map(|n| file(step, n)).collect(),
            })
            .collect();
        let graph = SessionGraph::new(executions);
        assert_eq!(
            graph.dependencies(999).into_iter().collect::<Vec<_>>(),
            [999]
        );
        assert_eq!(graph.sources(999).len(), 50);
    }
}
