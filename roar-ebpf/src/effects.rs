//! What a call did to files, as at most two accesses.

use roar_common::{access, handler, lost};

use crate::emit::count;
use crate::file::{ANSWERED, FOR_FILES, SENT, Touch, roar_news, roar_touch};
use crate::handler::{Next, task};
use crate::kernel::field;
use crate::mapping::{PROT_WRITE, is_readable};
use crate::maps::layout;
use crate::process;

const O_TRUNC: u64 = 0o1000;

pub(crate) const FMODE_WRITE: u32 = 0x2;
/// Opened with O_PATH: a place, not its content.
const FMODE_PATH: u32 = 0x4000;
/// Set by the kernel when the open made the file (since Linux 4.19).
const FMODE_CREATED: u32 = 0x10_0000;

const MAP_SHARED: u64 = 1;
const MAP_TYPE: u64 = 0xf;
const MAP_SHARED_VALIDATE: u64 = 3;
const MAP_ANONYMOUS: u64 = 0x20;

/// At most two accesses; one without a file is none.
pub(crate) struct Effects {
    pub(crate) first: Touch,
    pub(crate) second: Touch,
}

impl Effects {
    /// No access.
    const NONE: Touch = Touch {
        file: 0,
        access: 0,
        result: 0,
    };

    /// Nothing yet.
    #[inline(always)]
    pub(crate) fn none() -> Self {
        Self {
            first: Self::NONE,
            second: Self::NONE,
        }
    }

    /// Who reports them, where they may be news. For hooks; `buffer` is where the bytes are
    /// that were read, 0 when that is not known.
    #[inline(always)]
    pub(crate) fn news(&self, buffer: u64) -> Option<Next> {
        let Self { first, second } = self;
        let mut news = 0;
        if first.file != 0 {
            news = roar_news(first.file, u64::from(first.access));
        }
        if second.file != 0 && roar_news(second.file, u64::from(second.access)) == FOR_FILES {
            news = FOR_FILES;
        }
        let (program, task, with) = match news {
            0 => return None,
            SENT => {
                let with = [first.file, 0, 0, 0, 0, 0];
                (handler::NETWORK, task::CONTACTED, with)
            }
            ANSWERED => {
                let with = [buffer, first.result, 0, 0, 0, 0];
                (handler::NETWORK, task::ANSWERED, with)
            }
            _ => {
                let with = [
                    first.file,
                    u64::from(first.access),
                    first.result,
                    second.file,
                    u64::from(second.access),
                    second.result,
                ];
                (handler::FILES, task::TOUCHED, with)
            }
        };
        Some(Next {
            program,
            task,
            with,
        })
    }

    /// Reports them. For the handler.
    #[inline(always)]
    pub(crate) fn report(&self) {
        for touch in [self.first, self.second] {
            if touch.file != 0 {
                roar_touch(touch.file, u64::from(touch.access), touch.result);
            }
        }
    }

    /// A file was mapped.
    #[inline(always)]
    pub(crate) fn mapped(&mut self, prot: u64, map_flags: u64, file: u64) {
        let kind = map_flags & MAP_TYPE;
        let is_shared = kind == MAP_SHARED || kind == MAP_SHARED_VALIDATE;
        let mode: u32 = field(file, layout!(file_mode));
        if is_readable(prot, is_shared) {
            self.first = Touch {
                file,
                access: access::MAPPED,
                result: 0,
            };
        } else {
            process::mark(process::state::LATENT);
        }
        if is_shared && prot & PROT_WRITE != 0 {
            self.second = Touch {
                file,
                access: access::MAPPED_WRITE,
                result: 0,
            };
        } else if is_shared && mode & FMODE_WRITE != 0 {
            process::mark(process::state::LATENT);
        }
    }
}

/// Whether a mapping has a file.
#[inline(always)]
pub(crate) fn is_of_file(map_flags: u64) -> bool {
    map_flags & MAP_ANONYMOUS == 0
}

/// An access to the file that a descriptor stood for.
#[inline(always)]
pub(crate) fn through(file: u64, access: u8, result: u64) -> Touch {
    if file == 0 {
        count(lost::VANISHED_DESCRIPTOR);
    }
    Touch {
        file,
        access,
        result,
    }
}

/// Bytes were read; or the end of an empty file was, which tells its whole content.
#[inline(always)]
pub(crate) fn read(file: u64, result: u64) -> Touch {
    let touch = through(file, access::READ, result);
    if result == 0 && !is_empty(touch.file) {
        return Effects::NONE;
    }
    touch
}

/// Whether a file has no bytes.
#[inline(always)]
pub(crate) fn is_empty(file: u64) -> bool {
    let inode: u64 = field(file, layout!(file_inode));
    field::<u64>(inode, layout!(inode_size)) == 0
}

/// A file was opened: only what may be changed through it is of interest.
#[inline(always)]
pub(crate) fn opened(file: u64, open_flags: u64) -> Touch {
    let mut touch = through(file, access::OPENED_WRITE, 0);
    let mode: u32 = field(touch.file, layout!(file_mode));
    if mode & FMODE_CREATED != 0 {
        touch.access = access::CREATED;
    } else if open_flags & O_TRUNC != 0 && mode & FMODE_PATH == 0 {
        // Opened for reading, too: Linux empties it if the caller may write.
        touch.access = access::TRUNCATED;
    } else if mode & FMODE_WRITE == 0 {
        return Effects::NONE;
    }
    touch
}
