//! The Python environment of a reproduction: the recorded version, and of the packages those that
//! were recorded as used, at their versions.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::error::ReproduceError;
use super::machine::{is_program, output_of, program};
use super::places::ENVIRONMENT;
use super::plan::Python;
use crate::model::{Digest, RawString};

/// A Python of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The program.
    pub path: PathBuf,
    /// Its version, in full.
    pub version: String,
}

/// How an environment can be made here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Maker {
    /// `uv` finds or fetches the version.
    Uv(PathBuf),
    /// The `venv` module of a Python that is here.
    Venv(Found),
    /// Neither is to be had; the versions that are here.
    None(Vec<String>),
}

/// Finds out how the recorded Python can be had here: exactly its version, else one of the same
/// minor version.
pub fn maker(python: &Python) -> Maker {
    let wanted = python.version.as_str();
    let minor: String = wanted.splitn(3, '.').take(2).collect::<Vec<_>>().join(".");
    let mut names = vec![format!("python{wanted}"), format!("python{minor}")];
    names.extend(["python3".to_owned(), "python".to_owned()]);
    let mut found: Vec<Found> = Vec::new();
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&on_path).collect();
    let pyenv = std::env::home_dir().map(|home| {
        let versions = home.join(".pyenv/versions");
        versions.join(wanted).join("bin/python3")
    });
    let candidates = names
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)))
        .chain(pyenv);
    for candidate in candidates.filter(|candidate| is_program(candidate)) {
        if found.iter().any(|known| known.path == candidate) {
            continue;
        }
        if let Some(version) = version_of(&candidate) {
            let exact = version == wanted;
            found.push(Found {
                path: candidate,
                version,
            });
            if exact {
                break;
            }
        }
    }
    let is_minor = |found: &&Found| {
        found
            .version
            .strip_prefix(&minor)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let exact = found.iter().find(|found| found.version == wanted);
    if let Some(exact) = exact {
        return Maker::Venv(exact.clone());
    }
    if let Some(uv) = program("uv") {
        return Maker::Uv(uv);
    }
    match found.iter().find(is_minor) {
        Some(near) => Maker::Venv(near.clone()),
        None => Maker::None(found.into_iter().map(|found| found.version).collect()),
    }
}

/// The version that a Python says it has.
fn version_of(python: &Path) -> Option<String> {
    let mut command = Command::new(python);
    command.args([
        "-I",
        "-c",
        "import sys; print('%d.%d.%d' % sys.version_info[:3])",
    ]);
    let text = String::from_utf8(output_of(&mut command).ok()?).ok()?;
    Some(text.trim().to_owned())
}

/// What an environment turned out to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Made {
    /// What is not as recorded, in words.
    pub notes: Vec<String>,
}

/// Makes the environment in the folder of the reproduction, once: one that was finished is left
/// as it is.
///
/// # Errors
/// No Python serves, or a package is not to be had in its version.
pub fn make(root: &Path, python: &Python, any_version: bool) -> Result<Made, ReproduceError> {
    let place = root.join(ENVIRONMENT);
    let stamp = place.join("roar-made");
    let wanted = format!("{python:?} {any_version}");
    let wanted = Digest::from_bytes(blake3::hash(wanted.as_bytes()).as_bytes());
    if let Ok(text) = fs::read_to_string(&stamp)
        && let Some((digest, notes)) = text.split_once('\n')
        && digest == wanted.as_str()
    {
        return Ok(Made {
            notes: notes.lines().map(str::to_owned).collect(),
        });
    }
    if place.symlink_metadata().is_ok() {
        fs::remove_dir_all(&place).map_err(ReproduceError::io("remove", &place))?;
    }
    let mut notes = Vec::new();
    let packages = requirements(python, &mut notes);
    let installer = match maker(python) {
        Maker::Uv(uv) => {
            let mut command = Command::new(&uv);
            command.args(["venv", "--quiet", "--python", &python.version]);
            if !python.isolated {
                command.arg("--system-site-packages");
            }
            output_of(command.arg(&place))?;
            Installer::Uv(uv)
        }
        Maker::Venv(found) => {
            if found.version != python.version && python.version.matches('.').count() == 2 {
                notes.push(format!(
                    "Python {} stands in for {}",
                    found.version, python.version
                ));
            }
            let mut command = Command::new(&found.path);
            command.args(["-m", "venv"]);
            if !python.isolated {
                command.arg("--system-site-packages");
            }
            if packages.is_empty() {
                command.arg("--without-pip");
            }
            output_of(command.arg(&place))?;
            Installer::Pip
        }
        Maker::None(here) => {
            let here = if here.is_empty() {
                "none".to_owned()
            } else {
                here.join(", ")
            };
            return Err(ReproduceError::Impossible(format!(
                "Python {} is not to be had here (there is: {here}); uv would fetch it",
                python.version
            )));
        }
    };
    installer.install(&place, &packages, any_version, &mut notes)?;
    let text = format!("{wanted}\n{}", notes.join("\n"));
    fs::write(&stamp, text).map_err(ReproduceError::io("write", &stamp))?;
    Ok(Made { notes })
}

