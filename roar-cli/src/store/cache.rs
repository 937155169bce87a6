//! The hash cache: digests of file states, so that an unchanged file costs one stat.
//!
//! The store compares states exactly and decides nothing else; which states may be trusted
//! at all (a file written within the clock's grain of its hashing) is capture's rule.

use rusqlite::{Row, TransactionBehavior, params};

use super::database::Store;
use super::error::StoreError;
use super::rows::{digest, digest_bytes, optional_blob};
use crate::model::{CacheKey, CachedHash, HashAlgorithm, Hashes};

/// A run of neighbouring inodes goes on over so many that nobody asked for.
const GAP: i64 = 8;

/// The algorithms in the order of the table's columns.
const COLUMNS: [HashAlgorithm; 4] = HashAlgorithm::ALL;

impl Store {
    /// What is known of each state, in the order asked.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn cached_hashes(&self, keys: &[CacheKey]) -> Result<Vec<Option<CachedHash>>, StoreError> {
        self.read("look into the hash cache", || {
            let _moment = self.snapshot()?;
            let mut statement = self.connection.prepare_cached(
                "SELECT blake3, sha256, sha512, md5, inode, size_bytes, mtime_ns, ctime_ns
                 FROM hash_cache WHERE device = ?1 AND inode BETWEEN ?2 AND ?3 ORDER BY inode",
            )?;
            let mut found = vec![None; keys.len()];
            let columns = |at: &usize| key_columns(&keys[*at]);
            // Files that were made together have inode numbers close to each other: going on to
            // the next row costs a fraction of looking one up.
            for run in in_order(keys.len(), |at| &keys[at]).chunk_by(|a, b| {
                let ([device_a, inode_a, ..], [device_b, inode_b, ..]) = (columns(a), columns(b));
                device_a == device_b && (0..=GAP).contains(&inode_b.wrapping_sub(inode_a))
            }) {
                let (Some(first), Some(last)) = (run.first(), run.last()) else {
                    continue;
                };
                let ([device, first, ..], [_, last, ..]) = (columns(first), columns(last));
                let mut wanted = run.iter().peekable();
                let mut rows = statement.query([device, first, last])?;
                while let Some(row) = rows.next()? {
                    let inode: i64 = row.get(4)?;
                    let state = [device, inode, row.get(5)?, row.get(6)?, row.get(7)?];
                    while wanted.next_if(|at| columns(at)[1] < inode).is_some() {}
                    while let Some(at) = wanted.next_if(|at| columns(at)[1] == inode) {
                        if columns(at) == state {
                            found[*at] = Some(cached_row(row)?);
                        }
                    }
                }
            }
            Ok(found)
        })
    }

    /// Remembers digests of states, in one transaction. A newer state of a file replaces the
    /// older one; digests of the same state by further algorithms are added to it.
    ///
    /// # Errors
    /// A digest is not hexadecimal, or the database cannot be written.
    pub fn remember_hashes(
        &mut self,
        entries: &[(CacheKey, CachedHash)],
    ) -> Result<(), StoreError> {
        const OPERATION: &str = "write the hash cache";
        if entries.is_empty() {
            return Ok(());
        }
        let failed = self.failed(OPERATION);
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(&failed)?;
        {
            let mut statement = transaction
                .prepare_cached(
                    "INSERT INTO hash_cache (device, inode, size_bytes, mtime_ns, ctime_ns,
                         blake3, sha256, sha512, md5)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
                     ON CONFLICT (device, inode) DO UPDATE SET
                         blake3 = coalesce(excluded.blake3, iif(size_bytes = excluded.size_bytes
                             AND mtime_ns = excluded.mtime_ns AND ctime_ns = excluded.ctime_ns,
                             blake3, NULL)),
                         sha256 = coalesce(excluded.sha256, iif(size_bytes = excluded.size_bytes
                             AND mtime_ns = excluded.mtime_ns AND ctime_ns = excluded.ctime_ns,
                             sha256, NULL)),
                         sha512 = coalesce(excluded.sha512, iif(size_bytes = excluded.size_bytes
                             AND mtime_ns = excluded.mtime_ns AND ctime_ns = excluded.ctime_ns,
                             sha512, NULL)),
                         md5 = coalesce(excluded.md5, iif(size_bytes = excluded.size_bytes
                             AND mtime_ns = excluded.mtime_ns AND ctime_ns = excluded.ctime_ns,
                             md5, NULL)),
                         size_bytes = excluded.size_bytes,
                         mtime_ns = excluded.mtime_ns,
                         ctime_ns = excluded.ctime_ns",
                )
                .map_err(&failed)?;
            for at in in_order(entries.len(), |at| &entries[at].0) {
                let (key, CachedHash { hashes }) = &entries[at];
                let mut columns = COLUMNS.iter().map(|algorithm| {
                    let digest = hashes.get(algorithm);
                    let bytes = digest.map(|digest| digest_bytes(digest, OPERATION));
                    bytes.transpose().map(optional_blob)
                });
                let mut column = || columns.next().expect("there are four columns");
                let [device, inode, size_bytes, mtime_ns, ctime_ns] = key_columns(key);
                let values = params![
                    device,
                    inode,
                    size_bytes,
                    mtime_ns,
                    ctime_ns,
                    column()?,
                    column()?,
                    column()?,
                    column()?
                ];
                statement.execute(values).map_err(&failed)?;
            }
        }
        transaction.commit().map_err(&failed)
    }
}

/// The indices of keys, in the order of the table: neighbours are on the same pages.
fn in_order<'a>(count: usize, key: impl Fn(usize) -> &'a CacheKey) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by_key(|at| {
        let [device, inode, ..] = key_columns(key(*at));
        (device, inode)
    });
    order
}

/// The key as columns; unsigned numbers keep their bits.
fn key_columns(key: &CacheKey) -> [i64; 5] {
    let CacheKey {
        device,
        inode,
        size_bytes,
        mtime_ns,
        ctime_ns,
    } = *key;
    [
        device.cast_signed(),
        inode.cast_signed(),
        size_bytes.cast_signed(),
        mtime_ns,
        ctime_ns,
    ]
}

fn cached_row(row: &Row<'_>) -> rusqlite::Result<CachedHash> {
    let mut hashes = Hashes::new();
    for (column, algorithm) in COLUMNS.into_iter().enumerate() {
        if let Some(digest) = digest(row, column)? {
            hashes.insert(algorithm, digest);
        }
    }
    Ok(CachedHash { hashes })
}
