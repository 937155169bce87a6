//! From contents back to their sources.
//!
//! The walk crosses sessions: it asks for the producer of a content, wherever that was
//! recorded, and never looks at step numbers. It needs no names, only what stands for them.

use hashbrown::{HashMap, HashSet};

use super::graph::{ContentKey, Place, PlaceKey};

/// Knows which recorded job produced a content.
pub trait Producers {
    /// What can go wrong in finding out.
    type Error;
    /// What stands for a path.
    type Path: PlaceKey;
    /// What stands for a content.
    type Content: ContentKey;

    /// The newest job that produced `content` before the job `before`; one that did so at `path`
    /// is preferred. One that did so elsewhere counts only with `elsewhere`, and when no job up to
    /// it had read the content at `path`: who copies a file did not make the original.
    ///
    /// # Errors
    /// The record cannot be read.
    fn producer_of(
        &mut self,
        content: &Self::Content,
        path: &Self::Path,
        before: i64,
        elsewhere: bool,
    ) -> Result<Option<i64>, Self::Error>;

    /// What a job that was named as a producer had read; asked for once.
    ///
    /// # Errors
    /// The record cannot be read.
    fn inputs(&mut self, job_id: i64) -> Result<Read<Self>, Self::Error>;

    /// The last job before `before` that wrote `path`, whatever it wrote: where a job changed a
    /// file that it found, nobody knows what it found.
    ///
    /// # Errors
    /// The record cannot be read.
    fn writer_of(&mut self, path: &Self::Path, before: i64) -> Result<Option<i64>, Self::Error>;
}

/// Contents at their places.
pub type Read<P> = Vec<Place<<P as Producers>::Path, <P as Producers>::Content>>;

/// Where contents came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ancestry<P, C> {
    /// The jobs that led to them, each after all jobs it depends on.
    pub jobs: Vec<Ancestor<P, C>>,
    /// Contents that no recorded job produced: the raw inputs, in the order they were met.
    pub unsourced: Vec<Unsourced<P, C>>,
    /// There was more above the depth asked for.
    pub cut: bool,
}

/// One job on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ancestor<P, C> {
    /// The job.
    pub job_id: i64,
    /// Its distance from the contents asked for: 1 for a producer.
    pub depth: u32,
    /// What it had read.
    pub inputs: Vec<Place<P, C>>,
    /// For each input, in order: the job that produced it.
    pub producers: Vec<Option<i64>>,
}

/// A content that no recorded job produced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsourced<P, C> {
    /// The content and its place.
    pub place: Place<P, C>,
    /// The first of the jobs on the way that read it.
    pub reader: i64,
}

/// Whether a content of this size may have been made elsewhere than where it is. Every empty file
/// is alike: only its own place says where it came from.
pub fn may_come_from_elsewhere(size_bytes: Option<u64>) -> bool {
    size_bytes != Some(0)
}

/// Walks from the jobs that made the contents asked for to their sources, at most `depth` jobs
/// deep (any, when none).
///
/// # Errors
/// The record cannot be read.
pub fn ancestry<P: Producers>(
    makers: impl IntoIterator<Item = i64>,
    depth: Option<u32>,
    producers: &mut P,
) -> Result<Ancestry<P::Path, P::Content>, P::Error> {
    let mut walk = Walk {
        jobs: Vec::new(),
        found: HashSet::new(),
        unsourced: Vec::new(),
        unsourced_at: HashMap::new(),
        cut: false,
    };
    for maker in makers {
        walk.enter(maker, 1, depth);
    }
    let mut at = 0;
    while let Some(Ancestor {
        job_id,
        depth: level,
        ..
    }) = walk.jobs.get(at)
    {
        let (id, level) = (*job_id, *level);
        let inputs = producers.inputs(id)?;
        let mut sources = Vec::with_capacity(inputs.len());
        for input in &inputs {
            let elsewhere = may_come_from_elsewhere(input.size_bytes);
            let source = match &input.hash {
                Some(content) => producers.producer_of(content, &input.path, id, elsewhere)?,
                None => producers.writer_of(&input.path, id)?,
            };
            match source {
                Some(producer) => walk.enter(producer, level + 1, depth),
                None => walk.add_unsourced(input, id),
            }
            sources.push(source);
        }
        walk.jobs[at].inputs = inputs;
        walk.jobs[at].producers = sources;
        at += 1;
    }
    let Walk {
        mut jobs,
        unsourced,
        cut,
        ..
    } = walk;
    // A job only depends on jobs recorded before it.
    jobs.sort_unstable_by_key(|ancestor| ancestor.job_id);
    Ok(Ancestry {
        jobs,
        unsourced,
        cut,
    })
}

struct Walk<P, C> {
    /// In the order in which they were met; those behind have not been looked at yet.
    jobs: Vec<Ancestor<P, C>>,
    found: HashSet<i64>,
    unsourced: Vec<Unsourced<P, C>>,
    /// Where in `unsourced` each is.
    unsourced_at: HashMap<(P, Option<C>), usize>,
    cut: bool,
}