/// What pip is asked for: name, and the version or place.
struct Requirement {
    name: String,
    pinned: String,
}

fn requirements(python: &Python, notes: &mut Vec<String>) -> Vec<Requirement> {
    let mut wanted = Vec::new();
    for (name, version) in &python.distributions {
        let pinned = match python.origins.get(name).map(String::as_str) {
            None => format!("{name}=={version}"),
            Some(url) if is_address(url) => format!("{name} @ {url}"),
            Some(folder) => {
                notes.push(format!(
                    "{name} was installed from '{}': a build step has to install it",
                    RawString::from(folder)
                ));
                continue;
            }
        };
        wanted.push(Requirement {
            name: name.clone(),
            pinned,
        });
    }
    wanted
}

/// Whether a package's origin can be given to pip.
fn is_address(url: &str) -> bool {
    let rest = url
        .strip_prefix("git+https://")
        .or_else(|| url.strip_prefix("https://"));
    rest.is_some_and(|rest| {
        !rest.is_empty()
            && rest
                .bytes()
                .all(|b| b.is_ascii_graphic() && !b"\"'`;<>\\".contains(&b))
    })
}

enum Installer {
    Uv(PathBuf),
    Pip,
}

impl Installer {
    fn command(&self, place: &Path) -> Command {
        let python = place.join(if cfg!(windows) {
            "Scripts/python.exe"
        } else {
            "bin/python"
        });
        match self {
            Self::Uv(uv) => {
                let mut command = Command::new(uv);
                command
                    .args(["pip", "install", "--quiet", "--no-deps", "--python"])
                    .arg(python);
                command
            }
            Self::Pip => {
                let mut command = Command::new(python);
                command.args(["-m", "pip", "install", "--quiet", "--no-deps"]);
                command.args(["--no-input", "--disable-pip-version-check"]);
                command
            }
        }
    }

    /// Only what was recorded as used, without what it asks for: that, where it was used, was
    /// recorded as well.
    fn install(
        &self,
        place: &Path,
        packages: &[Requirement],
        any_version: bool,
        notes: &mut Vec<String>,
    ) -> Result<(), ReproduceError> {
        if packages.is_empty() {
            return Ok(());
        }
        let all = packages.iter().map(|package| package.pinned.as_str());
        let Err(failure) = output_of(self.command(place).arg("--").args(all)) else {
            return Ok(());
        };
        // One by one: which of them it is, and whether another version serves.
        let mut refused = Vec::new();
        for package in packages {
            if output_of(self.command(place).args(["--", &package.pinned])).is_ok() {
                continue;
            }
            if any_version && output_of(self.command(place).args(["--", &package.name])).is_ok() {
                notes.push(format!(
                    "{} is not to be had; another version is used",
                    package.pinned
                ));
                continue;
            }
            refused.push(package.pinned.as_str());
        }
        if refused.is_empty() {
            return Ok(());
        }
        Err(match failure {
            ReproduceError::Failed { said, .. } => ReproduceError::Failed {
                command: format!("pip install {}", refused.join(" ")),
                said,
            },
            other => other,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_that_pip_may_be_given() {
        for (url, expected) in [
            ("https://example.org/a-1.whl", true),
            ("git+https://example.org/a@abc", true),
            ("file:///etc/passwd", false),
            ("/home/a/p", false),
            ("https://example.org/a; touch x", false),
            ("git+ssh://example.org/a", false),
            ("git+ext::sh", false),
        ] {
            assert_eq!(is_address(url), expected, "{url}");
        }
    }
}
