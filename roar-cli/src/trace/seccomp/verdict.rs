//! The judgements of the supervisor: may this process open that file, and did the file
//! change between two looks. Pure.

/// What of a process's identity decides over file access.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Credentials {
    /// File-system user.
    pub(super) user: u32,
    /// File-system group.
    pub(super) group: u32,
    /// Supplementary groups.
    pub(super) groups: Vec<u32>,
    /// CAP_DAC_OVERRIDE: file modes do not bind.
    pub(super) overrides: bool,
}

/// Bit of CAP_DAC_OVERRIDE in a capability set.
const CAP_DAC_OVERRIDE: u64 = 1 << 1;

impl Credentials {
    /// Reads `/proc/PID/status`; with it come thread group and parent.
    pub(super) fn parse(status: &str) -> Option<(Self, Lineage)> {
        let field = |name: &str| {
            status
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::trim))
        };
        let number = |name: &str| field(name)?.parse::<u32>().ok();
        // Real, effective, saved, file system.
        let fourth = |name: &str| field(name)?.split_whitespace().nth(3)?.parse::<u32>().ok();
        let capabilities = u64::from_str_radix(field("CapEff")?, 16).ok()?;
        let credentials = Self {
            user: fourth("Uid")?,
            group: fourth("Gid")?,
            groups: field("Groups")?
                .split_whitespace()
                .filter_map(|g| g.parse().ok())
                .collect(),
            overrides: capabilities & CAP_DAC_OVERRIDE != 0,
        };
        let lineage = Lineage {
            group: number("Tgid")?,
            parent: number("PPid")?,
        };
        Some((credentials, lineage))
    }
}

/// A thread's place in the process tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lineage {
    /// Thread group (process) id.
    pub(super) group: u32,
    /// The parent process.
    pub(super) parent: u32,
}

/// A way of access, as the bits of one mode triple.
pub(super) const READ: u32 = 4;
/// See [`READ`].
pub(super) const WRITE: u32 = 2;
/// See [`READ`].
pub(super) const EXECUTE: u32 = 1;

/// Whether a file's mode lets a process access it. Access lists are not regarded.
pub(super) fn permits(who: &Credentials, mode: u32, user: u32, group: u32, want: u32) -> bool {
    if who.overrides {
        return want & EXECUTE == 0 || mode & 0o111 != 0;
    }
    let triple = if who.user == user {
        mode >> 6
    } else if who.group == group || who.groups.contains(&group) {
        mode >> 3
    } else {
        mode
    };
    triple & want == want
}

/// What is compared of a file that was opened for writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Look {
    /// Size in bytes.
    pub(super) size_bytes: u64,
    /// Modification time, nanoseconds since the epoch.
    pub(super) mtime_ns: i64,
    /// Hash of the content, where it was taken.
    pub(super) content: Option<[u8; 32]>,
}

/// Whether a file was written between two looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// The content is another.
    Written,
    /// The content is the same, or nothing points to a change.
    Unchanged,
    /// Only the content could tell (a map on tmpfs leaves no other trace), and it was not taken.
    Unknown,
}

/// Compares two looks. `maps_leave_no_trace`: the file system does not stamp writes through
/// a shared map, and the file was opened so that it could be mapped for writing.
pub(super) fn change(before: &Look, after: &Look, maps_leave_no_trace: bool) -> Change {
    if before.size_bytes != after.size_bytes {
        return Change::Written;
    }
    // A newer time with the same bytes is `touch`, or bytes replaced by themselves: the
    // artifact is the same either way.
    if let (Some(before), Some(after)) = (before.content, after.content) {
        return if before == after {
            Change::Unchanged
        } else {
            Change::Written
        };
    }
    if before.mtime_ns != after.mtime_ns {
        return Change::Written;
    }
    if maps_leave_no_trace && before.size_bytes > 0 {
        return Change::Unknown;
    }
    Change::Unchanged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_bind_by_class() {
        let user = Credentials {
            user: 1000,
            group: 1000,
            groups: vec![27],
            overrides: false,
        };
        let root = Credentials {
            overrides: true,
            ..Credentials::default()
        };
        let cases = [
            (&user, 0o600, 1000, 0, READ | WRITE, true),
            (&user, 0o066, 1000, 1000, READ, false),
            (&user, 0o640, 0, 27, READ, true),
            (&user, 0o640, 0, 27, WRITE, false),
            (&user, 0o604, 0, 0, READ, true),
            (&user, 0o600, 0, 0, READ, false),
            (&user, 0o711, 0, 0, EXECUTE, true),
            (&root, 0o000, 5, 5, READ | WRITE, true),
            (&root, 0o644, 5, 5, EXECUTE, false),
            (&root, 0o100, 5, 5, EXECUTE, true),
        ];
        for (who, mode, owner, group, want, expected) in cases {
            assert_eq!(
                permits(who, mode, owner, group, want),
                expected,
                "{mode:o} {want}"
            );
        }
    }

    #[test]
    fn status_parses() {
        let status = "Name:\tcat\nTgid:\t40\nPid:\t42\nPPid:\t7\nUid:\t0\t1\t2\t1000\n\
            Gid:\t0\t0\t0\t100\nGroups:\t4 27 \nCapEff:\t0000000000000002\n";
        let (credentials, lineage) = Credentials::parse(status).expect("parses");
        let expected = Credentials {
            user: 1000,
            group: 100,
            groups: vec![4, 27],
            overrides: true,
        };
        assert_eq!(credentials, expected);
        assert_eq!(
            lineage,
            Lineage {
                group: 40,
                parent: 7
            }
        );
        assert_eq!(Credentials::parse("Name:\tcat\n"), None);
        assert_eq!(Credentials::parse(""), None);
    }

    #[test]
    fn changes() {
        let look = Look {
            size_bytes: 10,
            mtime_ns: 5,
            content: None,
        };
        let same = Look {
            content: Some([1; 32]),
            ..look
        };
        let other = Look {
            content: Some([2; 32]),
            ..look
        };
        let later = Look {
            mtime_ns: 6,
            ..look
        };
        let cases = [
            (look, look, false, Change::Unchanged),
            (look, look, true, Change::Unknown),
            (same, same, true, Change::Unchanged),
            (same, other, true, Change::Written),
            (look, later, false, Change::Written),
            (look, later, true, Change::Written),
            (
                same,
                Look {
                    mtime_ns: 6,
                    ..same
                },
                false,
                Change::Unchanged,
            ),
            (
                same,
                Look {
                    mtime_ns: 6,
                    ..look
                },
                false,
                Change::Written,
            ),
            (
                look,
                Look {
                    size_bytes: 11,
                    ..look
                },
                false,
                Change::Written,
            ),
            (
                Look {
                    size_bytes: 0,
                    ..look
                },
                Look {
                    size_bytes: 0,
                    ..look
                },
                true,
                Change::Unchanged,
            ),
        ];
        for (index, (before, after, maps, expected)) in cases.into_iter().enumerate() {
            assert_eq!(change(&before, &after, maps), expected, "case {index}");
        }
    }
}
