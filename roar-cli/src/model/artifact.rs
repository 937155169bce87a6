//! Content and the places where a job met it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::hashes::Hashes;
use super::job::{Basis, FileAccess};
use super::raw::RawString;

/// A content hash algorithm. BLAKE3 is always recorded; the others on request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HashAlgorithm {
    /// BLAKE3, 256 bits: the identity of an artifact.
    Blake3,
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
    /// MD5, for matching foreign records only.
    Md5,
}

impl HashAlgorithm {
    /// Every algorithm, BLAKE3 first.
    pub const ALL: [Self; 4] = [Self::Blake3, Self::Sha256, Self::Sha512, Self::Md5];

    /// The name used in records, options and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Blake3 => "blake3",
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
            Self::Md5 => "md5",
        }
    }
}

impl fmt::Display for HashAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for HashAlgorithm {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|a| a.name() == text)
            .ok_or_else(|| format!("unknown hash algorithm '{text}' (blake3, sha256, sha512, md5)"))
    }
}

/// A digest in lower-case hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Digest(Box<str>);

impl Digest {
    /// From raw digest bytes.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        // By hand: a graph has tens of thousands of them, and formatting each byte shows; so does
        // pushing each character.
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut hex = vec![0; bytes.len() * 2];
        for (pair, byte) in hex.chunks_exact_mut(2).zip(bytes) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        let hex = String::from_utf8(hex).expect("digits are text");
        Self(hex.into_boxed_str())
    }

    /// From hexadecimal text that is already known to be a digest (a database row).
    pub fn from_hex(hex: impl Into<String>) -> Self {
        Self(hex.into().into_boxed_str())
    }

    /// The hexadecimal text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first 8 digits, as reports show it.
    pub fn short(&self) -> &str {
        self.0.get(..8).unwrap_or(&self.0)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One file as an input or output of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    /// Absolute path.
    pub path: RawString,
    /// Digests; empty when the content could not be hashed (then `note` says why).
    pub hashes: Hashes,
    /// Size of the hashed content in bytes, where known.
    pub size_bytes: Option<u64>,
    /// How the access was established.
    pub basis: Basis,
    /// What a reader must know: content not hashed, changed while hashing, later removed, …
    pub note: Option<String>,
}

impl FileRecord {
    /// The artifact's identity: the BLAKE3 digest.
    pub fn hash(&self) -> Option<&Digest> {
        self.hashes.get(&HashAlgorithm::Blake3)
    }
}

/// An access that a filter kept out of the inputs and outputs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilteredRecord {
    /// Absolute path.
    pub path: RawString,
    /// Read, written or both.
    pub access: FileAccess,
    /// The settings key or rule that filtered it, e.g. `filters.ignore_system_reads`.
    pub by: String,
}
