//! Sessions and the identity of their steps.

use serde::{Deserialize, Serialize};

/// A series of jobs that form one pipeline; `roar reset` starts a new one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Database id, ascending with age.
    pub id: i64,
    /// When it began, nanoseconds since the Unix epoch.
    pub started_at_ns: i64,
    /// Whether new jobs go here.
    pub active: bool,
}

/// The text that decides whether two jobs are executions of the same step:
/// the normalised input and output places, or the command when it has neither.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StepIdentity(pub String);
