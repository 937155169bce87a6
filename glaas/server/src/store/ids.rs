//! Row ids: made by the server process, ascending with time, so that the newest come last on every
//! engine and no statement has to ask the database for one.

use std::sync::atomic::{AtomicI64, Ordering};

use crate::clock;

/// Below the milliseconds: a counter that begins at chance, so that two processes seldom meet. When
/// they do, the transaction is repeated with other ids.
const COUNTER_BITS: u32 = 21;

/// 2026-01-01, where the milliseconds begin: 42 bits last until 2165.
const EPOCH_MS: i64 = 1_767_225_600_000;

static LAST: AtomicI64 = AtomicI64::new(0);

/// An id that this process has not given before.
pub fn next() -> i64 {
    let mut random = [0_u8; 4];
    // Without chance, ids of two processes may meet, and the transaction is repeated.
    let _ = getrandom::fill(&mut random);
    let low = i64::from(u32::from_le_bytes(random) >> (32 - COUNTER_BITS + 1));
    let candidate = ((clock::now_ms() - EPOCH_MS).max(0) << COUNTER_BITS) | low;
    let previous = LAST.fetch_max(candidate, Ordering::Relaxed);
    if candidate > previous {
        candidate
    } else {
        LAST.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// The first id of a moment.
pub fn at(ms: i64) -> i64 {
    // Days that no id reaches are as the last.
    (ms - EPOCH_MS).clamp(0, i64::MAX >> COUNTER_BITS) << COUNTER_BITS
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    #[test]
    fn ids_are_new_and_ascending_per_thread() {
        let threads: Vec<_> = (0..4)
            .map(|_| std::thread::spawn(|| (0..10_000).map(|_| super::next()).collect::<Vec<_>>()))
            .collect();
        let mut all = BTreeSet::new();
        for thread in threads {
            let ids = thread.join().expect("no panic");
            assert!(ids.is_sorted());
            all.extend(ids);
        }
        assert_eq!(all.len(), 40_000);
    }
}
