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
    roar_count(counter.into());
}

/// A global function: the verifier walks it once, and not again for each place that counts.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn roar_count(counter: u64) -> u64 {
    if let Some(slot) = LOST.get_ptr_mut(counter as u32) {
        // SAFETY: a per-CPU slot, and preemption is off.
        unsafe { *slot += 1 };
    }
    0
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
pub(crate) fn send(kind: u16, flags: u16, len: usize, counter: u32) -> bool {
    // SAFETY: a helper without arguments.
    let id = unsafe { bpf_get_current_pid_tgid() };
    send_for(kind, flags, len, counter, id)
}

/// As [`send`], for a process that is not the current one: its group in the upper half, as the
/// kernel tells the current one's.
#[inline(always)]
pub(crate) fn send_for(kind: u16, flags: u16, len: usize, counter: u32, id: u64) -> bool {
    let what = u64::from(kind) | u64::from(flags) << 16 | u64::from(counter) << 32;
    roar_send(what, len as u64, id) != 0
}

/// A global function, as [`roar_count`]: with the kind of record in the lowest 16 bits, its flags in
/// the next, and above them the counter of its loss.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn roar_send(what: u64, len: u64, id: u64) -> u64 {
    let counter = (what >> 32) as u32;
    let Some(buffer) = scratch().filter(|_| len <= MAX_RECORD as u64) else {
        count(counter);
        return 0;
    };
    // The words of a `RecordHeader`.
    put(buffer, 0, what & 0xffff_ffff | len << 32);
    // SAFETY: a helper without arguments.
    put(buffer, 8, unsafe { bpf_ktime_get_ns() });
    put(buffer, 16, id.rotate_left(32));
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
            len,
            u64::from(wake),
        )
    };
    if result != 0 {
        count(counter);
        return 0;
    }
    1
}

const _: () = {
    use core::mem::offset_of;
    assert!(cfg!(target_endian = "little"));
    assert!(offset_of!(RecordHeader, kind) == 0 && offset_of!(RecordHeader, flags) == 2);
    assert!(offset_of!(RecordHeader, len) == 4 && offset_of!(RecordHeader, time_ns) == 8);
    assert!(offset_of!(RecordHeader, tgid) == 16 && offset_of!(RecordHeader, tid) == 20);
    assert!(size_of::<RecordHeader>() == 24);
};

/// Sends a note: one of `roar_common::note`.
#[inline(always)]
pub(crate) fn noted(what: u32) {
    roar_noted(what.into());
}

/// As [`roar_count`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn roar_noted(what: u64) -> u64 {
    if let Some(buffer) = scratch() {
        put(
            buffer,
            size_of::<RecordHeader>(),
            NoteBody {
                note: what as u32,
                detail: 0,
            },
        );
        let len = size_of::<RecordHeader>() + size_of::<NoteBody>();
        send(kind::NOTE, 0, len, lost::NOTE);
    }
    0
}
