//! What hashing beside a command came to, and caches made of other caches.

use hashbrown::HashMap;

use super::HashCache;
use crate::event::FileId;
use crate::model::{CacheKey, CachedHash, Hashes};
use crate::observe::FileStamp;

/// Hashes of file states that were met while a command ran.
#[derive(Debug, Default)]
pub struct FoundBeside {
    hashes: HashMap<CacheKey, Hashes>,
    states: HashMap<(FileId, FileStamp), CacheKey>,
    told: HashMap<(FileId, FileStamp), Hashes>,
}

/// One thing that was found out.
#[derive(Debug)]
pub(super) enum Found {
    /// A file was in a state that `stat` shows as this key when the job touched it.
    State(FileId, FileStamp, CacheKey),
    /// The content of a settled state.
    Content(CacheKey, Hashes),
    /// The content of a file in a state that the tracer saw, which hashed it.
    Told(FileId, FileStamp, Hashes),
}

impl FoundBeside {
    pub(super) fn add(&mut self, found: Found) {
        match found {
            Found::State(id, stamp, key) => {
                self.states.insert((id, stamp), key);
            }
            Found::Content(key, hashes) => {
                self.hashes.insert(key, hashes);
            }
            Found::Told(id, stamp, hashes) => {
                self.told.insert((id, stamp), hashes);
            }
        }
    }

    /// Takes a hash over from elsewhere: a file in this state, as `stat` shows it, has these.
    #[cfg(test)]
    pub(crate) fn remember(&mut self, id: FileId, stamp: FileStamp, key: CacheKey, hashes: Hashes) {
        self.add(Found::State(id, stamp, key));
        self.add(Found::Content(key, hashes));
    }

    /// What `stat` showed of the file that a tracer saw in this state. Its device differs from the
    /// kernel's on btrfs and overlayfs.
    pub fn state_of(&self, id: FileId, stamp: FileStamp) -> Option<CacheKey> {
        self.states.get(&(id, stamp)).copied()
    }

    /// The hashes that the tracer took of a file in this state.
    pub fn told(&self, id: FileId, stamp: FileStamp) -> Option<CachedHash> {
        let hashes = self.told.get(&(id, stamp))?.clone();
        Some(CachedHash { hashes })
    }

    /// How many contents are known.
    pub fn len(&self) -> usize {
        self.hashes.len()
    }

    /// Whether no content is known.
    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }
}

/// How much is learned before it is handed on in any case.
const MANY: usize = 1 << 15;

/// A cache with what was found beside the command in front of it. What is put, and what of the
/// front was asked for, is kept in the cache below at once, by [`Layered::keep`].
pub struct Layered<'a> {
    found: &'a FoundBeside,
    below: &'a mut dyn HashCache,
    learned: Vec<(CacheKey, CachedHash)>,
}

impl<'a> Layered<'a> {
    /// Puts what was found in front of a cache.
    pub fn new(found: &'a FoundBeside, below: &'a mut dyn HashCache) -> Self {
        Self {
            found,
            below,
            learned: Vec::new(),
        }
    }

    /// The hashes of a state that is gone, and need not be kept.
    pub fn of_gone(&mut self, key: &CacheKey) -> Option<CachedHash> {
        let found = self.found.hashes.get(key);
        let found = found.map(|hashes| CachedHash {
            hashes: hashes.clone(),
        });
        found.or_else(|| self.before(key))
    }

    /// The hashes of a state that were known before the command began.
    pub fn before(&mut self, key: &CacheKey) -> Option<CachedHash> {
        self.below.get(&[*key]).pop().flatten()
    }

    /// Keeps what was learned.
    pub fn keep(mut self) {
        self.hand_on();
    }

    fn hand_on(&mut self) {
        if !self.learned.is_empty() {
            self.below.put(&self.learned);
            self.learned.clear();
        }
    }
}

impl HashCache for Layered<'_> {
    fn get(&mut self, keys: &[CacheKey]) -> Vec<Option<CachedHash>> {
        if self.found.is_empty() {
            return self.below.get(keys);
        }
        let of = |key: &CacheKey| self.found.hashes.get(key);
        let missing: Vec<CacheKey> = keys.iter().filter(|k| of(k).is_none()).copied().collect();
        let mut below = self.below.get(&missing).into_iter();
        keys.iter()
            .map(|key| match of(key) {
                None => below.next().flatten(),
                Some(hashes) => {
                    let known = CachedHash {
                        hashes: hashes.clone(),
                    };
                    self.learned.push((*key, known.clone()));
                    Some(known)
                }
            })
            .collect()
    }

    fn put(&mut self, entries: &[(CacheKey, CachedHash)]) {
        self.learned.extend_from_slice(entries);
        if self.learned.len() >= MANY {
            self.hand_on();
        }
    }
}

/// A cache that is written, and not believed: for files whose state may have stayed the same while
/// their content changed.
pub struct Afresh<'a>(pub &'a mut dyn HashCache);

impl HashCache for Afresh<'_> {
    fn get(&mut self, keys: &[CacheKey]) -> Vec<Option<CachedHash>> {
        vec![None; keys.len()]
    }

    fn put(&mut self, entries: &[(CacheKey, CachedHash)]) {
        self.0.put(entries);
    }
}
