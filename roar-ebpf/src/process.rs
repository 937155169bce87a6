//! The set of traced processes: registration, fork, exec, exit.

use aya_ebpf::EbpfContext;
use aya_ebpf::helpers::generated::{bpf_get_current_pid_tgid, bpf_probe_read_user};
use roar_common::{
    ANY_OWNER, EXEC_ARGV_MAX, ExitBody, RecordHeader, StartBody, access, flags, handler, kind,
    lost, role,
};

use crate::emit::{count, put, scratch, send, send_for};
use crate::file::{build, roar_touch};
use crate::handler::{go, task};
use crate::kernel::{current_address, field, registers};
use crate::mapping;
use crate::maps::{CGROUP, CHANGES, KNOWN, PROCESSES, SCRATCH_LEN, config, layout};
use crate::name;

/// Bits of a traced process.
pub(crate) mod state {
    /// It has executed the command: what it did before was roar's own.
    pub(crate) const LIVE: u32 = 1;
    /// It is roar: neither it nor its children are traced, unless they register themselves.
    pub(crate) const OBSERVER: u32 = 1 << 1;
    /// It has gained rights that its user has not: only its end is reported.
    pub(crate) const SHUT: u32 = 1 << 2;
    /// It may have mapped a file with less access than `mprotect` can give it later.
    pub(crate) const LATENT: u32 = 1 << 3;
}

/// `SUID_DUMP_USER`, the lowest bits of `mm_struct::flags`: its user may look into the process.
const DUMPABLE_BY_USER: u64 = 1;
const DUMPABLE_MASK: u64 = 3;

const CLONE_THREAD: u64 = 0x0001_0000;

const HEADER: usize = size_of::<RecordHeader>();

/// The thread-group id of the current process.
#[inline(always)]
pub(crate) fn current_process() -> u32 {
    // SAFETY: a helper without arguments.
    (unsafe { bpf_get_current_pid_tgid() } >> 32) as u32
}

/// The state bits of the current process; none when it is not traced.
#[inline(always)]
pub(crate) fn traced() -> Option<u32> {
    let bits = bits_of(current_process());
    (bits & state::SHUT == 0).then_some(bits)
}

/// What a CPU knows of a process.
#[repr(C)]
pub(crate) struct Known {
    process: u32,
    /// As of the table; [`UNTRACED`] where it is not in it.
    bits: u32,
    /// [`CHANGES`] then, and one: an empty slot is of no time.
    as_of: u64,
}

/// Bits of a process that is not in the table: nothing of it is to be reported.
const UNTRACED: u32 = state::SHUT;

/// The table, or what this CPU remembers of it: nearly every call is by the process that was here
/// before, and looking into a hash table is a third of what such a call costs.
///
/// A process's bits are changed only by itself or before it runs, so that the count of changes,
/// read first, cannot be newer than what is found.
#[inline(always)]
fn bits_of(process: u32) -> u32 {
    let (Some(changes), Some(known)) = (CHANGES.get_ptr(0), KNOWN.get_ptr_mut(0)) else {
        return UNTRACED;
    };
    // SAFETY: slots of arrays; the second is this CPU's, and preemption is off.
    unsafe {
        let as_of = changes.read_volatile() + 1;
        if (*known).process == process && (*known).as_of == as_of {
            return (*known).bits;
        }
        // The entry of a live process is removed only when that process is dead.
        let bits = PROCESSES.get(process).copied().unwrap_or(UNTRACED);
        *known = Known {
            process,
            bits,
            as_of,
        };
        bits
    }
}

/// To be called after every change of the table.
#[inline(always)]
fn changed() {
    if let Some(changes) = CHANGES.get_ptr(0) {
        // SAFETY: a slot of the array. Rust's own atomics do not know this target.
        unsafe {
            core::arch::asm!("lock *(u64 *)({at} + 0) += {one}", at = in(reg) changes, one = in(reg) 1_u64)
        };
    }
}

