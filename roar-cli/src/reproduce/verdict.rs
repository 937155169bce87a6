//! Whether what came out is what was recorded, and if not, why.
//!
//! The cause is looked for at the first step, in the order in which they ran, whose outputs differ:
//! what it read is then what was recorded, unless an input that no step makes was another one.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde::Serialize;

use super::plan::Plan;
use super::rebase::Rebase;
use super::secrets::HiddenArgument;
use super::state::State;
use crate::model::{Digest, PortableFile, PortableJob, RawString};

/// What became of one output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Every byte is the same.
    BitIdentical,
    /// It is there, but not the same.
    Differs,
    /// One of both has no hash: it was not written, or could not be hashed.
    NotComparable,
}

impl Verdict {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::BitIdentical => "bit-identical",
            Self::Differs => "differs",
            Self::NotComparable => "not comparable",
        }
    }
}

/// An output and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OutputVerdict {
    /// The position of the step.
    pub step: usize,
    /// Its path as the record has it.
    pub path: RawString,
    /// The recorded digest.
    pub recorded: Option<Digest>,
    /// The digest of what came out.
    pub made: Option<Digest>,
    /// The verdict.
    pub verdict: Verdict,
    /// Whether it was asked for.
    pub target: bool,
}

/// The first upstream difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Cause {
    /// An input was another one.
    Input {
        /// Their paths.
        paths: Vec<RawString>,
    },
    /// Packages, interpreters or libraries were others.
    Package {
        /// Which, with the recorded version and that of now.
        changes: Vec<Change>,
    },
    /// Variables, operating system or kernel were others.
    Environment {
        /// Which, with the recorded value and that of now.
        changes: Vec<Change>,
    },
    /// The machine was another one.
    Hardware {
        /// In what, with the recorded value and that of now.
        changes: Vec<Change>,
    },
    /// Nothing that was recorded differs, but an argument that was a secret was given anew: nobody
    /// can tell whether it is the same.
    Secret {
        /// Their options, or their places in the command line.
        arguments: Vec<String>,
    },
    /// Nothing that was recorded differs: the command itself does not give the same twice.
    NotDeterministic,
    /// What the step did here is not recorded.
    Unknown,
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Of what.
    pub what: RawString,
    /// When it was recorded.
    pub recorded: Option<RawString>,
    /// Now.
    pub now: Option<RawString>,
}

/// The whole answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The least of the verdicts of what was asked for.
    pub verdict: Verdict,
    /// Every output of every step.
    pub outputs: Vec<OutputVerdict>,
    /// Where the first difference arose, and from what; none when nothing differs.
    pub cause: Option<(usize, Cause)>,
}

/// Judges a reproduction that ran to its end. `made` has the jobs as they ran here, by step, where
/// they are recorded; `rebase` knows where the record's places are here.
pub fn judge(plan: &Plan, state: &State, made: &[Option<PortableJob>], rebase: &Rebase) -> Report {
    let mut outputs = Vec::new();
    let targets: HashSet<_> = plan.lineage.targets.iter().map(target_key).collect();
    for (step, done) in state.steps.iter().enumerate() {
        let job = plan.job(step);
        // The first of a path counts.
        let here: HashMap<_, _> = done
            .made
            .iter()
            .rev()
            .map(|(path, hash)| (path, hash))
            .collect();
        for output in &job.outputs {
            let recorded = output.hash().cloned();
            let here = here.get(&output.path).and_then(|hash| (*hash).clone());
            outputs.push(OutputVerdict {
                step,
                path: output.path.clone(),
                verdict: match (&recorded, &here) {
                    (Some(recorded), Some(made)) if recorded == made => Verdict::BitIdentical,
                    (Some(_), Some(_)) => Verdict::Differs,
                    _ => Verdict::NotComparable,
                },
                target: targets.contains(&target_key(output)),
                recorded,
                made: here,
            });
        }
    }
    if plan.lineage.foreign {
        outputs.extend(found_by_content(plan, made, &outputs));
    }
    // The last step that makes a target decides: earlier ones may have made the same content.
    let mut decided: BTreeMap<&RawString, Verdict> = BTreeMap::new();
    for output in outputs.iter().filter(|output| output.target) {
        decided.insert(&output.path, output.verdict);
    }
    let verdict = if decided.is_empty() {
        Verdict::NotComparable
    } else if decided.values().any(|v| *v == Verdict::Differs) {
        Verdict::Differs
    } else if decided.values().any(|v| *v == Verdict::NotComparable) {
        Verdict::NotComparable
    } else {
        Verdict::BitIdentical
    };
    let first = outputs
        .iter()
        .find(|output| output.verdict == Verdict::Differs)
        .map(|output| output.step);
    let cause = first.map(|step| {
        let now = made.get(step).and_then(Option::as_ref);
        let cause = match cause(plan.job(step), now, state, rebase, plan.lineage.foreign) {
            Cause::NotDeterministic => secret(plan, step).unwrap_or(Cause::NotDeterministic),
            other => other,
        };
        (step, cause)
    });
    Report {
        verdict,
        outputs,
        cause,
    }
}

