//! The lineage of contents, from the record, in the form that is the same on every machine.

use std::collections::BTreeSet;

use super::lineage::{Recorded, maker_of};
use super::reading;
use crate::capture::git;
use crate::error::CommandError;
use crate::lineage::Place;
use crate::lineage::ancestry::ancestry;
use crate::lineage::portable::{below, portable};
use crate::model::{
    HashAlgorithm, Hashes, JobKind, JobRecord, Launch, PORTABLE_VERSION, PortableCollection,
    PortableFile, PortableLineage, RawString, StoredJob,
};
use crate::project::Project;
use crate::store::{JobQuery, Store};

/// Everything that led to the targets: the jobs, the build steps of their sessions, and the other
/// parts of distributed launches.
///
/// # Errors
/// The record cannot be read.
pub(super) fn lineage(
    store: &Store,
    project: &Project,
    targets: &[Place],
) -> Result<PortableLineage, CommandError> {
    let mut gathered = Gathered {
        store,
        jobs: BTreeSet::new(),
    };
    gathered.add_ancestors(targets)?;
    gathered.add_builds()?;
    gathered.add_launches()?;
    let top = git::open(&project.root)
        .ok()
        .flatten()
        .and_then(|repository| repository.top().map(std::path::Path::to_path_buf));
    let mut jobs = Vec::with_capacity(gathered.jobs.len());
    for id in &gathered.jobs {
        if let Some(StoredJob {
            step_number,
            record,
            ..
        }) = store.job(*id)?
        {
            let mut job = portable(&record, step_number, &project.root, top.as_deref());
            job.collections = collections(store, *id, &record, &job.root)?;
            jobs.push(job);
        }
    }
    let roots: BTreeSet<_> = jobs.iter().map(|job| job.root.clone()).collect();
    let targets = targets.iter().map(|place| {
        let path = roots.iter().find_map(|root| below(&place.path, root));
        PortableFile {
            path: path.unwrap_or_else(|| place.path.clone()),
            hashes: place
                .hash
                .iter()
                .map(|hash| (HashAlgorithm::Blake3, hash.clone()))
                .collect::<Hashes>(),
            size_bytes: place.size_bytes,
            note: None,
        }
    });
    Ok(PortableLineage {
        version: PORTABLE_VERSION,
        targets: targets.collect(),
        jobs,
        foreign: false,
    })
}

/// The collections of a job, without their members: those are among its files.
fn collections(
    store: &Store,
    id: i64,
    record: &JobRecord,
    root: &RawString,
) -> Result<Vec<PortableCollection>, CommandError> {
    let collections = store.collections_of(id)?.into_iter().map(|met| {
        let files = if met.produced {
            &record.outputs
        } else {
            &record.inputs
        };
        let members = files.iter().filter(|file| {
            let member = below(&file.path, &met.folder);
            member.is_some_and(|member| met.collection.members.contains_key(&member))
        });
        PortableCollection {
            produced: met.produced,
            hash: met.collection.hash().to_string(),
            files: met.collection.members.len() as u64,
            size_bytes: members.map(|file| file.size_bytes).sum(),
            name: met.collection.name,
            folder: below(&met.folder, root).unwrap_or(met.folder),
        }
    });
    Ok(collections.collect())
}

struct Gathered<'a> {
    store: &'a Store,
    /// Database ids.
    jobs: BTreeSet<i64>,
}

impl Gathered<'_> {
    fn add_ancestors<'p>(
        &mut self,
        places: impl IntoIterator<Item = &'p Place>,
    ) -> Result<(), CommandError> {
        let mut makers = BTreeSet::new();
        for place in places {
            makers.extend(maker_of(self.store, place)?);
        }
        let found = ancestry(makers, None, &mut Recorded::new(self.store)?)?;
        self.jobs.extend(found.jobs.iter().map(|job| job.job_id));
        Ok(())
    }

    /// Build steps of the sessions that are met, as they last succeeded.
    fn add_builds(&mut self) -> Result<(), CommandError> {
        let Some(last) = self.jobs.last().copied() else {
            return Ok(());
        };
        for session in self.sessions()? {
            let query = JobQuery {
                session: Some(session),
                ..JobQuery::default()
            };
            let mut steps = BTreeSet::new();
            for job in self.store.job_summaries(&query)? {
                let counts =
                    job.kind == JobKind::Build && job.outcome.succeeded() && job.id <= last;
                if !counts || !steps.insert(job.step_number) {
                    continue;
                }
                self.jobs.insert(job.id);
                let inputs = self.store.job_with_files(job)?.inputs.into_iter();
                let inputs: Vec<Place> = inputs.map(reading::place).collect();
                self.add_ancestors(&inputs)?;
            }
        }
        Ok(())
    }

    /// The jobs of other machines, or of other ranks, that were part of the same launch. A key may
    /// serve again: of jobs that were the same ranks of the same step, the latest counts.
    fn add_launches(&mut self) -> Result<(), CommandError> {
        let launch_of = |store: &Store, id: i64| -> Result<Option<Launch>, CommandError> {
            Ok(store.job(id)?.and_then(|job| job.record.conditions.launch))
        };
        let mut launches = BTreeSet::new();
        for id in &self.jobs {
            launches.extend(launch_of(self.store, *id)?.and_then(|launch| launch.id));
        }
        for launch in launches {
            for session in self.sessions()? {
                let query = JobQuery {
                    session: Some(session),
                    launch: Some(launch.clone()),
                    ..JobQuery::default()
                };
                let mut known: BTreeSet<(u32, Vec<u32>)> = BTreeSet::new();
                for part in self.store.job_summaries(&query)? {
                    let ranks = launch_of(self.store, part.id)?.unwrap_or_default().ranks;
                    let ranks = ranks.iter().map(|rank| rank.rank).collect();
                    if known.insert((part.step_number, ranks)) {
                        self.jobs.insert(part.id);
                    }
                }
            }
        }
        Ok(())
    }

    fn sessions(&self) -> Result<BTreeSet<i64>, CommandError> {
        let mut sessions = BTreeSet::new();
        for id in &self.jobs {
            sessions.extend(self.store.job(*id)?.map(|job| job.session_id));
        }
        Ok(sessions)
    }
}
