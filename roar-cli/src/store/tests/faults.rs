//! Damaged, foreign, locked, full: refused in words, and nothing made worse.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rusqlite::Connection;

use super::*;

/// The bytes of a database with some jobs in it.
fn database_bytes() -> Vec<u8> {
    let (_folder, project) = project();
    fill(&project, 40);
    // An own connection's close folds the log in.
    assert!(is_intact(&project));
    fs::read(project.database()).expect("reads")
}

fn fill(project: &Project, jobs: u32) {
    let mut store = Store::open(project).expect("opens");
    for number in 0..jobs {
        let mut record = job(number, "true");
        record.inputs = (0..40)
            .map(|n| file(&format!("/p/{number}/{n}"), n))
            .collect();
        store.insert_job(&record, &step("a")).expect("inserts");
    }
}

/// A SQLite database made by these statements.
fn foreign_bytes(sql: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("x.db");
    let connection = Connection::open(&path).expect("opens");
    connection.execute_batch(sql).expect("runs");
    drop(connection);
    fs::read(path).expect("reads")
}

#[test]
fn strange_files_are_refused_and_left_as_they_are() {
    let ours = database_bytes();
    let mut newer = ours.clone();
    newer[60..64].copy_from_slice(&99_u32.to_be_bytes());
    let mut bad_header = ours.clone();
    bad_header[..8].fill(b'x');
    type Expected = fn(&StoreError) -> bool;
    let not_a_database: Expected = |e| matches!(e, StoreError::NotADatabase { .. });
    let foreign: Expected = |e| matches!(e, StoreError::Foreign { .. });
    let damaged: Expected = |e| {
        matches!(
            e,
            StoreError::Corrupt { .. } | StoreError::NotADatabase { .. }
        )
    };
    let cases: [(&str, Vec<u8>, Expected); 11] = [
        ("empty", Vec::new(), not_a_database),
        ("one byte", vec![0], not_a_database),
        ("text", b"hello\n".repeat(500), not_a_database),
        ("zeros", vec![0; 8192], damaged),
        ("header destroyed", bad_header, not_a_database),
        ("cut in the header", ours[..60].to_vec(), not_a_database),
        ("cut in the first page", ours[..2000].to_vec(), damaged),
        ("cut after a page", ours[..4096].to_vec(), damaged),
        (
            "cut in the middle",
            ours[..ours.len() / 2 + 7].to_vec(),
            damaged,
        ),
        (
            "another program's",
            foreign_bytes("CREATE TABLE t (x)"),
            foreign,
        ),
        (
            "newer",
            newer,
            |e| matches!(e, StoreError::Newer { found: 99, known, .. } if *known < 99),
        ),
    ];
    for (name, bytes, expected) in cases {
        let (_folder, project) = project();
        fs::create_dir(project.directory()).expect("makes");
        fs::write(project.database(), &bytes).expect("writes");
        let error = Store::open(&project).expect_err(name);
        assert!(expected(&error), "{name}: {error:?}");
        assert!(error.advice().is_some(), "{name}");
        let after = fs::read(project.database()).expect("reads");
        assert!(after == bytes, "{name} was changed");
        let read_only = Store::open_read_only(&project);
        assert_eq!(read_only.is_ok(), name == "newer", "{name}: {read_only:?}");
        if let Ok(store) = read_only {
            assert_eq!(store.schema_version(), 99);
            assert_eq!(
                store
                    .job_summaries(&JobQuery::default())
                    .expect("reads")
                    .len(),
                40
            );
        }
        let after = fs::read(project.database()).expect("reads");
        assert!(after == bytes, "{name} was changed by reading");
    }
}

#[test]
fn damage_met_later_is_told() {
    let bytes = database_bytes();
    let (_folder, project) = project();
    fs::create_dir(project.directory()).expect("makes");
    let mut damaged = bytes;
    let pages = damaged.len() / 4096;
    damaged[3 * 4096..(pages - 1) * 4096].fill(0x5a);
    fs::write(project.database(), &damaged).expect("writes");
    let found =
        Store::open(&project).and_then(|store| store.job_summaries(&JobQuery::default()).map(drop));
    let error = found.expect_err("the pages of the jobs are gone");
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error:?}");
    assert!(fs::read(project.database()).expect("reads") == damaged);
}

