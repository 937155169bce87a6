//! The lineage of contents in a form that is the same on every machine: what `reproduce` works
//! from and what `register` sends.
//!
//! A path is relative to the tree (the top of the git work tree, or the project where there is
//! no git) when it lies in it, and absolute when it does not. It is made from records that are
//! already without secrets.

use serde::{Deserialize, Serialize};

use super::artifact::{Digest, HashAlgorithm};
use super::conditions::Conditions;
use super::git::GitState;
use super::hashes::Hashes;
use super::job::{HostFacts, JobKind, Outcome};
use super::raw::RawString;

/// The version that is written into documents.
pub const PORTABLE_VERSION: u32 = 1;

/// Contents, and the jobs that led to them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PortableLineage {
    /// [`PORTABLE_VERSION`].
    pub version: u32,
    /// What was asked for.
    pub targets: Vec<PortableFile>,
    /// The jobs in the order in which they were recorded.
    pub jobs: Vec<PortableJob>,
    /// Recorded by another program: its lists are made by other rules, and may be absent.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub foreign: bool,
}

/// A job without the machine it ran on, but for its facts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PortableJob {
    /// The uid that its own project knows it by.
    pub uid: String,
    /// Run or build.
    pub kind: JobKind,
    /// The step of its session.
    pub step_number: u32,
    /// `-n NAME`.
    pub name: Option<String>,
    /// The command, argument by argument, as it ran.
    pub argv: Vec<RawString>,
    /// The folder it ran in: below the tree (`.` for the tree itself), or absolute.
    pub cwd: RawString,
    /// Where the tree was (absolute): arguments may name it.
    pub root: RawString,
    /// Wall-clock start, nanoseconds since the Unix epoch.
    pub started_at_ns: i64,
    /// Duration in nanoseconds; none for a job of which only the beginning is known.
    pub duration_ns: Option<u64>,
    /// How it ended.
    pub outcome: Outcome,
    /// Nothing is missing from the record.
    pub complete: bool,
    /// What it consumed.
    pub inputs: Vec<PortableFile>,
    /// What it produced.
    pub outputs: Vec<PortableFile>,
    /// Folders of many files among both.
    pub collections: Vec<PortableCollection>,
    /// The code; none outside git.
    pub git: Option<GitState>,
    /// The machine.
    pub host: HostFacts,
    /// What else it ran under.
    pub conditions: Conditions,
}

impl Default for PortableJob {
    fn default() -> Self {
        Self {
            uid: String::new(),
            kind: JobKind::Run,
            step_number: 0,
            name: None,
            argv: Vec::new(),
            cwd: ".".into(),
            root: RawString::default(),
            started_at_ns: 0,
            duration_ns: None,
            outcome: Outcome::default(),
            complete: true,
            inputs: Vec::new(),
            outputs: Vec::new(),
            collections: Vec::new(),
            git: None,
            host: HostFacts::default(),
            conditions: Conditions::default(),
        }
    }
}

/// A folder of many files that a job read or wrote: its members are among the job's files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PortableCollection {
    /// Below the tree, or absolute.
    pub folder: RawString,
    /// Whether the job wrote it (else it read it).
    pub produced: bool,
    /// What it is called.
    pub name: String,
    /// The hash over its members, in hexadecimal.
    pub hash: String,
    /// How many members it has.
    pub files: u64,
    /// Size of the members together in bytes, where all are known.
    pub size_bytes: Option<u64>,
}

/// A file of a job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PortableFile {
    /// Below the tree, or absolute.
    pub path: RawString,
    /// Digests; none when the content could not be hashed.
    pub hashes: Hashes,
    /// Size in bytes, where known.
    pub size_bytes: Option<u64>,
    /// What a reader must know of the content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl PortableFile {
    /// The artifact's identity: the BLAKE3 digest.
    pub fn hash(&self) -> Option<&Digest> {
        self.hashes.get(&HashAlgorithm::Blake3)
    }

    /// Whether it lies outside the tree.
    pub fn is_outside(&self) -> bool {
        self.path.as_bytes().starts_with(b"/")
    }
}
