//! What re-making a lineage takes: the order of its jobs, the code, the software, the inputs that
//! nothing makes, and what is already known to stand against it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsString;

use super::problems::{Found, Problem, Weight};
use super::secrets::{self, HiddenArgument};
use super::trust::{is_cloneable, is_commit, is_distribution, is_version};
use crate::lineage::portable::{Sequence, sequence};
use crate::model::{Digest, PortableFile, PortableJob, PortableLineage, RawString};

/// A lineage of more jobs is refused: nobody could look through it.
pub const MAX_JOBS: usize = 10_000;

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// What it was made from.
    pub lineage: PortableLineage,
    /// In the order in which they run.
    pub steps: Vec<Step>,
    /// Where the code comes from; none when no step knows a commit.
    pub source: Option<Source>,
    /// The Python and its packages; none when no step ran one.
    pub python: Option<Python>,
    /// System packages by name, with their versions (Debian and its descendants).
    pub dpkg: BTreeMap<String, String>,
    /// Accelerator libraries by name, with their versions.
    pub libraries: BTreeMap<String, String>,
    /// Contents that no step makes.
    pub inputs: Vec<NeededInput>,
    /// Arguments that were secrets.
    pub hidden: Vec<HiddenArgument>,
    /// What stands against it.
    pub problems: Vec<Problem>,
}

/// One job to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its index in the lineage.
    pub job: usize,
    /// Positions of the steps whose outputs it consumes.
    pub after: Vec<usize>,
}

/// A repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The remote's URL, where it can be used.
    pub remote: Option<String>,
    /// The commit of the last step.
    pub commit: String,
    /// Where its work tree was.
    pub top: RawString,
}

/// A Python and what it used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Python {
    /// `3.11.2`, or `3.11`.
    pub version: String,
    /// It ran in a virtual or conda environment.
    pub isolated: bool,
    /// Where such environments were.
    pub prefixes: BTreeSet<RawString>,
    /// Distributions by name, with their versions.
    pub distributions: BTreeMap<String, String>,
    /// Where those came from that came from no index.
    pub origins: BTreeMap<String, String>,
}

/// A content that no step makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NeededInput {
    /// What and where.
    pub file: PortableFile,
    /// Positions of the steps that consume it.
    pub steps: Vec<usize>,
    /// The digest of the copy that was kept with the record.
    pub kept: Option<Digest>,
    /// The kept copy lacks its secrets: it is another content.
    pub redacted: bool,
}

impl Plan {
    /// Plans a lineage.
    pub fn of(mut lineage: PortableLineage) -> Self {
        let mut problems = Vec::new();
        if lineage.jobs.len() > MAX_JOBS {
            problems.push(Problem {
                weight: Weight::Impossible,
                steps: Vec::new(),
                text: format!(
                    "the lineage has {} jobs; at most {MAX_JOBS} can be re-made at once",
                    lineage.jobs.len()
                ),
            });
            lineage.jobs.clear();
        }
        let Sequence {
            jobs: order,
            parents,
            unsourced,
            unmade,
        } = sequence(&lineage);
        let positions: HashMap<usize, usize> = order
            .iter()
            .enumerate()
            .map(|(position, job)| (*job, position))
            .collect();
        let position = |job: &usize| positions.get(job).copied();
        let steps: Vec<Step> = order
            .iter()
            .map(|job| Step {
                job: *job,
                after: parents[*job].iter().filter_map(position).collect(),
            })
            .collect();
        if problems.is_empty() {
            for target in unmade {
                problems.push(Problem {
                    weight: Weight::Impossible,
                    steps: Vec::new(),
                    text: format!(
                        "no recorded job made {}: it is a raw input",
                        name_of(&target)
                    ),
                });
            }
        }
        let jobs: Vec<&PortableJob> = order.iter().map(|job| &lineage.jobs[*job]).collect();
        let inputs = unsourced
            .into_iter()
            .map(|(file, users)| NeededInput {
                kept: users
                    .iter()
                    .find_map(|job| kept(&lineage.jobs[*job], &file)),
                redacted: users
                    .iter()
                    .any(|job| is_redacted(&lineage.jobs[*job], &file)),
                steps: users.iter().filter_map(position).collect(),
                file,
            })
            .collect();
        let source = source(&jobs);
        let mut found = Found::default();
        for (position, job) in jobs.iter().enumerate() {
            found.look_at(position, job, source.as_ref());
        }
        let python = python(&jobs, &mut found);
        problems.extend(found.problems);
        problems.sort_by_key(|problem| problem.weight);
        let merged = |of: fn(&PortableJob) -> &BTreeMap<String, String>| {
            let all = jobs.iter().flat_map(|job| of(job));
            all.map(|(name, version)| (name.clone(), version.clone()))
                .collect()
        };
        Self {
            dpkg: merged(|job| &job.conditions.software.dpkg),
            libraries: merged(|job| &job.conditions.software.libraries),
            hidden: jobs
                .iter()
                .enumerate()
                .flat_map(|(position, job)| secrets::hidden(position, job))
                .collect(),
            steps,
            source,
            python,
            inputs,
            problems,
            lineage,
        }
    }

