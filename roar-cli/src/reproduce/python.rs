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

/// How an environment can be made here: by `uv`, which finds or fetches the version, else by the
/// `venv` module of a Python that is here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Maker {
    /// The program `uv`.
    pub uv: Option<PathBuf>,
    /// A Python of exactly the recorded version, else one of the same minor version.
    pub found: Option<Found>,
    /// All the versions that were met.
    pub here: Vec<String>,
}

impl Maker {
    /// Whether nothing here can make it.
    pub fn is_hopeless(&self) -> bool {
        self.uv.is_none() && self.found.is_none()
    }
}

/// Finds out how the recorded Python can be had here.
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
    Maker {
        uv: program("uv"),
        found: exact.or_else(|| found.iter().find(is_minor)).cloned(),
        here: found.iter().map(|found| found.version.clone()).collect(),
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
    let mut notes = Vec::new();
    let packages = requirements(python, &mut notes);
    let Maker { uv, found, here } = maker(python);
    let by_uv = uv.map(|uv| {
        // Where something else could stand in, it has to be exactly what was recorded.
        let any_version = any_version && found.is_none();
        let mut notes = notes.clone();
        anew(&place)
            .and_then(|()| venv_by_uv(&uv, &place, python, found.as_ref()))
            .and_then(|()| Installer::Uv(uv).install(&place, &packages, any_version, &mut notes))
            .map(|()| notes)
    });
    let notes = match (by_uv, found) {
        (Some(Ok(notes)), _) => notes,
        (Some(Err(error)), None) => return Err(error),
        (_, Some(found)) => {
            anew(&place)?;
            venv(&found, &place, python, packages.is_empty())?;
            if found.version != python.version && python.version.matches('.').count() == 2 {
                notes.push(format!(
                    "Python {} stands in for {}",
                    found.version, python.version
                ));
            }
            Installer::Pip.install(&place, &packages, any_version, &mut notes)?;
            notes
        }
        (None, None) => {
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
    let text = format!("{wanted}\n{}", notes.join("\n"));
    fs::write(&stamp, text).map_err(ReproduceError::io("write", &stamp))?;
    Ok(Made { notes })
}

/// What an interrupted attempt left is no environment.
fn anew(place: &Path) -> Result<(), ReproduceError> {
    if place.symlink_metadata().is_ok() {
        fs::remove_dir_all(place).map_err(ReproduceError::io("remove", place))?;
    }
    Ok(())
}

fn venv_by_uv(
    uv: &Path,
    place: &Path,
    python: &Python,
    found: Option<&Found>,
) -> Result<(), ReproduceError> {
    let mut command = Command::new(uv);
    command.args(["venv", "--quiet", "--python"]);
    match found.filter(|found| found.version == python.version) {
        Some(exact) => command.arg(&exact.path),
        None => command.arg(&python.version),
    };
    if !python.isolated {
        command.arg("--system-site-packages");
    }
    output_of(command.arg(place)).map(drop)
}

fn venv(found: &Found, place: &Path, python: &Python, bare: bool) -> Result<(), ReproduceError> {
    let mut command = Command::new(&found.path);
    command.args(["-m", "venv"]);
    if !python.isolated {
        command.arg("--system-site-packages");
    }
    if bare {
        command.arg("--without-pip");
    }
    output_of(command.arg(place)).map(drop)
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
