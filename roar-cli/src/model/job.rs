//! A job: one recorded execution of a command.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::artifact::{FileRecord, FilteredRecord};
use super::completeness::Completeness;
use super::conditions::Conditions;
use super::git::GitState;
use super::gpu::Gpu;
use super::ids::JobUid;
use super::raw::RawString;

/// `roar run` or `roar build`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobKind {
    /// A pipeline step.
    Run,
    /// Set-up that `reproduce` runs before the pipeline.
    Build,
}

impl fmt::Display for JobKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Run => "run",
            Self::Build => "build",
        })
    }
}

/// How far a job got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// The command ended and was recorded.
    Done,
    /// roar itself was killed before it could record what the command did.
    Lost,
}

/// How an access to a file was established.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Basis {
    /// Bytes were read or written through a system call.
    Read,
    /// Bytes were written through a system call, or the file was created, emptied or put in place.
    Written,
    /// The file was mapped into memory.
    Mapped,
    /// The file was executed as a program image.
    Executed,
    /// Only the opening was seen; reading or writing is inferred.
    Opened,
}

impl fmt::Display for Basis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Written => "written",
            Self::Mapped => "mapped",
            Self::Executed => "executed",
            Self::Opened => "opened",
        })
    }
}

/// The direction of a filtered access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileAccess {
    /// An input.
    Read,
    /// An output.
    Write,
    /// Both.
    ReadWrite,
    /// Made and deleted within the job.
    Temporary,
}

impl fmt::Display for FileAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::ReadWrite => "read_write",
            Self::Temporary => "temporary",
        })
    }
}

/// How the command ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The exit code, when it exited.
    pub exit_code: Option<i32>,
    /// The signal number, when it was killed by one.
    pub signal: Option<i32>,
    /// Whether the user interrupted it (Ctrl-C or a termination signal to roar).
    pub interrupted: bool,
}

impl Outcome {
    /// Exit code 0 and no signal.
    pub fn succeeded(self) -> bool {
        self.exit_code == Some(0) && self.signal.is_none()
    }

    /// The status a shell would show: the code, or 128 + signal.
    pub fn shell_status(self) -> Option<i32> {
        self.exit_code.or(self.signal.map(|n| 128 + n))
    }
}

/// Facts about the machine a job ran on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HostFacts {
    /// Host name.
    pub hostname: String,
    /// Operating system, e.g. `Debian GNU/Linux 12 (bookworm)`.
    pub os: String,
    /// Kernel release.
    pub kernel: String,
    /// Machine architecture, e.g. `x86_64`.
    pub arch: String,
    /// CPU model name.
    pub cpu_model: String,
    /// Logical CPUs online.
    pub cpu_count: u32,
    /// Physical memory in bytes.
    pub memory_bytes: u64,
    /// Login name of the user the command ran as.
    pub user: String,
    /// What the CPUs can do, in the kernel's words (`avx2`, …).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cpu_flags: Vec<String>,
    /// The kind of container that the machine is, as far as it shows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// What the machine is virtual on; `unknown` where only that much shows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hypervisor: Option<String>,
    /// Whose machine it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cloud: Option<String>,
    /// Graphics processors.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gpus: Vec<Gpu>,
    /// Version of the NVIDIA driver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nvidia_driver: Option<String>,
    /// The newest CUDA that this driver knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cuda: Option<String>,
}

/// Everything that is recorded of one execution.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobRecord {
    /// Identifier.
    pub uid: JobUid,
    /// Run or build.
    pub kind: JobKind,
    /// Whether roar saw the end of it.
    pub state: JobState,
    /// `-n NAME`.
    pub name: Option<String>,
    /// The command, argument by argument.
    pub argv: Vec<RawString>,
    /// Working directory relative to the project (`.` for the project itself; absolute when outside).
    pub cwd: RawString,
    /// Wall-clock start, nanoseconds since the Unix epoch.
    pub started_at_ns: i64,
    /// Monotonic duration in nanoseconds; none for a lost job.
    pub duration_ns: Option<u64>,
    /// How it ended.
    pub outcome: Outcome,
    /// Files it consumed.
    pub inputs: Vec<FileRecord>,
    /// Files it produced.
    pub outputs: Vec<FileRecord>,
    /// Accesses that filters kept out.
    pub filtered: Vec<FilteredRecord>,
    /// What the record may lack.
    pub completeness: Completeness,
    /// Git state at the start; none outside git.
    pub git: Option<GitState>,
    /// The machine.
    pub host: HostFacts,
    /// What else it ran under.
    #[serde(default)]
    pub conditions: Conditions,
}

/// A job as the store knows it: the record and its place in a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredJob {
    /// Database id, ascending in order of recording.
    pub id: i64,
    /// The session it belongs to.
    pub session_id: i64,
    /// The step of that session.
    pub step_number: u32,
    /// What was recorded.
    pub record: JobRecord,
}
