//! The one way into the ring buffer, and the one place where loss is counted.

use aya_ebpf::bindings::{BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP};
use aya_ebpf::helpers::generated::{
    bpf_get_current_pid_tgid, bpf_ktime_get_ns, bpf_ringbuf_output,
};
use roar_common::{MAX_RECORD, NoteBody, RecordHeader, kind, lost};

use crate::maps::{EVENTS, LOST, SCRATCH, config};

/// Adds to a counter of `roar_common::lost`.
#[inline(always)]
pub(crate) fn count(counter: u32) {
    if let Some(slot) = LOST.get_ptr_mut(counter) {
        // SAFETY: a per-CPU slot, and preemption is off.
        unsafe { *slot += 1 };
    }
}

/// The start of this CPU's scratch buffer.
#[inline(always)]
pub(crate) fn scratch() -> Option<*mut u8> {
    SCRATCH.get_ptr_mut(0).map(|p| p.cast())
}

/// Writes a plain value at a constant offset of the scratch buffer.
#[inline(always)]
pub(crate) fn put<T: Copy>(buffer: *mut u8, offset: usize, value: T) {
    // SAFETY: constant offsets below the buffer's length; the verifier checks them.
    unsafe { core::ptr::write_volatile(buffer.add(offset).cast::<T>(), value) };
}

/// Completes the header and sends `len` bytes of the scratch buffer. Counts a failure.
#[inline(always)]
pub(crate) fn send(buffer: *mut u8, kind: u16, flags: u16, len: usize, counter: u32) -> bool {
    // SAFETY: a helper without arguments.
    let id = unsafe { bpf_get_current_pid_tgid() };
    send_for(
        buffer,
        kind,
        flags,
        len,
        counter,
        (id >> 32) as u32,
        id as u32,
    )
}

/// As [`send`], for a process that is not the current one.
#[inline(always)]
pub(crate) fn send_for(
    buffer: *mut u8,
    kind: u16,
    flags: u16,
    len: usize,
    counter: u32,
    tgid: u32,
    tid: u32,
) -> bool {
    if len > MAX_RECORD {
        count(counter);
        return false;
    }
    put(
        buffer,
        0,
        RecordHeader {
            kind,
            flags,
            len: len as u32,
            // SAFETY: a helper without arguments.
            time_ns: unsafe { bpf_ktime_get_ns() },
            tgid,
            tid,
        },
    );
    // The reader is woken when the ring fills, not for each record; it also looks by itself.
    let wake = if EVENTS.query(u64::from(BPF_RB_AVAIL_DATA)) >= config!(wakeup_bytes) {
        BPF_RB_FORCE_WAKEUP
    } else {
        BPF_RB_NO_WAKEUP
    };
    // SAFETY: `len` was checked against the buffer's length.
    let result = unsafe {
        bpf_ringbuf_output(
            (&raw const EVENTS).cast_mut().cast(),
            buffer.cast(),
            len as u64,
            u64::from(wake),
        )
    };
    if result != 0 {
        count(counter);
    }
    result == 0
}

/// Sends a note: one of `roar_common::note`.
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
