//! Bytes to digests: a whole file by one thread, or by all of them together.

use std::cell::RefCell;
use std::fs::File;
use std::io;

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

/// Is told of every block, and may end the hashing.
pub trait Watch: Sync {
    /// So many files and bytes are about to be hashed.
    fn expect(&self, files: u64, bytes: u64) {
        let _ = (files, bytes);
    }

    /// So many more bytes are hashed, or, with none, a file is begun; false when no more are to be.
    fn go_on(&self, bytes: u64) -> bool;
}

/// Lets everything go on.
impl Watch for () {
    fn go_on(&self, _bytes: u64) -> bool {
        true
    }
}

/// A file of known size and whether it may have holes, and who watches its hashing.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) file: &'a File,
    pub(super) size_bytes: u64,
    /// Fewer bytes are stored than the file is long: holes are not read, they are zeros.
    pub(super) sparse: bool,
    pub(super) watch: &'a dyn Watch,
}

/// Hashes the first `size_bytes` of a file, or all there is when it has become shorter.
///
/// With `together`, all threads of the current pool work on it.
///
/// # Errors
/// Reading failed; [`io::ErrorKind::Interrupted`] when the watch ended it.
pub(super) fn digest(
    source: Source<'_>,
    algorithms: &[HashAlgorithm],
    together: bool,
) -> io::Result<Content> {
    let only_blake3 = algorithms == [HashAlgorithm::Blake3];
    if together && only_blake3 && source.size_bytes > BLOCK_BYTES as u64 {
        return blake3_together(source);
    }
    if together {
        return front_to_back(source, algorithms, update_side_by_side);
    }
    front_to_back(source, algorithms, |digests, block| {
        for digest in digests {
            digest.update(block, false);
        }
    })
}

/// One pass over the bytes for every algorithm.
fn front_to_back(
    source: Source<'_>,
    algorithms: &[HashAlgorithm],
    update: impl Fn(&mut [Running], &[u8]),
) -> io::Result<Content> {
    let mut digests: Vec<Running> = algorithms.iter().map(|a| Running::new(*a)).collect();
    let mut done = 0;
    with_block(|block| {
        while done < source.size_bytes {
            let left = source.size_bytes - done;
            let room = block.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let count = source.fill(&mut block[..room], done)?;
            if count == 0 {
                break;
            }
            update(&mut digests, &block[..count]);
            done += count as u64;
            source.watched(count)?;
        }
        Ok::<(), io::Error>(())
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
fn blake3_together(source: Source<'_>) -> io::Result<Content> {
    let size_bytes = source.size_bytes;
    let left_bytes = blake3::hazmat::left_subtree_len(size_bytes);
    let children = subtree_pair(source, 0, left_bytes, size_bytes - left_bytes);
    let (left, right) = match children {
        Ok(pair) => pair,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            // Cut short meanwhile: hash what is left of it.
            return front_to_back(source, &[HashAlgorithm::Blake3], |digests, block| {
                for digest in digests {
                    digest.update(block, true);
                }
            });
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
    source: Source<'_>,
    offset: u64,
    left_bytes: u64,
    right_bytes: u64,
) -> io::Result<(ChainingValue, ChainingValue)> {
    let left = || subtree(source, offset, left_bytes);
    let right = || subtree(source, offset + left_bytes, right_bytes);
    let (left, right) = if left_bytes >= WINDOW_BYTES {
        (left()?, right())
    } else {
        let (left, right) = rayon::join(left, right);
        (left?, right)
    };
    Ok((left, right?))
}

fn subtree(source: Source<'_>, offset: u64, size_bytes: u64) -> io::Result<ChainingValue> {
    if size_bytes <= BLOCK_BYTES as u64 {
        return with_block(|block| {
            let block = &mut block[..size_bytes as usize];
            if source.fill(block, offset)? < block.len() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let mut hasher = blake3::Hasher::new();
            hasher.set_input_offset(offset);
            let value = hasher.update(block).finalize_non_root();
            source.watched(block.len())?;
            Ok(value)
        });
    }
    let left_bytes = blake3::hazmat::left_subtree_len(size_bytes);
    let (left, right) = subtree_pair(source, offset, left_bytes, size_bytes - left_bytes)?;
    Ok(blake3::hazmat::merge_subtrees_non_root(
        &left,
        &right,
        Mode::Hash,
    ))
}

impl Source<'_> {
    /// Fills a block with the file's bytes from `offset` on; less only at the end of the file.
    fn fill(&self, block: &mut [u8], offset: u64) -> io::Result<usize> {
        if self.sparse && is_hole(self.file, offset, block.len() as u64) {
            block.fill(0);
            return Ok(block.len());
        }
        let mut done = 0;
        while done < block.len() {
            match read_at(self.file, &mut block[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn watched(&self, bytes: usize) -> io::Result<()> {
        if self.watch.go_on(bytes as u64) {
            Ok(())
        } else {
            Err(io::ErrorKind::Interrupted.into())
        }
    }
}

/// Whether nothing is stored of `bytes` bytes from `offset` on, all of them within the file.
#[cfg(target_os = "linux")]
fn is_hole(file: &File, offset: u64, bytes: u64) -> bool {
    use rustix::fs::{SeekFrom, seek};
    match seek(file, SeekFrom::Data(offset)) {
        Ok(data) => data >= offset + bytes,
        // Nothing but a hole up to the end; or the file ends before, which reading shows.
        Err(rustix::io::Errno::NXIO) => {
            seek(file, SeekFrom::End(0)).is_ok_and(|end| end >= offset + bytes)
        }
        Err(_) => false,
    }
}

/// Elsewhere holes are read like everything else.
#[cfg(not(target_os = "linux"))]
fn is_hole(_file: &File, _offset: u64, _bytes: u64) -> bool {
    false
}

#[cfg(unix)]
fn read_at(file: &File, block: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, block, offset)
}

#[cfg(windows)]
fn read_at(file: &File, block: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, block, offset)
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
