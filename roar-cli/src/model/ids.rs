//! Identifiers: one newtype, one parser and one display each.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why a reference could not be parsed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Not of the form of a job uid.
    #[error("'{0}' is not a job uid (8 hexadecimal digits)")]
    JobUid(String),
    /// Not of the form of a hash prefix.
    #[error("'{0}' is not a hash prefix (4 to 128 hexadecimal digits)")]
    HashPrefix(String),
    /// Not of the form `@N` or `@BN`.
    #[error("'{0}' is not a step reference (@N or @BN, N from 1)")]
    StepRef(String),
}

/// A job's identifier: 8 lower-case hexadecimal digits, unique in a project.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct JobUid(String);

impl JobUid {
    /// A uid from 32 random bits.
    pub fn from_bits(bits: u32) -> Self {
        Self(format!("{bits:08x}"))
    }

    /// The text form.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for JobUid {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let lower = text.to_ascii_lowercase();
        if lower.len() == 8 && lower.bytes().all(|b| b.is_ascii_hexdigit()) {
            Ok(Self(lower))
        } else {
            Err(IdError::JobUid(text.to_owned()))
        }
    }
}

impl TryFrom<String> for JobUid {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<JobUid> for String {
    fn from(uid: JobUid) -> Self {
        uid.0
    }
}

impl fmt::Display for JobUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The start of a digest or uid, as a user types it: 4 digits to the 128 of a SHA-512.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HashPrefix(String);

impl HashPrefix {
    /// The digits, in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for HashPrefix {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let lower = text.to_ascii_lowercase();
        if (4..=128).contains(&lower.len()) && lower.bytes().all(|b| b.is_ascii_hexdigit()) {
            Ok(Self(lower))
        } else {
            Err(IdError::HashPrefix(text.to_owned()))
        }
    }
}

impl fmt::Display for HashPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `@N` (any step) or `@BN` (a build step) of the active session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepRef {
    /// The step's number, from 1.
    pub number: u32,
    /// Whether the reference was written `@BN`.
    pub build: bool,
}

impl FromStr for StepRef {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let error = || IdError::StepRef(text.to_owned());
        let rest = text.strip_prefix('@').ok_or_else(error)?;
        let (build, digits) = match rest.strip_prefix(['B', 'b']) {
            Some(digits) => (true, digits),
            None => (false, rest),
        };
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(error());
        }
        match digits.parse() {
            Ok(number) if number > 0 => Ok(Self { number, build }),
            _ => Err(error()),
        }
    }
}

impl fmt::Display for StepRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "@{}{}", if self.build { "B" } else { "" }, self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn step_references() {
        assert_eq!(
            "@2".parse(),
            Ok(StepRef {
                number: 2,
                build: false
            })
        );
        assert_eq!(
            "@B12".parse(),
            Ok(StepRef {
                number: 12,
                build: true
            })
        );
        for bad in ["@0", "@", "@B", "2", "@-1", "@+1", "@1x", "@99999999999"] {
            assert!(bad.parse::<StepRef>().is_err(), "{bad}");
        }
    }

    #[test]
    fn uids_and_prefixes() {
        assert_eq!(
            "A1B2C3D4".parse::<JobUid>().expect("valid").as_str(),
            "a1b2c3d4"
        );
        assert!("a1b2c3d".parse::<JobUid>().is_err());
        assert!("abc".parse::<HashPrefix>().is_err());
        assert!("ABCD".parse::<HashPrefix>().is_ok());
        assert!("abcz".parse::<HashPrefix>().is_err());
    }
}
