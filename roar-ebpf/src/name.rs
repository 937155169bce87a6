//! Names changed: rename, link, symlink, unlink, mkdir, truncate by path.
//!
//! The directory is resolved in the kernel (from the descriptor, the working directory or the
//! root), the rest of the path is the string that the process passed.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::{bpf_probe_read_kernel_str, bpf_probe_read_user_str};
use roar_common::{NameBody, PATH_STRING_MAX, RecordHeader, class, flags, kind, lost, name_op};

use crate::emit::{count, put, scratch, send};
use crate::file::mount_id;
use crate::kernel::{current_address, field, file_of, peek, peek_user};
use crate::maps::{SCRATCH_LEN, layout};
use crate::syscall::Arguments;
use crate::walk::write_path;

const AT_FDCWD: i32 = -100;
pub(crate) const AT_REMOVEDIR: u64 = 0x200;
const AT_EMPTY_PATH: u64 = 0x1000;
pub(crate) const RENAME_EXCHANGE: u64 = 2;

const PATHS_OFFSET: usize = size_of::<RecordHeader>() + size_of::<NameBody>();

/// A path as a system call names it.
#[derive(Clone, Copy)]
pub(crate) struct Named {
    /// Descriptor of the directory, or AT_FDCWD.
    pub(crate) directory: i32,
    /// Address of the string.
    pub(crate) string: u64,
}

impl Named {
    /// No second path.
    pub(crate) const NONE: Self = Self {
        directory: AT_FDCWD,
        string: 0,
    };
}

/// What a call did, in one shape for all of them.
struct Change {
    op: u8,
    first: Named,
    second: Named,
}

/// Reports the change of a name.
#[inline(always)]
pub(crate) fn changed(class: u8, arguments: &Arguments) {
    let here = |string| Named {
        directory: AT_FDCWD,
        string,
    };
    let at = |directory: u64, string| Named {
        directory: directory as i32,
        string,
    };
    let one = |op, first| Change {
        op,
        first,
        second: Named::NONE,
    };
    let two = |op, first, second| Change { op, first, second };
    let Arguments { a, b, c, d, e } = *arguments;
    let change = match class {
        class::RENAME => two(name_op::RENAME, here(a), here(b)),
        class::RENAMEAT => two(name_op::RENAME, at(a, b), at(c, d)),
        class::RENAMEAT2 => {
            let exchange = e & RENAME_EXCHANGE != 0;
            two(
                if exchange {
                    name_op::EXCHANGE
                } else {
                    name_op::RENAME
                },
                at(a, b),
                at(c, d),
            )
        }
        class::LINK => two(name_op::LINK, here(a), here(b)),
        class::LINKAT => {
            let by_descriptor = e & AT_EMPTY_PATH != 0 && peek_user::<u8>(b) == 0;
            let op = if by_descriptor {
                name_op::LINK_DESCRIPTOR
            } else {
                name_op::LINK
            };
            two(op, at(a, b), at(c, d))
        }
        class::SYMLINK => two(name_op::SYMLINK, here(a), here(b)),
        class::SYMLINKAT => two(name_op::SYMLINK, here(a), at(b, c)),
        class::UNLINK => one(name_op::UNLINK, here(a)),
        class::UNLINKAT => {
            let directory = c & AT_REMOVEDIR != 0;
            one(
                if directory {
                    name_op::RMDIR
                } else {
                    name_op::UNLINK
                },
                at(a, b),
            )
        }
        class::RMDIR => one(name_op::RMDIR, here(a)),
        class::MKDIR => one(name_op::MKDIR, here(a)),
        class::MKDIRAT => one(name_op::MKDIR, at(a, b)),
        class::TRUNCATE => one(name_op::TRUNCATE, here(a)),
        class::MKNOD if is_regular(b) => one(name_op::MKNOD, here(a)),
        class::MKNODAT if is_regular(c) => one(name_op::MKNOD, at(a, b)),
        _ => return,
    };
    let length = if class == class::TRUNCATE { b } else { 0 };
    report(&change, 0, length);
}

/// Whether a mode makes `mknod` make a regular file: no type stands for that, too.
#[inline(always)]
fn is_regular(mode: u64) -> bool {
    const S_IFMT: u64 = 0o170_000;
    const S_IFREG: u64 = 0o100_000;
    matches!(mode & S_IFMT, 0 | S_IFREG)
}

/// Reports a change whose strings the kernel has copied already: io_uring's. It counts as done
/// at once when the kernel will not tell of its success.
#[inline(always)]
pub(crate) fn announced(op: u8, first: Named, second: Named, request: u64, unconfirmed: bool) {
    let unconfirmed = if unconfirmed { UNCONFIRMED } else { 0 };
    report(
        &Change { op, first, second },
        IN_KERNEL | unconfirmed,
        request,
    );
}

/// Reports a script whose interpreter has become the image of the current process.
#[inline(always)]
pub(crate) fn executed(string: u64) {
    let script = Change {
        op: name_op::SCRIPT,
        first: Named {
            directory: AT_FDCWD,
            string,
        },
        second: Named::NONE,
    };
    report(&script, IN_KERNEL, 0);
}

