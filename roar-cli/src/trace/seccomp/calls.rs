//! Which system calls are watched, and what their arguments mean. Pure.
//!
//! One table a system-call interface. The filter is assembled from the tables and every
//! notification is decoded with them, so that the two can never disagree. Nothing here
//! reads memory of the traced process: addresses stay addresses.

use libc::c_long;

/// `dirfd` value that stands for the working directory.
pub(super) const AT_FDCWD: i32 = libc::AT_FDCWD;

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
}

impl Operation {
    /// The argument that holds the open flags, where it is a register: opens that only name
    /// a file or list a directory are then let through by the filter itself.
    pub(super) fn flags_argument(self) -> Option<u32> {
        match self {
            Self::Open => Some(1),
            Self::OpenAt => Some(2),
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
];

/// A path argument: the directory it is relative to, and where its bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct At {
    /// A descriptor of the traced process, or [`AT_FDCWD`].
    pub(super) dirfd: i32,
    /// Address of the path in the traced process.
    pub(super) path: u64,
}

/// A watched call with its arguments in their places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Open { at: At, flags: i32 },
    OpenHow { at: At, how: u64 },
    OpenByHandle,
    Exec { at: At, argv: u64, flags: i32 },
    Rename { from: At, to: At, flags: u32 },
    Link { from: At, to: At, flags: i32 },
    Symlink { target: u64, at: At },
    Unlink { at: At },
    MakeDirectory { at: At },
    MakeNode { at: At, mode: u32 },
    Truncate { at: At, length: u64 },
    Namespace,
    ChangeDirectory,
    Credentials,
    IoUringSetup,
}

/// Decodes a notification's number and arguments; none for a call that is not watched.
#[expect(
    clippy::many_single_char_names,
    reason = "registers have no better names"
)]
pub(super) fn decode(abi: Abi, number: i32, args: &[u64; 6]) -> Option<Call> {
    let row = abi
        .table()
        .iter()
        .find(|row| row.number == c_long::from(number))?;
    let here = |path| At {
        dirfd: AT_FDCWD,
        path,
    };
    let at = |dirfd: u64, path| At {
        dirfd: dirfd as i32,
        path,
    };
    let [a, b, c, d, e, _] = *args;
    Some(match row.operation {
        Operation::Open => Call::Open {
            at: here(a),
            flags: b as i32,
        },
        Operation::OpenAt => Call::Open {
            at: at(a, b),
            flags: c as i32,
        },
        Operation::OpenAt2 => Call::OpenHow {
            at: at(a, b),
            how: c,
        },
        Operation::Creat => Call::Open {
            at: here(a),
            flags: libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC,
        },
        Operation::OpenByHandle => Call::OpenByHandle,
        Operation::Exec => Call::Exec {
            at: here(a),
            argv: b,
            flags: 0,
        },
        Operation::ExecAt => Call::Exec {
            at: at(a, b),
            argv: c,
            flags: e as i32,
        },
        Operation::Rename => Call::Rename {
            from: here(a),
            to: here(b),
            flags: 0,
        },
        Operation::RenameAt => Call::Rename {
            from: at(a, b),
            to: at(c, d),
            flags: 0,
        },
        Operation::RenameAt2 => Call::Rename {
            from: at(a, b),
            to: at(c, d),
            flags: e as u32,
        },
        Operation::Link => Call::Link {
            from: here(a),
            to: here(b),
            flags: 0,
        },
        Operation::LinkAt => Call::Link {
            from: at(a, b),
            to: at(c, d),
            flags: e as i32,
        },
        Operation::Symlink => Call::Symlink {
            target: a,
            at: here(b),
        },
        Operation::SymlinkAt => Call::Symlink {
            target: a,
            at: at(b, c),
        },
        Operation::Unlink | Operation::Rmdir => Call::Unlink { at: here(a) },
        Operation::UnlinkAt => Call::Unlink { at: at(a, b) },
        Operation::Mkdir => Call::MakeDirectory { at: here(a) },
        Operation::MkdirAt => Call::MakeDirectory { at: at(a, b) },
        Operation::Mknod => Call::MakeNode {
            at: here(a),
            mode: b as u32,
        },
        Operation::MknodAt => Call::MakeNode {
            at: at(a, b),
            mode: c as u32,
        },
        Operation::Truncate => Call::Truncate {
            at: here(a),
            length: b,
        },
        Operation::Namespace => Call::Namespace,
        Operation::ChangeDirectory => Call::ChangeDirectory,
        Operation::Credentials => Call::Credentials,
        Operation::IoUringSetup => Call::IoUringSetup,
    })
}

/// What an open asks for, as its flags say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Intent {
    /// Names a file or lists a directory: no access to a file's bytes.
    None,
    /// Reads.
    Read,
    /// Writes, and maybe reads, creates or empties.
    Write(WriteIntent),
}

