//! Which system calls are watched. Pure.
//!
//! One table a system-call interface. The filter is assembled from the tables and every
//! notification is decoded with them, so that the two can never disagree.

use libc::c_long;

/// A system-call interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Abi {
    /// That of roar itself.
    Native,
    /// The 32-bit x86 interface on an x86-64 kernel.
    #[cfg(target_arch = "x86_64")]
    I386,
}

impl Abi {
    /// The interface that a notification's architecture word names.
    pub(super) fn of_audit_arch(arch: u32) -> Option<Self> {
        match arch {
            NATIVE_ARCH => Some(Self::Native),
            #[cfg(target_arch = "x86_64")]
            I386_ARCH => Some(Self::I386),
            _ => None,
        }
    }

    /// The size of a pointer in the traced process.
    pub(super) fn pointer_bytes(self) -> usize {
        match self {
            Self::Native => size_of::<usize>(),
            #[cfg(target_arch = "x86_64")]
            Self::I386 => 4,
        }
    }

    /// Its watched calls.
    pub(super) fn table(self) -> &'static [Row] {
        match self {
            Self::Native => NATIVE,
            #[cfg(target_arch = "x86_64")]
            Self::I386 => I386,
        }
    }
}

/// `AUDIT_ARCH_*` of roar's own interface (`linux/audit.h`: machine | 64-bit | little-endian).
#[cfg(target_arch = "x86_64")]
pub(super) const NATIVE_ARCH: u32 = libc::EM_X86_64 as u32 | 0xC000_0000;
/// `AUDIT_ARCH_AARCH64`.
#[cfg(target_arch = "aarch64")]
pub(super) const NATIVE_ARCH: u32 = libc::EM_AARCH64 as u32 | 0xC000_0000;
/// `AUDIT_ARCH_RISCV64`.
#[cfg(target_arch = "riscv64")]
pub(super) const NATIVE_ARCH: u32 = libc::EM_RISCV as u32 | 0xC000_0000;
/// `AUDIT_ARCH_I386`.
#[cfg(target_arch = "x86_64")]
pub(super) const I386_ARCH: u32 = libc::EM_386 as u32 | 0x4000_0000;

/// One watched call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    /// Its number in its interface.
    pub(super) number: c_long,
    /// What it is.
    pub(super) operation: Operation,
}

/// The watched calls, whatever their numbers.
#[cfg_attr(
    not(target_arch = "x86_64"),
    expect(dead_code, reason = "newer machines never had the calls without `at`")
)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Open,
    OpenAt,
    OpenAt2,
    Creat,
    OpenByHandle,
    Exec,
    ExecAt,
    Rename,
    RenameAt,
    RenameAt2,
    Link,
    LinkAt,
    Symlink,
    SymlinkAt,
    Unlink,
    UnlinkAt,
    Rmdir,
    Mkdir,
    MkdirAt,
    Mknod,
    MknodAt,
    Truncate,
    /// Changes a root, a mount or the mount namespace: cached views of it are stale afterwards.
    Namespace,
    /// Changes the working directory.
    ChangeDirectory,
    /// Changes user or group: cached credentials are stale afterwards.
    Credentials,
    IoUringSetup,
    /// Connects a socket.
    Connect,
    /// Sends to an address.
    SendTo,
    /// Installs a seccomp filter.
    Seccomp,
    /// Installs one the old way.
    Prctl,
}

/// What of a call's flags decides whether it is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flags {
    /// Open flags: opens that only name a file or list a directory are let through.
    Open,
    /// An operation: only this one is watched.
    Is(u32),
    /// An address: a call that gives none is let through.
    Address,
}

impl Operation {
    /// The argument that holds flags by which the filter itself lets calls through, and what
    /// flags they are.
    pub(super) fn flags_argument(self) -> Option<(u32, Flags)> {
        match self {
            Self::Open => Some((1, Flags::Open)),
            Self::OpenAt => Some((2, Flags::Open)),
            Self::Seccomp => Some((0, Flags::Is(libc::SECCOMP_SET_MODE_FILTER))),
            Self::Prctl => Some((0, Flags::Is(libc::PR_SET_SECCOMP as u32))),
            Self::SendTo => Some((4, Flags::Address)),
            _ => None,
        }
    }
}

const fn row(number: c_long, operation: Operation) -> Row {
    Row { number, operation }
}

