//! What remains to be said at the end: gaps, losses, and remarks on what tracing changed for
//! the command.

use std::collections::BTreeMap;

use super::supervisor::{Over, Supervisor};
use super::sys;
use super::tasks::Ended;
use crate::model::{Gap, GapKind, LostEvents};

/// What remains to be said at the end.
#[derive(Debug, Default)]
pub(super) struct Closing {
    /// What was missed.
    pub(super) gaps: Vec<Gap>,
    /// Events that the sink did not take.
    pub(super) lost: LostEvents,
    /// Remarks that are no gaps.
    pub(super) notes: Vec<String>,
}

/// Everything that is counted on the way.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// By kind and detail.
    pub(super) gaps: BTreeMap<(GapKind, String), u64>,
    /// io_urings that were refused.
    pub(super) refused_io_urings: u64,
    /// Listeners that were asked for inside the job and, for there is one, not given.
    pub(super) refused_listeners: u64,
    /// Filters that would have shown watched calls to a tracer inside the job, and do not.
    pub(super) blinded_tracers: u64,
    /// Notifications that came.
    pub(super) ids: Ids,
    /// Calls whose caller was gone when they were answered.
    pub(super) left: u64,
    /// Signals interrupt calls that are being looked at (before Linux 5.19).
    pub(super) is_interruptible: bool,
}

impl Counts {
    /// What tracing changed for the command. `taken_elsewhere`: notifications that others
    /// received.
    fn notes(&self, taken_elsewhere: u64) -> Vec<String> {
        let mut interrupted = self.ids.missing().saturating_sub(taken_elsewhere);
        if self.is_interruptible {
            interrupted += self.left;
        }
        let told = [
            (
                self.refused_io_urings,
                "io_uring was refused, which seccomp cannot observe: programs take other calls or fail",
            ),
            (
                self.refused_listeners,
                "a program asked for a seccomp listener of its own (as a `roar run` in the command does), \
                 which it cannot have beside roar's",
            ),
            (
                self.blinded_tracers,
                "a program traces others by a seccomp filter (as `strace --seccomp-bpf` does): it does \
                 not see the calls that roar watches (without such a filter, or under eBPF, it does)",
            ),
            (
                interrupted,
                "calls that waited to be observed were interrupted by signals or killed \
                 (a handler without SA_RESTART sees EINTR)",
            ),
        ];
        let told = told.into_iter().filter(|(count, _)| *count > 0);
        told.map(|(count, text)| match count {
            1 => text.to_owned(),
            count => format!("{text} ({count} times)"),
        })
        .collect()
    }
}

impl Supervisor {
    /// Ends the observation. `all_gone`: every process of the job has ended;
    /// `taken_elsewhere`: notifications that others received.
    pub(super) fn close(mut self, all_gone: bool, taken_elsewhere: u64) -> Closing {
        self.now_ns = sys::monotonic_ns();
        self.catch_up();
        self.confirm(Over::All);
        let writes = std::mem::take(&mut self.writes);
        let found = writes.finish(&mut self.looker);
        self.tell_findings(found);
        let (ended, left) = self.tasks.close();
        for end in ended {
            self.tell_end(end);
        }
        for process in left {
            if all_gone {
                self.tell_end(Ended {
                    process,
                    status: None,
                });
            } else {
                self.gap(GapKind::LateProcess, "processes that outlived the command");
            }
        }
        let counts = self.counts;
        let notes = counts.notes(taken_elsewhere);
        let lost = self.later.end();
        let lost = (lost > 0).then(|| ("queue".to_owned(), lost));
        let gap = |((kind, detail), count)| Gap {
            kind,
            detail,
            count,
        };
        Closing {
            gaps: counts.gaps.into_iter().map(gap).collect(),
            lost: lost.into_iter().collect(),
            notes,
        }
    }
}

/// The kernel numbers a listener's notifications one by one. A number that was never
/// received belongs to a call that a signal interrupted, or whose process was killed,
/// before its turn came.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ids {
    first: Option<u64>,
    last: u64,
    seen: u64,
}

impl Ids {
    /// Enters one that came.
    pub(super) fn saw(&mut self, id: u64) {
        let first = *self.first.get_or_insert(id);
        // Numbers start anywhere and may wrap.
        self.last = self.last.max(id.wrapping_sub(first));
        self.seen += 1;
    }

    fn missing(&self) -> u64 {
        self.first
            .map_or(0, |_| (self.last + 1).saturating_sub(self.seen))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_never_came_are_counted() {
        let cases: [(&[u64], u64); 5] = [
            (&[], 0),
            (&[7], 0),
            (&[7, 8, 9], 0),
            (&[7, 9, 12], 3),
            (&[u64::MAX, 1], 1),
        ];
        for (seen, expected) in cases {
            let mut ids = Ids::default();
            for id in seen {
                ids.saw(*id);
            }
            assert_eq!(ids.missing(), expected, "{seen:?}");
        }
    }

    #[test]
    fn notes_tell_what_happened_and_how_often() {
        let counts = Counts {
            refused_io_urings: 1,
            left: 2,
            ..Counts::default()
        };
        let notes = counts.notes(0);
        assert_eq!(notes.len(), 1);
        assert!(notes[0].starts_with("io_uring was refused"), "{notes:?}");
        let counts = Counts {
            is_interruptible: true,
            ..counts
        };
        let notes = counts.notes(0);
        assert!(notes[1].ends_with("(2 times)"), "{notes:?}");
        assert!(Counts::default().notes(0).is_empty());
    }
}