/// The details of an open for writing.
#[expect(
    clippy::struct_excessive_bools,
    reason = "one for each flag of open(2)"
)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct WriteIntent {
    /// O_RDONLY or O_RDWR.
    pub(super) reads: bool,
    /// O_WRONLY or O_RDWR.
    pub(super) writes: bool,
    /// O_CREAT.
    pub(super) creates: bool,
    /// O_EXCL together with O_CREAT.
    pub(super) exclusive: bool,
    /// O_TRUNC.
    pub(super) empties: bool,
}

/// Reads the flags of an open.
pub(super) fn intent(flags: i32) -> Intent {
    let unnamed = flags & libc::O_TMPFILE == libc::O_TMPFILE;
    if flags & libc::O_PATH != 0 || flags & libc::O_DIRECTORY != 0 || unnamed {
        // An unnamed file shows itself when it is linked to a name; without one it is gone
        // at the end of the job and was neither input nor output.
        return Intent::None;
    }
    let creates = flags & libc::O_CREAT != 0;
    let mode = flags & libc::O_ACCMODE;
    // O_RDONLY | O_TRUNC empties a file all the same (open(2) calls it unspecified; Linux does it).
    if mode == libc::O_RDONLY && !creates && flags & libc::O_TRUNC == 0 {
        return Intent::Read;
    }
    Intent::Write(WriteIntent {
        reads: mode != libc::O_WRONLY,
        writes: mode != libc::O_RDONLY,
        creates,
        exclusive: creates && flags & libc::O_EXCL != 0,
        empties: flags & libc::O_TRUNC != 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_find_their_places() {
        let args = [11, 22, 33, 44, 55, 66];
        let check = |number: c_long, expected: Call| {
            assert_eq!(
                decode(Abi::Native, number as i32, &args),
                Some(expected),
                "{number}"
            );
        };
        let at = |dirfd, path| At { dirfd, path };
        check(
            libc::SYS_openat,
            Call::Open {
                at: at(11, 22),
                flags: 33,
            },
        );
        check(
            libc::SYS_openat2,
            Call::OpenHow {
                at: at(11, 22),
                how: 33,
            },
        );
        check(
            libc::SYS_execve,
            Call::Exec {
                at: at(AT_FDCWD, 11),
                argv: 22,
                flags: 0,
            },
        );
        check(
            libc::SYS_execveat,
            Call::Exec {
                at: at(11, 22),
                argv: 33,
                flags: 55,
            },
        );
        check(
            libc::SYS_renameat2,
            Call::Rename {
                from: at(11, 22),
                to: at(33, 44),
                flags: 55,
            },
        );
        check(
            libc::SYS_linkat,
            Call::Link {
                from: at(11, 22),
                to: at(33, 44),
                flags: 55,
            },
        );
        check(
            libc::SYS_symlinkat,
            Call::Symlink {
                target: 11,
                at: at(22, 33),
            },
        );
        check(libc::SYS_unlinkat, Call::Unlink { at: at(11, 22) });
        check(
            libc::SYS_mknodat,
            Call::MakeNode {
                at: at(11, 22),
                mode: 33,
            },
        );
        check(
            libc::SYS_truncate,
            Call::Truncate {
                at: at(AT_FDCWD, 11),
                length: 22,
            },
        );
        assert_eq!(decode(Abi::Native, libc::SYS_read as i32, &args), None);
        assert_eq!(decode(Abi::Native, -1, &args), None);
    }

    #[test]
    fn a_dirfd_is_the_low_half_of_its_register() {
        let args = [0xffff_ff9c, 22, 0, 0, 0, 0];
        let call = decode(Abi::Native, libc::SYS_openat as i32, &args);
        assert_eq!(
            call,
            Some(Call::Open {
                at: At {
                    dirfd: AT_FDCWD,
                    path: 22
                },
                flags: 0
            })
        );
    }

    #[test]
    fn open_flags_tell_the_intent() {
        let write = WriteIntent {
            writes: true,
            ..WriteIntent::default()
        };
        let cases = [
            (libc::O_RDONLY | libc::O_CLOEXEC, Intent::Read),
            (libc::O_RDONLY | libc::O_DIRECTORY, Intent::None),
            (libc::O_PATH, Intent::None),
            (libc::O_TMPFILE | libc::O_RDWR, Intent::None),
            (libc::O_WRONLY, Intent::Write(write)),
            (
                libc::O_RDWR,
                Intent::Write(WriteIntent {
                    reads: true,
                    ..write
                }),
            ),
            (
                libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC,
                Intent::Write(WriteIntent {
                    creates: true,
                    empties: true,
                    ..write
                }),
            ),
            (
                libc::O_RDWR | libc::O_CREAT | libc::O_EXCL,
                Intent::Write(WriteIntent {
                    reads: true,
                    creates: true,
                    exclusive: true,
                    ..write
                }),
            ),
            (libc::O_WRONLY | libc::O_EXCL, Intent::Write(write)),
            (
                libc::O_RDONLY | libc::O_CREAT,
                Intent::Write(WriteIntent {
                    reads: true,
                    writes: false,
                    creates: true,
                    ..write
                }),
            ),
        ];
        for (flags, expected) in cases {
            assert_eq!(intent(flags), expected, "{flags:#o}");
        }
    }

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
