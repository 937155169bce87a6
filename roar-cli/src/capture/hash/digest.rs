//! Bytes to digests: a whole file by one thread, or by all of them together.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Read as _, Seek as _};

use blake3::hazmat::{ChainingValue, HasherExt as _, Mode};
use sha2::Digest as _;

use crate::model::{Digest, HashAlgorithm, Hashes};

/// Bytes read at a time: large enough that calls do not count, small enough that the bytes are
/// still in the core's own cache when they are hashed. A power of two, as subtrees have to be.
const BLOCK_BYTES: usize = 256 << 10;

/// How far apart the threads of one file may be reading. Keeps a cold file's reads near each other,
/// which read-ahead and rotating disks reward. A power of two.
const WINDOW_BYTES: u64 = 64 << 20;

/// The digests of what was read.
pub(super) struct Content {
    pub(super) hashes: Hashes,
    pub(super) size_bytes: u64,
}

/// Hashes the first `size_bytes` of `file`, or all there is when it has become shorter.
///
/// With `together`, all threads of the current pool work on it.
///
/// # Errors
/// Reading failed.
pub(super) fn digest(
    file: &File,
    size_bytes: u64,
    algorithms: &[HashAlgorithm],
    together: bool,
) -> io::Result<Content> {
    let only_blake3 = algorithms == [HashAlgorithm::Blake3];
    if together && only_blake3 && size_bytes > BLOCK_BYTES as u64 {
        return blake3_together(file, size_bytes);
    }
    if together {
        return front_to_back(file, size_bytes, algorithms, update_side_by_side);
    }
    front_to_back(file, size_bytes, algorithms, |digests, block| {
        for digest in digests {
            digest.update(block, false);
        }
    })
}

/// One pass over the bytes for every algorithm.
fn front_to_back(
    mut file: &File,
    size_bytes: u64,
    algorithms: &[HashAlgorithm],
    update: impl Fn(&mut [Running], &[u8]),
) -> io::Result<Content> {
    let mut digests: Vec<Running> = algorithms.iter().map(|a| Running::new(*a)).collect();
    let mut done = 0;
    with_block(|block| {
        while done < size_bytes {
            let room = block
                .len()
                .min(usize::try_from(size_bytes - done).unwrap_or(usize::MAX));
            match file.read(&mut block[..room]) {
                Ok(0) => break,
                Ok(count) => {
                    update(&mut digests, &block[..count]);
                    done += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    })?;
    let hashes = digests.into_iter().map(Running::finish).collect();
    Ok(Content {
        hashes,
        size_bytes: done,
    })
}

/// The algorithms beside each other, and BLAKE3 on whatever threads remain.
fn update_side_by_side(digests: &mut [Running], block: &[u8]) {
    rayon::scope(|scope| {
        for digest in digests {
            scope.spawn(move |_| digest.update(block, true));
        }
    });
}

/// BLAKE3 is a tree: its subtrees are read and hashed wherever a thread is free, then joined.
/// Reading is then as parallel as hashing, and no buffer leaves its core.
fn blake3_together(file: &File, size_bytes: u64) -> io::Result<Content> {
    let left_bytes = blake3::hazmat::left_subtree_len(size_bytes);
    let children = subtree_pair(file, 0, left_bytes, size_bytes - left_bytes);
    let (left, right) = match children {
        Ok(pair) => pair,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            // Cut short meanwhile: hash what is left of it.
            (&mut &*file).rewind()?;
            return front_to_back(
                file,
                size_bytes,
                &[HashAlgorithm::Blake3],
                |digests, block| {
                    for digest in digests {
                        digest.update(block, true);
                    }
                },
            );
        }
        Err(error) => return Err(error),
    };
    let root = blake3::hazmat::merge_subtrees_root(&left, &right, Mode::Hash);
    let digest = Digest::from_bytes(root.as_bytes());
    Ok(Content {
        hashes: Hashes::from([(HashAlgorithm::Blake3, digest)]),
        size_bytes,
    })
}

/// Two neighbouring subtrees: side by side within a window, one after the other above it.
fn subtree_pair(
    file: &File,
    offset: u64,
    left_bytes: u64,
    right_bytes: u64,
) -> io::Result<(ChainingValue, ChainingValue)> {
    let left = || subtree(file, offset, left_bytes);
    let right = || subtree(file, offset + left_bytes, right_bytes);
    let (left, right) = if left_bytes >= WINDOW_BYTES {
        (left(), right())
    } else {
        rayon::join(left, right)
    };
    Ok((left?, right?))
}

fn subtree(file: &File, offset: u64, size_bytes: u64) -> io::Result<ChainingValue> {
    if size_bytes <= BLOCK_BYTES as u64 {
        return with_block(|block| {
            let block = &mut block[..size_bytes as usize];
            read_exact_at(file, block, offset)?;
            let mut hasher = blake3::Hasher::new();
            hasher.set_input_offset(offset);
            Ok(hasher.update(block).finalize_non_root())
        });
    }
    let left_bytes = blake3::hazmat::left_subtree_len(size_bytes);
    let (left, right) = subtree_pair(file, offset, left_bytes, size_bytes - left_bytes)?;
    Ok(blake3::hazmat::merge_subtrees_non_root(
        &left,
        &right,
        Mode::Hash,
    ))
}

#[cfg(unix)]
fn read_exact_at(file: &File, block: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, block, offset)
}

#[cfg(windows)]
fn read_exact_at(file: &File, mut block: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !block.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, block, offset)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => {
                block = &mut block[count..];
                offset += count as u64;
            }
        }
    }
    Ok(())
}

