//! The settings in force as plain data, for those who act on them.

use super::layers::Entry;
use super::value::Value;
use crate::model::HashAlgorithm;

/// All settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `output.*`
    pub output: OutputSettings,
    /// `filters.*`
    pub filters: FilterSettings,
    /// `hash.*`
    pub hash: HashSettings,
    /// `tracer.*`
    pub tracer: TracerSettings,
    /// `git.*`
    pub git: GitSettings,
    /// `record.*`
    pub record: RecordSettings,
    /// `collections.*`
    pub collections: CollectionSettings,
    /// `glaas.*`
    pub glaas: GlaasSettings,
    /// `registration.*`
    pub registration: RegistrationSettings,
    /// `logging.*`
    pub logging: LoggingSettings,
}

/// What a run reports and records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputSettings {
    /// Code files tracked by git are inputs, too.
    pub track_repo_files: bool,
    /// No report after a run.
    pub quiet: bool,
}

/// What does not count as input or output.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "one independent switch for each category, as the user sees them"
)]
pub struct FilterSettings {
    /// Reads of system files.
    pub ignore_system_reads: bool,
    /// Reads of installed packages.
    pub ignore_package_reads: bool,
    /// Compiler caches of torch and its like.
    pub ignore_torch_cache: bool,
    /// Temporary files that the job wrote.
    pub ignore_tmp_files: bool,
    /// Caches of libraries.
    pub ignore_library_caches: bool,
    /// Patterns of the user.
    pub ignore_paths: Vec<String>,
}

/// Content hashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HashSettings {
    /// Algorithms recorded beside BLAKE3, the identity.
    pub run: Vec<HashAlgorithm>,
}

/// How commands are observed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TracerSettings {
    /// Which tracer.
    pub default: TracerChoice,
    /// What lost events mean.
    pub on_loss: OnLoss,
}

/// A choice of tracer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TracerChoice {
    /// The best that works here.
    #[default]
    Auto,
    /// eBPF or nothing.
    Ebpf,
    /// seccomp user notification or nothing.
    Seccomp,
}

/// What lost events mean for a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnLoss {
    /// A warning.
    Warn,
    /// A failure.
    Fail,
}

/// Demands on the repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitSettings {
    /// Refuse to run in a dirty tree.
    pub require_clean: bool,
}

/// What is recorded around the files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordSettings {
    /// Secrets are taken out.
    pub redact_secrets: bool,
    /// Further environment variables.
    pub environment: Vec<String>,
    /// The largest untracked file that is kept.
    pub max_file_bytes: u64,
    /// The most that is kept for a job.
    pub max_job_bytes: u64,
}

/// Folders that are one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectionSettings {
    /// How many files make a collection; 0: none does.
    pub min_files: u64,
}

/// The address of a server's pages: its own, unless somebody says otherwise. Only the server that is
/// asked by default has them elsewhere.
fn pages(url: String, web_url: String) -> String {
    let is_default = |name: &str, value: &str| {
        let mut keys = super::keys::KEYS.iter();
        keys.any(|key| key.name == name && key.default().to_string() == value)
    };
    if is_default("glaas.web_url", &web_url) && !is_default("glaas.url", &url) {
        return url;
    }
    web_url
}

/// The lineage server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GlaasSettings {
    /// Its address.
    pub url: String,
    /// The address of its pages.
    pub web_url: String,
    /// The file of the key; empty for the usual ones.
    pub key: String,
    /// So often a request is tried again.
    pub retries: u64,
    /// The wait before the first of these tries; it doubles each time.
    pub retry_wait_ms: u64,
}

/// What is left out of whatever leaves the machine, and of the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistrationSettings {
    /// Secrets are left out of what is registered.
    pub omit: bool,
    /// Values that always go.
    pub omit_values: Vec<String>,
    /// Variables whose values always go.
    pub omit_variables: Vec<String>,
    /// Regular expressions of what is no secret.
    pub allowed_patterns: Vec<String>,
    /// Regular expressions of further secrets.
    pub omit_patterns: Vec<String>,
}

/// roar's own log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggingSettings {
    /// The least severe messages shown.
    pub level: LogLevel,
}

