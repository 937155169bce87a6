//! The exit of a system call: its class, and what it did to files.

use core::ffi::{c_long, c_void};

use aya_ebpf::helpers::generated::{bpf_find_vma, bpf_get_current_task_btf};
use roar_common::{
    COMPAT_OFFSET, NoteBody, REGISTER_PRCTL, RecordHeader, access, class, kind, lost, note,
};

use crate::aio;
use crate::emit::{count, put, scratch, send};
use crate::file::{Touch, roar_touch};
use crate::kernel::{Typed, current, field, file_of, peek_user};
use crate::maps::{class_of, config, layout};
use crate::name;
use crate::process;

const O_WRONLY: u64 = 0o1;
const O_RDWR: u64 = 0o2;
const O_CREAT: u64 = 0o100;
const O_TRUNC: u64 = 0o1000;

const FMODE_WRITE: u32 = 0x2;
/// Set by the kernel when the open made the file (since Linux 4.19).
const FMODE_CREATED: u32 = 0x10_0000;

const PROT_READ: u64 = 1;
const PROT_WRITE: u64 = 2;
const PROT_EXEC: u64 = 4;
const MAP_SHARED: u64 = 1;
const MAP_TYPE: u64 = 0xf;
const MAP_SHARED_VALIDATE: u64 = 3;
const MAP_ANONYMOUS: u64 = 0x20;
const VM_SHARED: u64 = 8;

const FICLONE: u64 = 0x4004_9409;
const FICLONERANGE: u64 = 0x4020_940d;

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
    if bits & process::state::LIVE == 0 || result < 0 {
        return;
    }
    let arguments = Arguments::read(regs, compat);
    handle(class, &arguments, result as u64);
}

/// What a call did, as at most two accesses. One place reports them, so that the verifier
/// walks the reporting twice and not once for each class.
struct Effects {
    first: Touch,
    second: Touch,
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
fn handle(class: u8, arguments: &Arguments, result: u64) {
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
        class::MPROTECT => protected(&mut effects, arguments.a, arguments.c),
        class::FTRUNCATE => {
            effects.first = through(arguments.a as i32, access::TRUNCATED, 0);
        }
        class::FALLOCATE => effects.first = through(arguments.a as i32, access::WRITTEN, 0),
        class::SENDFILE => {
            copied(&mut effects, arguments.b as i32, arguments.a as i32, result);
        }
        class::COPY => copied(&mut effects, arguments.a as i32, arguments.c as i32, result),
        class::IOCTL => cloned(&mut effects, arguments),
        class::IO_SUBMIT => return aio::submitted(arguments.c, 8, result),
        class::COMPAT_IO_SUBMIT => return aio::submitted(arguments.c, 4, result),
        class::IO_URING_SETUP => return noted(note::IO_URING),
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
fn through(descriptor: i32, access: u8, result: u64) -> Touch {
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

/// A descriptor was opened: only what it may change is of interest.
#[inline(always)]
pub(crate) fn opened(descriptor: i32, open_flags: u64) -> Touch {
    let mut touch = through(descriptor, access::OPENED_WRITE, 0);
    let mode: u32 = field(touch.file, layout!(file_mode));
    if mode & FMODE_CREATED != 0 {
        touch.access = access::CREATED;
    } else if open_flags & O_TRUNC != 0 && open_flags & (O_WRONLY | O_RDWR) != 0 {
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
    protection(
        effects,
        file,
        prot,
        kind == MAP_SHARED || kind == MAP_SHARED_VALIDATE,
    );
}

/// What a mapping with this protection does to its file.
#[inline(always)]
fn protection(effects: &mut Effects, file: u64, prot: u64, shared: bool) {
    // A private writable mapping is readable on every architecture that roar supports.
    if prot & (PROT_READ | PROT_EXEC) != 0 || (!shared && prot & PROT_WRITE != 0) {
        effects.first = Touch {
            file,
            access: access::MAPPED,
            result: 0,
        };
    }
    if shared && prot & PROT_WRITE != 0 {
        effects.second = Touch {
            file,
            access: access::MAPPED_WRITE,
            result: 0,
        };
    }
}

/// The protection of a mapping changed.
#[inline(always)]
fn protected(effects: &mut Effects, address: u64, prot: u64) {
    let mut found = Mapping { file: 0, flags: 0 };
    // SAFETY: the callback has the helper's signature and the context outlives the call.
    let result = unsafe {
        bpf_find_vma(
            bpf_get_current_task_btf(),
            address,
            on_vma as *mut c_void,
            (&raw mut found).cast(),
            0,
        )
    };
    if result != 0 {
        // Another thread holds the address space's lock, or the range is gone.
        count(lost::UNREADABLE_KERNEL);
        return;
    }
    protection(effects, found.file, prot, found.flags & VM_SHARED != 0);
}

/// Bytes went from one descriptor to another inside the kernel.
#[inline(always)]
fn copied(effects: &mut Effects, from: i32, to: i32, result: u64) {
    if result > 0 {
        effects.first = through(from, access::READ, result);
        effects.second = through(to, access::WRITTEN, result);
    }
}

/// FICLONE and FICLONERANGE share the blocks of another file.
#[inline(always)]
fn cloned(effects: &mut Effects, arguments: &Arguments) {
    let from = match arguments.b {
        FICLONE => arguments.c as i32,
        // struct file_clone_range begins with the source descriptor, 64 bits.
        FICLONERANGE => peek_user::<i64>(arguments.c) as i32,
        _ => return,
    };
    effects.first = through(from, access::READ, 0);
    effects.second = through(arguments.a as i32, access::WRITTEN, 0);
}

#[repr(C)]
struct Mapping {
    file: u64,
    flags: u64,
}

#[inline(never)]
extern "C" fn on_vma(_task: *const u8, vma: *const u8, found: *mut Mapping) -> c_long {
    // Read as plain numbers: a typed pointer cannot be handed to a global function.
    let vma = vma as u64;
    // SAFETY: the helper passes the context of `protected`.
    let found = unsafe { &mut *found };
    found.file = field(vma, layout!(vma_file));
    found.flags = field(vma, layout!(vma_flags));
    0
}

#[inline(always)]
fn noted(what: u32) {
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
