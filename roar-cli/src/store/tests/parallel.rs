//! Several roars at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Barrier;
use std::thread;

use rusqlite::Connection;

use super::schema::{backup_path, user_version};
use super::*;

/// Runs `work` in `count` threads that start together and collects what they return.
fn together<T: Send>(count: u32, work: impl Fn(u32) -> T + Sync) -> Vec<T> {
    let barrier = Barrier::new(count as usize);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..count)
            .map(|number| {
                let (barrier, work) = (&barrier, &work);
                scope.spawn(move || {
                    barrier.wait();
                    work(number)
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("no thread panics"))
            .collect()
    })
}

#[test]
fn sixty_four_first_users_lose_nothing() {
    let (_folder, project) = project();
    let recorded = together(64, |number| {
        let mut store = Store::open(&project).expect("opens");
        [0, 1, 2].map(|round| {
            let mut record = job(number * 3 + round, "true");
            record.inputs.push(file("/p/shared", 1));
            record
                .outputs
                .push(file(&format!("/p/{number}"), u64::from(number)));
            let identity = step(&format!("step {}", number % 7));
            let recorded = store.insert_job(&record, &identity).expect("inserts");
            (number % 7, recorded)
        })
    });
    let recorded: Vec<_> = recorded.into_iter().flatten().collect();
    let uids: BTreeSet<_> = recorded.iter().map(|(_, job)| job.uid.clone()).collect();
    assert_eq!(uids.len(), 192);
    let mut steps: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
    for (identity, job) in &recorded {
        assert_eq!(job.session_id, 1);
        steps.entry(*identity).or_default().insert(job.step_number);
    }
    assert!(
        steps.values().all(|numbers| numbers.len() == 1),
        "{steps:?}"
    );
    let numbers: BTreeSet<_> = steps.into_values().flatten().collect();
    assert_eq!(numbers, (1..=7).collect());
    let store = Store::open_read_only(&project).expect("opens");
    let jobs = store.job_summaries(&JobQuery::default()).expect("lists");
    assert_eq!(jobs.len(), 192);
    let graph = store.graph_jobs(1).expect("reads");
    let read = || graph.iter().flat_map(|job| &job.inputs);
    let paths = store.paths_of(read().map(|file| file.path)).expect("reads");
    let is_shared = |file: &&GraphFile| paths.get(file.path) == Some(&"/p/shared".into());
    assert_eq!(read().filter(is_shared).count(), 192);
    assert!(is_intact(&project));
    drop(store);
    let names: BTreeSet<_> = std::fs::read_dir(project.directory())
        .expect("lists")
        .map(|entry| {
            entry
                .expect("reads")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .filter(|name| name.contains(".new-"))
        .collect();
    assert!(names.is_empty(), "{names:?}");
}

#[test]
fn users_of_a_new_version_who_come_together_migrate_once() {
    let (_folder, project) = project();
    let mut store = Store::open(&project).expect("opens");
    let before = store.schema_version();
    store
        .insert_job(&job(1, "true"), &step("a"))
        .expect("inserts");
    drop(store);
    // Run twice, this migration would be seen: it has no guard of its own.
    let schema = next_schema("UPDATE jobs SET started_at_ns = started_at_ns + 1");
    together(16, |_| {
        let store = Store::open_schema(&project, StoreOptions::default(), &schema).expect("opens");
        assert_eq!(store.schema_version(), before + 1);
        let job = store.job(1).expect("reads").expect("is there");
        assert_eq!(job.record.started_at_ns, 1_002);
    });
    let backup = Connection::open(backup_path(&project.database(), before)).expect("opens");
    assert_eq!(user_version(&backup).expect("reads"), before);
    let start: i64 = backup
        .query_row("SELECT started_at_ns FROM jobs", [], |row| row.get(0))
        .expect("reads");
    assert_eq!(start, 1_001);
}

#[test]
fn a_failed_migration_changes_nothing() {
    let (_folder, project) = project();
    let mut store = Store::open(&project).expect("opens");
    store
        .insert_job(&job(1, "true"), &step("a"))
        .expect("inserts");
    drop(store);
    let schema = next_schema("DELETE FROM jobs; CREATE TABLE jobs (id)");
    let error = Store::open_schema(&project, StoreOptions::default(), &schema)
        .expect_err("the migration is wrong");
    assert!(
        matches!(
            error,
            StoreError::Sqlite { .. } | StoreError::Migration { .. }
        ),
        "{error:?}"
    );
    let store = Store::open(&project).expect("opens");
    assert!(store.job(1).expect("reads").is_some());
}
