//! What happens around a server that goes on serving: ends, restarts, full disks, conflicts,
//! another version that migrates the database beneath it.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use roar_tests::require::{Need, met};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::machine::Server;
use roar_tests::postgres::{PORT, Postgres};

const SESSION: &str = "5e55105e55105e55105e55105e55105e55105e55105e55105e55105e55105e55";
const OPTIONS: [&str; 3] = ["--allow-anonymous", "--rate", "0"];

fn open_session(server: &Server) {
    let session = json!({ "hash": SESSION }).to_string();
    let reply = server.send("POST", "/api/v1/sessions", &[], session.as_bytes());
    assert_eq!(reply.map(|reply| reply.status), Some(200));
}

/// Sends one job with so many bytes of metadata: the status of the answer.
fn send_job(server: &Server, uid: &str, bytes: usize) -> Option<u16> {
    let job = json!({ "command": "python train.py", "job_uid": uid, "timestamp": 1.5,
        "metadata": json!({ "x": "x".repeat(bytes) }).to_string() });
    let path = format!("/api/v1/sessions/{SESSION}/jobs");
    let reply = server.send("POST", &path, &[], job.to_string().as_bytes())?;
    if reply.status >= 500 {
        assert_eq!(reply.status, 503, "{}", reply.body);
        assert!(reply.head.contains("retry-after: "), "{}", reply.head);
    }
    Some(reply.status)
}

/// The jobs that are there.
fn kept(server: &Server) -> BTreeSet<String> {
    let session = server.get(&format!("/api/v1/sessions/{SESSION}")).data();
    let jobs = session["jobs"].as_array().expect("jobs");
    let uid = |job: &Value| job["job_uid"].as_str().map(str::to_owned);
    jobs.iter().filter_map(uid).collect()
}

/// Two writers write while `act` is at work, and as long again afterwards: none of what was
/// acknowledged is missing.
fn written_meanwhile(server: &Server, act: impl FnOnce()) {
    open_session(server);
    let stop = AtomicBool::new(false);
    let acknowledged: Vec<String> = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..2)
            .map(|writer| {
                let stop = &stop;
                scope.spawn(move || {
                    let mut written = Vec::new();
                    let mut number = 0;
                    while !stop.load(Ordering::Relaxed) {
                        let uid = format!("w{writer}n{number}");
                        number += 1;
                        if send_job(server, &uid, 10) == Some(200) {
                            written.push(uid);
                        }
                    }
                    written
                })
            })
            .collect();
        act();
        stop.store(true, Ordering::Relaxed);
        writers
            .into_iter()
            .flat_map(|writer| writer.join().expect("no panic"))
            .collect()
    });
    assert_eq!(send_job(server, "afterwards", 10), Some(200));
    let kept = kept(server);
    let lost: Vec<&String> = acknowledged
        .iter()
        .filter(|uid| !kept.contains(*uid))
        .collect();
    assert_eq!(lost, Vec::<&String>::new());
    assert!(acknowledged.len() > 4, "{acknowledged:?}");
}

