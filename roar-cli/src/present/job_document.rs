//! One job for machines: the document of `roar show --json`. Its keys are a published interface.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use super::job::JobView;
use super::{human, shell};
use crate::model::{
    Basis, Digest, Endpoint, FileAccess, FileRecord, FilteredRecord, Gap, GitCondition, GpuUse,
    Hashes, HostFacts, HubSource, Interpreter, JobKind, Launch, LostEvents, Network, Program,
    RawString, Redaction, Submodule, TrackedRun, UntrackedFile,
};

impl JobView<'_> {
    /// The record for machines.
    pub fn json(&self) -> String {
        let record = &self.job.record;
        let software = &record.conditions.software;
        super::json(&JobDocument {
            job_uid: record.uid.as_str(),
            step_number: self.job.step_number,
            job_type: record.kind,
            step_name: record.name.as_deref(),
            command: shell::join(&record.argv),
            argv: &record.argv,
            cwd: absolute_cwd(&record.cwd, self.project_root),
            started_at: human::rfc3339(record.started_at_ns),
            duration_seconds: record.duration_ns.map(human::seconds),
            exit_code: record.outcome.exit_code,
            signal: record.outcome.signal,
            interrupted: record.outcome.interrupted,
            inputs: record
                .inputs
                .iter()
                .map(|file| file_document(file, true))
                .collect(),
            outputs: record
                .outputs
                .iter()
                .map(|file| file_document(file, false))
                .collect(),
            collections: self
                .collections
                .iter()
                .map(|met| CollectionDocument {
                    folder: &met.folder,
                    role: if met.produced { "output" } else { "input" },
                    name: &met.collection.name,
                    hash: met.collection.hash(),
                    files: met.collection.members.len(),
                })
                .collect(),
            filtered: self.all.then(|| {
                record
                    .filtered
                    .iter()
                    .map(|FilteredRecord { path, access, by }| FilteredDocument {
                        path,
                        access: *access,
                        by,
                    })
                    .collect()
            }),
            completeness: CompletenessDocument {
                backend: &record.completeness.backend,
                complete: record.completeness.complete,
                lost_events: &record.completeness.lost_events,
                truncated_paths: record.completeness.truncated_paths,
                gaps: &record.completeness.gaps,
                notes: &record.completeness.notes,
            },
            git: record.git.as_ref().map(|git| GitDocument {
                commit: git.commit.as_deref(),
                branch: git.branch.as_deref(),
                remote: git.remote.as_deref(),
                dirty: git.dirty,
                patch_hash: git.patch_hash.as_deref(),
                patch_redacted: git.patch_redacted,
                patch_note: git.patch_note.as_deref(),
                conditions: &git.conditions,
                submodules: &git.submodules,
                untracked: &git.untracked,
            }),
            environment: &record.conditions.environment,
            redactions: &record.conditions.redactions,
            packages: PackagesDocument {
                pip: &software.pip,
                origins: &software.origins,
                dpkg: &software.dpkg,
                rpm: &software.rpm,
                apk: &software.apk,
                conda: &software.conda,
                unread: &software.unread,
            },
            runtime: RuntimeDocument {
                host: &record.host,
                interpreters: &software.interpreters,
                libraries: &software.libraries,
                programs: &software.programs,
                gpu_use: &record.conditions.gpu_use,
            },
            launch: record.conditions.launch.as_ref(),
            launch_parts: self
                .parts
                .iter()
                .map(|part| PartDocument {
                    job_uid: part.uid.as_str(),
                    step_number: part.step_number,
                    session_id: part.session_id,
                })
                .collect(),
            network: network_document(&record.conditions.network),
            trackers: &record.conditions.trackers,
            sources: &record.conditions.sources,
        })
    }
}

fn absolute_cwd(cwd: &RawString, root: &Path) -> RawString {
    if cwd.as_bytes() == b"." {
        RawString::from_path(root)
    } else {
        // An absolute folder replaces the root.
        RawString::from_path(&root.join(cwd.to_path_buf()))
    }
}

