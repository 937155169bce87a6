//! Markers of running jobs.

use std::fs;
use std::thread;

use super::running::{PartialJob, RunningMarker, Swept, sweep};
use super::*;

/// What is known of a starting job.
pub(super) fn starting(uid: u32, command: &str) -> PartialJob {
    let record = job(uid, command);
    PartialJob {
        uid: record.uid,
        kind: record.kind,
        name: Some("n".into()),
        argv: record.argv,
        cwd: record.cwd,
        started_at_ns: record.started_at_ns,
        backend: "ebpf".into(),
        git: None,
        host: HostFacts::default(),
        conditions: Conditions::default(),
        identity: step(command),
    }
}

fn marker_names(project: &Project) -> Vec<String> {
    let folder = project.directory().join("running");
    let mut names: Vec<_> = fs::read_dir(folder)
        .expect("lists")
        .map(|entry| {
            entry
                .expect("reads")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    names
}

#[test]
fn a_held_marker_is_left_and_a_leftover_becomes_a_lost_job() {
    let (_folder, project) = project();
    let mut store = Store::open(&project).expect("opens");
    assert_eq!(
        sweep(&project, &mut store).expect("sweeps"),
        Swept::default()
    );
    let marker = RunningMarker::create(&project, &starting(1, "train")).expect("creates");
    assert_eq!(
        sweep(&project, &mut store).expect("sweeps"),
        Swept::default()
    );
    assert_eq!(marker_names(&project), ["00000001.json"]);
    RunningMarker::create(&project, &starting(1, "train")).expect_err("the uid is taken");
    drop(marker); // without remove: as if killed
    let swept = sweep(&project, &mut store).expect("sweeps");
    assert_eq!(swept.lost.len(), 1);
    let job = store
        .job(swept.lost[0].id)
        .expect("reads")
        .expect("is there");
    assert_eq!(job.record.state, JobState::Lost);
    assert_eq!(job.record.argv, ["train".into()]);
    assert_eq!(job.record.duration_ns, None);
    assert!(!job.record.completeness.complete);
    assert_eq!(job.record.completeness.gaps[0].kind, GapKind::ObserverLost);
    assert!(marker_names(&project).is_empty());
    assert_eq!(
        sweep(&project, &mut store).expect("sweeps"),
        Swept::default()
    );
}

#[test]
fn a_removed_marker_leaves_nothing() {
    let (_folder, project) = project();
    let mut store = Store::open(&project).expect("opens");
    let marker = RunningMarker::create(&project, &starting(1, "train")).expect("creates");
    marker.remove().expect("removes");
    assert!(marker_names(&project).is_empty());
    assert_eq!(
        sweep(&project, &mut store).expect("sweeps"),
        Swept::default()
    );
}

#[test]
fn a_recorded_job_is_not_lost_too() {
    let (_folder, project) = project();
    let mut store = Store::open(&project).expect("opens");
    drop(RunningMarker::create(&project, &starting(1, "train")).expect("creates"));
    store
        .insert_job(&job(1, "train"), &step("a"))
        .expect("inserts");
    assert_eq!(
        sweep(&project, &mut store).expect("sweeps"),
        Swept::default()
    );
    assert!(marker_names(&project).is_empty());
    assert_eq!(
        store
            .job_summaries(&JobQuery::default())
            .expect("lists")
            .len(),
        1
    );
}

#[test]
fn a_lost_job_joins_the_step_of_its_command() {
    let (_folder, project) = project();
    let mut store = Store::open(&project).expect("opens");
    for (uid, command) in [(1, "get"), (2, "train"), (3, "test")] {
        store
            .insert_job(&job(uid, command), &step(&format!("files of {command}")))
            .expect("inserts");
    }
    for (uid, command, expected) in [(4, "train", 2), (5, "new", 4), (6, "new", 4)] {
        drop(RunningMarker::create(&project, &starting(uid, command)).expect("creates"));
        let swept = sweep(&project, &mut store).expect("sweeps");
        assert_eq!(swept.lost[0].step_number, expected, "{command}");
    }
}

#[test]
fn many_sweepers_record_each_lost_job_once() {
    let (_folder, project) = project();
    drop(Store::open(&project).expect("opens"));
    for uid in 0..40 {
        drop(RunningMarker::create(&project, &starting(uid, "train")).expect("creates"));
    }
    let alive: Vec<_> = (40..44)
        .map(|uid| RunningMarker::create(&project, &starting(uid, "train")).expect("creates"))
        .collect();
    let lost: usize = thread::scope(|scope| {
        let sweepers: Vec<_> = (0..12)
            .map(|_| {
                scope.spawn(|| {
                    let mut store = Store::open(&project).expect("opens");
                    sweep(&project, &mut store).expect("sweeps").lost.len()
                })
            })
            .collect();
        let counts = sweepers.into_iter().map(|s| s.join().expect("no panic"));
        counts.sum()
    });
    let store = Store::open(&project).expect("opens");
    let jobs = store.job_summaries(&JobQuery::default()).expect("lists");
    assert_eq!((lost, jobs.len()), (40, 40));
    assert_eq!(marker_names(&project).len(), alive.len());
}

#[test]
fn markers_made_under_sweeps_all_arrive() {
    let (_folder, project) = project();
    drop(Store::open(&project).expect("opens"));
    fs::create_dir(project.directory().join("running")).expect("makes");
    let done = std::sync::atomic::AtomicBool::new(false);
    thread::scope(|scope| {
        let sweeper = scope.spawn(|| {
            let mut store = Store::open(&project).expect("opens");
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                let swept = sweep(&project, &mut store).expect("sweeps");
                assert_eq!(swept, Swept::default());
            }
        });
        for uid in 0..300 {
            let marker = RunningMarker::create(&project, &starting(uid, "x")).expect("creates");
            marker.remove().expect("removes");
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        sweeper.join().expect("the sweeper swept no live job");
    });
}

#[test]
fn what_is_no_marker_is_left_and_unfinished_ones_are_cleared() {
    let (_folder, project) = project();
    let mut store = Store::open(&project).expect("opens");
    let folder = project.directory().join("running");
    fs::create_dir(&folder).expect("makes");
    let newer = serde_json::json!({"version": 2, "job": starting(1, "x")}).to_string();
    let contents = [
        ("00000001.json", newer.as_str()),
        ("00000002.json", ""),
        ("00000003.json", "{\"version\":1,\"job\":{}}"),
        ("README", "mine"),
        (".new-abc", "{"),
    ];
    for (name, content) in contents {
        fs::write(folder.join(name), content).expect("writes");
    }
    let swept = sweep(&project, &mut store).expect("sweeps");
    assert_eq!(swept.lost, []);
    assert_eq!(swept.unreadable.len(), 3);
    assert_eq!(
        marker_names(&project),
        ["00000001.json", "00000002.json", "00000003.json", "README"]
    );
    assert_eq!(
        store.job_summaries(&JobQuery::default()).expect("lists"),
        []
    );
}
