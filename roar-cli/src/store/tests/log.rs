//! The log does not grow with each run.

use super::super::log::LONG_BYTES;
use super::*;

/// Runs that each write once and end.
fn runs(project: &Project, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let mut store = Store::open(project).expect("opens");
        let job = job(number, "true");
        store.insert_job(&job, &step("a")).expect("inserts");
    }
}

#[test]
fn a_log_begins_anew() {
    let (_folder, project) = project();
    let mut number = 0;
    let log_bytes = || Store::open(&project).expect("opens").log_bytes();
    let mut grow = || {
        let before = number;
        while log_bytes() <= LONG_BYTES {
            runs(&project, number..number + 8);
            number += 8;
        }
        // Or every run would shorten it.
        assert!(number - before >= 16, "{before}..{number}");
        number
    };
    let first = grow();
    let mut store = Store::open(&project).expect("opens");
    let beside = store.shorten_log_beside(|| ()).expect("it is long");
    beside.join().expect("does not fail");
    store
        .insert_job(&job(u32::MAX, "true"), &step("a"))
        .expect("inserts");
    assert!(store.log_bytes() <= LONG_BYTES);
    assert!(store.shorten_log_beside(|| ()).is_none());
    drop(store);
    let second = grow();
    assert!(second > first);
    let store = Store::open(&project).expect("opens");
    {
        // A reader, who is not waited for.
        let reader = Store::open_read_only(&project).expect("opens");
        let _moment = reader.snapshot().expect("begins");
        reader.job_summaries(&JobQuery::default()).expect("lists");
        let began = std::time::Instant::now();
        store.shorten_log_above(LONG_BYTES).expect("tries");
        assert!(store.log_bytes() > LONG_BYTES);
        assert!(began.elapsed() < store.lock_timeout / 2);
    }
    store.shorten_log_above(LONG_BYTES).expect("shortens");
    assert_eq!(store.log_bytes(), 0);
    let jobs = store.job_summaries(&JobQuery::default()).expect("lists");
    assert_eq!(jobs.len(), second as usize + 1);
}