impl<P: PlaceKey, C: ContentKey> Walk<P, C> {
    fn enter(&mut self, job_id: i64, depth: u32, deepest: Option<u32>) {
        // Level by level: what is not deeper than this has been met by now.
        if self.found.contains(&job_id) {
            return;
        }
        if deepest.is_some_and(|deepest| depth > deepest) {
            self.cut = true;
        } else {
            self.found.insert(job_id);
            self.jobs.push(Ancestor {
                job_id,
                depth,
                inputs: Vec::new(),
                producers: Vec::new(),
            });
        }
    }

    fn add_unsourced(&mut self, place: &Place<P, C>, reader: i64) {
        let key = (place.path.clone(), place.hash.clone());
        let at = *self.unsourced_at.entry(key).or_insert(self.unsourced.len());
        match self.unsourced.get_mut(at) {
            Some(known) => known.reader = known.reader.min(reader),
            None => self.unsourced.push(Unsourced {
                place: place.clone(),
                reader,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use crate::lineage::Execution;
    use crate::lineage::testing::{digest, executions};
    use crate::model::{Digest, RawString};

    struct Recorded(Vec<Execution>);

    impl Producers for Recorded {
        type Error = Infallible;
        type Path = RawString;
        type Content = Digest;

        fn producer_of(
            &mut self,
            hash: &Digest,
            path: &RawString,
            before: i64,
            elsewhere: bool,
        ) -> Result<Option<i64>, Infallible> {
            Ok(self
                .0
                .iter()
                .filter(|e| e.job_id < before)
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

        fn inputs(&mut self, job_id: i64) -> Result<Vec<Place>, Infallible> {
            let job = self.0.iter().find(|e| e.job_id == job_id);
            Ok(job.map(|job| job.inputs.clone()).unwrap_or_default())
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
        let (place, hash) = (format!("/p/{path}").into(), digest(path, content));
        let elsewhere = may_come_from_elsewhere(Some(u64::from(content != "0")));
        let mut recorded = Recorded(executions(jobs));
        let Ok(maker) = recorded.producer_of(&hash, &place, i64::MAX, elsewhere);
        let Ok(found) = ancestry(maker, depth, &mut recorded);
        let mut parts: Vec<String> = found
            .jobs
            .iter()
            .map(|job| format!("{}/{}", job.job_id, job.depth))
            .collect();
        parts.extend(found.unsourced.iter().map(|Unsourced { place, reader }| {
            let path = place.path.to_string();
            format!("{}<{reader}", path.trim_start_matches("/p/"))
        }));
        if found.cut {
            parts.push("cut".to_owned());
        }
        assert_eq!(parts.join(" "), expected, "{jobs}");
    }

    #[test]
    fn walks() {
        let chain = "1: r=R > a=1\n2: a=1 q=Q > b=1\n3: b=1 > c=1";
        check(chain, ("c", "1"), None, "1/3 2/2 3/1 q<2 r<1");
        check(
            "1: > a=1\n2: a=1 > b=X",
            ("elsewhere", "X"),
            Some(1),
            "2/1 cut",
        );
        check(chain, ("c", "1"), Some(2), "2/2 3/1 q<2 cut");
        check(chain, ("c", "1"), Some(0), "cut");
        check(chain, ("c", "9"), None, "");
        // In place: back through the versions, never round in circles.
        check(
            "1: > d=A\n2: d=A > d=B\n3: d=B > d=C",
            ("d", "C"),
            None,
            "1/3 2/2 3/1",
        );
        check("1: d=A > d=A", ("d", "A"), None, "1/1 d<1");
        // Changed in place: what was found there is not known, but who wrote it is.
        check(
            "1: > d=A\n2: d=? > d=B\n3: d=? e=? > d=C",
            ("d", "C"),
            None,
            "1/3 2/2 3/1 e<3",
        );
        // A consumer knows only what was there before it.
        check(
            "1: > a=X\n2: a=X > b=Y\n3: > a=X",
            ("b", "Y"),
            None,
            "1/2 2/1",
        );
        // What is there already is not more.
        check(
            "1: > a=1\n2: a=1 > b=1\n3: a=1 b=1 > c=1",
            ("c", "1"),
            Some(2),
            "1/2 2/2 3/1",
        );
        // An edited file has no recorded source.
        check("1: > a=A\n2: a=E > b=Y", ("b", "Y"), None, "2/1 a<2");
        // A copy does not make the original.
        check("1: r=X > a=X\n2: r=X > b=1", ("b", "1"), None, "2/1 r<2");
        check("1: r=X > a=X", ("r", "X"), None, "");
        check("1: r=X > a=X", ("elsewhere", "X"), None, "1/1 r<1");
        // Empty files.
        check("1: > a=0\n2: b=0 > c=C", ("c", "C"), None, "2/1 b<2");
    }
}
