//! Whether the threads of a job take turns or run side by side. Pure.
//!
//! Where one runs at a time it is best to wake supervisor and caller on the processor that
//! the other just left. Where several do, that gathers all of them on the processor of the
//! supervisor, which takes their calls one after the other, and the rest stand idle (measured:
//! eight readers on two processors took 1.9 times as long as bare, and 1.1 without).

/// How many changes from thread to thread are judged together.
const CHANGES: usize = 16;
/// From this many calls of one thread in a row on nobody runs beside it.
const ALONE: u32 = 64;

/// Who called, from change to change.
#[derive(Debug, Default)]
pub(super) struct Turns {
    callers: [u32; CHANGES],
    changes: usize,
    in_a_row: u32,
    side_by_side: bool,
}

impl Turns {
    /// Enters a call; when that changes the answer, whether threads run side by side now.
    pub(super) fn enter(&mut self, thread: u32) -> Option<bool> {
        let last = self.callers[(self.changes + CHANGES - 1) % CHANGES];
        let judged = if thread == last {
            self.in_a_row = self.in_a_row.saturating_add(1);
            (self.in_a_row == ALONE).then_some(false)
        } else {
            self.in_a_row = 0;
            self.callers[self.changes] = thread;
            self.changes = (self.changes + 1) % CHANGES;
            (self.changes == 0).then(|| self.come_back())
        };
        let changed = judged.filter(|judged| *judged != self.side_by_side)?;
        self.side_by_side = changed;
        Some(changed)
    }

    /// Whether more than one thread came back after another had called. A parent that
    /// starts one process after the other comes back, and its children never do.
    fn come_back(&self) -> bool {
        let mut callers = self.callers;
        callers.sort_unstable();
        let several = callers.chunk_by(|a, b| a == b).filter(|run| run.len() > 1);
        several.count() > 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The answers that change while these call, each some times.
    fn check(calls: impl IntoIterator<Item = (u32, u32)>, expected: &[bool]) {
        let mut turns = Turns::default();
        let mut told = Vec::new();
        for (thread, times) in calls {
            for _ in 0..times {
                told.extend(turns.enter(thread));
            }
        }
        assert_eq!(told, expected);
    }

    #[test]
    fn who_runs_beside_whom() {
        check([(1, 10_000)], &[]);
        // A shell that opens a file before each of its commands.
        check((2..1000).flat_map(|child| [(1, 1), (child, 3)]), &[]);
        check((0..1000).map(|call| (call % 8 + 1, 1)), &[true]);
        check((0..1000).map(|call| (call % 2 + 1, 5)), &[true]);
        // Workers, then one that gathers what they left, then workers again.
        let workers = || (0..100).map(|call| (call % 2 + 1, 1));
        check(
            workers().chain([(3, 1000)]).chain(workers()),
            &[true, false, true],
        );
        // Processes one after the other behind workers.
        check(
            workers().chain((3..100).map(|child| (child, 3))),
            &[true, false],
        );
    }
}