/// Asks until the server is ready, or is not.
fn until_ready(server: &Server, status: u16) {
    let start = Instant::now();
    while server.get("/readyz").status != status {
        assert!(start.elapsed() < Duration::from_secs(60), "{status}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_database_that_restarts_is_found_again() {
    if !met(&[Need::Postgres]) {
        return;
    }
    let mut postgres = Postgres::start();
    let server = Server::start(&postgres.url(), &OPTIONS);
    written_meanwhile(&server, || {
        for _ in 0..2 {
            postgres.stop();
            until_ready(&server, 503);
            assert_eq!(server.get("/healthz").status, 200);
            assert_eq!(server.get("/jobs").status, 503);
            postgres.start_again();
            until_ready(&server, 200);
        }
    });
}

/// A schema of the version before is brought up to date by a second server, while the first
/// serves.
fn migrates_while_serving(database: &str, undo: impl Fn(&str)) {
    let server = Server::start(database, &OPTIONS);
    written_meanwhile(&server, || {
        for _ in 0..3 {
            undo("DROP TABLE web_sessions; DELETE FROM schema_version WHERE version = 2");
            let newer = Server::start(database, &OPTIONS);
            assert_eq!(newer.get("/readyz").status, 200);
        }
    });
}

#[test]
fn sqlite_migrates_while_serving() {
    if !met(&[Need::Program("sqlite3")]) {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("glaas.db");
    migrates_while_serving(&format!("sqlite:{}", file.display()), |sql| {
        let mut sqlite = Command::new("sqlite3");
        let done = sqlite
            .arg("-bail")
            .arg(&file)
            .arg(".timeout 10000")
            .arg(sql);
        assert!(done.status().expect("sqlite3 runs").success());
    });
}

#[test]
fn postgres_migrates_while_serving() {
    if !met(&[Need::Postgres]) {
        return;
    }
    let postgres = Postgres::start();
    migrates_while_serving(&postgres.url(), |sql| {
        postgres.ask(sql);
    });
}

/// A file system of its own, of so many mebibytes; unmounted when dropped.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn new(mebibytes: u32) -> Self {
        let folder = tempfile::tempdir_in("/tmp").expect("a folder");
        let size = format!("size={mebibytes}m,mode=777");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(folder.path())
            .status();
        assert!(mounted.expect("mount runs").success());
        Self(folder)
    }

    /// Fills it to the last block.
    fn fill(&self) {
        let mut file = fs::File::create(self.0.path().join("filler")).expect("a file");
        let block = [0_u8; 4096];
        while file.write_all(&block).is_ok() {}
    }

    fn make_room(&self) {
        fs::remove_file(self.0.path().join("filler")).expect("it is there");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

fn full_disk(database: &str, disk: &SmallDisk) {
    let server = Server::start(database, &OPTIONS);
    open_session(&server);
    let mut acknowledged = BTreeSet::new();
    assert_eq!(send_job(&server, "before", 10), Some(200));
    acknowledged.insert("before".to_owned());
    disk.fill();
    let mut refused = 0;
    for number in 0.. {
        // What is there has free pages in its last file.
        let uid = format!("full{number}");
        match send_job(&server, &uid, 200_000) {
            Some(200) => _ = acknowledged.insert(uid),
            _ => refused += 1,
        }
        if refused == 5 {
            break;
        }
        assert!(number < 200, "the disk is full");
    }
    assert_eq!(server.get("/healthz").status, 200);
    assert_eq!(kept(&server), acknowledged, "what is there can be read");
    disk.make_room();
    until_ready(&server, 200);
    assert_eq!(send_job(&server, "after", 200_000), Some(200));
    acknowledged.insert("after".to_owned());
    assert_eq!(kept(&server), acknowledged);
}

#[test]
fn sqlite_outlives_a_full_disk() {
    if met(&[Need::Root]) {
        let disk = SmallDisk::new(4);
        full_disk(
            &format!("sqlite:{}/glaas.db", disk.0.path().display()),
            &disk,
        );
    }
}

#[test]
fn postgres_outlives_a_full_disk() {
    if met(&[Need::Root, Need::Postgres]) {
        let disk = SmallDisk::new(200);
        let postgres = Postgres::start_with(Some(disk.0.path()), PORT, |_| Vec::new());
        full_disk(&postgres.url(), &disk);
    }
}

/// Half a request is there when the server is told to end: it is answered, and nobody else is let in.
fn ends_gracefully(database: &str) {
    let mut server = Server::start(database, &OPTIONS);
    open_session(&server);
    let job = json!({ "command": "x", "job_uid": "half", "timestamp": 1.5 }).to_string();
    let (first, second) = job.split_at(job.len() / 2);
    let mut slow = TcpStream::connect(&server.address).expect("it listens");
    let head = format!(
        "POST /api/v1/sessions/{SESSION}/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{first}",
        job.len()
    );
    slow.write_all(head.as_bytes()).expect("it reads");
    // An idle connection is closed at once.
    let mut idle = TcpStream::connect(&server.address).expect("it listens");
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        .expect("it reads");
    let mut start = [0_u8; 12];
    idle.read_exact(&mut start).expect("an answer");
    assert_eq!(&start, b"HTTP/1.1 200");
    server.terminate();
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).expect("it is closed");
    assert!(
        TcpStream::connect(&server.address).is_err(),
        "nobody else is let in"
    );
    slow.write_all(second.as_bytes()).expect("it still reads");
    let mut answer = String::new();
    slow.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(server.wait().code(), Some(0));
    let server = Server::start(database, &OPTIONS);
    assert_eq!(kept(&server), BTreeSet::from(["half".to_owned()]));
}

#[test]
fn sqlite_ends_gracefully() {
    let folder = tempfile::tempdir().expect("a folder");
    ends_gracefully(&format!("sqlite:{}", folder.path().join("x.db").display()));
}

#[test]
fn postgres_ends_gracefully() {
    if met(&[Need::Postgres]) {
        ends_gracefully(&Postgres::start().url());
    }
}

/// How many transactions a server began anew.
fn repeats(server: &Server) -> u64 {
    let metrics = server.get("/metrics").body;
    let line = metrics
        .lines()
        .find_map(|line| line.strip_prefix("glaas_transaction_repeats_total "));
    line.and_then(|count| count.trim().parse().ok())
        .expect("the counter")
}

#[test]
fn serialization_failures_are_repeated() {
    if !met(&[Need::Postgres]) {
        return;
    }
    let postgres = Postgres::start();
    let servers = [(); 2].map(|()| Server::start(&postgres.url(), &OPTIONS));
    open_session(&servers[0]);
    assert_eq!(send_job(&servers[0], "job", 10), Some(200));
    let path = format!("/api/v1/sessions/{SESSION}/jobs/job/inputs");
    // Everyone links other files to the same job: each reads the last position and writes the next.
    std::thread::scope(|scope| {
        for writer in 0..8 {
            let (server, path) = (&servers[writer % 2], &path);
            scope.spawn(move || {
                for number in 0..12 {
                    let name = format!("{writer} {number}");
                    let hash = blake3::hash(name.as_bytes()).to_hex().to_string();
                    let files = json!({ "artifacts": [{ "hash": hash, "path": name }] });
                    // One who is told to come again does.
                    let start = Instant::now();
                    while let Some(reply) =
                        server.send("POST", path, &[], files.to_string().as_bytes())
                        && reply.status != 200
                    {
                        assert_eq!(reply.status, 503, "{}", reply.body);
                        assert!(start.elapsed() < Duration::from_secs(60));
                    }
                }
            });
        }
    });
    let job = servers[1].get(&format!("/api/v1/sessions/{SESSION}/jobs/job"));
    let job = job.data();
    let inputs = job["inputs"].as_array().expect("inputs");
    let paths: BTreeSet<&str> = inputs
        .iter()
        .filter_map(|file| file["path"].as_str())
        .collect();
    assert_eq!((inputs.len(), paths.len()), (96, 96), "each is there once");
    assert!(servers.iter().map(repeats).sum::<u64>() > 0);
    let places = "SELECT count(DISTINCT position), count(*) FROM links";
    assert_eq!(postgres.ask(places), "96|96", "as one after the other");
}

/// The database may not be one of another program's, nor a newer one's.
#[test]
fn a_strange_database_is_left_alone() {
    if !met(&[Need::Program("sqlite3")]) {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("x.db");
    let run = |sql: &str| {
        let mut sqlite = Command::new("sqlite3");
        let done = sqlite.arg(&file).arg(sql).status();
        assert!(done.expect("sqlite3 runs").success());
    };
    let told = || Server::refusal(&format!("sqlite:{}", file.display()));
    run("CREATE TABLE theirs (x)");
    let before = fs::read(&file).expect("it is there");
    assert!(told().contains("another program"), "{}", told());
    assert_eq!(fs::read(&file).expect("it is there"), before);
    fs::remove_file(&file).expect("ours");
    drop(Server::start(&format!("sqlite:{}", file.display()), &[]));
    run("INSERT INTO schema_version VALUES (99)");
    assert!(told().contains("use a newer glaas-server"), "{}", told());
    assert!(Path::new(&file).exists());
}
