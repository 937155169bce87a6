//! The exit of a system call: its class, and what it did to files.

use roar_common::{
    COMPAT_OFFSET, NoteBody, REGISTER_PRCTL, RecordHeader, access, class, kind, lost, note,
};

use crate::aio;
use crate::emit::{count, put, scratch, send};
use crate::file::{Touch, roar_touch};
use crate::ioctl;
use crate::kernel::{Typed, current, field, file_of, peek_user};
use crate::mapping::{self, PROT_WRITE, is_readable};
use crate::maps::{class_of, config, layout};
use crate::name;
use crate::network;
use crate::process;

const O_WRONLY: u64 = 0o1;
const O_CREAT: u64 = 0o100;
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

/// What a connect that does not wait returns.
const EINPROGRESS: i64 = -115;

/// Arguments of a system call.
pub(crate) struct Arguments {
    pub(crate) a: u64,
    pub(crate) b: u64,
    pub(crate) c: u64,
    pub(crate) d: u64,
    pub(crate) e: u64,
}

impl Arguments {
    #[inline(always)]
    fn read(regs: Typed, compat: bool) -> Self {
        if compat {
            // The upper halves of the registers are not the caller's.
            Self {
                a: u64::from(regs.get::<u64>(layout!(compat.arguments[0])) as u32),
                b: u64::from(regs.get::<u64>(layout!(compat.arguments[1])) as u32),
                c: u64::from(regs.get::<u64>(layout!(compat.arguments[2])) as u32),
                d: u64::from(regs.get::<u64>(layout!(compat.arguments[3])) as u32),
                e: u64::from(regs.get::<u64>(layout!(compat.arguments[4])) as u32),
            }
        } else {
            Self {
                a: regs.get(layout!(native.arguments[0])),
                b: regs.get(layout!(native.arguments[1])),
                c: regs.get(layout!(native.arguments[2])),
                d: regs.get(layout!(native.arguments[3])),
                e: regs.get(layout!(native.arguments[4])),
            }
        }
    }
}

/// Entry: the class first, because every system call of every process of the machine comes by.
#[inline(always)]
pub(crate) fn exit(regs: *const u8, result: i64) {
    let regs = Typed(regs);
    let number: i32 = regs.get(layout!(regs_number));
    if number as u32 >= COMPAT_OFFSET as u32 {
        return;
    }
    let mask = layout!(task_compat_mask);
    let compat = mask != 0 && current().get::<u32>(layout!(task_compat_word)) & mask != 0;
    let index = number as usize + if compat { COMPAT_OFFSET } else { 0 };
    let class = class_of(index);
    if class == class::NONE {
        return;
    }
    let bits = match process::traced() {
        Some(bits) => bits,
        None if class == class::REGISTER => {
            let arguments = Arguments::read(regs, compat);
            if arguments.a == u64::from(REGISTER_PRCTL) && arguments.b == config!(cookie) {
                process::register(arguments.c);
            }
            return;
        }
        None => match process::adopted() {
            Some(bits) => bits,
            None => return,
        },
    };
    let is_under_way = class == class::CONNECT && result == EINPROGRESS;
    if bits & process::state::LIVE == 0 || (result < 0 && !is_under_way) {
        return;
    }
    let arguments = Arguments::read(regs, compat);
    handle(class, bits, &arguments, result as u64);
}

/// What a call did, as at most two accesses. One place reports them, so that the verifier
/// walks the reporting twice and not once for each class.
pub(crate) struct Effects {
    pub(crate) first: Touch,
    pub(crate) second: Touch,
}

impl Effects {
    /// Nothing: no file.
    const NONE: Touch = Touch {
        file: 0,
        access: 0,
        result: 0,
    };
}

