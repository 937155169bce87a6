//! The software that a job really used: what owns the files that it read.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::raw::RawString;

/// Packages by manager, and what runs them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Software {
    /// Python distributions by name, with their versions.
    pub pip: BTreeMap<String, String>,
    /// Where those of them came from that came from no index: a URL, or the folder of an
    /// editable installation.
    pub origins: BTreeMap<String, String>,
    /// Packages of Debian and its descendants by name (with the architecture where it is not the
    /// machine's own), with their versions.
    pub dpkg: BTreeMap<String, String>,
    /// Packages of Fedora, openSUSE and their like by name (with the architecture where it is not the
    /// machine's own), with `[EPOCH:]VERSION-RELEASE`.
    pub rpm: BTreeMap<String, String>,
    /// Packages of Alpine by name, with their versions.
    pub apk: BTreeMap<String, String>,
    /// Packages of conda environments by name, with their versions; those of Python are among
    /// `pip`, too.
    pub conda: BTreeMap<String, String>,
    /// Databases of packages that are there and could not be read: what they would have told is
    /// missing above.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<RawString>,
    /// Pythons that ran.
    pub interpreters: Vec<Interpreter>,
    /// Versions of accelerator libraries that were loaded (`cuda`, `cudnn`, `nccl`, …).
    pub libraries: BTreeMap<String, String>,
    /// Programs that were executed, with the package and version of each where a manager knows it.
    pub programs: Vec<Program>,
}

/// A Python that ran.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Interpreter {
    /// `cpython` or `pypy`.
    pub implementation: String,
    /// `3.11.2`; only `3.11` where the program does not tell.
    pub version: String,
    /// The program.
    pub executable: RawString,
    /// The virtual or conda environment it ran in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<RawString>,
    /// The name of the conda environment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conda: Option<String>,
}

/// A program that was executed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Program {
    /// Its file.
    pub path: RawString,
    /// The package that owns it, with its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
}
