//! What `roar doctor` finds out: whether `roar run` will work here, and what is missing.
//!
//! Tracers are tried, not guessed at: each is set up as `roar run` would and let go again. The
//! rest are small reads. Nothing is changed, and nothing here fails: what cannot be found out
//! is a check that says so. No word of this reaches the user but through `present`.

#[cfg(target_os = "linux")]
mod machine;
mod tools;
mod tracers;
mod workplace;

use std::path::Path;

use serde::Serialize;
use serde_json::Value;

pub use tracers::Backend;

use crate::settings::TracerChoice;

/// How something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// As it should be.
    Ok,
    /// Worth knowing; `roar run` works all the same.
    Note,
    /// `roar run` cannot work like this.
    Missing,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Check {
    /// What.
    pub name: &'static str,
    /// How it stands.
    pub state: State,
    /// What was found, in words.
    pub found: String,
    /// The same for machines; null when it could not be found out.
    pub value: Value,
    /// The command or the fact that mends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mend: Option<String>,
}

impl Check {
    fn new(name: &'static str, state: State, found: impl Into<String>, value: Value) -> Self {
        Self {
            name,
            state,
            found: found.into(),
            value,
            mend: None,
        }
    }

    fn ok(name: &'static str, found: impl Into<String>, value: Value) -> Self {
        Self::new(name, State::Ok, found, value)
    }

    fn mended_by(mut self, mend: impl Into<String>) -> Self {
        self.mend = Some(mend.into());
        self
    }
}

/// What belongs to the machine and the rights of this process: the first half, found out with
/// the rights that roar was started with.
#[derive(Clone, Debug)]
pub struct Ground {
    backends: Vec<Backend>,
    machine: Vec<Check>,
}

/// Everything.
#[derive(Clone, Debug, Serialize)]
pub struct Diagnosis {
    /// Whether `roar run` will work in this folder.
    pub ready: bool,
    /// The tracer that it would take.
    pub tracer: Option<&'static str>,
    /// The tracer that the settings ask for.
    pub wanted: &'static str,
    /// Every tracer.
    pub backends: Vec<Backend>,
    /// Everything else, in groups.
    pub machine: Vec<Check>,
    /// The project around this folder.
    pub project: Vec<Check>,
    /// Programs and keys that other commands use.
    pub tools: Vec<Check>,
}

/// Looks at the machine and tries the tracers.
pub fn ground() -> Ground {
    #[cfg(target_os = "linux")]
    {
        let facts = machine::Facts::read();
        Ground {
            backends: tracers::all(&facts),
            machine: facts.checks(),
        }
    }
    #[cfg(not(target_os = "linux"))]
    Ground {
        backends: tracers::none(),
        machine: Vec::new(),
    }
}

impl Ground {
    /// Goes on with what belongs to the user: the project around `folder`, programs and keys.
    pub fn and_project(self, folder: &Path) -> Diagnosis {
        let (wanted, project) = workplace::around(folder);
        let tracer = self
            .backends
            .iter()
            .find(|backend| backend.ready && suits(backend.name, wanted))
            .map(|backend| backend.name);
        let complete = project.iter().all(|check| check.state != State::Missing);
        Diagnosis {
            ready: complete && tracer.is_some(),
            tracer,
            wanted: match wanted {
                TracerChoice::Auto => "auto",
                TracerChoice::Ebpf => "ebpf",
                TracerChoice::Seccomp => "seccomp",
            },
            backends: self.backends,
            machine: self.machine,
            project,
            tools: tools::all(),
        }
    }
}

fn suits(backend: &str, wanted: TracerChoice) -> bool {
    match wanted {
        TracerChoice::Auto => true,
        TracerChoice::Ebpf => backend == "ebpf",
        TracerChoice::Seccomp => backend == "seccomp",
    }
}
