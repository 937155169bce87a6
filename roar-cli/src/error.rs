//! What a command can fail with, and the exit status each failure has.

use std::fmt;

/// The kind of a failure; decides heading and exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The request cannot be met: wrong reference, wrong value, nothing there.
    User,
    /// roar failed before the traced command started.
    BeforeCommand,
    /// The traced command exists but cannot be executed.
    CannotExecute,
    /// The traced command was not found.
    NotFound,
}

/// Exit statuses of roar itself. A traced command's own status passes through
/// (128 + n when signal n killed it).
impl ErrorKind {
    /// The process exit status.
    pub fn exit_status(self) -> u8 {
        match self {
            Self::User => 1,
            Self::BeforeCommand => 125,
            Self::CannotExecute => 126,
            Self::NotFound => 127,
        }
    }
}

/// A failed command: what failed, why, and what would mend it.
#[derive(Debug)]
pub struct CommandError {
    /// Decides the exit status.
    pub kind: ErrorKind,
    /// What failed, in one sentence fragment.
    pub message: String,
    /// Why.
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
    /// Commands or facts that help.
    pub hints: Vec<String>,
}

impl CommandError {
    /// An error of the user's request.
    pub fn user(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::User, message)
    }

    /// An error of any kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
            hints: Vec::new(),
        }
    }

    /// Adds the cause.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Adds a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        let mut source = self.source.as_deref().map(|e| e as &dyn std::error::Error);
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

impl std::error::Error for CommandError {}