/// Targets of which the record does not tell who made them, or where: known again by what they are.
fn found_by_content(
    plan: &Plan,
    made: &[Option<PortableJob>],
    told: &[OutputVerdict],
) -> Vec<OutputVerdict> {
    let targets = plan.lineage.targets.iter().filter_map(PortableFile::hash);
    let untold = targets.filter(|hash| {
        let mut told = told.iter().filter(|output| output.target);
        !told.any(|output| output.recorded.as_ref() == Some(hash))
    });
    untold
        .filter_map(|hash| {
            let mut steps = made.iter().enumerate().rev();
            let (step, output) = steps.find_map(|(step, job)| {
                let mut outputs = job.as_ref()?.outputs.iter();
                Some((step, outputs.find(|output| output.hash() == Some(hash))?))
            })?;
            Some(OutputVerdict {
                step,
                path: output.path.clone(),
                recorded: Some(hash.clone()),
                made: Some(hash.clone()),
                verdict: Verdict::BitIdentical,
                target: true,
            })
        })
        .collect()
}

/// What a target is known by: its hash, else its path.
fn target_key(file: &PortableFile) -> (Option<&Digest>, Option<&RawString>) {
    let hash = file.hash();
    (hash, hash.is_none().then_some(&file.path))
}

/// In a `foreign` record only what both sides tell of can differ.
fn cause(
    then: &PortableJob,
    now: Option<&PortableJob>,
    state: &State,
    rebase: &Rebase,
    foreign: bool,
) -> Cause {
    let inputs = other_inputs(then, now, state);
    if !inputs.is_empty() {
        return Cause::Input { paths: inputs };
    }
    let Some(now) = now else {
        return Cause::Unknown;
    };
    let differences = |then: &Facts, now: &Facts| {
        let mut found = differences(then, now);
        let is_told = |value: &Option<RawString>| {
            value
                .as_ref()
                .is_some_and(|value| !value.as_bytes().is_empty())
        };
        found.retain(|change| !foreign || (is_told(&change.recorded) && is_told(&change.now)));
        found
    };
    let packages = differences(&software(then), &software(now));
    if !packages.is_empty() {
        return Cause::Package { changes: packages };
    }
    let environment = differences(&environment(then, Some(rebase)), &environment(now, None));
    if !environment.is_empty() {
        return Cause::Environment {
            changes: environment,
        };
    }
    let hardware = differences(&hardware(then), &hardware(now));
    if !hardware.is_empty() {
        return Cause::Hardware { changes: hardware };
    }
    Cause::NotDeterministic
}