#[cfg(unix)]
#[test]
fn links_and_special_files_are_not_followed() {
    use std::os::unix::fs::symlink;

    let (_elsewhere, target) = project();
    fill(&target, 1);
    assert!(is_intact(&target));
    let before = fs::read(target.database()).expect("reads");
    let check = |name: &str, place: &dyn Fn(&Project)| {
        let (_folder, project) = project();
        place(&project);
        for opened in [Store::open(&project), Store::open_read_only(&project)] {
            let error = opened.expect_err(name);
            assert!(
                matches!(error, StoreError::WrongKind { .. }),
                "{name}: {error:?}"
            );
        }
    };
    let in_folder = |project: &Project| {
        fs::create_dir(project.directory()).expect("makes");
        project.database()
    };
    check("the folder is a link", &|project| {
        symlink(target.directory(), project.directory()).expect("links");
    });
    check("the folder is a file", &|project| {
        fs::write(project.directory(), "").expect("writes");
    });
    check("the database is a link", &|project| {
        symlink(target.database(), in_folder(project)).expect("links");
    });
    check("the database is a link to nowhere", &|project| {
        symlink("/nonexistent/x", in_folder(project)).expect("links");
    });
    check("the database is a folder", &|project| {
        fs::create_dir(in_folder(project)).expect("makes");
    });
    check("the database is a pipe", &|project| {
        let status = Command::new("mkfifo").arg(in_folder(project)).status();
        assert!(status.expect("runs").success());
    });
    assert!(fs::read(target.database()).expect("reads") == before);
}

#[cfg(unix)]
#[test]
fn files_are_private() {
    use std::os::unix::fs::PermissionsExt as _;

    let (_folder, project) = project();
    let mut store = Store::open(&project).expect("opens");
    store
        .insert_job(&job(1, "true"), &step("a"))
        .expect("inserts");
    let _marker = running::RunningMarker::create(&project, &super::markers::starting(2, "x"));
    let mode = |path: &Path| fs::metadata(path).expect("is there").permissions().mode() & 0o777;
    assert_eq!(mode(&project.directory()), 0o700);
    assert_eq!(mode(&project.directory().join("running")), 0o700);
    for name in [
        "roar.db",
        "roar.db-wal",
        "roar.db-shm",
        "running/00000002.json",
    ] {
        assert_eq!(mode(&project.directory().join(name)), 0o600, "{name}");
    }
}

#[cfg(unix)]
#[test]
fn odd_project_names_are_no_matter() {
    use std::os::unix::ffi::OsStrExt as _;

    for name in [
        &b"a?mode=memory#x%41"[..],
        b"\xff\n",
        b"-v",
        b"file:x",
        b" '\"",
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join(std::ffi::OsStr::from_bytes(name));
        fs::create_dir(&root).expect("makes");
        let project = Project { root };
        fill(&project, 1);
        assert!(project.database().is_file());
        let store = Store::open_read_only(&project).expect("opens");
        assert_eq!(
            store
                .job_summaries(&JobQuery::default())
                .expect("lists")
                .len(),
            1
        );
        let version = store.schema_version();
        drop(store);
        let schema = next_schema("");
        Store::open_schema(&project, StoreOptions::default(), &schema).expect("migrates");
        assert!(schema::backup_path(&project.database(), version).is_file());
    }
}

#[test]
fn a_locked_database_is_waited_for_and_read_meanwhile() {
    let (_folder, project) = project();
    fill(&project, 1);
    let options = StoreOptions {
        lock_timeout: Duration::from_millis(20),
    };
    let mut store = Store::open_with(&project, options).expect("opens");
    let holder = Connection::open(project.database()).expect("opens");
    holder
        .execute_batch("BEGIN IMMEDIATE; DELETE FROM job_files")
        .expect("locks");
    let error = store
        .insert_job(&job(9, "true"), &step("a"))
        .expect_err("is locked");
    assert!(matches!(error, StoreError::Locked { .. }), "{error:?}");
    // Readers see the state before, at once, whether they were open already or come now.
    for reader in [store, Store::open_read_only(&project).expect("opens")] {
        let job = reader.job(1).expect("reads").expect("is there");
        assert_eq!(job.record.inputs.len(), 40);
    }
    let mut patient = Store::open(&project).expect("opens");
    std::thread::scope(|scope| {
        let waiting = scope.spawn(move || patient.insert_job(&job(9, "true"), &step("a")));
        holder.execute_batch("ROLLBACK").expect("unlocks");
        waiting
            .join()
            .expect("no panic")
            .expect("inserts in the end");
    });
}

