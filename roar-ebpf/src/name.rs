//! Names changed: rename, link, symlink, unlink, mkdir, truncate by path, mounts.
//!
//! The directory is resolved in the kernel (from the descriptor, the working directory or the
//! root), the rest of the path is the string that the process passed.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::{bpf_probe_read_kernel_str, bpf_probe_read_user_str};
use roar_common::{NameBody, PATH_STRING_MAX, RecordHeader, class, flags, kind, lost, name_op};

use crate::emit::{count, put, scratch, send};
use crate::file::mount_id;
use crate::handler::{Call, task};
use crate::kernel::{current_address, field, peek, peek_user, seldom_file_of};
use crate::maps::{SCRATCH_LEN, WRITTEN, layout};
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

impl Change {
    /// As [`roar_name`] takes it, and what the handler is asked for.
    #[inline(always)]
    fn packed(&self, how: u64, request: u64) -> [u64; 6] {
        let first = u64::from(self.first.directory as u32);
        let second = u64::from(self.second.directory as u32);
        [
            u64::from(self.op) | how,
            first << 32 | second,
            self.first.string,
            self.second.string,
            request,
            0,
        ]
    }
}

/// What the handler of names does.
#[inline(always)]
pub(crate) fn handle(call: &Call) {
    if call.task == task::IN_KERNEL {
        let [how, directories, first, second, request, _] = call.with;
        roar_name(how, directories, first, second, request);
    } else {
        changed(call.task as u8, call.with);
    }
}

/// Reports what a system call of this class, with these arguments, did to a name.
#[inline(always)]
fn changed(class: u8, arguments: [u64; 6]) {
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
    let [a, b, c, d, e, _] = arguments;
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
        class::MOUNT if d & MOVES_NOTHING == 0 => {
            let from = if d & MS_MOVE == 0 { 0 } else { a };
            two(name_op::MOUNTED, here(b), here(from))
        }
        class::UMOUNT => one(name_op::UNMOUNTED, here(a)),
        class::MOVE_MOUNT => two(name_op::MOUNTED, at(c, d), at(a, b)),
        class::PIVOT_ROOT => one(name_op::PIVOTED, here(a)),
        _ => return,
    };
    let length = if class == class::TRUNCATE { b } else { 0 };
    let [how, directories, first, second, request, _] = change.packed(0, length);
    roar_name(how, directories, first, second, request);
}

/// In mount(2)'s flags: what is mounted stays where it is, and only behaves otherwise
/// (MS_REMOUNT, MS_UNBINDABLE, MS_PRIVATE, MS_SLAVE, MS_SHARED).
const MOVES_NOTHING: u64 = 1 << 5 | 1 << 17 | 1 << 18 | 1 << 19 | 1 << 20;

/// In mount(2)'s flags: the source is a mount, and is moved.
const MS_MOVE: u64 = 1 << 13;

/// Whether a mode makes `mknod` make a regular file: no type stands for that, too.
#[inline(always)]
fn is_regular(mode: u64) -> bool {
    const S_IFMT: u64 = 0o170_000;
    const S_IFREG: u64 = 0o100_000;
    matches!(mode & S_IFMT, 0 | S_IFREG)
}

/// What the handler is asked for where the kernel has copied the strings already: io_uring's. The
/// change counts as done at once when the kernel will not tell of its success.
#[inline(always)]
pub(crate) fn announced(
    op: u8,
    first: Named,
    second: Named,
    request: u64,
    unconfirmed: bool,
) -> [u64; 6] {
    let unconfirmed = if unconfirmed { UNCONFIRMED } else { 0 };
    Change { op, first, second }.packed(IN_KERNEL | unconfirmed, request)
}

/// As above, for a script whose interpreter has become the image of the current process.
#[inline(always)]
pub(crate) fn script(string: u64) -> [u64; 6] {
    let first = Named {
        directory: AT_FDCWD,
        string,
    };
    let script = Change {
        op: name_op::SCRIPT,
        first,
        second: Named::NONE,
    };
    script.packed(IN_KERNEL, 0)
}

/// Beside the operation: the strings are in the kernel's memory.
const IN_KERNEL: u64 = 1 << 8;
/// Beside the operation: `flags::UNCONFIRMED`.
const UNCONFIRMED: u64 = 1 << 9;