/// Whether the user who traces is the only one that the current process acts for: the same in
/// all user ids and no group of a program's own, which is what ptrace(2) asks.
#[inline(always)]
fn is_owners() -> bool {
    let owner = config!(owner);
    if owner == ANY_OWNER {
        return true;
    }
    let credentials: u64 = field(current_address(), layout!(task_cred));
    let [uid, gid, suid, sgid, euid, egid, fsuid, fsgid]: [u32; 8] =
        field(credentials, layout!(cred_ids));
    let user = owner as u32;
    // Without branches: each doubles what the verifier has to walk.
    let foreign = (uid ^ user) | (suid ^ user) | (euid ^ user) | (fsuid ^ user);
    foreign | (gid ^ sgid) | (gid ^ egid) | (gid ^ fsgid) == 0
}

/// Whether the current process's image gives it nothing that its user has not: no capability,
/// and a program that the user may read. The kernel keeps that for ptrace(2) and core dumps.
#[inline(always)]
fn is_open() -> bool {
    if config!(owner) == ANY_OWNER {
        return true;
    }
    let mm: u64 = field(current_address(), layout!(task_mm));
    let mm_flags: u64 = field(mm, layout!(mm_flags));
    mm_flags & DUMPABLE_MASK == DUMPABLE_BY_USER
}

/// Whether the current process is traced, and what it does is the command's.
#[inline(always)]
pub(crate) fn is_live() -> bool {
    traced().is_some_and(|bits| bits & state::LIVE != 0)
}

/// Sets bits of the current process, which is traced.
#[inline(always)]
pub(crate) fn mark(new: u32) {
    if let Some(bits) = PROCESSES.get_ptr_mut(current_process()) {
        // SAFETY: the entry of a live process; its other bits change only while it has one thread.
        unsafe { *bits |= new };
        changed();
    }
}

/// A process made itself known: roar, or its forked child, which is traced from its exec on.
#[inline(always)]
pub(crate) fn register(role: u64) {
    if !is_owners() {
        return;
    }
    let process = current_process();
    let is_observer = role == role::OBSERVER;
    let bits = if is_observer { state::OBSERVER } else { 0 };
    if PROCESSES.insert(process, bits, 0).is_err() {
        count(lost::UNTRACKED_PROCESS);
        return;
    }
    changed();
    if !is_observer {
        start(process, 0);
    }
}

/// A process of the cgroup that is to be traced is met for the first time: it joins the job.
/// Returns its state bits.
#[inline(always)]
pub(crate) fn adopted() -> Option<u32> {
    // The verifier sees a constant and removes what follows where no cgroup was asked for.
    if config!(with_cgroup) == 0 || !CGROUP.current_task_under_cgroup(0).unwrap_or(false) {
        return None;
    }
    // An owner's tracer would else take up again what it has let go of.
    if !is_owners() || !is_open() {
        return None;
    }
    let process = current_process();
    // What it has mapped so far is not known.
    let bits = state::LIVE | state::LATENT;
    if PROCESSES.insert(process, bits, 0).is_err() {
        count(lost::UNTRACKED_PROCESS);
        return None;
    }
    changed();
    start(process, 0);
    Some(bits)
}

/// A task was made by the current one. Returns the new process, when it is traced.
#[inline(always)]
pub(crate) fn forked(child: u64, clone_flags: u64) -> Option<u32> {
    if clone_flags & CLONE_THREAD != 0 {
        return None;
    }
    let process: u32 = field(child, layout!(task_tgid));
    let Some(bits) = traced() else {
        // The number is another process's now, should the end of its last bearer have been missed.
        if PROCESSES.remove(process).is_ok() {
            changed();
        }
        return None;
    };
    if bits & state::OBSERVER != 0 {
        return None;
    }
    if PROCESSES.insert(process, bits, 0).is_err() {
        count(lost::UNTRACKED_PROCESS);
        return None;
    }
    changed();
    start(process, current_process());
    Some(process)
}

#[inline(always)]
fn start(process: u32, parent: u32) {
    let Some(buffer) = scratch() else { return };
    put(buffer, HEADER, StartBody { parent, padding: 0 });
    let len = HEADER + size_of::<StartBody>();
    let id = u64::from(process) << 32 | u64::from(process);
    send_for(kind::START, 0, len, lost::PROCESS, id);
}