/// Lends this thread's block. A thread that takes up other work meanwhile (a rayon join) gets a
/// second one, which is dropped again.
fn with_block<T>(work: impl FnOnce(&mut [u8]) -> T) -> T {
    thread_local! {
        static BLOCK: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    let mut block = BLOCK.take();
    block.resize(BLOCK_BYTES, 0);
    let result = work(&mut block);
    BLOCK.set(block);
    result
}

/// A digest in the making.
enum Running {
    Blake3(Box<blake3::Hasher>),
    Sha256(sha2::Sha256),
    Sha512(sha2::Sha512),
    Md5(md5::Md5),
}

impl Running {
    fn new(algorithm: HashAlgorithm) -> Self {
        match algorithm {
            HashAlgorithm::Blake3 => Self::Blake3(Box::default()),
            HashAlgorithm::Sha256 => Self::Sha256(sha2::Sha256::new()),
            HashAlgorithm::Sha512 => Self::Sha512(sha2::Sha512::new()),
            HashAlgorithm::Md5 => Self::Md5(md5::Md5::new()),
        }
    }

    fn update(&mut self, block: &[u8], together: bool) {
        match self {
            Self::Blake3(hasher) if together => {
                hasher.update_rayon(block);
            }
            Self::Blake3(hasher) => {
                hasher.update(block);
            }
            Self::Sha256(hasher) => hasher.update(block),
            Self::Sha512(hasher) => hasher.update(block),
            Self::Md5(hasher) => hasher.update(block),
        }
    }

    fn finish(self) -> (HashAlgorithm, Digest) {
        match self {
            Self::Blake3(hasher) => (
                HashAlgorithm::Blake3,
                Digest::from_bytes(hasher.finalize().as_bytes()),
            ),
            Self::Sha256(hasher) => (
                HashAlgorithm::Sha256,
                Digest::from_bytes(&hasher.finalize()),
            ),
            Self::Sha512(hasher) => (
                HashAlgorithm::Sha512,
                Digest::from_bytes(&hasher.finalize()),
            ),
            Self::Md5(hasher) => (HashAlgorithm::Md5, Digest::from_bytes(&hasher.finalize())),
        }
    }
}
