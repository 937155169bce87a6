//! Killed at any moment: the database is whole, what was acknowledged is there.
//!
//! This test program runs itself as the victim: `victim` below is no test of its own.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::markers::starting;
use super::running::{RunningMarker, sweep};
use super::*;

const PROJECT: &str = "ROAR_TEST_STORE_PROJECT";
const ROLE: &str = "ROAR_TEST_STORE_ROLE";

/// What the killed process does; without the environment of [`spawn`], nothing.
#[test]
#[ignore = "started by the tests of this file"]
fn victim() {
    let Some(root) = std::env::var_os(PROJECT) else {
        return;
    };
    let project = Project { root: root.into() };
    let mut out = std::io::stdout().lock();
    let mut say = |text: &str| writeln!(out, "\n:{text}").expect("the parent listens");
    if std::env::var(ROLE).as_deref() == Ok("marker") {
        let _marker = RunningMarker::create(&project, &starting(1, "train")).expect("creates");
        say("held");
        // Ends with the parent, if it is not killed before.
        let _ = std::io::stdin().read(&mut [0]);
        return;
    }
    say("ready");
    let mut store = Store::open(&project).expect("opens");
    for number in 0.. {
        let uid = std::process::id().wrapping_mul(1_000).wrapping_add(number);
        let mut record = job(uid, "python train.py");
        record.inputs = (0..50).map(|n| file(&format!("/p/{uid}/{n}"), n)).collect();
        let identity = step(&format!("{}", number % 5));
        let recorded = store.insert_job(&record, &identity).expect("inserts");
        say(&recorded.id.to_string());
    }
}

fn spawn(root: &Path, role: &str) -> Child {
    Command::new(std::env::current_exe().expect("the test program"))
        .args([
            "--exact",
            "store::tests::crash::victim",
            "--ignored",
            "--nocapture",
            "--quiet",
        ])
        .env(PROJECT, root)
        .env(ROLE, role)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts")
}

/// The next thing that the victim says.
fn hear(lines: &mut impl Iterator<Item = std::io::Result<String>>) -> Option<String> {
    lines.find_map(|line| line.ok()?.strip_prefix(':').map(str::to_owned))
}

#[test]
fn killed_writers_leave_every_acknowledged_job() {
    let (_folder, project) = project();
    let mut acknowledged = Vec::new();
    for round in 0..30 {
        // Round 0 and every fifth are killed while they open (the first: make) the database.
        let wanted = round % 5 * 3;
        let mut child = spawn(&project.root, "writer");
        let mut lines = BufReader::new(child.stdout.take().expect("is piped")).lines();
        assert_eq!(hear(&mut lines).as_deref(), Some("ready"));
        for _ in 0..wanted {
            let id: i64 = hear(&mut lines).expect("a job").parse().expect("an id");
            acknowledged.push(id);
        }
        child.kill().expect("is killed");
        child.wait().expect("ends");
        // What it said until it died was acknowledged as well.
        while let Some(id) = hear(&mut lines) {
            acknowledged.extend(id.parse::<i64>().ok());
        }
        // Every other round goes on with the log as the victim left it.
        if round % 2 == 1 && project.database().exists() {
            assert!(is_intact(&project), "round {round}");
        }
        let store = Store::open(&project).expect("opens");
        for id in &acknowledged {
            let job = store.job(*id).expect("reads").expect("is there");
            assert_eq!(job.record.inputs.len(), 50, "round {round}, job {id}");
        }
        let jobs = store.job_summaries(&JobQuery::default()).expect("lists");
        assert!(
            jobs.len() <= acknowledged.len() + round + 1,
            "round {round}"
        );
        assert!(jobs.iter().all(|job| job.input_count == 50));
    }
    assert!(is_intact(&project));
    assert!(acknowledged.len() >= 180, "{}", acknowledged.len());
}

#[test]
fn the_marker_of_a_killed_roar_is_swept() {
    let (_folder, project) = project();
    let mut store = Store::open(&project).expect("opens");
    let mut child = spawn(&project.root, "marker");
    let mut lines = BufReader::new(child.stdout.take().expect("is piped")).lines();
    assert_eq!(hear(&mut lines).as_deref(), Some("held"));
    assert_eq!(sweep(&project, &mut store).expect("sweeps").lost, []);
    child.kill().expect("is killed");
    child.wait().expect("ends");
    let swept = sweep(&project, &mut store).expect("sweeps");
    assert_eq!(swept.lost.len(), usize::from(cfg!(unix)));
}