fn secret(plan: &Plan, step: usize) -> Option<Cause> {
    let hidden = plan.hidden.iter().filter(|hidden| hidden.step == step);
    let arguments: Vec<String> = hidden.map(HiddenArgument::name).collect();
    (!arguments.is_empty()).then_some(Cause::Secret { arguments })
}

/// The inputs that were not what was recorded: those that were put in place so, and those that
/// the step was seen to read so.
fn other_inputs(then: &PortableJob, now: Option<&PortableJob>, state: &State) -> Vec<RawString> {
    let mut found = BTreeSet::new();
    let read = now.map_or(&[][..], |now| &now.inputs).iter().rev();
    let read: HashMap<_, _> = read.map(|input| (&input.path, input)).collect();
    for input in &then.inputs {
        let changed = state.changed.contains_key(&input.path.to_string());
        let read = read.get(&input.path);
        let differs = read.is_some_and(|read| {
            read.hash().is_some() && input.hash().is_some() && read.hash() != input.hash()
        });
        if changed || differs {
            found.insert(input.path.clone());
        }
    }
    found.into_iter().collect()
}

type Facts = BTreeMap<RawString, RawString>;

fn differences(then: &Facts, now: &Facts) -> Vec<Change> {
    let names: BTreeSet<&RawString> = then.keys().chain(now.keys()).collect();
    names
        .into_iter()
        .filter(|name| then.get(*name) != now.get(*name))
        .map(|name| Change {
            what: name.clone(),
            recorded: then.get(name).cloned(),
            now: now.get(name).cloned(),
        })
        .collect()
}

fn software(job: &PortableJob) -> Facts {
    let software = &job.conditions.software;
    let mut facts = Facts::new();
    for packages in [
        &software.pip,
        &software.dpkg,
        &software.rpm,
        &software.apk,
        &software.conda,
        &software.libraries,
    ] {
        for (name, version) in packages {
            facts.insert(name.as_str().into(), version.as_str().into());
        }
    }
    for interpreter in &software.interpreters {
        let name = interpreter.implementation.as_str();
        facts.insert(name.into(), interpreter.version.as_str().into());
    }
    facts
}

/// Variables that a scheduler or an environment sets for itself.
const INCIDENTAL: &[&str] = &[
    "CONDA_",
    "MASTER_ADDR",
    "MASTER_PORT",
    "SLURM_JOB_ID",
    "SLURM_STEP_ID",
    "TORCHELASTIC_RUN_ID",
    "VIRTUAL_ENV",
    "WANDB_RUN_ID",
];

fn environment(job: &PortableJob, rebase: Option<&Rebase>) -> Facts {
    let mut facts: Facts = job
        .conditions
        .environment
        .iter()
        .filter(|(name, _)| !INCIDENTAL.iter().any(|start| name.starts_with(start)))
        .map(|(name, value)| {
            let value = rebase.map_or_else(|| value.clone(), |rebase| rebase.apply(value));
            (RawString::from(name.as_str()), value)
        })
        .collect();
    facts.insert("operating system".into(), job.host.os.as_str().into());
    facts.insert("kernel".into(), job.host.kernel.as_str().into());
    facts
}

