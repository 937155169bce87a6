//! Content hashes of many files: parallel, cached, and never at the mercy of what a path names.
//!
//! - Only regular files of real file systems are read. Symbolic links are not followed, a FIFO or
//!   a device is never waited for, a kernel-made file (`/proc`, `/sys`) is not content. Whatever
//!   has no hash gets a reason ([`Unhashed`]) instead.
//! - Bytes come through `read`, never through a mapping: a file cut short while it is hashed is
//!   an early end of file, not a SIGBUS.
//! - The state of the file (size, times) is taken before and after. When it moved, the file is
//!   hashed once more; when it moved again, the hash is that of the bytes read and
//!   [`Hashed::changed_during`] says so.
//! - An unchanged file costs one `statx` and no open. When that may be believed is the business
//!   of the `settled` module.
//! - Holes are not read: a file of a terabyte of which little is stored takes the time that
//!   hashing zeros takes, and no reading.
//!
//! While a command runs, `beside` hashes what it leaves alone, at idle priority.
//!
//! Knows nothing of the database: the cache is a trait.

#[cfg(target_os = "linux")]
mod beside;
mod digest;
mod found;
mod open;
mod settled;

#[cfg(all(test, target_os = "linux"))]
mod tests;

use std::borrow::Cow;
use std::cmp::Reverse;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::model::{CacheKey, CachedHash, HashAlgorithm, Hashes, RawString};

#[cfg(target_os = "linux")]
pub use beside::{Beside, IsWanted, Plan};
pub use digest::Watch;
pub use found::{Afresh, FoundBeside, Layered};
pub use open::Unhashed;

/// A file that was hashed, or found in the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hashed {
    /// BLAKE3 and whatever else was asked for.
    pub hashes: Hashes,
    /// Number of bytes that were hashed.
    pub size_bytes: u64,
    /// The file changed while it was hashed, twice: the hash is that of the bytes that were read,
    /// which may never have been the file's content at any one moment.
    pub changed_during: bool,
    /// Identity and state of the file when its hashing began.
    pub state: CacheKey,
    /// The file was not read: the cache knew it.
    pub from_cache: bool,
}

/// Remembers the hashes of file states. A cache that fails answers with nothing; it never fails
/// the hashing.
pub trait HashCache {
    /// The known hashes for each key, in the order of the keys.
    fn get(&mut self, keys: &[CacheKey]) -> Vec<Option<CachedHash>>;
    /// Remembers hashes; only states that can be trusted later come here.
    fn put(&mut self, entries: &[(CacheKey, CachedHash)]);
}

/// The cache that knows nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoCache;

impl HashCache for NoCache {
    fn get(&mut self, keys: &[CacheKey]) -> Vec<Option<CachedHash>> {
        vec![None; keys.len()]
    }

    fn put(&mut self, _entries: &[(CacheKey, CachedHash)]) {}
}

/// What names a file.
pub trait Place: Sync {
    /// Its path; absolute, and no symbolic link in the last component.
    fn path(&self) -> Cow<'_, Path>;
}

impl Place for PathBuf {
    fn path(&self) -> Cow<'_, Path> {
        self.as_path().into()
    }
}

impl Place for &RawString {
    fn path(&self) -> Cow<'_, Path> {
        self.as_path()
    }
}

/// From this size on a file is hashed by all threads together; below it, each thread hashes files
/// of its own.
const LARGE_FILE_BYTES: u64 = 4 << 20;

/// Work below these limits is done by the calling thread alone: making or waking a thread pool
/// would cost more than the hashing.
const ALONE_BYTES: u64 = 1 << 20;
const ALONE_FILES: usize = 64;

/// Hashes `paths` with BLAKE3 and the further `algorithms`; the answers come in the order of the
/// paths.
///
/// Work runs in the current rayon pool. Paths should be absolute and real: a symbolic link in the
/// last component is reported, not followed.
pub fn hash_files(
    paths: &[impl Place],
    algorithms: &[HashAlgorithm],
    cache: &mut dyn HashCache,
) -> Vec<Result<Hashed, Unhashed>> {
    hash_files_watched(paths, algorithms, cache, &())
}

/// Like [`hash_files`], telling `watch` of every block; files that it lets go of are
/// [`Unhashed::Interrupted`].
pub fn hash_files_watched(
    paths: &[impl Place],
    algorithms: &[HashAlgorithm],
    cache: &mut dyn HashCache,
    watch: &dyn Watch,
) -> Vec<Result<Hashed, Unhashed>> {
    let wanted = wanted(algorithms);
    let states = states(paths);
    let keys: Vec<CacheKey> = states.iter().flatten().copied().collect();
    let mut cached = cache.get(&keys).into_iter();

    let mut answers = Vec::with_capacity(paths.len());
    let mut work = Vec::new();
    for (path, state) in paths.iter().zip(states) {
        let known = state.as_ref().ok().and_then(|_| cached.next().flatten());
        answers.push(match state {
            Err(reason) => Some(Err(reason)),
            Ok(state) => {
                let hit = known.as_ref().and_then(|k| from_cache(state, k, &wanted));
                if hit.is_none() {
                    work.push(Work {
                        index: answers.len(),
                        path: path.path(),
                        state,
                        known: known.map(|k| k.hashes).unwrap_or_default(),
                    });
                }
                hit.map(Ok)
            }
        });
    }

    let mut learned = Vec::new();
    for (work, fresh) in do_all(work, &wanted, watch) {
        answers[work.index] = Some(fresh.map(|fresh| {
            if fresh.may_be_cached {
                let mut hashes = fresh.hashed.hashes.clone();
                if fresh.hashed.state == work.state {
                    hashes.extend(work.known);
                }
                learned.push((fresh.hashed.state, CachedHash { hashes }));
            }
            fresh.hashed
        }));
    }
    if !learned.is_empty() {
        cache.put(&learned);
    }
    answers
        .into_iter()
        .map(|answer| answer.expect("each path was answered or became work"))
        .collect()
}

