//! A job's document: what its record holds beyond the protocol's own fields.
//!
//! It travels in the job's `metadata` string, as the member [`KEY`] of a JSON object, to any server
//! of the protocol; beside it, `metadata` may have whatever other clients put there. Paths and
//! arguments keep every byte ([`RawText`]). Secrets are taken out before it is sent.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::RawText;
use crate::members::ListingPage;

/// The member of `metadata` that holds the document.
pub const KEY: &str = "roar";

/// The version of the document that this code writes. A reader leaves a higher one alone.
pub const VERSION: u32 = 1;

/// What a job's record holds, and what `reproduce` needs of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JobDocument {
    /// [`VERSION`].
    pub version: u32,
    /// The step's name.
    pub name: Option<String>,
    /// The command, argument by argument.
    pub argv: Vec<RawText>,
    /// The working directory, relative to the project (`.` for itself), absolute outside of it.
    pub cwd: RawText,
    /// The project's place on the machine that ran it: what absolute paths of files begin with.
    pub project: Option<RawText>,
    /// Wall-clock start, nanoseconds since the Unix epoch.
    pub started_at_ns: i64,
    /// Monotonic duration in nanoseconds.
    pub duration_ns: Option<u64>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Whether its user interrupted it.
    pub interrupted: bool,
    /// Environment variables that were recorded.
    pub environment: BTreeMap<String, RawText>,
    /// The code.
    pub git: Option<GitDocument>,
    /// The machine.
    pub host: HostDocument,
    /// The software that it really used.
    pub software: SoftwareDocument,
    /// What the record may lack.
    pub completeness: CompletenessDocument,
    /// Where secrets were taken out, in words.
    pub redactions: Vec<String>,
    /// Folders of many files among its inputs and outputs. Each is linked as one more file, whose
    /// `basis` is `collection`.
    pub collections: Vec<CollectionDocument>,
    /// The distributed launch it is a part of.
    pub launch: Option<LaunchDocument>,
    /// The job's place in its project's order of recording: later is greater.
    pub sequence: i64,
}

/// The code that a job ran on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct GitDocument {
    /// The remote's URL without user info.
    pub remote: Option<String>,
    /// The commit.
    pub commit: Option<String>,
    /// The branch; none when detached.
    pub branch: Option<String>,
    /// Whether tracked files differed from the commit.
    pub dirty: bool,
    /// The top of the work tree, an absolute path of the machine that ran it.
    pub top: Option<RawText>,
    /// The BLAKE3 digest of the patch, a blob.
    pub patch: Option<String>,
    /// Secrets were taken out of the patch: it gives another tree than the one that ran.
    pub patch_redacted: bool,
    /// Why there is no patch, or what it lacks.
    pub patch_note: Option<String>,
    /// What is special about the repository (`detached`, `shallow`, …).
    pub conditions: Vec<String>,
    /// Repositories within the repository.
    pub submodules: Vec<SubmoduleDocument>,
    /// Files that git does not track and the job read.
    pub untracked: Vec<UntrackedDocument>,
}

/// A repository within the repository.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SubmoduleDocument {
    /// Its folder, below the top of the work tree.
    pub path: RawText,
    /// The commit on record.
    pub commit: String,
    /// The commit that was checked out.
    pub checked_out: Option<String>,
}

/// A file that git does not track, kept so that the run can be repeated.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UntrackedDocument {
    /// Its path below the top of the work tree.
    pub path: RawText,
    /// The BLAKE3 digest of the kept copy, a blob.
    pub blob: Option<String>,
    /// Whether it may be executed.
    pub executable: bool,
    /// Secrets were taken out of the copy.
    pub redacted: bool,
    /// Why there is no copy.
    pub note: Option<String>,
}

/// The machine that a job ran on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HostDocument {
    /// Host name.
    pub hostname: String,
    /// Operating system.
    pub os: String,
    /// Kernel release.
    pub kernel: String,
    /// Architecture.
    pub arch: String,
    /// CPU model.
    pub cpu_model: String,
    /// Logical CPUs.
    pub cpu_count: u32,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// Login name of the user.
    pub user: String,
    /// GPUs.
    pub gpus: Vec<GpuDocument>,
}

/// A GPU.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct GpuDocument {
    /// Model name.
    pub name: String,
    /// Memory in bytes.
    pub memory_bytes: Option<u64>,
    /// Driver version.
    pub driver: Option<String>,
    /// CUDA version of the driver.
    pub cuda: Option<String>,
}

/// The software that a job really used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SoftwareDocument {
    /// Python distributions and their versions.
    pub pip: BTreeMap<String, String>,
    /// Where those came from that came from no index.
    pub origins: BTreeMap<String, String>,
    /// Debian packages and their versions.
    pub dpkg: BTreeMap<String, String>,
    /// Packages of rpm's systems and their versions.
    pub rpm: BTreeMap<String, String>,
    /// Alpine packages and their versions.
    pub apk: BTreeMap<String, String>,
    /// Packages of conda environments and their versions.
    pub conda: BTreeMap<String, String>,
    /// Pythons that ran.
    pub interpreters: Vec<InterpreterDocument>,
    /// Accelerator libraries and their versions.
    pub libraries: BTreeMap<String, String>,
    /// Programs that were executed.
    pub programs: Vec<ProgramDocument>,
}

/// A Python that ran.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct InterpreterDocument {
    /// `cpython` or `pypy`.
    pub implementation: String,
    /// `3.11.2`.
    pub version: String,
    /// The program.
    pub executable: RawText,
    /// The environment it ran in.
    pub environment: Option<RawText>,
    /// The conda environment's name.
    pub conda: Option<String>,
}

/// A program that was executed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ProgramDocument {
    /// Its file.
    pub path: RawText,
    /// The package that owns it, with its version.
    pub package: Option<String>,
}

/// What a record may lack.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CompletenessDocument {
    /// The back-end that observed: `ebpf`, `seccomp`, …; empty when nothing is said.
    pub backend: String,
    /// Whether the lists of files are whole.
    pub complete: bool,
    /// Events lost, by class.
    pub lost_events: BTreeMap<String, u64>,
    /// Paths that were cut.
    pub truncated_paths: u64,
    /// What else may be missing, in words.
    pub gaps: Vec<String>,
    /// What tracing changed, in words.
    pub notes: Vec<String>,
}

/// The `basis` of a link that stands for a collection.
pub const COLLECTION: &str = "collection";

/// A folder of many files that a job read or wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CollectionDocument {
    /// The folder, as paths of files are.
    pub folder: RawText,
    /// Whether the job wrote it.
    pub produced: bool,
    /// What it is called.
    pub name: String,
    /// The hash over its members: BLAKE3 of their paths below the folder and their hashes.
    pub hash: String,
    /// How many members it has.
    pub files: u64,
    /// Size of the members together in bytes.
    pub size: Option<u64>,
    /// The pages that list the members; none where each of them is linked to the job.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub listing: Vec<ListingPage>,
}

/// A distributed launch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LaunchDocument {
    /// `torchrun`, `mpirun`, `srun`, …
    pub kind: String,
    /// Jobs with the same id are parts of one launch.
    pub id: Option<String>,
    /// Ranks on all machines.
    pub world_size: Option<u32>,
    /// The ranks of this job.
    pub ranks: Vec<u32>,
}
