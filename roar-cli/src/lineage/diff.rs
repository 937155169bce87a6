//! What two jobs have in common and what not, layer by layer.
//!
//! The layers that can be the cause of different outputs stand in the order in which they
//! usually are: what was asked for, what was read, which code, which software, which variables,
//! which machine. A layer of which nothing is recorded on either side is left out.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde::Serialize;

use super::identity::normalise_digits;
use crate::model::{
    FileRecord, GitState, HostFacts, Interpreter, JobRecord, Outcome, RawString, Software,
};

/// A layer of a job's record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LayerName {
    /// Program, options, other arguments, folder.
    Arguments,
    /// Files that were read.
    Inputs,
    /// The code, as git knows it.
    Git,
    /// The packages and interpreters that it used.
    Packages,
    /// Variables of the environment.
    Environment,
    /// The machine.
    Hardware,
    /// How the command ended.
    Outcome,
    /// Files that were written.
    Outputs,
}

impl LayerName {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Arguments => "arguments",
            Self::Inputs => "inputs",
            Self::Git => "git",
            Self::Packages => "packages",
            Self::Environment => "environment",
            Self::Hardware => "hardware",
            Self::Outcome => "outcome",
            Self::Outputs => "outputs",
        }
    }

    /// Whether a difference here can be the cause of different outputs.
    fn is_cause(self) -> bool {
        !matches!(self, Self::Outcome | Self::Outputs)
    }
}

/// A layer and what differs in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Layer {
    /// Which.
    pub layer: LayerName,
    /// What differs; nothing when both are alike.
    pub changes: Vec<Change>,
    /// More may differ than was recorded: uncommitted changes that were not kept.
    pub incomplete: bool,
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// What it is of: an option, a path, a fact.
    pub what: RawString,
    /// On the first side; none where it is not there.
    pub a: Option<RawString>,
    /// On the second side; none where it is not there.
    pub b: Option<RawString>,
}

