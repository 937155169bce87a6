//! From one content back to its sources.
//!
//! The walk crosses sessions: it asks for the producer of a content, wherever that was
//! recorded, and never looks at step numbers.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet, VecDeque};

use super::graph::{Execution, Place};
use crate::model::{Digest, RawString};

/// Knows which recorded execution produced a content.
pub trait Producers {
    /// What can go wrong in finding out.
    type Error;

    /// The newest job that produced `hash` before the job `before` (any, when none); one that
    /// did so at `path` is preferred. One that did so elsewhere counts only with `elsewhere`, and
    /// when no job up to it had read the content at `path`: who copies a file did not make the
    /// original.
    ///
    /// # Errors
    /// The record cannot be read.
    fn producer_of(
        &mut self,
        hash: &Digest,
        path: &RawString,
        before: Option<i64>,
        elsewhere: bool,
    ) -> Result<Option<i64>, Self::Error>;

    /// A job that [`Producers::producer_of`] named; asked for once. None when it was taken back
    /// meanwhile.
    ///
    /// # Errors
    /// The record cannot be read.
    fn execution(&mut self, job_id: i64) -> Result<Option<Execution>, Self::Error>;

    /// The last job before `before` that wrote `path`, whatever it wrote: where a job changed a
    /// file that it found, nobody knows what it found.
    ///
    /// # Errors
    /// The record cannot be read.
    fn writer_of(&mut self, path: &RawString, before: i64) -> Result<Option<i64>, Self::Error>;
}

/// Where a content came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ancestry {
    /// The jobs that led to it, each after all jobs it depends on.
    pub jobs: Vec<Ancestor>,
    /// Contents that no recorded job produced: the raw inputs, in the order they were met.
    pub unsourced: Vec<Place>,
    /// There was more above the depth asked for.
    pub cut: bool,
}

/// One job on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ancestor {
    /// The job.
    pub execution: Execution,
    /// Its distance from the contents asked for: 1 for a producer.
    pub depth: u32,
    /// For each input, in order: the job that produced it.
    pub producers: Vec<Option<i64>>,
}

/// Walks from the contents `starts` to their sources, at most `depth` jobs deep (any, when none).
///
/// # Errors
/// The record cannot be read.
pub fn ancestry<P: Producers>(
    starts: &[Place],
    depth: Option<u32>,
    producers: &mut P,
) -> Result<Ancestry, P::Error> {
    let mut walk = Walk {
        found: HashMap::new(),
        unsourced: Vec::new(),
        unsourced_seen: HashSet::new(),
        pending: VecDeque::new(),
        cut: false,
    };
    for start in starts {
        match find(start, None, producers)? {
            Some(_) if depth == Some(0) => walk.cut = true,
            Some(producer) => walk.enter(producer, 1, producers)?,
            None => walk.add_unsourced(start),
        }
    }
    while let Some(id) = walk.pending.pop_front() {
        let (inputs, level) = {
            let ancestor = &walk.found[&id];
            (ancestor.execution.inputs.clone(), ancestor.depth)
        };
        let mut sources = Vec::with_capacity(inputs.len());
        for input in &inputs {
            let source = find(input, Some(id), producers)?;
            sources.push(source);
            match source {
                Some(_) if depth.is_some_and(|depth| level >= depth) => walk.cut = true,
                Some(producer) => walk.enter(producer, level + 1, producers)?,
                None => walk.add_unsourced(input),
            }
        }
        if let Some(ancestor) = walk.found.get_mut(&id) {
            ancestor.producers = sources;
        }
    }
    let mut jobs: Vec<Ancestor> = walk.found.into_values().collect();
    // A job only depends on jobs recorded before it.
    jobs.sort_by_key(|ancestor| ancestor.execution.job_id);
    Ok(Ancestry {
        jobs,
        unsourced: walk.unsourced,
        cut: walk.cut,
    })
}

fn find<P: Producers>(
    place: &Place,
    before: Option<i64>,
    producers: &mut P,
) -> Result<Option<i64>, P::Error> {
    // Every empty file is alike: only its own place says where it came from.
    let elsewhere = place.size_bytes != Some(0);
    match &place.hash {
        Some(hash) => producers.producer_of(hash, &place.path, before, elsewhere),
        None => match before {
            Some(before) => producers.writer_of(&place.path, before),
            None => Ok(None),
        },
    }
}

struct Walk {
    found: HashMap<i64, Ancestor>,
    unsourced: Vec<Place>,
    unsourced_seen: HashSet<(RawString, Option<Digest>)>,
    pending: VecDeque<i64>,
    cut: bool,
}

impl Walk {
    fn enter<P: Producers>(
        &mut self,
        job_id: i64,
        depth: u32,
        producers: &mut P,
    ) -> Result<(), P::Error> {
        if let Entry::Vacant(place) = self.found.entry(job_id)
            && let Some(execution) = producers.execution(job_id)?
        {
            place.insert(Ancestor {
                execution,
                depth,
                producers: Vec::new(),
            });
            self.pending.push_back(job_id);
        }
        Ok(())
    }

