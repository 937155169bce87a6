//! What can go wrong between here and a server.

use std::path::PathBuf;

use crate::model::RawString;

/// Why a server could not be used.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// The address is none.
    #[error("'{0}' is no address of a server (http:// or https://)")]
    Address(String),
    /// The server did not answer.
    #[error("{server} does not answer")]
    Unreachable {
        /// Its address.
        server: String,
        /// Why not.
        source: reqwest::Error,
    },
    /// The connection broke within the answer, or the rest of it took too long.
    #[error("the answer of {server} broke off")]
    BrokeOff {
        /// Its address.
        server: String,
        /// Why.
        source: std::io::Error,
    },
    /// The server sent the request elsewhere: a signed request follows nobody.
    #[error("{server} redirects to {to}")]
    Redirected {
        /// Its address.
        server: String,
        /// Where to.
        to: String,
    },
    /// The server refused.
    #[error("{server} says: {message} ({status})")]
    Refused {
        /// Its address.
        server: String,
        /// The HTTP status.
        status: u16,
        /// The code of its error, where it gave one.
        code: Option<String>,
        /// Its words.
        message: String,
        /// What an ambiguous prefix may mean.
        candidates: Vec<String>,
        /// When to come back, in seconds.
        retry_after: Option<u64>,
    },
    /// The answer makes no sense.
    #[error("the answer of {server} to {path} cannot be understood")]
    Answer {
        /// Its address.
        server: String,
        /// What was asked.
        path: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// An answer is larger than anything expected.
    #[error("the answer of {server} to {path} has more than {limit_bytes} bytes")]
    TooLarge {
        /// Its address.
        server: String,
        /// What was asked.
        path: String,
        /// The most that is taken.
        limit_bytes: u64,
    },
    /// A content is not what its digest says.
    #[error("the content that {server} gave for {digest} is another one")]
    OtherContent {
        /// Its address.
        server: String,
        /// What was asked for.
        digest: String,
    },
    /// A content holds secrets; it would be another one without them.
    #[error("the content {digest} holds secrets ({detectors}) and is not sent")]
    Secrets {
        /// Its digest.
        digest: String,
        /// What was found.
        detectors: String,
    },
    /// There is no key.
    #[error("no SSH key was found")]
    NoKey {
        /// Where one was looked for.
        looked: Vec<PathBuf>,
    },
    /// The key cannot be read.
    #[error("the key '{}' cannot be used: {reason}", RawString::from_path(path))]
    BadKey {
        /// Its file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The key is encrypted, and no agent has it.
    #[error("the key '{}' is encrypted, and {reason}", RawString::from_path(path))]
    Encrypted {
        /// Its file.
        path: PathBuf,
        /// What the agent said.
        reason: String,
    },
    /// Nothing can be signed.
    #[error("signing with {fingerprint} failed: {reason}")]
    Signing {
        /// The key.
        fingerprint: String,
        /// Why.
        reason: String,
    },
    /// What was sent cannot be remembered.
    #[error("what was sent cannot be remembered")]
    Store(#[from] crate::store::StoreError),
}

impl RegisterError {
    /// When the server asked to come back.
    pub fn retry_after(&self) -> Option<std::time::Duration> {
        match self {
            Self::Refused { retry_after, .. } => retry_after.map(std::time::Duration::from_secs),
            _ => None,
        }
    }

    /// Whether an answer was waited for in vain: asking again would take as long.
    pub fn is_timeout(&self) -> bool {
        match self {
            Self::Unreachable { source, .. } => source.is_timeout(),
            Self::BrokeOff { source, .. } => {
                let inner = source.get_ref().and_then(|inner| inner.downcast_ref());
                inner.is_some_and(reqwest::Error::is_timeout)
            }
            _ => false,
        }
    }

    /// Whether the same request may succeed later.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::BrokeOff { .. } => true,
            Self::Refused { status, .. } => matches!(status, 408 | 425 | 429 | 500 | 502..=504),
            _ => false,
        }
    }
}
