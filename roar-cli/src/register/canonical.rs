//! The hash of a session: of what was done, whoever did it on whatever machine.
//!
//! SHA-256 of the canonical JSON that published clients hash: keys sorted, no space, jobs by step.
//! Times, machines, absolute places and uids are no part of it, so that the same lineage has the
//! same hash wherever it was recorded, and registering it again changes nothing. Who registers is:
//! two users' sessions are two.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::model::{JobKind, PortableFile, PortableJob};
use crate::present::shell::join as command_text;
use crate::reproduce::rebase::Rebase;

/// What stands in the place of the tree's own place.
const TREE: &str = "{tree}";

/// The session's hash, in hexadecimal. `git` is its remote, commit and branch, `creator` the
/// fingerprint of the key that registers it, or `anonymous`.
pub fn session_hash(jobs: &[PortableJob], git: [Option<&str>; 3], creator: &str) -> String {
    let mut entries: Vec<(u32, String)> = jobs
        .iter()
        .map(|job| (job.step_number, canonical_text(&canonical_job(job))))
        .collect();
    entries.sort();
    let jobs: Vec<String> = entries.into_iter().map(|(_, text)| text).collect();
    let [repo, commit, branch] = git;
    let head = json!({
        "canonical_version": 1,
        "creator_identity": creator,
        "git": {"branch": branch, "commit": commit, "repo": repo},
    });
    let mut text = canonical_text(&head);
    text.pop();
    let _ = write!(text, ",\"jobs\":[{}]}}", jobs.join(","));
    hex(&Sha256::digest(text.as_bytes()))
}

/// A uid for a job that is the same on every machine: the beginning of the hash of what was done.
/// `attempt` tells apart jobs that would have the same.
pub fn job_uid(job: &PortableJob, attempt: u32) -> String {
    let text = format!("{attempt}{}", canonical_text(&canonical_job(job)));
    hex(&Sha256::digest(text.as_bytes()))[..8].to_owned()
}

fn canonical_job(job: &PortableJob) -> Value {
    let mut tree = Rebase::default();
    tree.add(&job.root, &TREE.into());
    let argv: Vec<_> = job.argv.iter().map(|word| tree.apply(word)).collect();
    let git = job.git.as_ref();
    let software = &job.conditions.software;
    let interpreters: BTreeSet<_> = software
        .interpreters
        .iter()
        .map(|one| format!("{} {}", one.implementation, one.version))
        .collect();
    let untracked: Vec<Value> = git
        .map(|git| git.untracked.as_slice())
        .unwrap_or_default()
        .iter()
        .map(|file| json!({"blob": file.blob, "path": file.path.to_string()}))
        .collect();
    let ranks = job.conditions.launch.as_ref().map(|launch| {
        let ranks = launch.ranks.iter().map(|rank| rank.rank);
        ranks.collect::<Vec<_>>()
    });
    json!({
        "command": command_text(&argv),
        "inputs": files(&job.inputs),
        "job_type": match job.kind { JobKind::Run => "run", JobKind::Build => "build" },
        "metadata": {
            "commit": git.and_then(|git| git.commit.clone()),
            "cwd": job.cwd.to_string(),
            "interpreters": interpreters,
            "patch": git.and_then(|git| git.patch_hash.clone()),
            "pip": software.pip,
            "ranks": ranks,
            "untracked": untracked,
        },
        "outputs": files(&job.outputs),
        "parent_step_number": Value::Null,
        "step_number": job.step_number,
    })
}

/// By hash, each once.
fn files(files: &[PortableFile]) -> Vec<Value> {
    let mut seen = BTreeSet::new();
    let mut sorted: Vec<(&str, String)> = files
        .iter()
        .filter_map(|file| Some((file.hash()?.as_str(), file.path.to_string())))
        .collect();
    sorted.sort();
    sorted
        .into_iter()
        .filter(|(hash, _)| seen.insert(*hash))
        .map(|(hash, path)| json!({"hash": hash, "path": path}))
        .collect()
}

/// JSON with sorted keys and nothing between its parts.
fn canonical_text(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let mut names: Vec<&String> = members.keys().collect();
            names.sort();
            let members: Vec<String> = names
                .into_iter()
                .map(|name| {
                    let value = canonical_text(&members[name]);
                    format!("{}:{value}", Value::from(name.as_str()))
                })
                .collect();
            format!("{{{}}}", members.join(","))
        }
        Value::Array(entries) => {
            let entries: Vec<String> = entries.iter().map(canonical_text).collect();
            format!("[{}]", entries.join(","))
        }
        plain => plain.to_string(),
    }
}

fn hex(bytes: &[u8]) -> String {
    crate::model::Digest::from_bytes(bytes).to_string()
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use super::*;
    use crate::model::{Digest, HashAlgorithm, Hashes};

    fn job(root: &str) -> PortableJob {
        PortableJob {
            uid: "1".to_owned(),
            step_number: 1,
            argv: vec!["cat".into(), format!("{root}/a").into()],
            root: root.into(),
            outputs: vec![PortableFile {
                path: "b".into(),
                hashes: Hashes::from([(HashAlgorithm::Blake3, Digest::from_hex("bb"))]),
                ..PortableFile::default()
            }],
            ..PortableJob::default()
        }
    }

    fn hash(jobs: &[PortableJob]) -> String {
        session_hash(jobs, [Some("r"), Some("c"), None], "anonymous")
    }

    #[test]
    fn the_hash_is_of_what_was_done() {
        let one = job("/home/a/p");
        let mut same = job("/somewhere/else");
        same.uid = "2".to_owned();
        same.started_at_ns = 99;
        same.duration_ns = Some(1);
        same.host.hostname = "other".to_owned();
        assert_eq!(hash(from_ref(&one)), hash(from_ref(&same)));
        assert_eq!(job_uid(&one, 0), job_uid(&same, 0));
        assert_ne!(job_uid(&one, 0), job_uid(&one, 1));
        for change in [
            (|job: &mut PortableJob| job.argv.push("x".into())) as fn(&mut PortableJob),
            |job| job.step_number = 2,
            |job| job.kind = JobKind::Build,
            |job| job.cwd = "sub".into(),
            |job| job.outputs.clear(),
            |job| {
                let pip = &mut job.conditions.software.pip;
                pip.insert("numpy".to_owned(), "1".to_owned());
            },
        ] {
            let mut other = one.clone();
            change(&mut other);
            assert_ne!(hash(from_ref(&one)), hash(&[other]));
        }
        let mut second = one.clone();
        second.step_number = 2;
        let forwards = hash(&[one.clone(), second.clone()]);
        assert_eq!(forwards, hash(&[second, one]));
    }

    #[test]
    fn the_text_is_canonical() {
        let value = json!({"b": [1, {"d": null, "c": "é\n"}], "a": true});
        assert_eq!(
            canonical_text(&value),
            r#"{"a":true,"b":[1,{"c":"é\n","d":null}]}"#
        );
    }
}