    fn add_unsourced(&mut self, place: &Place) {
        if self
            .unsourced_seen
            .insert((place.path.clone(), place.hash.clone()))
        {
            self.unsourced.push(place.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use crate::lineage::testing::{digest, executions};

    struct Recorded(Vec<Execution>);

    impl Producers for Recorded {
        type Error = Infallible;

        fn producer_of(
            &mut self,
            hash: &Digest,
            path: &RawString,
            before: Option<i64>,
            elsewhere: bool,
        ) -> Result<Option<i64>, Infallible> {
            Ok(self
                .0
                .iter()
                .filter(|e| before.is_none_or(|id| e.job_id < id))
                .flat_map(|e| e.outputs.iter().map(move |output| (e, output)))
                .filter(|(_, output)| output.hash.as_ref() == Some(hash))
                .filter(|(e, output)| {
                    output.path == *path
                        || elsewhere
                            && !self.0.iter().any(|reader| {
                                reader.job_id <= e.job_id
                                    && reader.inputs.iter().any(|input| {
                                        input.path == *path && input.hash.as_ref() == Some(hash)
                                    })
                            })
                })
                .max_by_key(|(e, output)| (output.path == *path, e.job_id))
                .map(|(e, _)| e.job_id))
        }

        fn execution(&mut self, job_id: i64) -> Result<Option<Execution>, Infallible> {
            Ok(self.0.iter().find(|e| e.job_id == job_id).cloned())
        }

        fn writer_of(&mut self, path: &RawString, before: i64) -> Result<Option<i64>, Infallible> {
            let earlier = self.0.iter().rev().filter(|e| e.job_id < before);
            let mut writers = earlier.filter(|e| e.outputs.iter().any(|o| o.path == *path));
            Ok(writers.next().map(|e| e.job_id))
        }
    }

    /// `expected`: job ids with depths; then unsourced places; then `cut`.
    fn check(jobs: &str, start: (&str, &str), depth: Option<u32>, expected: &str) {
        let (path, content) = start;
        let start = Place {
            path: format!("/p/{path}").into(),
            hash: Some(digest(path, content)),
            size_bytes: Some(u64::from(content != "0")),
        };
        let mut recorded = Recorded(executions(jobs));
        let Ok(found) = ancestry(&[start], depth, &mut recorded);
        let mut parts: Vec<String> = found
            .jobs
            .iter()
            .map(|job| format!("{}/{}", job.execution.job_id, job.depth))
            .collect();
        parts.extend(
            found
                .unsourced
                .iter()
                .map(|place| place.path.to_string().trim_start_matches("/p/").to_owned()),
        );
        if found.cut {
            parts.push("cut".to_owned());
        }
        assert_eq!(parts.join(" "), expected, "{jobs}");
    }

    #[test]
    fn walks() {
        let chain = "1: r=R > a=1\n2: a=1 q=Q > b=1\n3: b=1 > c=1";
        check(chain, ("c", "1"), None, "1/3 2/2 3/1 q r");
        check(
            "1: > a=1\n2: a=1 > b=X",
            ("elsewhere", "X"),
            Some(1),
            "2/1 cut",
        );
        check(chain, ("c", "1"), Some(2), "2/2 3/1 q cut");
        check(chain, ("c", "1"), Some(0), "cut");
        check(chain, ("c", "9"), None, "c");
        // In place: back through the versions, never round in circles.
        check(
            "1: > d=A\n2: d=A > d=B\n3: d=B > d=C",
            ("d", "C"),
            None,
            "1/3 2/2 3/1",
        );
        check("1: d=A > d=A", ("d", "A"), None, "1/1 d");
        // Changed in place: what was found there is not known, but who wrote it is.
        check(
            "1: > d=A\n2: d=? > d=B\n3: d=? e=? > d=C",
            ("d", "C"),
            None,
            "1/3 2/2 3/1 e",
        );
        // A consumer knows only what was there before it.
        check(
            "1: > a=X\n2: a=X > b=Y\n3: > a=X",
            ("b", "Y"),
            None,
            "1/2 2/1",
        );
        // An edited file has no recorded source.
        check("1: > a=A\n2: a=E > b=Y", ("b", "Y"), None, "2/1 a");
        // A copy does not make the original.
        check("1: r=X > a=X\n2: r=X > b=1", ("b", "1"), None, "2/1 r");
        check("1: r=X > a=X", ("r", "X"), None, "r");
        check("1: r=X > a=X", ("elsewhere", "X"), None, "1/1 r");
        // Empty files.
        check("1: > a=0\n2: b=0 > c=C", ("c", "C"), None, "2/1 b");
    }
}
