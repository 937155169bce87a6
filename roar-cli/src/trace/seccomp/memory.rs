//! Strings and words from the memory of a waiting thread.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use super::sys;

/// The longest path that the kernel takes, with its NUL.
const PATH_MAX: usize = libc::PATH_MAX as usize;
const PAGE_BYTES: u64 = 4096;
/// Paths up to this length are read at once.
const SHORT_BYTES: usize = 256;

/// How many arguments of an exec are kept, and how many bytes of them together.
const MAX_ARGUMENTS: usize = 1024;
/// See [`MAX_ARGUMENTS`].
const MAX_ARGUMENT_BYTES: usize = 64 * 1024;

/// The longest filter that the kernel takes (`BPF_MAXINSNS`).
const MAX_INSTRUCTIONS: u64 = 4096;

/// Why a string could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unread {
    /// The kernel refuses the call for the same reason: a bad address, an endless string.
    Call,
    /// roar may not read this memory.
    Refused,
}

/// Reads memory of one thread, page by page, each page once.
#[derive(Debug)]
pub(super) struct Memory {
    thread: u32,
    pages: Vec<(u64, Vec<u8>)>,
}

impl Memory {
    /// Memory of a thread that waits for its answer.
    pub(super) fn of(thread: u32) -> Self {
        Self {
            thread,
            pages: Vec::new(),
        }
    }

    /// A path.
    pub(super) fn path(&mut self, address: u64) -> Result<Vec<u8>, Unread> {
        // Nearly all paths are short: no page is copied for those.
        let mut short = [0; SHORT_BYTES];
        let in_page = (PAGE_BYTES - address % PAGE_BYTES).min(SHORT_BYTES as u64) as usize;
        if let Ok(length) = sys::read_memory(self.thread, address, &mut short[..in_page])
            && let Some(end) = short[..length].iter().position(|byte| *byte == 0)
        {
            return Ok(short[..end].to_vec());
        }
        self.string(address, PATH_MAX)?.ok_or(Unread::Call)
    }

    /// A path whose page is kept: an exec's arguments are often in the same.
    pub(super) fn path_of_exec(&mut self, address: u64) -> Result<Vec<u8>, Unread> {
        self.string(address, PATH_MAX)?.ok_or(Unread::Call)
    }

    /// A NUL-terminated string; none where it is longer than the limit.
    fn string(&mut self, address: u64, limit: usize) -> Result<Option<Vec<u8>>, Unread> {
        let mut result = Vec::new();
        let mut at = address;
        loop {
            let piece = self.page_from(at)?;
            if let Some(end) = piece.iter().position(|byte| *byte == 0) {
                result.extend_from_slice(&piece[..end]);
                return Ok((result.len() < limit).then_some(result));
            }
            result.extend_from_slice(piece);
            at = at.checked_add(piece.len() as u64).ok_or(Unread::Call)?;
            if result.len() >= limit {
                return Ok(None);
            }
        }
    }

    /// Little-endian words of one or more pages.
    pub(super) fn word(&mut self, address: u64, bytes: usize) -> Result<u64, Unread> {
        let mut value = 0;
        for index in (0..bytes as u64).rev() {
            let address = address.checked_add(index).ok_or(Unread::Call)?;
            value = value << 8 | u64::from(self.page_from(address)?[0]);
        }
        Ok(value)
    }

