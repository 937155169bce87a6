//! Whether a caller is best woken on the processor of the supervisor. Pure.
//!
//! That depends on who calls:
//!
//! - One thread again and again: yes. The supervisor sleeps as soon as it has answered, and no other
//!   processor has to be roused.
//! - Threads side by side: no. All of them would be gathered on the processor of the supervisor, and
//!   the rest stand idle (measured: eight readers on two processors took 1.9 times as long as bare, and
//!   1.1 without).
//! - Processes one after the other, as a shell starts them: no, as long as processors are idle. Each makes
//!   its three or four calls and is moved to another processor by its exec, away from the supervisor.
//!   Where every processor has work, a caller that is woken elsewhere waits for it each time: then yes.

/// How many changes from thread to thread are judged together.
const CHANGES: usize = 16;
/// From so many calls in a row on a thread counts as alone. A process that only starts makes fewer.
const STREAK: u32 = 8;
/// After so many nobody runs beside it.
const ALONE: u32 = 64;
/// How many calls pass between two looks at the load of the machine.
const LOOK_EVERY: u32 = 32;

/// Who called, from change to change.
#[derive(Debug, Default)]
pub(super) struct Turns {
    callers: [u32; CHANGES],
    changes: usize,
    in_a_row: u32,
    side_by_side: bool,
    until_look: u32,
    full: bool,
    gathers: bool,
}

impl Turns {
    /// Enters a call; when that changes the answer, whether callers are to be woken on the processor of
    /// the supervisor now. `is_full`: whether every processor has work; it is asked rarely.
    pub(super) fn enter(
        &mut self,
        thread: u32,
        is_full: impl FnOnce() -> Option<bool>,
    ) -> Option<bool> {
        let last = self.callers[(self.changes + CHANGES - 1) % CHANGES];
        if thread == last {
            self.in_a_row = self.in_a_row.saturating_add(1);
            self.side_by_side &= self.in_a_row < ALONE;
        } else {
            self.in_a_row = 1;
            self.callers[self.changes] = thread;
            self.changes = (self.changes + 1) % CHANGES;
            if self.changes == 0 {
                self.side_by_side = self.several_come_back();
            }
        }
        if let Some(left) = self.until_look.checked_sub(1) {
            self.until_look = left;
        } else {
            self.until_look = LOOK_EVERY - 1;
            self.full = is_full().unwrap_or(false);
        }
        let gathers = !self.side_by_side && (self.full || self.in_a_row >= STREAK);
        (gathers != std::mem::replace(&mut self.gathers, gathers)).then_some(gathers)
    }

    /// What [`Self::enter`] told last.
    pub(super) fn gathers(&self) -> bool {
        self.gathers
    }

    /// Whether more than one thread came back after another had called. A parent that
    /// starts one process after the other comes back, and its children never do.
    fn several_come_back(&self) -> bool {
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
    fn check_under(full: bool, calls: impl IntoIterator<Item = (u32, u32)>, expected: &[bool]) {
        let mut turns = Turns::default();
        let mut told = Vec::new();
        for (thread, times) in calls {
            for _ in 0..times {
                told.extend(turns.enter(thread, || Some(full)));
            }
        }
        assert_eq!(told, expected);
    }

    fn check(calls: impl IntoIterator<Item = (u32, u32)>, expected: &[bool]) {
        check_under(false, calls, expected);
    }

    #[test]
    fn who_runs_beside_whom() {
        check([(1, 10_000)], &[true]);
        check([(1, STREAK - 1)], &[]);
        check((0..1000).map(|call| (call % 8 + 1, 1)), &[]);
        check((0..1000).map(|call| (call % 2 + 1, 5)), &[]);
        // Workers, then one that gathers what they left, then workers again.
        let workers = || (0..100).map(|call| (call % 2 + 1, 1));
        let then_one = workers().chain([(3, 1000)]).chain(workers());
        check(then_one, &[true, false]);
    }

    #[test]
    fn one_process_after_the_other() {
        // A shell that opens a file before each of its commands.
        let shell = || (2..1000).flat_map(|child| [(1, 1), (child, 4)]);
        check(shell(), &[]);
        check_under(true, shell(), &[true]);
        let workers = (0..1000).map(|call| (call % 8 + 1, 1));
        check_under(true, workers, &[true, false]);
    }

    #[test]
    fn the_load_is_asked_for_rarely() {
        let mut turns = Turns::default();
        let mut asked = 0;
        for child in 1..=10 * LOOK_EVERY {
            let mut ask = || {
                asked += 1;
                None
            };
            assert_eq!(turns.enter(child, &mut ask), None);
        }
        assert_eq!(asked, 10);
    }
}