/// Calls of roar's own interface.
static NATIVE: &[Row] = &[
    row(libc::SYS_openat, Operation::OpenAt),
    #[cfg(target_arch = "x86_64")]
    row(libc::SYS_open, Operation::Open),
    row(libc::SYS_openat2, Operation::OpenAt2),
    row(libc::SYS_execve, Operation::Exec),
    row(libc::SYS_execveat, Operation::ExecAt),
    #[cfg(target_arch = "x86_64")]
    row(libc::SYS_creat, Operation::Creat),
    row(libc::SYS_open_by_handle_at, Operation::OpenByHandle),
    #[cfg(target_arch = "x86_64")]
    row(libc::SYS_rename, Operation::Rename),
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    row(libc::SYS_renameat, Operation::RenameAt),
    row(libc::SYS_renameat2, Operation::RenameAt2),
    #[cfg(target_arch = "x86_64")]
    row(libc::SYS_link, Operation::Link),
    row(libc::SYS_linkat, Operation::LinkAt),
    #[cfg(target_arch = "x86_64")]
    row(libc::SYS_symlink, Operation::Symlink),
    row(libc::SYS_symlinkat, Operation::SymlinkAt),
    #[cfg(target_arch = "x86_64")]
    row(libc::SYS_unlink, Operation::Unlink),
    row(libc::SYS_unlinkat, Operation::UnlinkAt),
    #[cfg(target_arch = "x86_64")]
    row(libc::SYS_rmdir, Operation::Rmdir),
    #[cfg(target_arch = "x86_64")]
    row(libc::SYS_mkdir, Operation::Mkdir),
    row(libc::SYS_mkdirat, Operation::MkdirAt),
    #[cfg(target_arch = "x86_64")]
    row(libc::SYS_mknod, Operation::Mknod),
    row(libc::SYS_mknodat, Operation::MknodAt),
    row(libc::SYS_truncate, Operation::Truncate),
    row(libc::SYS_chroot, Operation::Namespace),
    row(libc::SYS_pivot_root, Operation::Namespace),
    row(libc::SYS_setns, Operation::Namespace),
    row(libc::SYS_unshare, Operation::Namespace),
    row(libc::SYS_mount, Operation::Namespace),
    row(libc::SYS_umount2, Operation::Namespace),
    row(libc::SYS_move_mount, Operation::Namespace),
    row(libc::SYS_chdir, Operation::ChangeDirectory),
    row(libc::SYS_fchdir, Operation::ChangeDirectory),
    row(libc::SYS_setuid, Operation::Credentials),
    row(libc::SYS_setgid, Operation::Credentials),
    row(libc::SYS_setreuid, Operation::Credentials),
    row(libc::SYS_setregid, Operation::Credentials),
    row(libc::SYS_setresuid, Operation::Credentials),
    row(libc::SYS_setresgid, Operation::Credentials),
    row(libc::SYS_setgroups, Operation::Credentials),
    row(libc::SYS_capset, Operation::Credentials),
    row(libc::SYS_io_uring_setup, Operation::IoUringSetup),
    row(libc::SYS_connect, Operation::Connect),
    row(libc::SYS_sendto, Operation::SendTo),
    row(libc::SYS_seccomp, Operation::Seccomp),
    row(libc::SYS_prctl, Operation::Prctl),
];

/// The 32-bit x86 numbers (`arch/x86/entry/syscalls/syscall_32.tbl`; the libc crate has
/// only those of the target it is built for).
#[cfg(target_arch = "x86_64")]
static I386: &[Row] = &[
    row(5, Operation::Open),
    row(295, Operation::OpenAt),
    row(437, Operation::OpenAt2),
    row(11, Operation::Exec),
    row(358, Operation::ExecAt),
    row(8, Operation::Creat),
    row(342, Operation::OpenByHandle),
    row(38, Operation::Rename),
    row(302, Operation::RenameAt),
    row(353, Operation::RenameAt2),
    row(9, Operation::Link),
    row(303, Operation::LinkAt),
    row(83, Operation::Symlink),
    row(304, Operation::SymlinkAt),
    row(10, Operation::Unlink),
    row(301, Operation::UnlinkAt),
    row(40, Operation::Rmdir),
    row(39, Operation::Mkdir),
    row(296, Operation::MkdirAt),
    row(14, Operation::Mknod),
    row(297, Operation::MknodAt),
    row(92, Operation::Truncate),
    row(193, Operation::Truncate),
    row(61, Operation::Namespace),
    row(217, Operation::Namespace),
    row(346, Operation::Namespace),
    row(310, Operation::Namespace),
    row(21, Operation::Namespace),
    row(52, Operation::Namespace),
    row(429, Operation::Namespace),
    row(12, Operation::ChangeDirectory),
    row(133, Operation::ChangeDirectory),
    row(425, Operation::IoUringSetup),
    row(362, Operation::Connect),
    row(369, Operation::SendTo),
    row(354, Operation::Seccomp),
    row(172, Operation::Prctl),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_stands_twice_in_a_table() {
        for abi in [
            Abi::Native,
            #[cfg(target_arch = "x86_64")]
            Abi::I386,
        ] {
            let mut numbers: Vec<_> = abi.table().iter().map(|row| row.number).collect();
            numbers.sort_unstable();
            let before = numbers.len();
            numbers.dedup();
            assert_eq!(numbers.len(), before);
        }
    }
}
