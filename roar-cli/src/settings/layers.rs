//! The layers, and which of them decides each value.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::error::{Origin, SettingsError};
use super::file;
use super::keys::{KEYS, Key, find};
use super::typed::Settings;
use super::value::Value;
use crate::model::RawString;
use crate::project::Project;

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The table of keys.
    Default,
    /// The user's own file.
    User(PathBuf),
    /// `.roarconfig`, committed with the project.
    Committed(PathBuf),
    /// `.roar/config.toml`.
    Project(PathBuf),
    /// An environment variable.
    Environment(String),
    /// A command-line option.
    Flag,
}

impl Source {
    /// One word for it, as in `config list --json`.
    pub fn layer(&self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::User(_) => "user",
            Self::Committed(_) => "committed",
            Self::Project(_) => "project",
            Self::Environment(_) => "environment",
            Self::Flag => "flag",
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default | Self::Flag => f.write_str(self.layer()),
            Self::User(path) | Self::Committed(path) | Self::Project(path) => {
                write!(f, "{}", RawString::from_path(path))
            }
            Self::Environment(name) => f.write_str(name),
        }
    }
}

/// A key with the value in force.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The key.
    pub key: &'static Key,
    /// The value in force.
    pub value: Value,
    /// Where it comes from.
    pub source: Source,
}

/// Everything that is in force.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// For those who use settings.
    pub settings: Settings,
    /// For those who show them, in the order of the table.
    pub entries: Vec<Entry>,
    /// The user's file, where this process may not even see whether it is there: whoever runs with
    /// the home of another user, as in many containers, has no settings in it.
    pub hidden: Option<RawString>,
}

/// The places that settings are taken from, beside the defaults.
#[derive(Clone, Debug, Default)]
pub struct Layers {
    /// The user's file.
    pub user: Option<PathBuf>,
    /// `.roarconfig`.
    pub committed: Option<PathBuf>,
    /// `.roar/config.toml`.
    pub project: Option<PathBuf>,
    /// Environment variables; those not of the form `ROAR_SECTION__KEY` are left alone.
    pub environment: Vec<(OsString, OsString)>,
    /// Values from command-line options: key and text.
    pub flags: Vec<(&'static str, String)>,
}

/// What is in force in `project` (or outside any), with the values that options gave.
///
/// # Errors
/// A layer cannot be read or holds what the table does not know.
pub fn load(
    project: Option<&Project>,
    flags: &[(&'static str, String)],
) -> Result<Resolved, SettingsError> {
    Layers {
        user: user_file(),
        committed: project.map(|p| p.root.join(".roarconfig")),
        project: project.map(Project::config_file),
        environment: std::env::vars_os().collect(),
        flags: flags.to_vec(),
    }
    .resolve()
}

impl Layers {
    /// Lays them over each other.
    ///
    /// # Errors
    /// A layer cannot be read or holds what the table does not know.
    pub fn resolve(&self) -> Result<Resolved, SettingsError> {
        let mut entries: Vec<Entry> = KEYS
            .iter()
            .map(|key| Entry {
                key,
                value: key.default(),
                source: Source::Default,
            })
            .collect();
        let mut decide = |key: &'static Key, value: Value, source: Source| {
            if let Some(entry) = entries.iter_mut().find(|e| e.key.name == key.name) {
                entry.value = value;
                entry.source = source;
            }
        };
        let mut decide_file = |path: &Option<PathBuf>, source: fn(PathBuf) -> Source| {
            let Some(path) = path else { return Ok(()) };
            for line in file::read(path)? {
                let source = source(path.clone());
                // `roar init` wrote it; nobody chose it.
                let untouched = matches!(source, Source::Project(_))
                    && !line.marked
                    && line.value == line.key.default();
                if !untouched {
                    decide(line.key, line.value, source);
                }
            }
            Ok(())
        };
        let user = self.user.as_deref();
        let hidden = user
            .filter(|path| is_hidden(path))
            .map(RawString::from_path);
        if hidden.is_none() {
            decide_file(&self.user, Source::User)?;
        }
        decide_file(&self.committed, Source::Committed)?;
        decide_file(&self.project, Source::Project)?;
        for (name, text) in &self.environment {
            let Some(name) = name.to_str() else { continue };
            let Some(key) = key_of_variable(name)? else {
                continue;
            };
            let value = parse(
                key,
                &text.to_string_lossy(),
                Origin::Variable(name.to_owned()),
            )?;
            decide(key, value, Source::Environment(name.to_owned()));
        }
        for (name, text) in &self.flags {
            let key = find(name, Origin::CommandLine)?;
            decide(key, parse(key, text, Origin::CommandLine)?, Source::Flag);
        }
        let settings = Settings::from_entries(&entries);
        Ok(Resolved {
            settings,
            entries,
            hidden,
        })
    }
}

/// Whether a folder on the way to a file is closed to this process.
fn is_hidden(path: &Path) -> bool {
    path.symlink_metadata()
        .is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
}

fn parse(key: &'static Key, text: &str, origin: Origin) -> Result<Value, SettingsError> {
    key.kind
        .parse(text)
        .map_err(|refused| SettingsError::BadValue {
            origin,
            key: key.name,
            expected: refused.expected,
            found: format!("'{text}'"),
        })
}

/// Variables that have names of their own.
const VARIABLES: &[(&str, &str)] = &[("GLAAS_URL", "glaas.url"), ("ROAR_SSH_KEY", "glaas.key")];

/// None for a variable that is not a setting.
fn key_of_variable(name: &str) -> Result<Option<&'static Key>, SettingsError> {
    if let Some((_, key)) = VARIABLES.iter().find(|(variable, _)| *variable == name) {
        return find(key, Origin::Variable(name.to_owned())).map(Some);
    }
    let Some(key) = name.strip_prefix("ROAR_").filter(|key| key.contains("__")) else {
        return Ok(None);
    };
    let key = key.replace("__", ".").to_ascii_lowercase();
    find(&key, Origin::Variable(name.to_owned())).map(Some)
}

/// `$XDG_CONFIG_HOME/roar/config.toml`, by default `~/.config/roar/config.toml`;
/// `%APPDATA%\roar\config.toml` on Windows.
fn user_file() -> Option<PathBuf> {
    let absolute = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let folder = if cfg!(windows) {
        absolute("APPDATA")
    } else {
        absolute("XDG_CONFIG_HOME").or_else(|| Some(absolute("HOME")?.join(".config")))
    };
    folder.map(|folder| folder.join(Path::new("roar/config.toml")))
}