    /// Whether a seccomp filter (a `struct sock_fprog`) may stop a call for a tracer; a null
    /// pointer is none.
    pub(super) fn traces(&mut self, address: u64, pointer_bytes: usize) -> Result<bool, Unread> {
        if address == 0 {
            return Ok(false);
        }
        let length = self.word(address, 2)?.min(MAX_INSTRUCTIONS);
        // The pointer is aligned to its own size.
        let first = self.word(address.wrapping_add(pointer_bytes as u64), pointer_bytes)?;
        for index in 0..length {
            // struct sock_filter: code (two bytes), jt, jf, k (four).
            let instruction = self.word(first.wrapping_add(8 * index), 8)?;
            let (code, value) = (instruction as u16, (instruction >> 32) as u32);
            let returns = u32::from(code) == libc::BPF_RET | libc::BPF_K;
            if returns && value & libc::SECCOMP_RET_ACTION_FULL == libc::SECCOMP_RET_TRACE {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The arguments of an exec, and whether they were cut.
    pub(super) fn arguments(&mut self, address: u64, pointer_bytes: usize) -> (Vec<Vec<u8>>, bool) {
        let mut result = Vec::new();
        let mut room = MAX_ARGUMENT_BYTES;
        if address == 0 {
            return (result, false);
        }
        for index in 0..MAX_ARGUMENTS as u64 {
            let Some(at) = address.checked_add(index * pointer_bytes as u64) else {
                return (result, true);
            };
            let Ok(pointer) = self.word(at, pointer_bytes) else {
                return (result, true);
            };
            if pointer == 0 {
                return (result, false);
            }
            let Ok(Some(argument)) = self.string(pointer, room + 1) else {
                return (result, true);
            };
            room -= argument.len();
            result.push(argument);
        }
        (result, true)
    }

    /// What is mapped from an address to the end of its page; never empty.
    fn page_from(&mut self, address: u64) -> Result<&[u8], Unread> {
        let page = address - address % PAGE_BYTES;
        let offset = (address - page) as usize;
        // The address may be a guard page's end: read only what is asked for, and keep it.
        let known = self.pages.iter().position(|(at, _)| *at == page);
        let known = if let Some(known) = known {
            known
        } else {
            let mut bytes = vec![0; PAGE_BYTES as usize];
            let length = read(self.thread, page, &mut bytes)?;
            bytes.truncate(length);
            self.pages.push((page, bytes));
            self.pages.len() - 1
        };
        let (_, cached) = &self.pages[known];
        cached
            .get(offset..)
            .filter(|rest| !rest.is_empty())
            .ok_or(Unread::Call)
    }
}

/// A whole page; through `/proc` where an outer filter forbids the direct way.
fn read(thread: u32, address: u64, into: &mut [u8]) -> Result<usize, Unread> {
    let error = match sys::read_memory(thread, address, into) {
        Ok(length) => return Ok(length),
        Err(error) => error,
    };
    if !matches!(error.raw_os_error(), Some(libc::EPERM | libc::ENOSYS)) {
        return Err(Unread::Call);
    }
    let mut through_proc = || -> io::Result<usize> {
        File::open(format!("/proc/{thread}/mem"))?.read_at(into, address)
    };
    through_proc().map_err(|error| match error.raw_os_error() {
        Some(libc::EIO) => Unread::Call,
        _ => Unread::Refused,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads this process's own memory: the same call, the same rules.
    fn own() -> Memory {
        Memory::of(std::process::id())
    }

    #[test]
    fn strings_over_page_borders() {
        for length in [0, 1, 100, 4094, 4095] {
            let mut bytes = vec![b'x'; length];
            bytes.push(0);
            for shift in [0, 1, 63] {
                let mut shifted = vec![0; shift];
                shifted.extend_from_slice(&bytes);
                let address = shifted.as_ptr() as u64 + shift as u64;
                assert_eq!(own().path(address), Ok(vec![b'x'; length]), "{length}");
            }
        }
        let endless = vec![b'x'; 3 * 4096];
        assert_eq!(own().path(endless.as_ptr() as u64), Err(Unread::Call));
        assert_eq!(own().path(0), Err(Unread::Call));
        assert_eq!(own().path(u64::MAX), Err(Unread::Call));
    }

    #[test]
    fn filters_that_trace() {
        let filter = |action: u32| {
            let step = |code: u32, k| libc::sock_filter {
                code: code as u16,
                jt: 0,
                jf: 0,
                k,
            };
            [
                step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0),
                step(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW),
                step(libc::BPF_RET | libc::BPF_K, action),
            ]
        };
        for (action, expected) in [
            (libc::SECCOMP_RET_TRACE | 7, true),
            (libc::SECCOMP_RET_ERRNO | 1, false),
        ] {
            let steps = filter(action);
            let program = libc::sock_fprog {
                len: steps.len() as u16,
                filter: steps.as_ptr().cast_mut(),
            };
            let address = (&raw const program) as u64;
            assert_eq!(own().traces(address, size_of::<usize>()), Ok(expected));
        }
        assert_eq!(own().traces(0, 8), Ok(false));
        assert_eq!(own().traces(8, 8), Err(Unread::Call));
    }

    #[test]
    fn argument_lists() {
        let (a, b) = (b"one\0".to_vec(), b"\xff\0".to_vec());
        let list = [a.as_ptr() as u64, b.as_ptr() as u64, 0];
        let found = own().arguments(list.as_ptr() as u64, 8);
        assert_eq!(found, (vec![b"one".to_vec(), vec![0xff]], false));
        assert_eq!(own().arguments(0, 8), (vec![], false));
        assert_eq!(own().arguments(8, 8), (vec![], true));
        let long = vec![a.as_ptr() as u64; MAX_ARGUMENTS + 1];
        let (found, cut) = own().arguments(long.as_ptr() as u64, 8);
        assert_eq!((found.len(), cut), (MAX_ARGUMENTS, true));
    }
}
