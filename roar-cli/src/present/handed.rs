//! What the jobs of a lineage handed on to each other, and what was done to it on the way: found
//! once for all files, of which there may be many.

use std::collections::BTreeSet;

use hashbrown::{HashMap, HashSet};
use smallvec::SmallVec;

use super::lineage::{LineageJob, LineageView};
use crate::lineage::Place;
use crate::model::{Digest, RawString};
use crate::store::JobSummary;

/// Who handed on what.
pub(super) struct Handed<'a> {
    /// By job and content.
    made: HashMap<(i64, &'a Digest), Made<'a>>,
    /// By job, the outputs that other jobs on the way read, and the target.
    on: HashMap<i64, BTreeSet<&'a RawString>>,
    /// Contents from outside, at places that a job had written before.
    edited: HashMap<&'a Place, &'a JobSummary>,
}

/// The places where a job wrote a content.
struct Made<'a> {
    first: &'a RawString,
    /// In order.
    all: SmallVec<[&'a RawString; 1]>,
}

impl Made<'_> {
    fn is_at(&self, path: &RawString) -> bool {
        self.all.binary_search(&path).is_ok()
    }
}

impl<'a> Handed<'a> {
    /// Looks through a lineage.
    pub(super) fn of(view: &'a LineageView) -> Self {
        let mut handed = Self {
            made: HashMap::new(),
            on: HashMap::new(),
            edited: HashMap::new(),
        };
        for job in &view.jobs {
            for output in &job.outputs {
                let Some(hash) = &output.hash else {
                    continue;
                };
                let made = handed.made.entry((job.summary.id, hash));
                let made = made.or_insert_with(|| Made {
                    first: &output.path,
                    all: SmallVec::new(),
                });
                made.all.push(&output.path);
            }
        }
        for made in handed.made.values_mut() {
            made.all.sort_unstable();
        }
        for source in &view.sources {
            if let Some(job) = &source.edited_after {
                handed.edited.insert(&source.place, job);
            }
        }
        let mut whole = HashSet::new();
        for job in &view.jobs {
            for (input, producer) in job.inputs.iter().zip(&job.producers) {
                handed.hand_on(input, *producer, &mut whole);
            }
        }
        let maker = view.producer().map(|job| job.summary.id);
        for file in &view.files {
            handed.hand_on(file, maker, &mut whole);
        }
        handed
    }

    /// `whole`: contents of which every place where their maker wrote them is known.
    fn hand_on(
        &mut self,
        place: &'a Place,
        producer: Option<i64>,
        whole: &mut HashSet<(i64, &'a Digest)>,
    ) {
        let Some(producer) = producer else {
            return;
        };
        let on = self.on.entry(producer).or_default();
        let Some(hash) = &place.hash else {
            on.insert(&place.path);
            return;
        };
        let Some(made) = self.made.get(&(producer, hash)) else {
            return;
        };
        if made.is_at(&place.path) {
            on.insert(&place.path);
        } else if whole.insert((producer, hash)) {
            on.extend(&made.all);
        }
    }

    /// Whether what a job wrote at a place was handed on.
    pub(super) fn is_on(&self, job: &LineageJob, output: &Place) -> bool {
        let of_job = self.on.get(&job.summary.id);
        of_job.is_some_and(|paths| paths.contains(&output.path))
    }

    /// Where a job wrote a file that stood elsewhere when it was read; none where it had stayed.
    pub(super) fn moved_from(&self, input: &Place, producer: i64) -> Option<&'a RawString> {
        let made = self.made.get(&(producer, input.hash.as_ref()?))?;
        (!made.is_at(&input.path)).then_some(made.first)
    }

    /// The job that had written a place before something unrecorded changed it.
    pub(super) fn edited_after(&self, input: &Place) -> Option<&'a JobSummary> {
        self.edited.get(input).copied()
    }
}
