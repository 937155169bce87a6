//! What is known of a job, by subject.

use glaas_api::document::JobDocument;
use glaas_api::lineage::ClosureJob;

use super::room::{Room, escaped};
use super::view::{cut, duration, size, time};

/// A name and a value.
pub(super) type Fact = (String, String);

/// Facts under a heading.
pub(super) type Group = (&'static str, Vec<Fact>);

/// A value is shown up to so many characters.
const MAX_VALUE: usize = 8_000;

/// The markup around a fact, in bytes.
const MARKUP: usize = 60;

/// A fact, unless there is no value.
pub(super) fn fact(name: &str, value: impl AsRef<str>) -> Option<Fact> {
    let value = value.as_ref();
    (!value.is_empty()).then(|| (name.to_owned(), value.to_owned()))
}

/// What of the facts there is room for, and how many there is none for. Groups without facts are
/// left out.
pub(super) fn fitted(groups: Vec<Group>, room: &mut Room) -> (Vec<Group>, usize) {
    let mut hidden = 0;
    let fitted = groups
        .into_iter()
        .map(|(heading, facts)| {
            let facts = facts
                .into_iter()
                .filter_map(|(name, value)| {
                    let name = cut(&name, 120);
                    // Something of the value is to be seen, too.
                    if !room.take(MARKUP + escaped(&name) + 60) {
                        hidden += 1;
                        return None;
                    }
                    Some((name, room.text(&value, MAX_VALUE)))
                })
                .collect();
            (heading, facts)
        })
        .filter(|(_, facts): &Group| !facts.is_empty())
        .collect();
    (fitted, hidden)
}

/// What is known of a job.
pub(super) fn groups(job: &ClosureJob) -> Vec<Group> {
    let summary = &job.summary;
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let mut run = vec![
        fact("Job", &summary.job_uid),
        fact("Started", time(summary.timestamp)),
        fact("Took", duration(summary.duration_seconds)),
        fact("Command", &summary.command),
    ];
    let mut code = vec![
        fact("Repository", text(&summary.git_repo)),
        fact("Commit", text(&summary.git_commit)),
        fact("Branch", text(&summary.git_branch)),
    ];
    let mut machine = vec![
        fact("Host", text(&summary.host)),
        fact("GPU", text(&summary.gpu)),
    ];
    let mut more = Vec::new();
    match &job.document {
        Some(document) => {
            run.push(fact("Directory", document.cwd.shown()));
            code.extend(work_tree(document));
            machine.extend(hardware(document));
            more.push(("Completeness", completeness(document)));
            let environment = &document.environment;
            more.push((
                "Environment",
                environment
                    .iter()
                    .map(|(name, value)| fact(name, value.shown()))
                    .collect(),
            ));
            more.push(("Packages", packages(document)));
        }
        None => {
            if let Some(metadata) = &job.metadata {
                let pretty = serde_json::to_string_pretty(metadata).unwrap_or_default();
                more.push(("As the client told it", vec![fact("metadata", pretty)]));
            }
        }
    }
    [("Run", run), ("Code", code), ("Machine", machine)]
        .into_iter()
        .chain(more)
        .map(|(heading, facts)| (heading, facts.into_iter().flatten().collect()))
        .collect()
}

fn work_tree(document: &JobDocument) -> Vec<Option<Fact>> {
    let Some(git) = &document.git else {
        return Vec::new();
    };
    let state = if git.dirty {
        "changed since the commit"
    } else {
        "as committed"
    };
    vec![
        fact("Work tree", state),
        fact("Patch", git.patch.as_deref().unwrap_or_default()),
        fact("", git.patch_note.as_deref().unwrap_or_default()),
    ]
}

fn hardware(document: &JobDocument) -> [Option<Fact>; 3] {
    let host = &document.host;
    let memory = if host.memory_bytes > 0 {
        size(Some(host.memory_bytes))
    } else {
        String::new()
    };
    [
        fact(
            "System",
            [&*host.os, &*host.kernel, &*host.arch].join(" ").trim(),
        ),
        fact("CPU", &host.cpu_model),
        fact("Memory", memory),
    ]
}

fn completeness(document: &JobDocument) -> Vec<Option<Fact>> {
    let completeness = &document.completeness;
    let lost: u64 = completeness.lost_events.values().sum();
    let mut record = vec![fact("Observed by", &completeness.backend)];
    if lost > 0 {
        record.push(fact("Events lost", lost.to_string()));
    }
    record.extend(completeness.gaps.iter().map(|gap| fact("Gap", gap)));
    record.extend(completeness.notes.iter().map(|note| fact("Note", note)));
    record
}

fn packages(document: &JobDocument) -> Vec<Option<Fact>> {
    let software = &document.software;
    let mut used: Vec<Option<Fact>> = software
        .interpreters
        .iter()
        .map(|python| fact(&python.implementation, &python.version))
        .collect();
    for (name, list) in [
        ("pip", &software.pip),
        ("dpkg", &software.dpkg),
        ("rpm", &software.rpm),
        ("apk", &software.apk),
        ("conda", &software.conda),
    ] {
        let all: Vec<String> = list
            .iter()
            .map(|(package, version)| format!("{package}=={version}"))
            .collect();
        used.push(fact(name, all.join("  ")));
    }
    used
}