fn file_document(file: &FileRecord, with_basis: bool) -> FileDocument<'_> {
    FileDocument {
        path: &file.path,
        hash: file.hash(),
        hashes: &file.hashes,
        size: file.size_bytes,
        basis: with_basis.then_some(file.basis),
        note: file.note.as_deref(),
    }
}

fn network_document(network: &Network) -> NetworkDocument<'_> {
    let document = |endpoint| EndpointDocument {
        local: Endpoint::is_local(endpoint),
        endpoint,
    };
    NetworkDocument {
        endpoints: network.endpoints.iter().map(document).collect(),
        unlisted: network.unlisted,
    }
}

#[derive(Serialize)]
struct JobDocument<'a> {
    job_uid: &'a str,
    step_number: u32,
    job_type: JobKind,
    step_name: Option<&'a str>,
    command: String,
    argv: &'a [RawString],
    cwd: RawString,
    started_at: String,
    duration_seconds: Option<f64>,
    exit_code: Option<i32>,
    signal: Option<i32>,
    interrupted: bool,
    inputs: Vec<FileDocument<'a>>,
    outputs: Vec<FileDocument<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    collections: Vec<CollectionDocument<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    filtered: Option<Vec<FilteredDocument<'a>>>,
    completeness: CompletenessDocument<'a>,
    git: Option<GitDocument<'a>>,
    environment: &'a BTreeMap<String, RawString>,
    redactions: &'a [Redaction],
    packages: PackagesDocument<'a>,
    runtime: RuntimeDocument<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    launch: Option<&'a Launch>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    launch_parts: Vec<PartDocument<'a>>,
    network: NetworkDocument<'a>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    trackers: &'a [TrackedRun],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    sources: &'a [HubSource],
}

/// Endpoints that were contacted.
#[derive(Serialize)]
struct NetworkDocument<'a> {
    endpoints: Vec<EndpointDocument<'a>>,
    /// How many more there were.
    unlisted: u64,
}

#[derive(Serialize)]
struct EndpointDocument<'a> {
    #[serde(flatten)]
    endpoint: &'a Endpoint,
    local: bool,
}

#[derive(Serialize)]
struct FileDocument<'a> {
    path: &'a RawString,
    hash: Option<&'a Digest>,
    hashes: &'a Hashes,
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    basis: Option<Basis>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'a str>,
}

#[derive(Serialize)]
struct CollectionDocument<'a> {
    folder: &'a RawString,
    role: &'static str,
    name: &'a str,
    hash: Digest,
    files: usize,
}

#[derive(Serialize)]
struct FilteredDocument<'a> {
    path: &'a RawString,
    access: FileAccess,
    by: &'a str,
}

#[derive(Serialize)]
struct CompletenessDocument<'a> {
    backend: &'a str,
    complete: bool,
    lost_events: &'a LostEvents,
    truncated_paths: u64,
    gaps: &'a [Gap],
    notes: &'a [String],
}

#[derive(Serialize)]
struct GitDocument<'a> {
    commit: Option<&'a str>,
    branch: Option<&'a str>,
    remote: Option<&'a str>,
    dirty: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch_hash: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    patch_redacted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch_note: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    conditions: &'a [GitCondition],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    submodules: &'a [Submodule],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    untracked: &'a [UntrackedFile],
}

/// Packages by manager.
/// Another job of the launch.
#[derive(Serialize)]
struct PartDocument<'a> {
    job_uid: &'a str,
    step_number: u32,
    session_id: i64,
}

#[derive(Serialize)]
struct PackagesDocument<'a> {
    pip: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    origins: &'a BTreeMap<String, String>,
    dpkg: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    rpm: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    apk: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    conda: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "<[RawString]>::is_empty")]
    unread: &'a [RawString],
}

/// The machine, and what ran the programs.
#[derive(Serialize)]
struct RuntimeDocument<'a> {
    #[serde(flatten)]
    host: &'a HostFacts,
    interpreters: &'a [Interpreter],
    libraries: &'a BTreeMap<String, String>,
    programs: &'a [Program],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    gpu_use: &'a [GpuUse],
}
