//! Each tracer, set up as `roar run` would and let go again.

use serde::Serialize;

#[cfg(target_os = "linux")]
use super::machine::{Facts, LOCKDOWN_MEND, TYPES_MEND};
#[cfg(target_os = "linux")]
use crate::settings::TracerChoice;
#[cfg(target_os = "linux")]
use crate::trace::{NoTracer, Tracer, Wanted, with_causes};

/// How a tracer stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Backend {
    /// Its name on the record.
    pub name: &'static str,
    /// Whether it can run here and now.
    pub ready: bool,
    /// What it can run through or with; none when it is not ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub through: Option<&'static str>,
    /// What is missing; none when it is ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing: Option<String>,
    /// The commands or facts that mend it, any of which will do.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mend: Vec<String>,
}

/// Every tracer, the better one first.
#[cfg(target_os = "linux")]
pub(super) fn all(facts: &Facts) -> Vec<Backend> {
    vec![
        tried("ebpf", TracerChoice::Ebpf, facts),
        tried("seccomp", TracerChoice::Seccomp, facts),
    ]
}

/// Where nothing can be observed.
#[cfg(not(target_os = "linux"))]
pub(super) fn none() -> Vec<Backend> {
    let backend = |name| Backend {
        name,
        ready: false,
        through: None,
        missing: Some("observing a command needs Linux".to_owned()),
        mend: Vec::new(),
    };
    vec![backend("ebpf"), backend("seccomp")]
}

#[cfg(target_os = "linux")]
fn tried(name: &'static str, choice: TracerChoice, facts: &Facts) -> Backend {
    match Tracer::select(Wanted {
        choice,
        ..Wanted::default()
    }) {
        Ok(tracer) => Backend {
            name,
            ready: true,
            through: Some(tracer.through()),
            missing: None,
            mend: Vec::new(),
        },
        Err(error) => Backend {
            name,
            ready: false,
            through: None,
            missing: Some(with_causes(without_name(&error))),
            mend: mends(&error, facts),
        },
    }
}

/// The error without the wrapper, which would only repeat the tracer's name.
#[cfg(target_os = "linux")]
fn without_name(error: &NoTracer) -> &dyn std::error::Error {
    match error {
        NoTracer::Ebpf(error) => error.as_ref(),
        NoTracer::Seccomp(error) => error,
        error => error,
    }
}

/// What would mend it, given what is known of the machine.
#[cfg(target_os = "linux")]
fn mends(error: &NoTracer, facts: &Facts) -> Vec<String> {
    if !matches!(error, NoTracer::Ebpf(_)) {
        return error.hints();
    }
    let one = |text: &str| vec![text.to_owned()];
    if facts.is_too_old() {
        return one("Linux 5.17 or newer");
    }
    if !facts.has_types {
        return one(TYPES_MEND);
    }
    if facts.is_confidential() {
        return one(LOCKDOWN_MEND);
    }
    error.hints()
}