fn hardware(job: &PortableJob) -> Facts {
    let host = &job.host;
    let gpus: Vec<&str> = host.gpus.iter().map(|gpu| gpu.name.as_str()).collect();
    Facts::from([
        ("architecture".into(), host.arch.as_str().into()),
        ("cpu".into(), host.cpu_model.as_str().into()),
        ("cpus".into(), host.cpu_count.to_string().into()),
        ("gpus".into(), gpus.join(", ").into()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{HashAlgorithm, Hashes, PortableLineage};

    fn file(path: &str, content: &str) -> PortableFile {
        let digest = Digest::from_bytes(blake3::hash(content.as_bytes()).as_bytes());
        PortableFile {
            path: path.into(),
            hashes: Hashes::from([(HashAlgorithm::Blake3, digest)]),
            ..PortableFile::default()
        }
    }

    /// Two steps: `r > a`, `a > b`; what each made, and how the first job was here.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "cases are written where they are checked"
    )]
    fn check(
        made: [Option<&str>; 2],
        change: impl FnOnce(&mut PortableJob, &mut State),
        verdict: Verdict,
        cause: Option<(usize, Cause)>,
    ) {
        let jobs = vec![
            PortableJob {
                inputs: vec![file("r", "R")],
                outputs: vec![file("a", "A")],
                ..PortableJob::default()
            },
            PortableJob {
                inputs: vec![file("a", "A")],
                outputs: vec![file("b", "B")],
                ..PortableJob::default()
            },
        ];
        let plan = Plan::of(PortableLineage {
            targets: vec![file("b", "B")],
            jobs: jobs.clone(),
            ..PortableLineage::default()
        });
        let mut state = State::new(&plan);
        for ((step, made), path) in state.steps.iter_mut().zip(made).zip(["a", "b"]) {
            let digest = made.and_then(|content| file(path, content).hash().cloned());
            step.made = vec![(path.into(), digest)];
        }
        let mut here = jobs;
        change(&mut here[0], &mut state);
        let here: Vec<_> = here.into_iter().map(Some).collect();
        let report = judge(&plan, &state, &here, &Rebase::default());
        assert_eq!(report.verdict, verdict);
        assert_eq!(report.cause, cause);
    }

    #[test]
    fn verdicts_and_causes() {
        use Verdict::{BitIdentical, Differs, NotComparable};
        let same = |_: &mut PortableJob, _: &mut State| {};
        check([Some("A"), Some("B")], same, BitIdentical, None);
        let chance = Cause::NotDeterministic;
        check(
            [Some("A"), Some("x")],
            same,
            Differs,
            Some((1, chance.clone())),
        );
        // The first difference counts, not the one that was asked for.
        check(
            [Some("x"), Some("y")],
            same,
            Differs,
            Some((0, chance.clone())),
        );
        // What was asked for is the same in spite of it.
        check(
            [Some("x"), Some("B")],
            same,
            BitIdentical,
            Some((0, chance)),
        );
        check([Some("A"), None], same, NotComparable, None);
        check(
            [Some("x"), Some("y")],
            |_, state| {
                state.changed.insert("r".to_owned(), None);
            },
            Differs,
            Some((
                0,
                Cause::Input {
                    paths: vec!["r".into()],
                },
            )),
        );
        check(
            [Some("x"), Some("y")],
            |job, _| job.inputs = vec![file("r", "other")],
            Differs,
            Some((
                0,
                Cause::Input {
                    paths: vec!["r".into()],
                },
            )),
        );
        let change = |what: &str, recorded: Option<&str>, now: Option<&str>| {
            vec![Change {
                what: what.into(),
                recorded: recorded.map(RawString::from),
                now: now.map(RawString::from),
            }]
        };
        check(
            [Some("x"), Some("y")],
            |job, _| {
                let software = &mut job.conditions.software;
                software.pip.insert("numpy".to_owned(), "2".to_owned());
                // A lesser cause beside it.
                job.host.cpu_model = "other".to_owned();
            },
            Differs,
            Some((
                0,
                Cause::Package {
                    changes: change("numpy", None, Some("2")),
                },
            )),
        );
        check(
            [Some("x"), Some("y")],
            |job, _| {
                let environment = &mut job.conditions.environment;
                environment.insert("OMP_NUM_THREADS".to_owned(), "2".into());
            },
            Differs,
            Some((
                0,
                Cause::Environment {
                    changes: change("OMP_NUM_THREADS", None, Some("2")),
                },
            )),
        );
        check(
            [Some("x"), Some("y")],
            |job, _| job.host.cpu_model = "other".to_owned(),
            Differs,
            Some((
                0,
                Cause::Hardware {
                    changes: change("cpu", Some(""), Some("other")),
                },
            )),
        );
    }
}
