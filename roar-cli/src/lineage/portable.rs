//! Records in the form that is the same on every machine, and the order of their jobs.

use std::collections::{BTreeSet, HashMap};
use std::path::{Component, Path, PathBuf};

use super::order::dependencies_first;
use crate::model::{
    Digest, FileRecord, GitState, JobKind, JobRecord, PortableFile, PortableJob, PortableLineage,
    RawString,
};

/// A record without its machine. `project_root` is where the project is now, and `top` the top
/// of the git work tree around it: both may have been elsewhere when the job ran.
pub fn portable(
    job: &JobRecord,
    step_number: u32,
    project_root: &Path,
    top: Option<&Path>,
) -> PortableJob {
    let recorded_top = job.git.as_ref().and_then(|git| git.top.clone());
    let (root, below) = match recorded_top {
        Some(recorded) => {
            let then = recorded.to_path_buf();
            let below = project_root
                .strip_prefix(&then)
                .ok()
                .or_else(|| project_root.strip_prefix(top?).ok())
                .unwrap_or(Path::new(""));
            (recorded, RawString::from_path(below))
        }
        None => (RawString::from_path(project_root), RawString::default()),
    };
    let files = |files: &[FileRecord]| -> Vec<PortableFile> {
        files
            .iter()
            .map(|file| portable_file(file, &root))
            .collect()
    };
    PortableJob {
        uid: job.uid.to_string(),
        kind: job.kind,
        step_number,
        name: job.name.clone(),
        argv: job.argv.clone(),
        cwd: folder(&job.cwd, &below, &root),
        started_at_ns: job.started_at_ns,
        duration_ns: job.duration_ns,
        outcome: job.outcome,
        complete: job.completeness.complete && job.duration_ns.is_some(),
        inputs: files(&job.inputs),
        outputs: files(&job.outputs),
        // They are records of their own.
        collections: Vec::new(),
        git: job.git.clone().map(with_absolute_remote),
        host: job.host.clone(),
        conditions: job.conditions.clone(),
        root,
    }
}

/// A remote that is a folder named from the work tree means nothing elsewhere.
fn with_absolute_remote(mut git: GitState) -> GitState {
    let top = git.top.as_ref().and_then(RawString::as_str);
    if let (Some(remote), Some(top)) = (&git.remote, top)
        && (remote.starts_with("./") || remote.starts_with("../"))
    {
        let mut place = PathBuf::from(top);
        for part in Path::new(remote).components() {
            match part {
                Component::ParentDir => drop(place.pop()),
                Component::Normal(name) => place.push(name),
                _ => {}
            }
        }
        git.remote = place.to_str().map(str::to_owned);
    }
    git
}

fn portable_file(file: &FileRecord, root: &RawString) -> PortableFile {
    PortableFile {
        path: below(&file.path, root).unwrap_or_else(|| file.path.clone()),
        hashes: file.hashes.clone(),
        size_bytes: file.size_bytes,
        note: file.note.clone(),
    }
}

/// The path below `root`; none when it is elsewhere.
pub fn below(path: &RawString, root: &RawString) -> Option<RawString> {
    // A root that is not known holds nothing.
    let root = Some(root.as_bytes()).filter(|root| !root.is_empty())?;
    let rest = path.as_bytes().strip_prefix(root)?;
    let rest = rest.strip_prefix(b"/")?;
    (!rest.is_empty()).then(|| RawString::new(rest))
}

/// The working directory below the tree: recorded relative to the project, which is `below` it.
fn folder(cwd: &RawString, project_below: &RawString, root: &RawString) -> RawString {
    if cwd.as_bytes().starts_with(b"/") {
        return if cwd == root {
            ".".into()
        } else {
            below(cwd, root).unwrap_or_else(|| cwd.clone())
        };
    }
    match (project_below.as_bytes(), cwd.as_bytes()) {
        (b"", _) => cwd.clone(),
        (_, b".") => project_below.clone(),
        (project, cwd) => RawString::new([project, b"/", cwd].concat()),
    }
}

/// The part of a lineage that leads to its targets, in an order in which it can be run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sequence {
    /// Indices of jobs: build steps and what they need first, then the others, each after the
    /// jobs that it depends on.
    pub jobs: Vec<usize>,
    /// By index of a job: those that it depends on directly.
    pub parents: Vec<BTreeSet<usize>>,
    /// Contents that none of the jobs made, and the jobs that consume each, in order.
    pub unsourced: Vec<(PortableFile, Vec<usize>)>,
    /// Targets that none of the jobs made.
    pub unmade: Vec<PortableFile>,
}

