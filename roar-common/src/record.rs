//! Records as they travel through the ring buffer.

/// The longest path argument that a record holds, in bytes, zero byte included (PATH_MAX).
pub const PATH_STRING_MAX: usize = 4096;

/// The most bytes of a directory or file path that a record holds.
pub const DIRECTORY_MAX: usize = 8192;

/// The most components of a path that a record holds.
pub const NAME_MAX_COMPONENTS: u32 = 2048;

/// The most bytes of arguments that an exec record holds.
pub const EXEC_ARGV_MAX: usize = 8192;

/// The most bytes of a name server's answer that a record holds.
pub const ANSWER_MAX: usize = 4096;

/// The longest record.
pub const MAX_RECORD: usize = 28 * 1024;

/// Kinds of records.
pub mod kind {
    /// A process started: [`super::StartBody`].
    pub const START: u16 = 1;
    /// A process executed a program: [`super::FileBody`], path, and zero-ended arguments to the
    /// end of the record.
    pub const EXEC: u16 = 2;
    /// A process ended: [`super::ExitBody`].
    pub const EXIT: u16 = 3;
    /// A file was touched: [`super::FileBody`], path.
    pub const FILE: u16 = 4;
    /// A name changed: [`super::NameBody`], two directories, two strings.
    pub const NAME: u16 = 5;
    /// Something the user must know: [`super::NoteBody`].
    pub const NOTE: u16 = 6;
    /// How a change of names that was announced ended: [`super::OutcomeBody`].
    pub const OUTCOME: u16 = 7;
    /// An endpoint of the network was contacted: [`super::ContactBody`].
    pub const CONTACT: u16 = 8;
    /// A name server answered: [`super::AnswerBody`], the message.
    pub const ANSWER: u16 = 9;
}

/// Flags of a record.
pub mod flags {
    /// The (first) path was cut.
    pub const PATH_CUT: u16 = 1;
    /// The second path was cut.
    pub const SECOND_PATH_CUT: u16 = 2;
    /// The argument list was cut.
    pub const ARGV_CUT: u16 = 4;
    /// The argument list could not be read.
    pub const ARGV_UNREADABLE: u16 = 8;
    /// A string argument was at the limit and may be cut.
    pub const STRING_CUT: u16 = 16;
    /// The program has rights beyond its user's; what it does is not reported to that user.
    pub const NOT_FOLLOWED: u16 = 32;
    /// An announced change whose success the kernel does not tell of: it counts as done, and
    /// only a failure follows.
    pub const UNCONFIRMED: u16 = 64;
}

/// What was done to a file.
pub mod access {
    /// Bytes were read.
    pub const READ: u8 = 1;
    /// Mapped readable or executable.
    pub const MAPPED: u8 = 2;
    /// Opened for writing, not emptied.
    pub const OPENED_WRITE: u8 = 3;
    /// Bytes were written.
    pub const WRITTEN: u8 = 4;
    /// Mapped shared and writable.
    pub const MAPPED_WRITE: u8 = 5;
    /// Created by an open.
    pub const CREATED: u8 = 6;
    /// Emptied or cut.
    pub const TRUNCATED: u8 = 7;
    /// Executed.
    pub const EXECUTED: u8 = 8;
}

/// What happened to a name.
pub mod name_op {
    /// First name renamed to second.
    pub const RENAME: u8 = 1;
    /// Names swapped.
    pub const EXCHANGE: u8 = 2;
    /// Second is a further name of the first.
    pub const LINK: u8 = 3;
    /// First string is the target, second the new link.
    pub const SYMLINK: u8 = 4;
    /// First name removed.
    pub const UNLINK: u8 = 5;
    /// First name, a directory, removed.
    pub const RMDIR: u8 = 6;
    /// First name, a directory, made.
    pub const MKDIR: u8 = 7;
    /// First name truncated by path.
    pub const TRUNCATE: u8 = 8;
    /// First name made by `mknod`.
    pub const MKNOD: u8 = 9;
    /// As LINK, but the first file is named by a descriptor (AT_EMPTY_PATH): the first
    /// directory is the file itself.
    pub const LINK_DESCRIPTOR: u8 = 10;
    /// First name, a script, was executed: the program image is that of its interpreter.
    pub const SCRIPT: u8 = 11;
    /// Something was mounted at the first name; from the second, if that has a string.
    pub const MOUNTED: u8 = 12;
    /// What was mounted at the first name is so no more.
    pub const UNMOUNTED: u8 = 13;
    /// The process's root directory, the first name, is another.
    pub const PIVOTED: u8 = 14;
}

/// Notes.
pub mod note {
    /// `io_uring_setup` succeeded.
    pub const IO_URING: u32 = 1;
    /// An io_uring request whose file could not be told asked to be silent about its success.
    pub const IO_URING_SILENT: u32 = 2;
    /// The kernel was told to use a file by itself: swapping, accounting, a module.
    pub const KERNEL_FILE: u32 = 3;
    /// A btrfs subvolume was sent: the kernel reads its files.
    pub const BTRFS_SEND: u32 = 4;
}