    /// Takes arguments that were secrets and are given now; what they stood against is settled.
    ///
    /// # Errors
    /// A word means none of them, in words.
    pub fn fill(&mut self, words: &[OsString]) -> Result<(), String> {
        secrets::fill(&mut self.hidden, words)?;
        for given in self.hidden.iter().filter(|hidden| hidden.is_given()) {
            let text = given.problem();
            for problem in self.problems.iter_mut().filter(|known| known.text == text) {
                problem.steps.retain(|step| *step != given.step);
            }
            self.problems
                .retain(|problem| problem.text != text || !problem.steps.is_empty());
        }
        Ok(())
    }

    /// The command line of a step, with the secrets that were given.
    pub fn argv(&self, step: usize) -> Vec<RawString> {
        secrets::filled(self.job(step), step, &self.hidden)
    }

    /// The job of a step.
    pub fn job(&self, step: usize) -> &PortableJob {
        &self.lineage.jobs[self.steps[step].job]
    }

    /// Whether something is known that makes it impossible.
    pub fn is_impossible(&self) -> bool {
        self.problems
            .iter()
            .any(|problem| problem.weight == Weight::Impossible)
    }

    /// A digest of everything that decides what is done: a reproduction that was interrupted may
    /// go on only with the same.
    pub fn digest(&self) -> Digest {
        let text = serde_json::to_vec(&self.lineage).unwrap_or_default();
        Digest::from_bytes(blake3::hash(&text).as_bytes())
    }
}

/// The path, else the hash.
fn name_of(file: &PortableFile) -> String {
    match file.hash() {
        Some(hash) if file.path.as_bytes().is_empty() => hash.short().to_owned(),
        _ => file.path.to_string(),
    }
}

/// The copy of an input that was kept as an untracked file, if it is what was read.
fn kept(job: &PortableJob, file: &PortableFile) -> Option<Digest> {
    let git = job.git.as_ref()?;
    let copy = git.untracked.iter().find(|copy| copy.path == file.path)?;
    let blob = copy.blob.as_deref().filter(|_| !copy.redacted)?;
    Some(Digest::from_hex(blob))
}

fn is_redacted(job: &PortableJob, file: &PortableFile) -> bool {
    job.git.as_ref().is_some_and(|git| {
        let mut copies = git.untracked.iter();
        copies.any(|copy| copy.path == file.path && copy.redacted && copy.blob.is_some())
    })
}

/// The repository of the last step that has one.
fn source(jobs: &[&PortableJob]) -> Option<Source> {
    let git = jobs.iter().rev().find_map(|job| {
        let git = job.git.as_ref()?;
        git.commit.as_deref().filter(|commit| is_commit(commit))?;
        Some(git)
    })?;
    Some(Source {
        remote: git.remote.clone().filter(|url| is_cloneable(url)),
        commit: git.commit.clone()?,
        top: git.top.clone().unwrap_or_default(),
    })
}