/// Orders a lineage for running it again. Build jobs always belong to it.
pub fn sequence(lineage: &PortableLineage) -> Sequence {
    let jobs = &lineage.jobs;
    let index = Index::of(jobs);
    let mut sequence = Sequence {
        parents: vec![BTreeSet::new(); jobs.len()],
        ..Sequence::default()
    };
    let mut wanted = BTreeSet::new();
    let untold = lineage.foreign
        && jobs
            .iter()
            .all(|job| job.inputs.is_empty() && job.outputs.is_empty());
    if untold {
        // Any of them may have made it, from whatever those before it left.
        for job in 0..jobs.len() {
            wanted.insert(job);
            sequence.parents[job].extend(job.checked_sub(1));
        }
    }
    for target in lineage.targets.iter().filter(|_| !untold) {
        match index.maker(target, jobs.len()) {
            Some(job) => index.walk(job, &mut wanted, &mut sequence.parents),
            None => sequence.unmade.push(target.clone()),
        }
    }
    let mut first = BTreeSet::new();
    for (number, job) in jobs.iter().enumerate() {
        if job.kind == JobKind::Build {
            index.walk(number, &mut first, &mut sequence.parents);
        }
    }
    wanted.extend(first.iter().copied());
    let members: Vec<usize> = wanted.into_iter().collect();
    let positions: HashMap<usize, usize> = members
        .iter()
        .enumerate()
        .map(|(position, job)| (*job, position))
        .collect();
    let parents: Vec<BTreeSet<usize>> = members
        .iter()
        .map(|job| {
            let its = sequence.parents[*job].iter();
            its.filter_map(|parent| positions.get(parent).copied())
                .collect()
        })
        .collect();
    let (builds, rest): (Vec<usize>, Vec<usize>) = dependencies_first(&parents)
        .nodes
        .into_iter()
        .map(|position| members[position])
        .partition(|job| first.contains(job));
    sequence.jobs = [builds, rest].concat();
    sequence.unsourced = unsourced(jobs, &index, &sequence.jobs);
    sequence
}

fn unsourced(
    jobs: &[PortableJob],
    index: &Index<'_>,
    order: &[usize],
) -> Vec<(PortableFile, Vec<usize>)> {
    let mut places: HashMap<(&RawString, Option<&Digest>), usize> = HashMap::new();
    let mut found: Vec<(PortableFile, Vec<usize>)> = Vec::new();
    for job in order {
        for input in &jobs[*job].inputs {
            if index.maker(input, *job).is_some() {
                continue;
            }
            let at = *places
                .entry((&input.path, input.hash()))
                .or_insert_with(|| {
                    found.push((input.clone(), Vec::new()));
                    found.len() - 1
                });
            if found[at].1.last() != Some(job) {
                found[at].1.push(*job);
            }
        }
    }
    found
}

/// Who made and who read what, among the jobs of one lineage.
struct Index<'a> {
    jobs: &'a [PortableJob],
    makers: HashMap<&'a Digest, Vec<usize>>,
    writers: HashMap<&'a RawString, Vec<usize>>,
    /// Who made a content at a place, and the first that read it there.
    makers_here: HashMap<(&'a Digest, &'a RawString), Vec<usize>>,
    first_readers: HashMap<(&'a Digest, &'a RawString), usize>,
}

impl<'a> Index<'a> {
    fn of(jobs: &'a [PortableJob]) -> Self {
        let mut index = Self {
            jobs,
            makers: HashMap::new(),
            writers: HashMap::new(),
            makers_here: HashMap::new(),
            first_readers: HashMap::new(),
        };
        for (number, job) in jobs.iter().enumerate() {
            for hash in job.outputs.iter().filter_map(PortableFile::hash) {
                index.makers.entry(hash).or_default().push(number);
            }
            for output in &job.outputs {
                index.writers.entry(&output.path).or_default().push(number);
                if let Some(hash) = output.hash() {
                    let place = (hash, &output.path);
                    index.makers_here.entry(place).or_default().push(number);
                }
            }
            for input in &job.inputs {
                if let Some(hash) = input.hash() {
                    let place = (hash, &input.path);
                    index.first_readers.entry(place).or_insert(number);
                }
            }
        }
        index
    }

    /// Adds a job and all that it depends on.
    fn walk(&self, job: usize, met: &mut BTreeSet<usize>, parents: &mut [BTreeSet<usize>]) {
        let mut pending = vec![job];
        while let Some(job) = pending.pop() {
            if !met.insert(job) {
                continue;
            }
            for input in &self.jobs[job].inputs {
                if let Some(maker) = self.maker(input, job) {
                    parents[job].insert(maker);
                    pending.push(maker);
                }
            }
        }
    }