#[test]
fn there_is_nothing_to_read_before_there_is_a_database() {
    let (_folder, project) = project();
    let check = |project: &Project| {
        let error = Store::open_read_only(project).expect_err("nothing is there");
        assert!(matches!(error, StoreError::Missing { .. }), "{error:?}");
    };
    check(&project);
    fs::create_dir(project.directory()).expect("makes");
    check(&project);
    assert!(!project.database().exists());
}

/// A tmpfs of its own, unmounted when dropped.
struct Tmpfs(tempfile::TempDir);

impl Tmpfs {
    /// None, with a line that says so, where this user may not mount.
    fn new(size_bytes: u64) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let mounted = mount(
            &[
                "-t",
                "tmpfs",
                "-o",
                &format!("size={size_bytes}"),
                "roar-test",
            ],
            folder.path(),
        );
        if !mounted {
            use std::io::Write as _;
            let _ = writeln!(
                std::io::stderr(),
                "skipped: mounting a tmpfs needs root (CAP_SYS_ADMIN)"
            );
            return None;
        }
        Some(Self(folder))
    }

    fn project(&self) -> Project {
        Project {
            root: self.0.path().to_path_buf(),
        }
    }

    fn remount(&self, options: &str) {
        // A child of another test has our files open, too, between its fork and its exec: the file
        // system is busy then.
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while !mount(&["-o", &format!("remount,{options}")], self.0.path()) {
            assert!(std::time::Instant::now() < deadline, "stays busy");
        }
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

fn mount(options: &[&str], place: &Path) -> bool {
    cfg!(target_os = "linux")
        && Command::new("mount")
            .args(options)
            .arg(place)
            .stderr(std::process::Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
}

/// The disk is full after n pages, for every n up to where a few jobs fit.
#[test]
fn a_full_disk_costs_the_new_job_only() {
    for pages in 1..=120 {
        let Some(disk) = Tmpfs::new(pages * 4096) else {
            return;
        };
        let project = disk.project();
        let mut recorded = Vec::new();
        let error = match Store::open(&project) {
            Err(error) => error,
            Ok(mut store) => loop {
                let number = recorded.len() as u32;
                let mut record = job(number, "true");
                record.inputs = (0..60)
                    .map(|n| file(&format!("/p/{number}/{n}"), n))
                    .collect();
                match store.insert_job(&record, &step("a")) {
                    Ok(job) => recorded.push(job.id),
                    Err(error) => break error,
                }
            },
        };
        assert!(
            // SQLite reports a log index that cannot grow as an I/O error.
            matches!(
                error,
                StoreError::DiskFull { .. } | StoreError::Sqlite { .. }
            ),
            "{pages} pages: {error:?}"
        );
        disk.remount("size=16m");
        if !recorded.is_empty() {
            assert!(is_intact(&project), "{pages} pages");
        }
        let mut store = Store::open(&project).expect("opens once there is space");
        let jobs = store.job_summaries(&JobQuery::default()).expect("lists");
        let ids: Vec<i64> = jobs.iter().rev().map(|job| job.id).collect();
        assert_eq!(ids, recorded, "{pages} pages");
        store
            .insert_job(&job(9_999, "true"), &step("b"))
            .expect("inserts");
    }
}

#[test]
fn a_read_only_file_system_is_told_and_can_be_read() {
    let Some(disk) = Tmpfs::new(8 << 20) else {
        return;
    };
    let project = disk.project();
    fill(&project, 3);
    disk.remount("ro");
    let error = Store::open(&project).expect_err("cannot be written");
    assert!(matches!(error, StoreError::ReadOnly { .. }), "{error:?}");
    let store = Store::open_read_only(&project).expect("opens");
    assert_eq!(
        store
            .job_summaries(&JobQuery::default())
            .expect("lists")
            .len(),
        3
    );
    drop(store);
    let empty = Project {
        root: disk.0.path().join("none"),
    };
    assert!(Store::open(&empty).is_err());
}