/// Beside the operation: the strings are in the kernel's memory.
const IN_KERNEL: u64 = 1 << 8;
/// Beside the operation: `flags::UNCONFIRMED`.
const UNCONFIRMED: u64 = 1 << 9;

#[inline(always)]
fn report(change: &Change, how: u64, request: u64) {
    let directories =
        u64::from(change.first.directory as u32) << 32 | u64::from(change.second.directory as u32);
    let (first, second) = (change.first.string, change.second.string);
    let op = u64::from(change.op) | how;
    roar_name(op, directories, first, second, request);
}

/// As `roar_touch`: walked once by the verifier.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn roar_name(op: u64, directories: u64, first: u64, second: u64, request: u64) -> u64 {
    let change = Change {
        op: op as u8,
        first: Named {
            directory: (directories >> 32) as i32,
            string: first,
        },
        second: Named {
            directory: directories as i32,
            string: second,
        },
    };
    emit(&change, op, request);
    0
}

/// Builds and sends the record.
#[inline(always)]
fn emit(change: &Change, how: u64, request: u64) {
    let Some(buffer) = scratch() else { return };
    let in_kernel = how & IN_KERNEL != 0;
    let mut record_flags = 0;
    if how & UNCONFIRMED != 0 {
        record_flags = flags::UNCONFIRMED;
    }
    let first = write_named(
        buffer,
        &change.first,
        PATHS_OFFSET,
        change.op == name_op::SYMLINK,
        in_kernel,
    );
    let second = write_named(buffer, &change.second, first.end, false, in_kernel);
    if first.cut {
        record_flags |= flags::PATH_CUT;
    }
    if second.cut {
        record_flags |= flags::SECOND_PATH_CUT;
    }
    if first.unreadable || second.unreadable {
        count(lost::UNREADABLE_PATH);
    }
    put(
        buffer,
        size_of::<RecordHeader>(),
        NameBody {
            first_mount_id: first.mount_id,
            second_mount_id: second.mount_id,
            first_device: first.device,
            second_device: second.device,
            first_directory_len: first.directory_len,
            first_string_len: first.string_len,
            second_directory_len: second.directory_len,
            second_string_len: second.string_len,
            request,
            op: change.op,
            padding: [0; 7],
        },
    );
    send(buffer, kind::NAME, record_flags, second.end, lost::NAME);
}

/// One path in the record.
struct Written {
    mount_id: u32,
    device: u32,
    directory_len: u32,
    string_len: u32,
    end: usize,
    cut: bool,
    unreadable: bool,
}

/// Writes directory and string of one path at `offset`.
#[inline(always)]
fn write_named(
    buffer: *mut u8,
    named: &Named,
    offset: usize,
    plain: bool,
    in_kernel: bool,
) -> Written {
    let mut written = Written {
        mount_id: 0,
        device: 0,
        directory_len: 0,
        string_len: 0,
        end: offset,
        cut: false,
        unreadable: false,
    };
    if named.string == 0 || offset > SCRATCH_LEN - PATH_STRING_MAX {
        return written;
    }
    // The string first says from where it counts; it is written behind the directory.
    let start: u8 = if in_kernel {
        peek(named.string)
    } else {
        peek_user(named.string)
    };
    let absolute = start == b'/';
    let mut end = offset;
    if !plain {
        let (mount, dentry) = base(named.directory, absolute);
        written.mount_id = mount_id(mount);
        let inode: u64 = field(dentry, layout!(dentry_inode));
        let superblock: u64 = field(inode, layout!(inode_sb));
        written.device = field(superblock, layout!(sb_dev));
        let Some((directory_end, cut)) = write_path(dentry, offset) else {
            return written;
        };
        written.cut = cut;
        written.directory_len = directory_end.wrapping_sub(offset) as u32;
        end = directory_end;
    }
    if end > SCRATCH_LEN - PATH_STRING_MAX {
        written.cut = true;
        return written;
    }
    let length = if in_kernel {
        // SAFETY: the offset was checked; the helper writes at most PATH_STRING_MAX.
        unsafe {
            bpf_probe_read_kernel_str(
                buffer.add(end).cast(),
                PATH_STRING_MAX as u32,
                named.string as *const c_void,
            )
        }
    } else {
        // SAFETY: as above.
        unsafe {
            bpf_probe_read_user_str(
                buffer.add(end).cast(),
                PATH_STRING_MAX as u32,
                named.string as *const c_void,
            )
        }
    };
    if length > 0 {
        written.string_len = length as u32;
        written.end = end + (length as usize & (2 * PATH_STRING_MAX - 1));
    } else {
        written.unreadable = true;
        written.end = end;
    }
    written
}

/// Mount and dentry from which a path counts.
#[inline(always)]
fn base(directory: i32, absolute: bool) -> (u64, u64) {
    let fs: u64 = field(current_address(), layout!(task_fs));
    if absolute {
        return (
            field(fs, layout!(fs_root_mnt)),
            field(fs, layout!(fs_root_dentry)),
        );
    }
    if directory == AT_FDCWD {
        return (
            field(fs, layout!(fs_pwd_mnt)),
            field(fs, layout!(fs_pwd_dentry)),
        );
    }
    let file = file_of(directory);
    (
        field(file, layout!(file_mnt)),
        field(file, layout!(file_dentry)),
    )
}