#[inline(always)]
fn handle(class: u8, bits: u32, arguments: &Arguments, result: u64) {
    let mut effects = Effects {
        first: Effects::NONE,
        second: Effects::NONE,
    };
    match class {
        class::READ => effects.first = read(arguments.a as i32, result),
        class::WRITE => {
            if result > 0 {
                effects.first = through(arguments.a as i32, access::WRITTEN, result);
            }
        }
        class::OPEN => effects.first = opened(result as i32, arguments.b),
        class::OPENAT => effects.first = opened(result as i32, arguments.c),
        class::OPENAT2 => effects.first = opened(result as i32, peek_user(arguments.c)),
        class::CREAT => effects.first = opened(result as i32, O_CREAT | O_WRONLY | O_TRUNC),
        class::MMAP => mapped(&mut effects, arguments.c, arguments.d, arguments.e as i32),
        class::OLD_MMAP => {
            // struct mmap_arg_struct32: addr, len, prot, flags, fd, offset.
            let prot: u32 = peek_user(arguments.a + 8);
            let map_flags: u32 = peek_user(arguments.a + 12);
            let descriptor: i32 = peek_user(arguments.a + 16);
            mapped(
                &mut effects,
                u64::from(prot),
                u64::from(map_flags),
                descriptor,
            );
        }
        class::MPROTECT => {
            // Nearly always it is memory of the process's own.
            if bits & process::state::LATENT != 0 {
                mapping::protected(arguments.a, arguments.b, arguments.c);
            }
            return;
        }
        class::FTRUNCATE => {
            effects.first = through(arguments.a as i32, access::TRUNCATED, 0);
        }
        class::FALLOCATE => effects.first = through(arguments.a as i32, access::WRITTEN, 0),
        class::SENDFILE => {
            copied(&mut effects, arguments.b as i32, arguments.a as i32, result);
        }
        class::COPY => copied(&mut effects, arguments.a as i32, arguments.c as i32, result),
        class::IOCTL => ioctl::succeeded(&mut effects, arguments),
        class::IO_SUBMIT => return aio::submitted(arguments.c, 8, result),
        class::COMPAT_IO_SUBMIT => return aio::submitted(arguments.c, 4, result),
        class::IO_URING_SETUP => return noted(note::IO_URING),
        class::KERNEL_FILE => return noted(note::KERNEL_FILE),
        class::CONNECT => return network::connected(arguments.a as i32),
        class::SENDTO => return network::sent(arguments.a as i32, arguments.e),
        class::SENDMSG => return network::sent(arguments.a as i32, peek_user(arguments.b)),
        class::RECVFROM => return network::received(arguments.b, result, arguments.e),
        class::RECVMSG => return network::message_received(arguments.b, result),
        class::REGISTER => return,
        _ => return name::changed(class, arguments),
    }
    if effects.first.file != 0 {
        roar_touch(
            effects.first.file,
            u64::from(effects.first.access),
            effects.first.result,
        );
    }
    if effects.second.file != 0 {
        roar_touch(
            effects.second.file,
            u64::from(effects.second.access),
            effects.second.result,
        );
    }
}

/// An access through a descriptor.
#[inline(always)]
pub(crate) fn through(descriptor: i32, access: u8, result: u64) -> Touch {
    let file = file_of(descriptor);
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
fn read(descriptor: i32, result: u64) -> Touch {
    let touch = through(descriptor, access::READ, result);
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

/// A descriptor was opened.
#[inline(always)]
fn opened(descriptor: i32, open_flags: u64) -> Touch {
    opened_file(through(descriptor, access::OPENED_WRITE, 0), open_flags)
}

/// A file was opened: only what may be changed through it is of interest.
#[inline(always)]
pub(crate) fn opened_file(mut touch: Touch, open_flags: u64) -> Touch {
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

#[inline(always)]
fn mapped(effects: &mut Effects, prot: u64, map_flags: u64, descriptor: i32) {
    if map_flags & MAP_ANONYMOUS != 0 {
        return;
    }
    let file = through(descriptor, access::MAPPED, 0).file;
    let kind = map_flags & MAP_TYPE;
    let is_shared = kind == MAP_SHARED || kind == MAP_SHARED_VALIDATE;
    let mode: u32 = field(file, layout!(file_mode));
    if is_readable(prot, is_shared) {
        effects.first = Touch {
            file,
            access: access::MAPPED,
            result: 0,
        };
    } else {
        process::mark(process::state::LATENT);
    }
    if is_shared && prot & PROT_WRITE != 0 {
        effects.second = Touch {
            file,
            access: access::MAPPED_WRITE,
            result: 0,
        };
    } else if is_shared && mode & FMODE_WRITE != 0 {
        process::mark(process::state::LATENT);
    }
}

/// Bytes went from one descriptor to another inside the kernel.
#[inline(always)]
fn copied(effects: &mut Effects, from: i32, to: i32, result: u64) {
    effects.first = read(from, result);
    if result > 0 {
        effects.second = through(to, access::WRITTEN, result);
    }
}

#[inline(always)]
pub(crate) fn noted(what: u32) {
    let Some(buffer) = scratch() else { return };
    put(
        buffer,
        size_of::<RecordHeader>(),
        NoteBody {
            note: what,
            detail: 0,
        },
    );
    let len = size_of::<RecordHeader>() + size_of::<NoteBody>();
    send(buffer, kind::NOTE, 0, len, lost::NOTE);
}
