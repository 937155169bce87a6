//! The size that the store is built for; run by hand, prints its figures:
//! `cargo test --release -p roar-cli --lib store::tests::scale -- --ignored --nocapture`

use std::io::Write as _;
use std::time::Instant;

use super::*;

/// Times `work`, prints it and hands on what it gave.
fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = work();
    let elapsed = start.elapsed();
    writeln!(
        std::io::stderr(),
        "{what:44} {:9.3} ms",
        elapsed.as_secs_f64() * 1e3
    )
    .expect("stderr is open");
    result
}

#[test]
#[ignore = "takes a minute; run by hand"]
fn a_hundred_thousand_jobs_and_a_million_artifacts() {
    let (_folder, project) = project();
    timed("make the database", || drop(Store::open(&project)));
    timed("open and close", || drop(Store::open(&project)));
    let store = timed("open", || Store::open(&project).expect("opens"));
    drop(store);
    timed("50 times: open, insert a small job, close", || {
        for number in 0..50 {
            let mut store = Store::open(&project).expect("opens");
            let mut record = job(u32::MAX - number, "true");
            record.inputs = vec![file("/p/a", 1), file("/p/b", 2)];
            store.insert_job(&record, &step("small")).expect("inserts");
        }
    });
    let mut store = timed("open", || Store::open(&project).expect("opens"));
    let mut big = job(0, "python big.py");
    big.inputs = (0..500_000)
        .map(|n| file(&format!("/data/{:03}/{n}.png", n % 1000), n))
        .collect();
    big.outputs = (0..500_000)
        .map(|n| file(&format!("/out/{:03}/{n}.png", n % 1000), n + 500_000))
        .collect();
    let big_job = timed("insert a job of 1,000,000 new files", || {
        store.insert_job(&big, &step("big"))
    })
    .expect("inserts");
    big.uid = JobUid::from_bits(1);
    timed("insert it again (all known)", || {
        store.insert_job(&big, &step("big"))
    })
    .expect("inserts");
    store.start_session().expect("starts");
    timed("insert 100,000 jobs of 4 files", || {
        for number in 0..100_000_u32 {
            let n = u64::from(number);
            let mut record = job(number + 2, &format!("python train.py --seed {number}"));
            record.inputs = vec![file("/p/train.py", 1), file("/data/000/0.png", n % 1000)];
            record.outputs = vec![
                file(&format!("/p/model_{}.pt", n % 50), n + 2_000_000),
                file("/p/log", n + 3_000_000),
            ];
            store
                .insert_job(&record, &step(&format!("s{}", n % 50)))
                .expect("inserts");
        }
    });
    timed("close", || drop(store));
    let bytes = std::fs::metadata(project.database())
        .expect("is there")
        .len();
    writeln!(std::io::stderr(), "database: {} MiB", bytes >> 20).expect("stderr is open");
    let store = timed("open", || Store::open(&project).expect("opens"));
    let query = JobQuery {
        limit: Some(20),
        ..JobQuery::default()
    };
    timed("20 newest jobs", || {
        store.job_summaries(&query).expect("lists")
    });
    let failed = JobQuery {
        failed_only: true,
        ..query.clone()
    };
    timed("20 newest failed jobs (there are none)", || {
        store.job_summaries(&failed).expect("lists")
    });
    let grep = JobQuery {
        grep: Some("--seed 17 ".into()),
        ..query
    };
    timed("20 newest jobs by text (there are none)", || {
        store.job_summaries(&grep).expect("lists")
    });
    timed("latest job of a step", || {
        store.latest_job_of_step(2, 17).expect("finds")
    });
    timed("latest job of an old step", || {
        store.latest_job_of_step(1, 1).expect("finds")
    });
    timed("job by uid prefix", || {
        store.job_by_uid_prefix("0000ab").expect("finds")
    });
    let prefix = digest(4_242).as_str()[..10].parse().expect("is a prefix");
    let found = timed("artifact by prefix", || {
        store.artifacts_by_prefix(&prefix, 10).expect("finds")
    });
    let short = digest(4_242).as_str()[..4].parse().expect("is a prefix");
    timed("10 artifacts by a prefix of 4", || {
        store.artifacts_by_prefix(&short, 10).expect("finds")
    });
    timed("uses of an artifact", || {
        store.artifact_uses(found[0].id).expect("finds")
    });
    timed("one job in full", || store.job(50_000).expect("reads"));
    timed("100,000 jobs with files", || {
        store.graph_jobs(2).expect("reads")
    });
    timed("a job of 1,000,000 files in full", || {
        store.job(big_job.id).expect("reads")
    });
}
