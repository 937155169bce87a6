//! Byte strings as the kernel knows them: paths, arguments and values that need not be UTF-8.

use serde::{Deserialize, Serialize};

/// Text where it is UTF-8; else an escaped form for people and the bytes in base64.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(untagged)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum RawText {
    /// UTF-8.
    Text(String),
    /// Anything else.
    Bytes {
        /// To be shown.
        escaped: String,
        /// The bytes, in standard base64.
        base64: String,
    },
}

impl RawText {
    /// The text, or the escaped form: for showing, not for opening files.
    pub fn shown(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Bytes { escaped, .. } => escaped,
        }
    }
}

impl Default for RawText {
    fn default() -> Self {
        Self::Text(String::new())
    }
}

impl From<&str> for RawText {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}
