//! Programs that report, shared by those that hook: reached by tail calls.
//!
//! The kernel verifies a function anew for each program that has it, at 1.5 µs an instruction
//! on a small machine, and every start of a run waits for that. What looks a file up, walks its
//! path and builds a record is therefore verified once, in three programs that are attached to
//! nothing; a hook leaves word of what happened in a slot of this CPU and never returns from
//! the call. What happens at every read(2) stays in the hook.

use aya_ebpf::EbpfContext;

use crate::emit::count;
use crate::file::roar_touch;
use crate::mapping;
use crate::maps::{CALL, HANDLERS};
use crate::name;
use crate::network;
use crate::process;
use crate::seldom;
use roar_common::{handler, lost};

/// What a handler is to do.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Call {
    /// The handler, one of `roar_common::handler`.
    program: u32,
    /// One of [`task`], or the class of a system call.
    pub(crate) task: u32,
    /// What the task needs.
    pub(crate) with: [u64; 6],
}

/// What handlers can be asked for beside the classes of system calls, whose arguments and result
/// they take.
pub(crate) mod task {
    /// Of files: up to two were touched: file, access and result of each; no file is 0.
    pub(crate) const TOUCHED: u32 = 1 << 16;
    /// Of files: a range of memory was protected anew: address, length, protection.
    pub(crate) const PROTECTED: u32 = 2 << 16;
    /// Of files: a program began: `struct linux_binprm`, flags of the record.
    pub(crate) const EXECUTED: u32 = 3 << 16;
    /// Of names: a request of io_uring, or a script; see `name::announced`, `name::script`.
    pub(crate) const IN_KERNEL: u32 = 4 << 16;
    /// Of the network: a socket was connected or sent through: file, whether it was connected.
    pub(crate) const CONTACTED: u32 = 5 << 16;
    /// Of the network: bytes came from a name server: where they are, how many.
    pub(crate) const ANSWERED: u32 = 6 << 16;
}

/// A handler to go on in, and what it is told.
pub(crate) struct Next {
    pub(crate) program: u32,
    pub(crate) task: u32,
    pub(crate) with: [u64; 6],
}

/// Goes on in a handler. Comes back only when that is impossible, which is counted.
#[inline(always)]
pub(crate) fn go<C: EbpfContext>(ctx: &C, program: u32, task: u32, with: [u64; 6]) {
    if let Some(call) = CALL.get_ptr_mut(0) {
        // SAFETY: a per-CPU slot, and preemption is off. Volatile: the program's number is read
        // back from memory, so that it is no constant to the verifier, for which the kernel
        // would rewrite its own code each time programs are loaded.
        let program = unsafe {
            core::ptr::write_volatile(
                call,
                Call {
                    program,
                    task,
                    with,
                },
            );
            core::ptr::read_volatile(&raw const (*call).program)
        };
        // SAFETY: nothing of the caller's needs to be dropped.
        unsafe { HANDLERS.tail_call(ctx, program) };
    }
    count(match (program, task) {
        (handler::NAMES, _) => lost::NAME,
        (handler::NETWORK, _) => lost::NETWORK,
        (_, task::EXECUTED) => lost::PROCESS,
        _ => lost::FILE,
    });
}

/// What this CPU's hook asked for.
#[inline(always)]
fn asked() -> Option<Call> {
    // SAFETY: a per-CPU slot, written by whoever made the call, and preemption is off.
    CALL.get_ptr(0)
        .map(|call| unsafe { core::ptr::read_volatile(call) })
}

/// The handler of files.
#[inline(always)]
pub(crate) fn files<C: EbpfContext>(ctx: &C) {
    let Some(call) = asked() else { return };
    let [a, b, c, d, e, f] = call.with;
    match call.task {
        task::TOUCHED => {
            if a != 0 {
                roar_touch(a, b, c);
            }
            if d != 0 {
                roar_touch(d, e, f);
            }
        }
        task::PROTECTED => mapping::protected(a, b, c),
        task::EXECUTED => process::began(ctx, a, b as u16),
        _ => seldom::handle(&call),
    }
}

/// The handler of names.
#[inline(always)]
pub(crate) fn names() {
    if let Some(call) = asked() {
        name::handle(&call);
    }
}

/// The handler of the network.
#[inline(always)]
pub(crate) fn network() {
    if let Some(call) = asked() {
        network::handle(&call);
    }
}
