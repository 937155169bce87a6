//! When a file's state (size, mtime, ctime) can stand for its content: the rule for racy
//! timestamps.
//!
//! A hash may be remembered under the state that was seen before hashing only if EVERY later
//! change must give the file another state. mtime can be set back at will; ctime cannot, so ctime
//! carries the proof. But ctime is stamped with a limited granularity: a write in the same tick as
//! the stamp we saw leaves it as it is. So the last change has to lie safely before the moment at
//! which hashing began:
//!
//! - Linux stamps local files from the coarse real-time clock, which moves once a kernel tick
//!   (1–10 ms, CONFIG_HZ). Since 6.13 some file systems take a fine-grained stamp when the current
//!   one has been looked at ("multigrain"); those are never behind the coarse clock. Comparing
//!   with that SAME clock, one tick of slack suffices ([`LOCAL_MARGIN_NS`]).
//! - A change time without a fraction of a second comes (but for one chance in 10⁹) from a file
//!   system that keeps whole seconds, as ext3 and small-inode ext4 do ([`WHOLE_SECONDS_MARGIN_NS`]).
//! - On network file systems the server stamps with its own clock ([`NETWORK_MARGIN_NS`]).
//! - Where there is no honest change time — FAT, exFAT, NTFS, SMB, 9p, FUSE, images that are
//!   built with fixed times — nothing is remembered at all.
//!
//! What no rule can see: stores through a shared writable mapping stamp the file once, at the
//! first store after a write-back. Callers must not trust the cache for a file that they know to
//! be mapped so right now.

use crate::model::CacheKey;

/// One tick at the coarsest CONFIG_HZ (100).
const LOCAL_MARGIN_NS: i64 = 10_000_000;
/// Two of the coarsest steps that ext3-like file systems make, plus a tick.
const WHOLE_SECONDS_MARGIN_NS: i64 = 2_010_000_000;
/// How far a file server's clock may be behind ours.
const NETWORK_MARGIN_NS: i64 = 60_000_000_000;
const SECOND_NS: i64 = 1_000_000_000;

/// What is to be expected of a file's timestamps and content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileSystem {
    /// Keeps change times, stamped with this machine's clock.
    Local,
    /// Keeps change times, stamped with another machine's clock.
    Network,
    /// Change times prove nothing here.
    Untrusted,
    /// Files are made by the kernel as they are read; they have no content to identify.
    Kernel,
}

/// Whether a file seen in `state` by a hashing that began at `started_ns` (on [`now_ns`]'s clock)
/// must change its state when its content changes.
pub(super) fn is_settled(state: &CacheKey, started_ns: i64, file_system: FileSystem) -> bool {
    let margin_ns = match file_system {
        FileSystem::Local if state.ctime_ns % SECOND_NS == 0 => WHOLE_SECONDS_MARGIN_NS,
        FileSystem::Local => LOCAL_MARGIN_NS,
        FileSystem::Network => NETWORK_MARGIN_NS,
        FileSystem::Untrusted | FileSystem::Kernel => return false,
    };
    let last_change_ns = state.mtime_ns.max(state.ctime_ns);
    last_change_ns.saturating_add(margin_ns) < started_ns
}

/// The clock that the kernel stamps files with, nanoseconds since the Unix epoch.
#[cfg(target_os = "linux")]
pub(super) fn now_ns() -> i64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
    now.tv_sec * SECOND_NS + now.tv_nsec
}

/// The clock that the kernel stamps files with, nanoseconds since the Unix epoch.
#[cfg(not(target_os = "linux"))]
pub(super) fn now_ns() -> i64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos() as i64)
}

/// Classifies a file system by the magic number that `statfs` gives.
#[cfg(target_os = "linux")]
pub(super) fn classify(magic: u32) -> FileSystem {
    match magic {
        0xef53            // ext2, ext3, ext4
        | 0x5846_5342     // xfs
        | 0x9123_683e     // btrfs
        | 0x0102_1994     // tmpfs
        | 0x8584_58f6     // ramfs
        | 0x794c_7630     // overlayfs
        | 0xf2f5_2010     // f2fs
        | 0x2fc1_2fc1     // zfs
        | 0xca45_1a4e     // bcachefs
        | 0x3153_464a     // jfs
        | 0x3434          // nilfs
        => FileSystem::Local,
        0x6969            // nfs
        | 0x00c3_6400     // ceph
        | 0x0bd0_0bd0     // lustre
        | 0x4750_4653     // gpfs
        | 0x1983_0326     // beegfs
        | 0x0116_1970     // gfs2
        | 0x7461_636f     // ocfs2
        => FileSystem::Network,
        0x9fa0            // proc
        | 0x6265_6572     // sysfs
        | 0x6462_6720     // debugfs
        | 0x7472_6163     // tracefs
        | 0x7363_6673     // securityfs
        | 0xf97c_ff8c     // selinuxfs
        | 0x4341_5d53     // smackfs
        | 0x0027_e0eb     // cgroup
        | 0x6367_7270     // cgroup2
        | 0xcafe_4a11     // bpf
        | 0x6165_676c     // pstore
        | 0x6265_6570     // configfs
        | 0xde5e_81e4     // efivarfs
        | 0x4249_4e4d     // binfmt_misc
        | 0x6e73_6673     // nsfs
        | 0x0904_1934     // anonymous inodes
        | 0x6573_5543     // fusectl
        | 0x0765_5821     // resctrl
        => FileSystem::Kernel,
        _ => FileSystem::Untrusted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_change_must_lie_before_the_hashing() {
        let now = 1_700_000_000_500_000_000;
        let cases = [
            // (mtime, ctime, file system, settled)
            (
                now - 60 * SECOND_NS,
                now - 50 * SECOND_NS - 1,
                FileSystem::Local,
                true,
            ),
            (
                now - SECOND_NS,
                now - LOCAL_MARGIN_NS - 1,
                FileSystem::Local,
                true,
            ),
            (
                now - SECOND_NS,
                now - LOCAL_MARGIN_NS,
                FileSystem::Local,
                false,
            ),
            (now - SECOND_NS, now, FileSystem::Local, false),
            (
                now - SECOND_NS,
                now + SECOND_NS + 1,
                FileSystem::Local,
                false,
            ),
            // An mtime in the future, set by hand.
            (
                now + SECOND_NS,
                now - SECOND_NS + 1,
                FileSystem::Local,
                false,
            ),
            (i64::MAX, now - SECOND_NS + 1, FileSystem::Local, false),
            // Whole seconds.
            (0, now - 500_000_000, FileSystem::Local, false),
            (
                0,
                now - 500_000_000 - 2 * SECOND_NS,
                FileSystem::Local,
                true,
            ),
            (0, now - 30 * SECOND_NS, FileSystem::Network, false),
            (0, now - 61 * SECOND_NS, FileSystem::Network, true),
            (0, 1, FileSystem::Untrusted, false),
            (0, 1, FileSystem::Kernel, false),
        ];
        for (mtime_ns, ctime_ns, file_system, expected) in cases {
            let state = CacheKey {
                mtime_ns,
                ctime_ns,
                ..CacheKey::default()
            };
            let found = is_settled(&state, now, file_system);
            assert_eq!(found, expected, "{mtime_ns} {ctime_ns} {file_system:?}");
        }
    }
}