/// The start of every record.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct RecordHeader {
    /// One of [`kind`].
    pub kind: u16,
    /// A set of [`flags`].
    pub flags: u16,
    /// Length of the whole record in bytes.
    pub len: u32,
    /// `CLOCK_MONOTONIC` nanoseconds.
    pub time_ns: u64,
    /// Thread-group id in the initial pid namespace.
    pub tgid: u32,
    /// Thread id in the initial pid namespace.
    pub tid: u32,
}

/// Body of [`kind::START`].
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct StartBody {
    /// Parent's thread-group id; 0 for the registered command.
    pub parent: u32,
    /// Zero.
    pub padding: u32,
}

/// Body of [`kind::EXIT`].
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct ExitBody {
    /// The kernel's exit code: status << 8 | signal.
    pub code: u32,
    /// Zero.
    pub padding: u32,
}

/// Body of [`kind::FILE`] and [`kind::EXEC`]; `path_len` bytes of path follow.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct FileBody {
    /// Inode number.
    pub inode: u64,
    /// Size in bytes.
    pub size: u64,
    /// Modification time, seconds since the Unix epoch.
    pub mtime_sec: i64,
    /// Change time, seconds since the Unix epoch.
    pub ctime_sec: i64,
    /// Modification time, nanoseconds.
    pub mtime_nsec: u32,
    /// Change time, nanoseconds.
    pub ctime_nsec: u32,
    /// Result of the call: bytes, for reads and writes.
    pub result: u64,
    /// Superblock device, the kernel's encoding (major << 20 | minor).
    pub device: u32,
    /// Inode generation.
    pub generation: u32,
    /// Mount id.
    pub mount_id: u32,
    /// Link count; 0 for a deleted file.
    pub nlink: u32,
    /// Length of the path in bytes.
    pub path_len: u32,
    /// File system type, as the magic number of statfs(2).
    pub fs_magic: u32,
    /// One of [`access`].
    pub access: u8,
    /// Zero.
    pub padding: [u8; 7],
}

/// Body of [`kind::NAME`]; the two directories and the two strings follow in this order:
/// first directory, first string, second directory, second string. Strings end with a
/// zero byte, which their length counts.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct NameBody {
    /// Mount id of the first directory.
    pub first_mount_id: u32,
    /// Mount id of the second directory.
    pub second_mount_id: u32,
    /// Superblock device of the first directory.
    pub first_device: u32,
    /// Superblock device of the second directory.
    pub second_device: u32,
    /// Length of the first directory's path.
    pub first_directory_len: u32,
    /// Length of the first string.
    pub first_string_len: u32,
    /// Length of the second directory's path.
    pub second_directory_len: u32,
    /// Length of the second string.
    pub second_string_len: u32,
    /// 0 when the change has happened; else a number of the request by which it is announced (io_uring takes its names at
    /// submission), and a record of kind [`kind::OUTCOME`] with this number says how it ended.
    /// For [`name_op::TRUNCATE`], which is never announced: the new length in bytes.
    pub request: u64,
    /// One of [`name_op`].
    pub op: u8,
    /// Zero.
    pub padding: [u8; 7],
}

/// Body of [`kind::OUTCOME`].
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct OutcomeBody {
    /// As in the announcement.
    pub request: u64,
    /// The result; negative for a failure.
    pub result: i64,
}

/// Body of [`kind::NOTE`].
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct NoteBody {
    /// One of [`note`].
    pub note: u32,
    /// Detail.
    pub detail: u32,
}

/// Body of [`kind::CONTACT`].
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct ContactBody {
    /// Address in network order; the first four bytes of it for IPv4.
    pub address: [u8; 16],
    /// `AF_INET` or `AF_INET6`.
    pub family: u16,
    /// Port in network order.
    pub port: u16,
    /// `SOCK_STREAM`, `SOCK_DGRAM`, …
    pub socket_type: u16,
    /// Zero.
    pub padding: u16,
}

/// Body of [`kind::ANSWER`]; the message (RFC 1035) follows, cut at [`ANSWER_MAX`].
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct AnswerBody {
    /// Its length in bytes.
    pub len: u32,
    /// Zero.
    pub padding: u32,
}

const _: () = {
    assert!(size_of::<ContactBody>() == 24);
    assert!(size_of::<AnswerBody>() == 8);
    assert!(size_of::<RecordHeader>() == 24);
    assert!(size_of::<StartBody>() == 8);
    assert!(size_of::<ExitBody>() == 8);
    assert!(size_of::<FileBody>() == 80);
    assert!(size_of::<NameBody>() == 48);
    assert!(size_of::<OutcomeBody>() == 16);
    assert!(size_of::<NoteBody>() == 8);
};