    /// The job before `before` that made this content: one that did so at its place, else one
    /// that did so elsewhere before anyone read it here. The rule is that of [`super::ancestry`].
    fn maker(&self, file: &PortableFile, before: usize) -> Option<usize> {
        let Some(hash) = file.hash() else {
            // Changed in place: what was found there is not known, but who wrote it is.
            let mut writers = self.writers.get(&file.path)?.iter().rev().copied();
            return writers.find(|job| *job < before);
        };
        let place = (hash, &file.path);
        let here = self.makers_here.get(&place).into_iter().flatten();
        let here = here.rev().copied().find(|job| *job < before);
        // Every empty file is alike: only its own place says where it came from.
        if here.is_some() || file.size_bytes == Some(0) {
            return here;
        }
        let first_reader = self.first_readers.get(&place);
        let mut earlier = self.makers.get(hash)?.iter().rev().copied();
        earlier.find(|job| *job < before && first_reader.is_none_or(|reader| reader > job))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lineage::testing::executions;
    use crate::model::{HashAlgorithm, Hashes};

    /// Jobs in the language of [`super::super::testing`]; a step number from 90 on is a build
    /// step. `expected`: the jobs in order, counted from 1; then what none of them made.
    fn check(jobs: &str, targets: &[&str], expected: &str) {
        let file = |place: &crate::lineage::Place| PortableFile {
            path: below(&place.path, &"/p".into()).expect("below"),
            hashes: place
                .hash
                .iter()
                .map(|hash| (HashAlgorithm::Blake3, hash.clone()))
                .collect::<Hashes>(),
            size_bytes: place.size_bytes,
            note: None,
        };
        let jobs: Vec<PortableJob> = executions(jobs)
            .iter()
            .map(|execution| PortableJob {
                kind: if execution.step_number >= 90 {
                    JobKind::Build
                } else {
                    JobKind::Run
                },
                inputs: execution.inputs.iter().map(file).collect(),
                outputs: execution.outputs.iter().map(file).collect(),
                ..PortableJob::default()
            })
            .collect();
        let targets = jobs
            .iter()
            .flat_map(|job| &job.outputs)
            .filter(|output| targets.contains(&output.path.as_str().unwrap_or_default()))
            .cloned()
            .collect();
        let found = sequence(&PortableLineage {
            targets,
            jobs,
            ..PortableLineage::default()
        });
        let mut parts: Vec<String> = found.jobs.iter().map(|job| (job + 1).to_string()).collect();
        parts.extend(
            found
                .unsourced
                .iter()
                .map(|(file, jobs)| format!("{}:{}", file.path, jobs.len())),
        );
        assert_eq!(parts.join(" "), expected);
    }

    #[test]
    fn remotes_that_are_folders() {
        for (remote, expected) in [
            ("../a.git", "/home/ann/a.git"),
            ("./sub/../b", "/home/ann/p/b"),
            ("/srv/a.git", "/srv/a.git"),
            ("git@example.org:../a", "git@example.org:../a"),
            ("https://example.org/a", "https://example.org/a"),
        ] {
            let git = with_absolute_remote(GitState {
                top: Some("/home/ann/p".into()),
                remote: Some(remote.to_owned()),
                ..GitState::default()
            });
            assert_eq!(git.remote.as_deref(), Some(expected));
        }
    }

    #[test]
    fn sequences() {
        let chain = "1: r=R > a=1\n2: a=1 q=Q > b=1\n3: b=1 > c=1";
        check(chain, &["c"], "1 2 3 r:1 q:1");
        check(chain, &["a"], "1 r:1");
        // What does not lead there is left out; a diamond; an input of two.
        check(
            "1: s=S > a=1\n2: s=S > x=1\n3: a=1 > b=1\n4: a=1 s=S > c=1\n5: b=1 c=1 > d=1",
            &["d"],
            "1 3 4 5 s:2",
        );
        // Build steps come first, with what they need.
        check(
            "1: r=R > a=1\n2: g=G > h=1\n90: h=1 > lib=1\n3: a=1 > c=1",
            &["c"],
            "2 3 1 4 g:1 r:1",
        );
        // In place, through several versions.
        check("1: > d=A\n2: d=A > d=B\n3: d=B > d=C", &["d"], "1 2 3");
        check("1: d=A > d=A", &["d"], "1 d:1");
        check("1: > d=1\n2: d=? e=? > d=B", &["d"], "1 2 e:1");
    }

    #[test]
    fn paths_below_a_root() {
        for (path, root, expected) in [
            ("/p/a/b", "/p", Some("a/b")),
            ("/p", "/p", None),
            ("/px/a", "/p", None),
            ("/data/a", "", None),
        ] {
            let found = below(&path.into(), &root.into());
            assert_eq!(found, expected.map(RawString::from), "{path} {root}");
        }
    }

    #[test]
    fn folders_below_the_tree() {
        for (cwd, project, expected) in [
            (".", "", "."),
            ("sub", "", "sub"),
            (".", "code", "code"),
            ("sub", "code", "code/sub"),
            ("/p", "", "."),
            ("/p/x", "code", "x"),
            ("/elsewhere", "code", "/elsewhere"),
            ("/px", "", "/px"),
        ] {
            let found = folder(&cwd.into(), &project.into(), &"/p".into());
            assert_eq!(found, expected.into(), "{cwd} {project}");
        }
    }
}
