//! io_uring: requests that touch files without a system call of their own.
//!
//! A request's file is known when it completes. Its names are not: the kernel frees them when
//! the operation is done. They are announced at submission, and the outcome follows.
//! The opcodes are those of the kernel's user interface (`enum io_uring_op`).

use aya_ebpf::programs::RawTracePointContext;
use roar_common::{OutcomeBody, RecordHeader, access, handler, kind, lost, name_op, note};

use crate::effects::{Effects, is_empty, opened};
use crate::emit::{noted, put, scratch, send};
use crate::file::{Touch, mix};
use crate::handler::{go, task};
use crate::kernel::{field, peek, seldom_file_of};
use crate::maps::{config, layout};
use crate::name::{self, AT_REMOVEDIR, Named, RENAME_EXCHANGE};
use crate::process;

const READV: u8 = 1;
const WRITEV: u8 = 2;
const READ_FIXED: u8 = 4;
const WRITE_FIXED: u8 = 5;
const SENDMSG: u8 = 9;
const CONNECT: u8 = 16;
const FALLOCATE: u8 = 17;
const OPENAT: u8 = 18;
const READ: u8 = 22;
const WRITE: u8 = 23;
const SEND: u8 = 26;
const OPENAT2: u8 = 28;
const SPLICE: u8 = 30;
const RENAMEAT: u8 = 35;
const UNLINKAT: u8 = 36;
const MKDIRAT: u8 = 37;
const SYMLINKAT: u8 = 38;
const LINKAT: u8 = 39;
const READ_MULTISHOT: u8 = 49;
const FTRUNCATE: u8 = 55;
const READV_FIXED: u8 = 60;
const WRITEV_FIXED: u8 = 61;

const SPLICE_F_FD_IN_FIXED: u32 = 1 << 31;
const IOSQE_FIXED_FILE: u32 = 1;
const IOSQE_CQE_SKIP_SUCCESS: u32 = 1 << 6;

/// `IORING_FILE_INDEX_ALLOC`: the kernel chooses a free slot, which is the result.
const ANY_SLOT: u32 = u32::MAX;

/// A request was taken from the ring.
#[inline(always)]
pub(crate) fn submitted(ctx: &RawTracePointContext, request: u64) {
    if !process::is_live() {
        return;
    }
    let opcode: u8 = field(request, layout!(uring.opcode));
    let is_silent = field::<u32>(request, layout!(uring.flags)) & IOSQE_CQE_SKIP_SUCCESS != 0;
    let none = Named::NONE;
    let (op, first, second) = match opcode {
        RENAMEAT => {
            let flags: u32 = field(request, layout!(uring.rename_flags));
            let op = if u64::from(flags) & RENAME_EXCHANGE != 0 {
                name_op::EXCHANGE
            } else {
                name_op::RENAME
            };
            let (directories, paths) = (
                layout!(uring.rename_directories),
                layout!(uring.rename_paths),
            );
            (
                op,
                named(request, directories, paths),
                named(request, directories + 4, paths + 8),
            )
        }
        LINKAT | SYMLINKAT => {
            let op = if opcode == LINKAT {
                name_op::LINK
            } else {
                name_op::SYMLINK
            };
            let (directories, paths) = (layout!(uring.link_directories), layout!(uring.link_paths));
            (
                op,
                named(request, directories, paths),
                named(request, directories + 4, paths + 8),
            )
        }
        UNLINKAT => {
            let flags: u32 = field(request, layout!(uring.unlink_flags));
            let op = if u64::from(flags) & AT_REMOVEDIR != 0 {
                name_op::RMDIR
            } else {
                name_op::UNLINK
            };
            let path = named(
                request,
                layout!(uring.unlink_directory),
                layout!(uring.unlink_path),
            );
            (op, path, none)
        }
        MKDIRAT => {
            let path = named(
                request,
                layout!(uring.mkdir_directory),
                layout!(uring.mkdir_path),
            );
            (name_op::MKDIR, path, none)
        }
        _ => {
            if is_silent {
                silent(ctx, request, opcode);
            }
            return;
        }
    };
    let with = name::announced(op, first, second, number_of(request), is_silent);
    go(ctx, handler::NAMES, task::IN_KERNEL, with);
}

/// A request that no completion will tell of, unless it fails: it counts as done.
#[inline(always)]
fn silent(ctx: &RawTracePointContext, request: u64, opcode: u8) {
    let what = match transfer(opcode) {
        0 if matches!(opcode, OPENAT | OPENAT2 | SPLICE) => {
            return noted(note::IO_URING_SILENT);
        }
        0 => return,
        what => what,
    };
    // The file itself is looked up only when the request is carried out.
    let descriptor: u32 = field(request, layout!(uring.descriptor));
    let file = if field::<u32>(request, layout!(uring.flags)) & IOSQE_FIXED_FILE != 0 {
        registered(request, descriptor)
    } else {
        seldom_file_of(descriptor as i32)
    };
    if file == 0 {
        // It is still to be opened, by a request before this one.
        return noted(note::IO_URING_SILENT);
    }
    let mut effects = Effects::none();
    effects.first = Touch {
        file,
        access: what,
        result: 0,
    };
    if let Some(next) = effects.news(0) {
        go(ctx, next.program, next.task, next.with);
    }
}

