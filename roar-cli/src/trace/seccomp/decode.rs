//! What the arguments of watched calls mean. Pure: nothing here reads memory of the traced
//! process; addresses stay addresses.

use libc::c_long;

use super::calls::{Abi, Operation};

/// `dirfd` value that stands for the working directory.
pub(super) const AT_FDCWD: i32 = libc::AT_FDCWD;

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
    Open {
        at: At,
        flags: i32,
    },
    OpenHow {
        at: At,
        how: u64,
    },
    OpenByHandle,
    Exec {
        at: At,
        argv: u64,
        flags: i32,
    },
    Rename {
        from: At,
        to: At,
        flags: u32,
    },
    Link {
        from: At,
        to: At,
        flags: i32,
    },
    Symlink {
        target: u64,
        at: At,
    },
    Unlink {
        at: At,
    },
    MakeDirectory {
        at: At,
    },
    MakeNode {
        at: At,
        mode: u32,
    },
    Truncate {
        at: At,
        length: u64,
    },
    Namespace,
    ChangeDirectory,
    Credentials,
    IoUringSetup,
    Contact {
        socket: i32,
        address: u64,
        connects: bool,
    },
    /// A seccomp filter of the process's own.
    OwnFilter {
        program: u64,
        listens: bool,
    },
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
        Operation::Connect => Call::Contact {
            socket: a as i32,
            address: b,
            connects: true,
        },
        Operation::SendTo => Call::Contact {
            socket: a as i32,
            address: e,
            connects: false,
        },
        Operation::Seccomp => Call::OwnFilter {
            program: c,
            listens: b & u64::from(libc::SECCOMP_FILTER_FLAG_NEW_LISTENER as u32) != 0,
        },
        Operation::Prctl => Call::OwnFilter {
            // The strict mode has no program.
            program: if b == u64::from(libc::SECCOMP_MODE_FILTER) {
                c
            } else {
                0
            },
            listens: false,
        },
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
}