/// The current process has a new image. Returns the flags of the record, when it is traced.
#[inline(always)]
pub(crate) fn executed() -> Option<u16> {
    let process = current_process();
    let bits = match PROCESSES.get_ptr_mut(process) {
        Some(bits) => bits,
        None => {
            adopted()?;
            PROCESSES.get_ptr_mut(process)?
        }
    };
    // SAFETY: the entry of a live process.
    if unsafe { *bits } & state::SHUT != 0 {
        return None;
    }
    let flags = if is_owners() && is_open() {
        // SAFETY: as above.
        unsafe { *bits = (*bits | state::LIVE) & !state::LATENT };
        0
    } else {
        // SAFETY: as above.
        unsafe { *bits |= state::SHUT };
        flags::NOT_FOLLOWED
    };
    changed();
    Some(flags)
}

/// Reports a program that began, and what the kernel read to start it.
#[inline(always)]
pub(crate) fn began<C: EbpfContext>(ctx: &C, bprm: u64, gained: u16) {
    let file: u64 = field(bprm, layout!(bprm_file));
    report_program(file, gained);
    if gained == 0 {
        interpreted(ctx, bprm, file);
    }
}

#[inline(always)]
fn report_program(file: u64, gained: u16) {
    let Some(buffer) = scratch() else { return };
    let Some((end, mut record_flags)) = build(file, access::EXECUTED, 0) else {
        return;
    };
    let mm: u64 = field(current_address(), layout!(task_mm));
    let first: u64 = field(mm, layout!(mm_arg_start));
    let last: u64 = field(mm, layout!(mm_arg_end));
    record_flags |= gained;
    let mut length = last.wrapping_sub(first);
    if last < first {
        length = 0;
    }
    if length > EXEC_ARGV_MAX as u64 {
        length = EXEC_ARGV_MAX as u64;
        record_flags |= flags::ARGV_CUT;
    }
    if end > SCRATCH_LEN - EXEC_ARGV_MAX - 1 {
        return;
    }
    // SAFETY: both offset and length were checked.
    let result =
        unsafe { bpf_probe_read_user(buffer.add(end).cast(), length as u32, first as *const _) };
    if result != 0 {
        length = 0;
        record_flags |= flags::ARGV_UNREADABLE;
    }
    send(
        kind::EXEC,
        record_flags,
        end + length as usize,
        lost::PROCESS,
    );
}

/// What the kernel read or mapped by itself to start a program: the dynamic linker, and the
/// script, where the image is that of an interpreter.
#[inline(always)]
fn interpreted<C: EbpfContext>(ctx: &C, bprm: u64, image: u64) {
    // The first instruction is the linker's, where there is one.
    if let Some(found) = mapping::at(registers().get(layout!(regs_instruction)))
        && found.file != image
        && found.file != 0
    {
        roar_touch(found.file, u64::from(access::MAPPED), 0);
    }
    let asked: u64 = field(bprm, layout!(bprm_filename));
    if asked != field::<u64>(bprm, layout!(bprm_interp)) {
        go(ctx, handler::NAMES, task::IN_KERNEL, name::script(asked));
    }
}

/// A task is ending; when it is the last of its process, so is the process. Returns whether a
/// traced process ended.
#[inline(always)]
pub(crate) fn exited(task: u64) -> bool {
    let process = current_process();
    if PROCESSES.get_ptr(process).is_none() {
        return false;
    }
    let signal: u64 = field(task, layout!(task_signal));
    let live: i32 = field(signal, layout!(signal_live));
    if live > 0 {
        return false;
    }
    if let Some(buffer) = scratch() {
        let code: u32 = field(task, layout!(task_exit_code));
        put(buffer, HEADER, ExitBody { code, padding: 0 });
        send(kind::EXIT, 0, HEADER + size_of::<ExitBody>(), lost::PROCESS);
    }
    // Failure means that the entry is already gone.
    let _ = PROCESSES.remove(process);
    changed();
    true
}
