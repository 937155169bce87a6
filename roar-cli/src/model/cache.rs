//! What the hash cache is keyed by and what it holds.

use serde::{Deserialize, Serialize};

use super::hashes::Hashes;

/// The state of a file as `stat` shows it. Two equal keys mean equal content, provided the first
/// was taken when the file's times were already settled (see `capture::hash`).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct CacheKey {
    /// Device number of the file system, as `stat` shows it.
    pub device: u64,
    /// Inode number.
    pub inode: u64,
    /// Size in bytes.
    pub size_bytes: u64,
    /// Modification time, nanoseconds since the Unix epoch.
    pub mtime_ns: i64,
    /// Change time, nanoseconds since the Unix epoch.
    pub ctime_ns: i64,
}

/// Digests of the content that a [`CacheKey`] stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CachedHash {
    /// The digests.
    pub hashes: Hashes,
}
