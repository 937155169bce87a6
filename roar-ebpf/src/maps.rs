//! Maps, and the read-only globals that the loader fills.

use crate::handler::Call;
use crate::name::Written;
use crate::process::Known;
use crate::walk::Walk;
use aya_ebpf::bindings::BPF_F_NO_PREALLOC;
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, CgroupArray, HashMap, PerCpuArray, ProgramArray, RingBuf};
use roar_common::{CLASS_TABLE_LEN, Config, handler, lost};

/// Records to the user side. The loader sets the size.
#[map]
pub(crate) static EVENTS: RingBuf = RingBuf::with_byte_size(1 << 22, 0);

/// Traced processes by thread-group id; the value is a set of `process::state` bits. More living
/// processes than entries are counted; the table of buckets alone costs 3 ms at 2^18 entries.
#[map]
pub(crate) static PROCESSES: HashMap<u32, u32> =
    HashMap::with_max_entries(1 << 15, BPF_F_NO_PREALLOC);

/// How often [`PROCESSES`] has changed.
#[map]
pub(crate) static CHANGES: Array<u64> = Array::with_max_entries(1, 0);

/// The process that each CPU looked up last: the same again is no look-up.
#[map]
pub(crate) static KNOWN: PerCpuArray<Known> = PerCpuArray::with_max_entries(1, 0);

/// The cgroup whose processes are all traced. The loader creates it only when one is asked for.
#[map]
pub(crate) static CGROUP: CgroupArray = CgroupArray::with_max_entries(1, 0);

/// First-touch cache: the fingerprint of (process, file, access) last reported from each slot.
/// A collision only repeats a record; a 64-bit fingerprint never hides one in practice.
#[map]
pub(crate) static SEEN: Array<u64> = Array::with_max_entries(SEEN_SLOTS, 0);

/// Slots of [`SEEN`]; a power of two.
pub(crate) const SEEN_SLOTS: u32 = 1 << 16;

/// What could not be reported, by `roar_common::lost`.
#[map]
pub(crate) static LOST: PerCpuArray<u64> = PerCpuArray::with_max_entries(lost::COUNT, 0);

/// Where a record is put together. One per CPU is enough: the programs run with preemption
/// off, and none of them runs inside another.
#[map]
pub(crate) static SCRATCH: PerCpuArray<[u8; SCRATCH_LEN]> = PerCpuArray::with_max_entries(1, 0);

/// Length of [`SCRATCH`]: the most that a per-CPU value may have.
pub(crate) const SCRATCH_LEN: usize = 32 * 1024;

/// The walk in progress on each CPU.
#[map]
pub(crate) static WALK: PerCpuArray<Walk> = PerCpuArray::with_max_entries(1, 0);

/// The programs that report, by `roar_common::handler`. The loader fills it.
#[map]
pub(crate) static HANDLERS: ProgramArray = ProgramArray::with_max_entries(handler::COUNT, 0);

/// What each CPU's hook asks its handler for.
#[map]
pub(crate) static CALL: PerCpuArray<Call> = PerCpuArray::with_max_entries(1, 0);

/// The path written last on each CPU.
#[map]
pub(crate) static WRITTEN: PerCpuArray<Written> = PerCpuArray::with_max_entries(1, 0);

/// The class of every system call.
#[unsafe(no_mangle)]
static CLASSES: [u8; CLASS_TABLE_LEN] = [0; CLASS_TABLE_LEN];

/// Settings of the run.
#[unsafe(no_mangle)]
static CONFIG: Config = Config {
    cookie: 0,
    wakeup_bytes: 0,
    with_cgroup: 0,
    owner: 0,
    secret: 0,
};

/// One word of the layout, as 64 bits with its sign. A number that the compiler knows nothing of:
/// the loader puts another in its place, which costs nothing when a program runs and the verifier
/// one instruction, where a load from a map costs both three.
macro_rules! layout {
    ($field:ident $(. $inner:ident)* [$index:literal]) => {
        $crate::maps::layout!(@ (core::mem::offset_of!(roar_common::KernelLayout, $field $(. $inner)*)
            + $index * size_of::<u32>()))
    };
    ($field:ident $(. $inner:ident)*) => {
        $crate::maps::layout!(@ (core::mem::offset_of!(roar_common::KernelLayout, $field $(. $inner)*)))
    };
    (@ $at:expr) => {{
        let word: u64;
        // SAFETY: a move of a number into a register.
        unsafe {
            core::arch::asm!(
                "{word} = {number}",
                word = out(reg) word,
                number = const roar_common::LAYOUT_WORD + $at as u32,
                options(nomem, nostack, preserves_flags),
            )
        };
        word
    }};
}
pub(crate) use layout;

/// Reads one field of the settings.
macro_rules! config {
    ($field:ident) => {
        // SAFETY: a static of plain integers, never written.
        unsafe { core::ptr::read_volatile(&raw const $crate::maps::config_static().$field) }
    };
}
pub(crate) use config;

#[inline(always)]
pub(crate) fn config_static() -> &'static Config {
    &CONFIG
}

/// The class of a system call; `index` must be below `CLASS_TABLE_LEN`.
#[inline(always)]
pub(crate) fn class_of(index: usize) -> u8 {
    // SAFETY: the index is masked into the table.
    unsafe {
        core::ptr::read_volatile(
            (&raw const CLASSES)
                .cast::<u8>()
                .add(index & (CLASS_TABLE_LEN - 1)),
        )
    }
}