/// BLAKE3, the identity, is always among them; none twice.
fn wanted(algorithms: &[HashAlgorithm]) -> Vec<HashAlgorithm> {
    HashAlgorithm::ALL
        .into_iter()
        .filter(|a| *a == HashAlgorithm::Blake3 || algorithms.contains(a))
        .collect()
}

fn states(paths: &[impl Place]) -> Vec<Result<CacheKey, Unhashed>> {
    if paths.len() > ALONE_FILES {
        paths.par_iter().map(look).collect()
    } else {
        paths.iter().map(look).collect()
    }
}

fn look(place: &impl Place) -> Result<CacheKey, Unhashed> {
    open::look(&place.path())
}

fn from_cache(state: CacheKey, known: &CachedHash, wanted: &[HashAlgorithm]) -> Option<Hashed> {
    let hashes = wanted
        .iter()
        .map(|algorithm| Some((*algorithm, known.hashes.get(algorithm)?.clone())))
        .collect::<Option<Hashes>>()?;
    Some(Hashed {
        hashes,
        size_bytes: state.size_bytes,
        changed_during: false,
        state,
        from_cache: true,
    })
}

/// A file the cache could not answer for.
struct Work<'a> {
    index: usize,
    path: Cow<'a, Path>,
    state: CacheKey,
    /// Hashes of this very state that the cache has, of other algorithms than those asked for.
    known: Hashes,
}

/// A file just hashed, and whether its state can stand for its content from now on.
struct Fresh {
    hashed: Hashed,
    may_be_cached: bool,
}

/// Largest first: the last file to finish should be a small one.
fn do_all<'a>(
    mut work: Vec<Work<'a>>,
    wanted: &[HashAlgorithm],
    watch: &dyn Watch,
) -> Vec<(Work<'a>, Result<Fresh, Unhashed>)> {
    work.sort_by_key(|w| Reverse(w.state.size_bytes));
    let total_bytes: u64 = work.iter().map(|w| w.state.size_bytes).sum();
    watch.expect(work.len() as u64, total_bytes);
    let each_alone = |w: Work<'a>| {
        let fresh = hash_one(&w.path, wanted, false, watch, &|| ());
        (w, fresh)
    };
    if work.len() <= ALONE_FILES && total_bytes <= ALONE_BYTES {
        return work.into_iter().map(each_alone).collect();
    }
    let small = work.split_off(work.partition_point(|w| w.state.size_bytes >= LARGE_FILE_BYTES));
    let mut done: Vec<_> = work
        .into_iter()
        .map(|w| {
            let fresh = hash_one(&w.path, wanted, true, watch, &|| ());
            (w, fresh)
        })
        .collect();
    done.par_extend(small.into_par_iter().map(each_alone));
    done
}

/// `read` is told when the bytes are read and the state is about to be compared.
fn hash_one(
    path: &Path,
    wanted: &[HashAlgorithm],
    together: bool,
    watch: &dyn Watch,
    read: &dyn Fn(),
) -> Result<Fresh, Unhashed> {
    let first = attempt(path, wanted, together, watch, read)?;
    if !first.hashed.changed_during {
        return Ok(first);
    }
    // The second attempt goes front to back: it ends wherever the file ends by then.
    attempt(path, wanted, false, watch, read)
}

fn attempt(
    path: &Path,
    wanted: &[HashAlgorithm],
    together: bool,
    watch: &dyn Watch,
    read: &dyn Fn(),
) -> Result<Fresh, Unhashed> {
    if !watch.go_on(0) {
        return Err(Unhashed::Interrupted);
    }
    let started_ns = settled::now_ns();
    let opened = open::open(path)?;
    let size_bytes = opened.state.size_bytes;
    let source = digest::Source {
        file: &opened.file,
        size_bytes,
        sparse: opened.sparse,
        watch,
    };
    let content = digest::digest(source, wanted, together)?;
    read();
    let after = open::state(&opened.file)?;
    let changed_during = after != opened.state || content.size_bytes != size_bytes;
    let may_be_cached =
        !changed_during && settled::is_settled(&opened.state, started_ns, opened.file_system);
    Ok(Fresh {
        hashed: Hashed {
            hashes: content.hashes,
            size_bytes: content.size_bytes,
            changed_during,
            state: opened.state,
            from_cache: false,
        },
        may_be_cached,
    })
}