fn python(jobs: &[&PortableJob], found: &mut Found) -> Option<Python> {
    let mut python = Python::default();
    let mut met = false;
    for (position, job) in jobs.iter().enumerate() {
        let software = &job.conditions.software;
        for interpreter in &software.interpreters {
            met = true;
            if !is_version(&interpreter.version) {
                let text = format!("'{}' is no version of Python", interpreter.version);
                found.add(Weight::Impossible, position, text);
                continue;
            }
            if !python.version.is_empty() && python.version != interpreter.version {
                let text = format!(
                    "steps ran Python {} and {}: {} serves both",
                    python.version, interpreter.version, interpreter.version
                );
                found.add(Weight::Doubtful, position, text);
            }
            python.version.clone_from(&interpreter.version);
            if let Some(prefix) = &interpreter.environment {
                python.isolated = true;
                python.prefixes.insert(prefix.clone());
            }
        }
        for (name, version) in &software.pip {
            if !is_distribution(name) || !is_version(version) {
                let (name, version) = (RawString::from(&**name), RawString::from(&**version));
                let text = format!("'{name}' '{version}' is no Python package and version");
                found.add(Weight::Impossible, position, text);
                continue;
            }
            let before = python.distributions.insert(name.clone(), version.clone());
            if let Some(before) = before.filter(|before| before != version) {
                let text = format!("steps used {name} {before} and {version}: the latter is taken");
                found.add(Weight::Doubtful, position, text);
            }
        }
        python.origins.extend(software.origins.clone());
    }
    // A variable tells of environments that a Python did not run in itself.
    for job in jobs {
        for name in ["VIRTUAL_ENV", "CONDA_PREFIX"] {
            if let Some(prefix) = job.conditions.environment.get(name) {
                python.prefixes.insert(prefix.clone());
            }
        }
    }
    met.then_some(python)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::GitState;

    fn job(change: impl FnOnce(&mut PortableJob)) -> PortableJob {
        let mut job = PortableJob {
            argv: vec!["true".into()],
            duration_ns: Some(1),
            outcome: crate::model::Outcome {
                exit_code: Some(0),
                ..Default::default()
            },
            ..PortableJob::default()
        };
        job.kind = crate::model::JobKind::Build;
        change(&mut job);
        job
    }

    fn problems(change: impl FnOnce(&mut PortableJob)) -> Vec<(Weight, String)> {
        let plan = Plan::of(PortableLineage {
            jobs: vec![job(|job| {
                job.git = Some(GitState {
                    commit: Some("0".repeat(40)),
                    remote: Some("https://example.org/a".to_owned()),
                    ..GitState::default()
                });
                change(job);
            })],
            ..PortableLineage::default()
        });
        plan.problems
            .into_iter()
            .map(|problem| (problem.weight, problem.text))
            .collect()
    }

    #[test]
    fn what_is_known_to_stand_against_it() {
        assert_eq!(problems(|_| {}), []);
        let impossible = |change: fn(&mut PortableJob)| {
            let found = problems(change);
            assert_eq!(found.len(), 1, "{found:?}");
            assert_eq!(found[0].0, Weight::Impossible, "{found:?}");
        };
        impossible(|job| job.duration_ns = None);
        impossible(|job| job.argv.clear());
        impossible(|job| job.cwd = "../..".into());
        impossible(|job| {
            job.git.as_mut().expect("git").dirty = true;
        });
        impossible(|job| {
            job.git.as_mut().expect("git").remote = Some("ext::sh -c x".to_owned());
        });
        impossible(|job| {
            job.inputs.push(PortableFile {
                path: "../secret".into(),
                ..PortableFile::default()
            });
        });
        impossible(|job| {
            let software = &mut job.conditions.software;
            software.pip.insert("-r".to_owned(), "1".to_owned());
        });
        let doubtful = problems(|job| job.complete = false);
        assert_eq!(doubtful[0].0, Weight::Doubtful);
    }

    #[test]
    fn an_enormous_lineage_is_refused_at_once() {
        let plan = Plan::of(PortableLineage {
            jobs: vec![PortableJob::default(); MAX_JOBS + 1],
            ..PortableLineage::default()
        });
        assert!(plan.is_impossible());
        assert!(plan.steps.is_empty());
    }
}
