//! The ABI between roar's eBPF programs and its user side, and nothing else.
//!
//! Both sides are built from this file. Records travel through the ring buffer as a
//! [`RecordHeader`], a fixed body for their kind, and variable bytes at the end, all in
//! the byte order of the machine (the object is built for little-endian machines).
//! Every struct is `repr(C)` with explicit padding; sizes and offsets are asserted below.
//!
//! Paths are sent as the kernel walks them: the names from the file up to the root of its
//! file system, each ended by a zero byte. The user side reverses them and puts the mount
//! point in front.
#![no_std]

mod layout;
mod record;
mod syscalls;

pub use layout::{KernelLayout, NetworkLayout, SyscallAbi, UringLayout};
pub use record::{
    ANSWER_MAX, AnswerBody, ContactBody, DIRECTORY_MAX, EXEC_ARGV_MAX, ExitBody, FileBody,
    MAX_RECORD, NAME_MAX_COMPONENTS, NameBody, NoteBody, OutcomeBody, PATH_STRING_MAX,
    RecordHeader, StartBody, access, flags, kind, name_op, note,
};
pub use syscalls::{CLASS_TABLE_LEN, COMPAT_OFFSET, class};

/// Names of the maps and globals that the loader looks up.
pub mod names {
    /// The ring buffer of records.
    pub const EVENTS: &str = "EVENTS";
    /// Traced processes by thread-group id.
    pub const PROCESSES: &str = "PROCESSES";
    /// Per-CPU counters, indexed by [`crate::lost`].
    pub const LOST: &str = "LOST";
    /// First-touch cache.
    pub const SEEN: &str = "SEEN";
    /// The programs that report, indexed by [`crate::handler`].
    pub const HANDLERS: &str = "HANDLERS";
    /// One cgroup (v2), when all that runs in it is to be traced.
    pub const CGROUP: &str = "CGROUP";
    /// Global: class of every system call number.
    pub const CLASSES: &str = "CLASSES";
    /// Global: the run's settings.
    pub const CONFIG: &str = "CONFIG";
}

/// The upper half of a number that the loader puts a word of [`KernelLayout`] in the place of; the
/// lower half is where that is, in bytes. No other number of the programs is like it.
pub const LAYOUT_WORD: u32 = 0x5f1e_0000;

/// The number of a call that the loader puts something else in the place of: an address in, a
/// pointer of the type in [`KernelLayout::window`] out. No kernel has as many helpers.
pub const CAST_CALL: u32 = 0x00ff_0001;

/// Slots of the map [`names::HANDLERS`].
pub mod handler {
    /// Reports accesses to files.
    pub const FILES: u32 = 0;
    /// Reports changes of names.
    pub const NAMES: u32 = 1;
    /// Reports network endpoints.
    pub const NETWORK: u32 = 2;
    /// How many there are.
    pub const COUNT: u32 = 3;
}

/// Settings of one run, handed over as a read-only global.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Config {
    /// Random value by which the child registers itself (see [`class::REGISTER`]).
    pub cookie: u64,
    /// Ring fill, in bytes, at which the reader is woken.
    pub wakeup_bytes: u64,
    /// When not 0: trace also what runs in the cgroup of the map [`names::CGROUP`].
    pub with_cgroup: u64,
    /// The user whose processes alone are traced, and only while they have no rights beyond
    /// that user's; [`ANY_OWNER`] for no such restriction.
    pub owner: u64,
    /// Random value that hides kernel addresses in the records from their reader.
    pub secret: u64,
}

/// The [`Config::owner`] of a tracer that root started: every process may be traced.
pub const ANY_OWNER: u64 = u64::MAX;

/// First argument of the `prctl` call by which the forked child registers itself.
/// The kernel does not know the option and answers EINVAL; the program sees the call.
pub const REGISTER_PRCTL: u32 = 0x726f_6172;

/// Third argument of that call: what the caller registers itself as.
pub mod role {
    /// The command: traced from its next exec on.
    pub const COMMAND: u64 = 0;
    /// The observer: not traced, whatever cgroup it is in.
    pub const OBSERVER: u64 = 1;
}

/// Indexes of the per-CPU counters.
pub mod lost {
    /// Process records (start, exec, exit) that did not fit into the ring.
    pub const PROCESS: u32 = 0;
    /// File records that did not fit.
    pub const FILE: u32 = 1;
    /// Name records that did not fit.
    pub const NAME: u32 = 2;
    /// Notes that did not fit.
    pub const NOTE: u32 = 3;
    /// Processes that the process map had no room for: they and their children are unseen.
    pub const UNTRACKED_PROCESS: u32 = 4;
    /// A path argument could not be read from the process's memory.
    pub const UNREADABLE_PATH: u32 = 5;
    /// A descriptor was gone when the call that used it returned.
    pub const VANISHED_DESCRIPTOR: u32 = 6;
    /// A kernel structure could not be read.
    pub const UNREADABLE_KERNEL: u32 = 7;
    /// Records of the network that did not fit.
    pub const NETWORK: u32 = 8;
    /// Number of counters.
    pub const COUNT: u32 = 9;
}

const _: () = {
    assert!(size_of::<Config>() == 40);
};