/// The layers in which two jobs can be compared.
pub fn compare(a: &JobRecord, b: &JobRecord) -> Vec<Layer> {
    let layer = |layer, changes| {
        Some(Layer {
            layer,
            changes,
            incomplete: false,
        })
    };
    let recorded = |name, a: &Facts, b: &Facts| {
        let any = !a.is_empty() || !b.is_empty();
        any.then(|| layer(name, differences(a, b))).flatten()
    };
    let unseen =
        |git: Option<&GitState>| git.is_some_and(|git| git.dirty && git.patch_hash.is_none());
    [
        layer(
            LayerName::Arguments,
            differences(&arguments(a), &arguments(b)),
        ),
        layer(LayerName::Inputs, files(&a.inputs, &b.inputs)),
        match (a.git.as_ref(), b.git.as_ref()) {
            (None, None) => None,
            (git_a, git_b) => Some(Layer {
                layer: LayerName::Git,
                changes: differences(&git(git_a, &a.inputs), &git(git_b, &b.inputs)),
                incomplete: unseen(git_a) || unseen(git_b),
            }),
        },
        recorded(
            LayerName::Packages,
            &software(&a.conditions.software),
            &software(&b.conditions.software),
        ),
        recorded(LayerName::Environment, &environment(a), &environment(b)),
        layer(
            LayerName::Hardware,
            differences(&host(&a.host), &host(&b.host)),
        ),
        layer(
            LayerName::Outcome,
            differences(&outcome(a.outcome), &outcome(b.outcome)),
        ),
        layer(LayerName::Outputs, files(&a.outputs, &b.outputs)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The layer that most likely made the outputs differ: the first with a difference that can.
pub fn likely_cause(layers: &[Layer]) -> Option<LayerName> {
    layers
        .iter()
        .find(|layer| layer.layer.is_cause() && !layer.changes.is_empty())
        .map(|layer| layer.layer)
}

type Facts = BTreeMap<RawString, RawString>;

fn differences(a: &Facts, b: &Facts) -> Vec<Change> {
    let names: BTreeSet<&RawString> = a.keys().chain(b.keys()).collect();
    names
        .into_iter()
        .filter(|name| a.get(*name) != b.get(*name))
        .map(|name| Change {
            what: name.clone(),
            a: a.get(name).cloned(),
            b: b.get(name).cloned(),
        })
        .collect()
}

/// Options by name, other arguments by position among themselves.
fn arguments(job: &JobRecord) -> Facts {
    let mut facts = Facts::from([("folder".into(), job.cwd.clone())]);
    let mut add = |name: &[u8], value: &[u8]| {
        // An option that is given more than once has all its values.
        facts
            .entry(RawString::new(name))
            .and_modify(|known| {
                *known = RawString::new([known.as_bytes(), b" ", value].concat());
            })
            .or_insert_with(|| RawString::new(value));
    };
    let mut words = job.argv.iter().map(RawString::as_bytes).peekable();
    if let Some(program) = words.next() {
        add(b"program", program);
    }
    let mut position = 0;
    while let Some(word) = words.next() {
        let is_option = word.len() > 1 && word.starts_with(b"-");
        if !is_option {
            position += 1;
            add(format!("argument {position}").as_bytes(), word);
        } else if let Some(at) = word.iter().position(|byte| *byte == b'=') {
            add(&word[..at], &word[at + 1..]);
        } else if let Some(value) = words.next_if(|next| !next.starts_with(b"-")) {
            add(word, value);
        } else {
            add(word, b"");
        }
    }
    facts
}

/// Versions by manager and name, and what ran the programs. Programs are no facts of their own:
/// their packages are.
fn software(software: &Software) -> Facts {
    let Software {
        pip,
        origins,
        dpkg,
        rpm,
        apk,
        conda,
        unread,
        interpreters,
        libraries,
        programs: _,
    } = software;
    let mut facts = Facts::new();
    for (manager, versions) in [
        ("pip", pip),
        ("origin of", origins),
        ("dpkg", dpkg),
        ("rpm", rpm),
        ("apk", apk),
        ("conda", conda),
    ] {
        for (name, version) in versions {
            facts.insert(format!("{manager} {name}").into(), version.as_str().into());
        }
    }
    for database in unread {
        facts.insert(database.clone(), "unreadable".into());
    }
    for (name, version) in libraries {
        facts.insert(name.as_str().into(), version.as_str().into());
    }
    for Interpreter {
        implementation,
        version,
        executable: _,
        environment: _,
        conda: _,
    } in interpreters
    {
        facts.insert(implementation.as_str().into(), version.as_str().into());
    }
    facts
}

fn environment(job: &JobRecord) -> Facts {
    let variables = job.conditions.environment.iter();
    variables
        .map(|(name, value)| (name.as_str().into(), value.clone()))
        .collect()
}

/// Untracked files that are among the inputs are told there.
fn git(state: Option<&GitState>, inputs: &[FileRecord]) -> Facts {
    let mut facts = Facts::new();
    let Some(GitState {
        commit,
        branch,
        remote,
        dirty,
        top,
        patch_hash,
        patch_redacted: _,
        patch_note: _,
        conditions: _,
        submodules,
        untracked,
    }) = state
    else {
        return facts;
    };
    for (name, value) in [
        ("commit", commit),
        ("branch", branch),
        ("remote", remote),
        ("patch", patch_hash),
    ] {
        if let Some(value) = value {
            facts.insert(name.into(), value.clone().into());
        }
    }
    for submodule in submodules {
        let commit = submodule.checked_out.clone().unwrap_or_default();
        facts.insert(submodule.path.clone(), commit.into());
    }
    let met: HashSet<&[u8]> = inputs.iter().map(|input| input.path.as_bytes()).collect();
    let is_input = |path: &RawString| match top {
        Some(top) => met.contains(&*[top.as_bytes(), b"/", path.as_bytes()].concat()),
        // Recorded without: a longer path that ends so.
        None => inputs.iter().any(|input| {
            let above = input.path.as_bytes().strip_suffix(path.as_bytes());
            above.is_some_and(|above| above.ends_with(b"/"))
        }),
    };
    for file in untracked.iter().filter(|file| !is_input(&file.path)) {
        let content = file.blob.clone().unwrap_or_else(|| "not kept".to_owned());
        facts.insert(file.path.clone(), content.into());
    }
    let tree = if *dirty {
        "uncommitted changes"
    } else {
        "clean"
    };
    facts.insert("work tree".into(), tree.into());
    facts
}

fn host(host: &HostFacts) -> Facts {
    let HostFacts {
        hostname,
        os,
        kernel,
        arch,
        cpu_model,
        cpu_count,
        memory_bytes,
        user,
        cpu_flags,
        container,
        hypervisor,
        cloud,
        gpus,
        nvidia_driver,
        cuda,
    } = host;
    let gpus: Vec<&str> = gpus.iter().map(|gpu| gpu.name.as_str()).collect();
    let optional = |text: &Option<String>| text.clone().unwrap_or_default();
    let facts = [
        ("host", hostname.clone()),
        ("operating system", os.clone()),
        ("kernel", kernel.clone()),
        ("architecture", arch.clone()),
        ("cpu", cpu_model.clone()),
        ("cpus", cpu_count.to_string()),
        ("memory", memory_bytes.to_string()),
        ("user", user.clone()),
        ("cpu flags", cpu_flags.join(" ")),
        ("container", optional(container)),
        ("hypervisor", optional(hypervisor)),
        ("cloud", optional(cloud)),
        ("gpus", gpus.join(", ")),
        ("nvidia driver", optional(nvidia_driver)),
        ("cuda", optional(cuda)),
    ];
    facts
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| (name.into(), value.into()))
        .collect()
}

fn outcome(outcome: Outcome) -> Facts {
    let Outcome {
        exit_code,
        signal,
        interrupted,
    } = outcome;
    let mut facts = Facts::new();
    let mut add = |name: &str, value: Option<i32>| {
        if let Some(value) = value {
            facts.insert(name.into(), value.to_string().into());
        }
    };
    add("exit code", exit_code);
    add("signal", signal);
    add("interrupted", interrupted.then_some(1));
    facts
}

/// Files by path; numbered ones that are on one side only pair up by their place.
fn files(a: &[FileRecord], b: &[FileRecord]) -> Vec<Change> {
    let content = |file: &FileRecord| {
        let hash = file.hash().map(|hash| hash.as_str().to_owned());
        RawString::from(hash.unwrap_or_else(|| "not hashed".to_owned()))
    };
    let facts = |files: &[FileRecord]| -> Facts {
        files
            .iter()
            .map(|file| (file.path.clone(), content(file)))
            .collect()
    };
    let (mut a, mut b) = (facts(a), facts(b));
    let alone = |from: &Facts, other: &Facts| -> BTreeMap<Vec<u8>, RawString> {
        from.keys()
            .filter(|path| !other.contains_key(*path))
            .map(|path| (normalise_digits(path.as_bytes()), path.clone()))
            .collect()
    };
    let (alone_a, alone_b) = (alone(&a, &b), alone(&b, &a));
    for (place, path) in &alone_a {
        if let Some(other) = alone_b.get(place)
            && let (Some(left), Some(right)) = (a.remove(path), b.remove(other))
        {
            let both = RawString::new(place.clone());
            a.insert(both.clone(), left);
            b.insert(both, right);
        }
    }
    differences(&a, &b)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `expected`: each difference as `what: a | b`.
    fn check_arguments(a: &str, b: &str, expected: &[&str]) {
        let facts = |line: &str| {
            let argv = line.split(' ').map(RawString::from).collect();
            arguments(&JobRecord {
                argv,
                ..crate::lineage::testing::record()
            })
        };
        let shown = |side: Option<RawString>| side.map_or("-".to_owned(), |s| s.to_string());
        let actual: Vec<String> = differences(&facts(a), &facts(b))
            .into_iter()
            .map(|change| format!("{}: {} | {}", change.what, shown(change.a), shown(change.b)))
            .collect();
        assert_eq!(actual, expected, "{a} and {b}");
    }

    #[test]
    fn arguments_are_compared_by_option() {
        check_arguments("t --lr=1 x", "t --lr=1 x", &[]);
        check_arguments("t --lr=1 x", "t --lr 1 x", &[]);
        check_arguments("t --lr=1", "t --lr=2", &["--lr: 1 | 2"]);
        check_arguments("t --a --lr=1", "t --lr=1", &["--a:  | -"]);
        check_arguments("t x y", "t x z", &["argument 2: y | z"]);
        check_arguments("t -n 3", "u -n 4", &["-n: 3 | 4", "program: t | u"]);
        check_arguments("t --i=1 --i=2", "t --i=1", &["--i: 1 2 | 1"]);
    }

    fn check_files(a: &[(&str, &str)], b: &[(&str, &str)], expected: &[&str]) {
        let records = |files: &[(&str, &str)]| -> Vec<FileRecord> {
            files
                .iter()
                .map(|(path, content)| crate::lineage::testing::file(path, content))
                .collect()
        };
        let actual: Vec<String> = files(&records(a), &records(b))
            .into_iter()
            .map(|change| {
                let sides = [change.a, change.b].map(|side| u8::from(side.is_some()));
                format!("{} {}{}", change.what, sides[0], sides[1])
            })
            .collect();
        assert_eq!(actual, expected, "{a:?} and {b:?}");
    }

    #[test]
    fn files_are_compared_by_place() {
        check_files(&[("/a", "1")], &[("/a", "1")], &[]);
        check_files(&[("/a", "1")], &[("/a", "2")], &["/a 11"]);
        check_files(&[("/a", "1")], &[("/b", "1")], &["/a 10", "/b 01"]);
        check_files(&[("/c_001", "1")], &[("/c_002", "1")], &[]);
        check_files(&[("/c_001", "1")], &[("/c_002", "2")], &["/c_* 11"]);
    }

    #[test]
    fn software_is_compared_by_manager_and_name() {
        let used = |numpy: &str, python: &str| {
            let mut used = Software::default();
            used.pip.insert("numpy".to_owned(), numpy.to_owned());
            used.dpkg.insert("numpy".to_owned(), "1".to_owned());
            used.interpreters.push(Interpreter {
                implementation: "cpython".to_owned(),
                version: python.to_owned(),
                ..Interpreter::default()
            });
            software(&used)
        };
        let names = |a: &Facts, b: &Facts| -> Vec<String> {
            let changes = differences(a, b);
            changes
                .iter()
                .map(|change| change.what.to_string())
                .collect()
        };
        let old = used("1.26", "3.11.2");
        assert!(names(&old, &old).is_empty());
        assert_eq!(names(&old, &used("2.0", "3.11.2")), ["pip numpy"]);
        assert_eq!(names(&old, &used("1.26", "3.12.1")), ["cpython"]);
    }

    #[test]
    fn the_first_layer_that_can_be_is_the_cause() {
        let plain = crate::lineage::testing::record();
        let with = |change: fn(&mut JobRecord)| {
            let mut record = plain.clone();
            change(&mut record);
            likely_cause(&compare(&plain, &record))
        };
        assert_eq!(with(|_| {}), None);
        assert_eq!(with(|job| job.outcome.exit_code = Some(9)), None);
        assert_eq!(
            with(|job| {
                job.host.kernel = "other".to_owned();
                job.cwd = "sub".into();
            }),
            Some(LayerName::Arguments)
        );
        assert_eq!(
            with(|job| job.host.kernel = "other".to_owned()),
            Some(LayerName::Hardware)
        );
        assert_eq!(
            with(|job| job.git = Some(GitState::default())),
            Some(LayerName::Git)
        );
        assert_eq!(
            with(|job| {
                job.host.kernel = "other".to_owned();
                job.conditions
                    .environment
                    .insert("SEED".to_owned(), "1".into());
                let pip = &mut job.conditions.software.pip;
                pip.insert("numpy".to_owned(), "2.0".to_owned());
            }),
            Some(LayerName::Packages)
        );
    }
}