/// The file in a slot of the ring's own table.
#[inline(always)]
fn registered(request: u64, slot: u32) -> u64 {
    let context: u64 = field(request, layout!(uring.context));
    let table: u64 = field(context, layout!(uring.registered));
    let mut entry: u64 = peek(table.wrapping_add(u64::from(slot) * 8));
    if layout!(uring.node_file) != u64::MAX {
        entry = field(entry, layout!(uring.node_file));
    }
    // The lowest bits say what the file can do.
    entry & !7
}

/// A number for a request that tells its reader nothing of the kernel's addresses: half of a
/// hash with a secret. Never 0. Two requests under way at once would have to meet in 32 bits
/// to be taken for one another.
#[inline(always)]
fn number_of(request: u64) -> u64 {
    mix(mix(request ^ config!(secret)) ^ config!(secret).rotate_left(32)) >> 32 | 1 << 32
}

/// A path of a request: the kernel has copied the string into a `struct filename`.
#[inline(always)]
fn named(request: u64, directory: u64, path: u64) -> Named {
    let filename: u64 = field(request, path);
    Named {
        directory: field(request, directory),
        string: peek(filename + layout!(uring.filename_name)),
    }
}

/// A request is done. Runs in the process that submitted it, or in a kernel thread of its
/// thread group.
#[inline(always)]
pub(crate) fn completed(ctx: &RawTracePointContext, request: u64) {
    if request == 0 || !process::is_live() {
        return;
    }
    let opcode: u8 = field(request, layout!(uring.opcode));
    let result: i32 = field(request, layout!(uring.result));
    if matches!(opcode, RENAMEAT | UNLINKAT | MKDIRAT | SYMLINKAT | LINKAT) {
        return outcome(request, i64::from(result));
    }
    if result < 0 {
        return;
    }
    let mut effects = Effects::none();
    // Every command begins with its file.
    let mut file: u64 = peek(request);
    let mut what = match opcode {
        SPLICE => {
            let flags: u32 = field(request, layout!(uring.splice_flags));
            let from: u32 = field(request, layout!(uring.splice_in));
            let from = if flags & SPLICE_F_FD_IN_FIXED == 0 {
                seldom_file_of(from as i32)
            } else {
                registered(request, from)
            };
            if result > 0 {
                effects.second = Touch {
                    file: from,
                    access: access::READ,
                    result: result as u64,
                };
            }
            access::WRITTEN
        }
        OPENAT | OPENAT2 => {
            let slot: u32 = field(request, layout!(uring.open_slot));
            file = match slot {
                0 => seldom_file_of(result),
                // It went into the ring's own table.
                ANY_SLOT => registered(request, result as u32),
                slot => registered(request, slot - 1),
            };
            opened(file, field(request, layout!(uring.open_flags))).access
        }
        CONNECT | SEND | SENDMSG => {
            let with = [file, u64::from(opcode == CONNECT), 0, 0, 0, 0];
            return go(ctx, handler::NETWORK, task::CONTACTED, with);
        }
        opcode => transfer(opcode),
    };
    if result == 0 {
        let is_transfer = matches!(what, access::READ | access::WRITTEN) && opcode != FALLOCATE;
        if is_transfer && !(what == access::READ && is_empty(file)) {
            what = 0;
        }
    }
    if what != 0 {
        effects.first = Touch {
            file,
            access: what,
            result: result as u64,
        };
    }
    if let Some(next) = effects.news(0) {
        go(ctx, next.program, next.task, next.with);
    }
}

/// What an operation does to its file; 0 for others.
#[inline(always)]
fn transfer(opcode: u8) -> u8 {
    match opcode {
        READV | READ_FIXED | READ | READ_MULTISHOT | READV_FIXED => access::READ,
        WRITEV | WRITE_FIXED | WRITE | WRITEV_FIXED | FALLOCATE => access::WRITTEN,
        FTRUNCATE => access::TRUNCATED,
        _ => 0,
    }
}

#[inline(always)]
fn outcome(request: u64, result: i64) {
    let Some(buffer) = scratch() else { return };
    let request = number_of(request);
    put(
        buffer,
        size_of::<RecordHeader>(),
        OutcomeBody { request, result },
    );
    let len = size_of::<RecordHeader>() + size_of::<OutcomeBody>();
    send(kind::OUTCOME, 0, len, lost::NAME);
}
