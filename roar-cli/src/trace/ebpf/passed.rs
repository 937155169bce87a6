//! Directories in which the job changed names, for the moment when a mount changes above them.
//!
//! A name is text, and is read with a table of mounts. In roar's own namespace it stays the file's
//! name in the record; there it matters for good what is mounted above it. In another namespace
//! the name is put into roar's terms at once; there the doubt is whether the table that did so,
//! which was read a moment later, still had the mounts of the moment.

use std::collections::HashMap;

/// How many directories are kept in mind.
const MOST: usize = 1 << 16;

/// What a change of mounts may make doubtful.
#[derive(Debug, Default)]
pub(super) struct Passed {
    /// By directory, as its process saw it: until when a change of mounts matters.
    until: HashMap<Vec<u8>, Until>,
    /// More than that: all that was forgotten may be anywhere.
    forgotten: Until,
}

/// Moments of the monotonic clock, in nanoseconds.
#[derive(Clone, Copy, Debug, Default)]
struct Until {
    removed_ns: u64,
    changed_ns: u64,
}

impl Passed {
    /// A name in a directory was changed. A removal says little: who makes a sandbox removes
    /// files of his own before he leaves their place behind, and the record knows none of them.
    pub(super) fn through(&mut self, directory: &[u8], until_ns: u64, is_removal: bool) {
        let is_full = self.until.len() >= MOST;
        let until = match self.until.get_mut(directory) {
            Some(until) => until,
            None if is_full => &mut self.forgotten,
            None => {
                self.until.insert(directory.to_vec(), Until::default());
                self.until.get_mut(directory).expect("just inserted")
            }
        };
        let moment = if is_removal {
            &mut until.removed_ns
        } else {
            &mut until.changed_ns
        };
        *moment = until_ns.max(*moment);
    }

    /// Whether names may have been misread, as something was mounted or unmounted at `point`.
    /// `is_late` tells whether that was before such a moment.
    pub(super) fn is_doubtful(&self, point: &[u8], is_late: impl Fn(u64) -> bool) -> bool {
        let is_root = point == b"/";
        let counts =
            |until: &Until| is_late(until.changed_ns) || !is_root && is_late(until.removed_ns);
        let below = |directory: &[u8]| {
            is_root
                || directory
                    .strip_prefix(point)
                    .is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
        };
        let mut known = self.until.iter();
        counts(&self.forgotten) || known.any(|(directory, until)| counts(until) && below(directory))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(directory: &str, is_removal: bool, point: &str, at_ns: u64, expected: bool) {
        let mut passed = Passed::default();
        passed.through(directory.as_bytes(), 10, is_removal);
        let doubtful = passed.is_doubtful(point.as_bytes(), |until_ns| until_ns >= at_ns);
        assert_eq!(doubtful, expected, "{directory} {point} {at_ns}");
    }

    #[test]
    fn what_is_doubtful() {
        check("/a/b", false, "/a/b", 9, true);
        check("/a/b", false, "/a", 10, true);
        check("/a/b", false, "/a", 11, false);
        check("/a/b", false, "/a/b/c", 9, false);
        check("/ab", false, "/a", 9, false);
        check("/ab", false, "/", 9, true);
        check("/a/b", true, "/a", 9, true);
        check("/a/b", true, "/", 9, false);
    }

    #[test]
    fn more_than_is_kept() {
        let mut passed = Passed::default();
        for number in 0..=MOST {
            passed.through(format!("/{number}").as_bytes(), 10, false);
        }
        assert!(passed.is_doubtful(b"/elsewhere", |until_ns| until_ns >= 10));
        assert!(!passed.is_doubtful(b"/elsewhere", |until_ns| until_ns >= 11));
    }
}
