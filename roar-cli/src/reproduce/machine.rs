//! Programs and packages of this machine.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::error::ReproduceError;
use super::trust::is_system_package;
use crate::model::RawString;

/// So much of what a failed program said is shown.
const SAID_BYTES: usize = 2000;

/// Runs a program to its end and gives what it wrote to its standard output.
///
/// # Errors
/// It cannot be started, or fails.
pub fn output_of(command: &mut Command) -> Result<Vec<u8>, ReproduceError> {
    let Output {
        status,
        stdout,
        stderr,
    } = command
        .stdin(Stdio::null())
        .output()
        .map_err(|source| ReproduceError::NoProgram {
            program: inert(command.get_program()),
            source,
        })?;
    if status.success() {
        return Ok(stdout);
    }
    let said = if stderr.is_empty() { stdout } else { stderr };
    let start = said.len().saturating_sub(SAID_BYTES);
    let said = said[start..].split(|byte| *byte == b'\n');
    let said: Vec<String> = said
        .map(|line| {
            // git sets what is to be typed off by a tab.
            let line: Vec<u8> = line
                .iter()
                .map(|b| if *b == b'\t' { b' ' } else { *b })
                .collect();
            RawString::new(line).to_string()
        })
        .filter(|line| !line.trim().is_empty())
        .map(|line| format!("  {line}"))
        .collect();
    Err(ReproduceError::Failed {
        command: in_words(command),
        said: said.join("\n"),
    })
}

/// The command in a message, without the settings that roar gives git (`-c NAME=VALUE`).
fn in_words(command: &Command) -> String {
    let mut words = vec![inert(command.get_program())];
    let mut arguments = command.get_args().peekable();
    while words[0] == "git" && arguments.next_if(|word| *word == "-c").is_some() {
        arguments.next();
    }
    words.extend(arguments.map(inert));
    words.join(" ")
}

fn inert(text: &OsStr) -> String {
    RawString::from_os(text).to_string()
}

/// A program on the search path.
pub fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|candidate| is_program(candidate))
}

/// Whether a path can be executed.
pub fn is_program(path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        path.metadata()
            .is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
    }
    #[cfg(not(unix))]
    path.is_file()
}

/// A system package that is not as recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherPackage {
    /// Its name.
    pub name: String,
    /// The recorded version.
    pub wanted: String,
    /// The version here; none when it is not installed.
    pub here: Option<String>,
}

/// The recorded system packages that are missing here or have another version; none where there
/// is no dpkg to ask.
pub fn other_packages(wanted: &BTreeMap<String, String>) -> Option<Vec<OtherPackage>> {
    if wanted.is_empty() {
        return Some(Vec::new());
    }
    let query = program("dpkg-query")?;
    let installed = output_of(Command::new(query).args([
        "-W",
        "-f",
        "${db:Status-Abbrev}\t${Package}\t${Architecture}\t${Version}\n",
    ]))
    .ok()?;
    let installed = String::from_utf8_lossy(&installed);
    let mut here: BTreeMap<String, String> = BTreeMap::new();
    for line in installed.lines() {
        let mut fields = line.split('\t');
        if let (Some(status), Some(name), Some(architecture), Some(version)) =
            (fields.next(), fields.next(), fields.next(), fields.next())
            && status.starts_with("ii")
        {
            here.insert(format!("{name}:{architecture}"), version.to_owned());
            here.entry(name.to_owned()).or_insert(version.to_owned());
        }
    }
    Some(
        wanted
            .iter()
            .filter(|(name, version)| here.get(*name) != Some(*version))
            .map(|(name, version)| OtherPackage {
                name: name.clone(),
                wanted: version.clone(),
                here: here.get(name).cloned(),
            })
            .collect(),
    )
}

/// Installs system packages at their recorded versions (at any, with `any_version`).
///
/// # Errors
/// There is no apt-get, a name or version is not one, it may not install, or a package is not to
/// be had.
pub fn install_packages(
    packages: &[OtherPackage],
    any_version: bool,
) -> Result<(), ReproduceError> {
    if packages.is_empty() {
        return Ok(());
    }
    for OtherPackage { name, wanted, .. } in packages {
        if !is_system_package(name, wanted) {
            let (name, wanted) = (RawString::from(&**name), RawString::from(&**wanted));
            return Err(ReproduceError::Impossible(format!(
                "'{name}' '{wanted}' is no system package and version"
            )));
        }
    }
    let apt = program("apt-get").ok_or_else(|| {
        ReproduceError::Impossible(
            "system packages can be installed by apt-get only, which is not here".to_owned(),
        )
    })?;
    let root = is_root();
    let base = || {
        let mut command = if root {
            Command::new(&apt)
        } else {
            let mut command = Command::new("sudo");
            command.arg("-n").arg(&apt);
            command
        };
        command.env("DEBIAN_FRONTEND", "noninteractive").args([
            "install",
            "--yes",
            "--no-install-recommends",
        ]);
        command
    };
    let mut pinned = base();
    pinned.arg("--allow-downgrades").arg("--");
    pinned.args(
        packages
            .iter()
            .map(|package| format!("{}={}", package.name, package.wanted)),
    );
    match output_of(&mut pinned) {
        Err(_) if any_version => {
            let missing = packages.iter().filter(|package| package.here.is_none());
            let names: Vec<&str> = missing.map(|package| package.name.as_str()).collect();
            if names.is_empty() {
                return Ok(());
            }
            output_of(base().arg("--").args(names)).map(drop)
        }
        other => other.map(drop),
    }
}

#[cfg(unix)]
fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[cfg(not(unix))]
fn is_root() -> bool {
    false
}