/// Severity of a message, least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Everything.
    Debug,
    /// Steps taken.
    Info,
    /// What the user should know.
    Warning,
    /// Failures.
    Error,
}

impl Default for Settings {
    fn default() -> Self {
        Self::from_entries(&[])
    }
}

impl Settings {
    /// From entries; a key that is not among them has its default.
    pub(super) fn from_entries(entries: &[Entry]) -> Self {
        let values = Values(entries);
        // `hash.primary` has one value only and needs no field.
        Self {
            output: OutputSettings {
                track_repo_files: values.on("output.track_repo_files"),
                quiet: values.on("output.quiet"),
            },
            filters: FilterSettings {
                ignore_system_reads: values.on("filters.ignore_system_reads"),
                ignore_package_reads: values.on("filters.ignore_package_reads"),
                ignore_torch_cache: values.on("filters.ignore_torch_cache"),
                ignore_tmp_files: values.on("filters.ignore_tmp_files"),
                ignore_library_caches: values.on("filters.ignore_library_caches"),
                ignore_paths: values.list("filters.ignore_paths"),
            },
            hash: HashSettings {
                run: values
                    .list("hash.run")
                    .iter()
                    .filter_map(|name| name.parse().ok())
                    .collect(),
            },
            tracer: TracerSettings {
                default: match values.text("tracer.default").as_str() {
                    "ebpf" => TracerChoice::Ebpf,
                    "seccomp" => TracerChoice::Seccomp,
                    _ => TracerChoice::Auto,
                },
                on_loss: match values.text("tracer.on_loss").as_str() {
                    "fail" => OnLoss::Fail,
                    _ => OnLoss::Warn,
                },
            },
            git: GitSettings {
                require_clean: values.on("git.require_clean"),
            },
            record: RecordSettings {
                redact_secrets: values.on("record.redact_secrets"),
                environment: values.list("record.environment"),
                max_file_bytes: values.number("record.max_file_bytes"),
                max_job_bytes: values.number("record.max_job_bytes"),
            },
            collections: CollectionSettings {
                min_files: values.number("collections.min_files"),
            },
            glaas: GlaasSettings {
                url: values.text("glaas.url"),
                web_url: pages(values.text("glaas.url"), values.text("glaas.web_url")),
                key: values.text("glaas.key"),
                retries: values.number("glaas.retries"),
                retry_wait_ms: values.number("glaas.retry_wait_ms"),
            },
            registration: RegistrationSettings {
                omit: values.on("registration.omit.enabled"),
                omit_values: values.list("registration.omit.secrets.values"),
                omit_variables: values.list("registration.omit.env_vars.names"),
                allowed_patterns: values.list("registration.omit.allowlist.patterns"),
                omit_patterns: values.list("registration.omit.patterns"),
            },
            logging: LoggingSettings {
                level: match values.text("logging.level").as_str() {
                    "debug" => LogLevel::Debug,
                    "info" => LogLevel::Info,
                    "error" => LogLevel::Error,
                    _ => LogLevel::Warning,
                },
            },
        }
    }
}

/// Values by name. Entries were checked against the table, so the types hold.
struct Values<'a>(&'a [Entry]);

impl Values<'_> {
    fn get(&self, name: &str) -> Option<Value> {
        let entry = self.0.iter().find(|entry| entry.key.name == name);
        entry.map(|entry| entry.value.clone()).or_else(|| {
            let key = super::KEYS.iter().find(|key| key.name == name);
            key.map(super::Key::default)
        })
    }

    fn on(&self, name: &str) -> bool {
        matches!(self.get(name), Some(Value::Bool(true)))
    }

    fn number(&self, name: &str) -> u64 {
        match self.get(name) {
            Some(Value::Number(number)) => number,
            _ => 0,
        }
    }

    fn text(&self, name: &str) -> String {
        match self.get(name) {
            Some(Value::Text(text)) => text,
            _ => String::new(),
        }
    }

    fn list(&self, name: &str) -> Vec<String> {
        match self.get(name) {
            Some(Value::List(words)) => words,
            _ => Vec::new(),
        }
    }
}
