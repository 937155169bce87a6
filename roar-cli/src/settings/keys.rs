//! The table: every key, its type, its default and its one-line meaning.

use super::error::{Origin, SettingsError};
use super::value::{Kind, Value};

/// One setting.
#[derive(Debug, PartialEq, Eq)]
pub struct Key {
    /// `section.name`, as in TOML and on the command line.
    pub name: &'static str,
    /// What values it takes.
    pub kind: Kind,
    /// Its default, in the notation of `config set`.
    default: &'static str,
    /// What it does, in one line.
    pub doc: &'static str,
}

impl Key {
    /// The part before the dot.
    pub fn section(&self) -> &'static str {
        self.name.split_once('.').map_or("", |(section, _)| section)
    }

    /// The part after the dot.
    pub fn leaf(&self) -> &'static str {
        self.name
            .split_once('.')
            .map_or(self.name, |(_, leaf)| leaf)
    }

    /// The default.
    pub fn default(&self) -> Value {
        self.kind
            .parse(self.default)
            .expect("a test parses every default of the table")
    }

    /// The environment variable that sets it.
    pub fn variable(&self) -> String {
        format!("ROAR_{}", self.name.replace('.', "__")).to_ascii_uppercase()
    }
}

/// Every setting there is, grouped by section.
pub static KEYS: &[Key] = &[
    Key {
        name: "output.track_repo_files",
        kind: Kind::Bool,
        default: "false",
        doc: "Record code files tracked by git as inputs (the commit identifies them anyway)",
    },
    Key {
        name: "output.quiet",
        kind: Kind::Bool,
        default: "false",
        doc: "No report after a run",
    },
    Key {
        name: "filters.ignore_system_reads",
        kind: Kind::Bool,
        default: "true",
        doc: "Ignore reads of system files (/usr, /lib, /etc, /sys, ...)",
    },
    Key {
        name: "filters.ignore_package_reads",
        kind: Kind::Bool,
        default: "true",
        doc: "Ignore installed packages (site-packages, virtual environments, byte code, node_modules, ...)",
    },
    Key {
        name: "filters.ignore_torch_cache",
        kind: Kind::Bool,
        default: "true",
        doc: "Ignore compiler caches of torch, triton, inductor, CUDA and JAX",
    },
    Key {
        name: "filters.ignore_tmp_files",
        kind: Kind::Bool,
        default: "true",
        doc: "Ignore files that the job itself wrote to temporary folders (/tmp, /dev/shm, $TMPDIR)",
    },
    Key {
        name: "filters.ignore_library_caches",
        kind: Kind::Bool,
        default: "true",
        doc: "Ignore caches and settings of libraries in the home folder (~/.cache, ~/.config, fonts, ...)",
    },
    Key {
        name: "filters.ignore_paths",
        kind: Kind::Globs,
        default: "[]",
        doc: "Ignore files matching these patterns, relative to the project (*.log, scratch/, ~/x, /data/*.tmp)",
    },
    Key {
        name: "hash.primary",
        kind: Kind::Choice(&["blake3"]),
        default: "blake3",
        doc: "The hash that identifies an artifact",
    },
    Key {
        name: "hash.run",
        kind: Kind::Choices(&["blake3", "sha256", "sha512", "md5"]),
        default: "[]",
        doc: "Further hashes recorded for every file of a run (sha256, sha512, md5)",
    },
    Key {
        name: "tracer.default",
        kind: Kind::Choice(&["auto", "ebpf", "seccomp"]),
        default: "auto",
        doc: "The tracer of roar run (auto, ebpf, seccomp)",
    },
    Key {
        name: "tracer.on_loss",
        kind: Kind::Choice(&["warn", "fail"]),
        default: "warn",
        doc: "When events were lost: warn, or fail the run (warn, fail)",
    },
    Key {
        name: "git.require_clean",
        kind: Kind::Bool,
        default: "false",
        doc: "Refuse to run while tracked files differ from the commit",
    },
    Key {
        name: "record.redact_secrets",
        kind: Kind::Bool,
        default: "true",
        doc: "Take secrets out of command lines, variables, URLs, patches and names before they are recorded",
    },
    Key {
        name: "record.environment",
        kind: Kind::Words,
        default: "[]",
        doc: "Further environment variables to record (SEED, MYAPP_*)",
    },
    Key {
        name: "record.max_file_bytes",
        kind: Kind::Number,
        default: "4194304",
        doc: "Untracked files that were read are kept up to this size",
    },
    Key {
        name: "record.max_job_bytes",
        kind: Kind::Number,
        default: "67108864",
        doc: "Patch and untracked files of one job are kept up to this size together",
    },
    Key {
        name: "collections.min_files",
        kind: Kind::Number,
        default: "100",
        doc: "A folder of which a job read or wrote so many files is one collection (0: none is)",
    },
    Key {
        name: "glaas.url",
        kind: Kind::Text,
        default: "https://api.glaas.ai",
        doc: "The lineage server",
    },
    Key {
        name: "glaas.web_url",
        kind: Kind::Text,
        default: "https://glaas.ai",
        doc: "The lineage server's web pages, for links; with another `glaas.url`, that one unless this is set",
    },
    Key {
        name: "glaas.key",
        kind: Kind::Text,
        default: "",
        doc: "The SSH key that the lineage server knows you by; the first of ~/.ssh/id_ed25519, id_rsa, id_ecdsa when empty",
    },
    Key {
        name: "glaas.retries",
        kind: Kind::Number,
        default: "7",
        doc: "So often what is sent is tried again when the connection breaks or the server is busy (questions: twice at most)",
    },
    Key {
        name: "glaas.retry_wait_ms",
        kind: Kind::Number,
        default: "200",
        doc: "The wait before the first of these tries, in milliseconds; it doubles each time",
    },
    Key {
        name: "registration.omit.enabled",
        kind: Kind::Bool,
        default: "true",
        doc: "Leave secrets out of what is registered",
    },
    Key {
        name: "registration.omit.secrets.values",
        kind: Kind::Words,
        default: "[]",
        doc: "Values that are always taken out",
    },
    Key {
        name: "registration.omit.env_vars.names",
        kind: Kind::Words,
        default: "[]",
        doc: "Environment variables whose values are always taken out",
    },
    Key {
        name: "registration.omit.allowlist.patterns",
        kind: Kind::Words,
        default: "[]",
        doc: "Regular expressions of what looks like a secret and is none",
    },
    Key {
        name: "registration.omit.patterns",
        kind: Kind::Words,
        default: "[]",
        doc: "Regular expressions of further secrets",
    },
    Key {
        name: "logging.level",
        kind: Kind::Choice(&["debug", "info", "warning", "error"]),
        default: "warning",
        doc: "Log level (debug, info, warning, error)",
    },
];

/// The key of that name.
///
/// # Errors
/// There is none; the error names the nearest.
pub fn find(name: &str, origin: Origin) -> Result<&'static Key, SettingsError> {
    KEYS.iter()
        .find(|key| key.name == name)
        .ok_or_else(|| SettingsError::UnknownKey {
            origin,
            name: name.to_owned(),
            nearest: nearest(name),
        })
}

/// The key most like `name`. Whoever leaves out the section means the leaf.
fn nearest(name: &str) -> &'static str {
    let leaf = name.rsplit('.').next().unwrap_or(name);
    let likeness = |key: &Key| {
        let whole = strsim::jaro_winkler(name, key.name);
        whole.max(strsim::jaro_winkler(leaf, key.leaf()))
    };
    KEYS.iter()
        .max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
        .map_or("", |key| key.name)
}