/// Builds and sends the record. A global function: walked once by the verifier.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn roar_name(how: u64, directories: u64, first: u64, second: u64, request: u64) -> u64 {
    let Some(buffer) = scratch() else { return 0 };
    let op = how as u8;
    let mut record_flags = 0;
    if how & UNCONFIRMED != 0 {
        record_flags = flags::UNCONFIRMED;
    }
    let plain = if op == name_op::SYMLINK { PLAIN } else { 0 };
    roar_path(
        directories >> 32,
        first,
        PATHS_OFFSET as u64,
        how & IN_KERNEL | plain,
    );
    let Some(first) = written() else { return 0 };
    roar_path(directories, second, first.end, how & IN_KERNEL);
    let Some(second) = written() else { return 0 };
    if first.cut != 0 {
        record_flags |= flags::PATH_CUT;
    }
    if second.cut != 0 {
        record_flags |= flags::SECOND_PATH_CUT;
    }
    if first.unreadable | second.unreadable != 0 {
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
            op,
            padding: [0; 7],
        },
    );
    send(kind::NAME, record_flags, second.end as usize, lost::NAME);
    0
}

/// What was written of one path. It travels in a map: a function that is walked by itself can
/// return one number only.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Written {
    /// Where it ends in the scratch buffer.
    end: u64,
    mount_id: u32,
    device: u32,
    directory_len: u32,
    string_len: u32,
    cut: u32,
    unreadable: u32,
}

/// What [`roar_path`] wrote last on this CPU.
#[inline(always)]
fn written() -> Option<Written> {
    // SAFETY: a per-CPU slot, and preemption is off.
    WRITTEN
        .get_ptr(0)
        .map(|written| unsafe { core::ptr::read_volatile(written) })
}

/// Beside [`IN_KERNEL`]: the string is a symbolic link's content, and counts from nowhere.
const PLAIN: u64 = 1 << 10;

/// Writes directory and string of one path at `offset` of the scratch buffer.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn roar_path(directory: u64, string: u64, offset: u64, how: u64) -> u64 {
    let Some(written) = WRITTEN.get_ptr_mut(0) else {
        return 0;
    };
    // SAFETY: a per-CPU slot, and preemption is off.
    let written = unsafe { &mut *written };
    *written = Written {
        end: offset,
        mount_id: 0,
        device: 0,
        directory_len: 0,
        string_len: 0,
        cut: 0,
        unreadable: 0,
    };
    if string == 0 || offset > (SCRATCH_LEN - PATH_STRING_MAX) as u64 {
        return 0;
    }
    let Some(buffer) = scratch() else { return 0 };
    let in_kernel = how & IN_KERNEL != 0;
    let mut end = offset;
    if how & PLAIN == 0 {
        // The string first says from where it counts; it is written behind the directory.
        let start: u8 = if in_kernel {
            peek(string)
        } else {
            peek_user(string)
        };
        let (mount, dentry) = base(directory as i32, start == b'/');
        written.mount_id = mount_id(mount);
        let inode: u64 = field(dentry, layout!(dentry_inode));
        let superblock: u64 = field(inode, layout!(inode_sb));
        written.device = field(superblock, layout!(sb_dev));
        let Some((directory_end, cut)) = write_path(dentry, offset as usize) else {
            return 0;
        };
        written.cut = u32::from(cut);
        written.directory_len = directory_end.wrapping_sub(offset as usize) as u32;
        end = directory_end as u64;
    }
    if end > (SCRATCH_LEN - PATH_STRING_MAX) as u64 {
        written.cut = 1;
        return 0;
    }
    let to = buffer.wrapping_add(end as usize).cast::<c_void>();
    let from = string as *const c_void;
    // SAFETY: the offset was checked; the helpers write at most PATH_STRING_MAX.
    let length = unsafe {
        if in_kernel {
            bpf_probe_read_kernel_str(to, PATH_STRING_MAX as u32, from)
        } else {
            bpf_probe_read_user_str(to, PATH_STRING_MAX as u32, from)
        }
    };
    if length > 0 {
        written.string_len = length as u32;
        written.end = end + length as u64;
    } else {
        written.unreadable = 1;
        written.end = end;
    }
    0
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
    let file = seldom_file_of(directory);
    (
        field(file, layout!(file_mnt)),
        field(file, layout!(file_dentry)),
    )
}
