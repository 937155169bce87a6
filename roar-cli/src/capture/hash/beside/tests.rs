use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use tempfile::TempDir;

use super::super::NoCache;
use super::*;
use crate::event::{FileState, NameChange, ProcessId};
use crate::model::{CachedHash, Digest, Hashes};

/// Longer than anything here takes; nothing waits for it to pass.
const LONG: Duration = Duration::from_secs(60);

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn file(folder: &TempDir, name: &str, content: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, content).expect("written");
    path
}

fn start(cache: Box<dyn FnOnce() -> Box<dyn HashCache> + Send>) -> Beside {
    Beside::start(Plan {
        is_wanted: Box::new(|path, _| !path.file_name().starts_with(b"unwanted")),
        cache,
        algorithms: Vec::new(),
        step_back: || (),
    })
    .expect("a thread")
}

fn without_cache() -> Beside {
    start(Box::new(|| Box::new(NoCache)))
}

fn event(kind: EventKind) -> TraceEvent {
    TraceEvent {
        at_ns: 0,
        process: ProcessId(1),
        kind,
    }
}

/// A touch of the file as it is now.
fn touched(path: &Path, access: Access) -> TraceEvent {
    let metadata = path.symlink_metadata().expect("it is there");
    event(EventKind::Touched {
        file: FileState {
            id: Some(id_of(path)),
            path: RawString::from_path(path),
            quality: PathQuality::Full,
            size_bytes: metadata.size(),
            mtime_ns: metadata.mtime() * 1_000_000_000 + metadata.mtime_nsec(),
            ctime_ns: metadata.ctime() * 1_000_000_000 + metadata.ctime_nsec(),
        },
        access,
    })
}

fn id_of(path: &Path) -> FileId {
    let metadata = path.symlink_metadata().expect("it is there");
    FileId {
        device: 1,
        inode: metadata.ino(),
        generation: 0,
    }
}

fn hash_of(content: &[u8]) -> Hashes {
    let digest = Digest::from_bytes(blake3::hash(content).as_bytes());
    Hashes::from([(HashAlgorithm::Blake3, digest)])
}

/// The next content that is found.
fn content(beside: &Beside) -> (CacheKey, Hashes) {
    loop {
        match beside.found.recv_timeout(LONG).expect("something is found") {
            Found::Content(key, hashes) => return (key, hashes),
            Found::State(..) | Found::Told(..) => {}
        }
    }
}

#[test]
fn what_is_read_is_hashed_and_its_state_remembered() {
    let folder = folder();
    let path = file(&folder, "input", b"before");
    let beside = without_cache();
    let event = touched(&path, Access::Read);
    beside.see(&event);
    let EventKind::Touched { file: seen, .. } = &event.kind else {
        unreachable!("made above");
    };
    let first = beside.found.recv_timeout(LONG).expect("found");
    let Found::State(id, stamp, key) = first else {
        panic!("{first:?}");
    };
    assert_eq!((id, stamp), (id_of(&path), FileStamp::from(seen)));
    assert_eq!(content(&beside), (key, hash_of(b"before")));
    // In place: the state is gone, its hash is known.
    fs::write(&path, "after").expect("written");
    assert_ne!(open::look(&path).expect("there"), key);
}

#[test]
fn what_the_tracer_hashed_is_taken_over() {
    let folder = folder();
    let path = file(&folder, "input", b"before");
    let beside = without_cache();
    let EventKind::Touched { file: seen, .. } = touched(&path, Access::OpenedRead).kind else {
        unreachable!("made above");
    };
    // By now there is nothing to read.
    fs::remove_file(&path).expect("removed");
    beside.see(&event(EventKind::Content {
        file: seen.clone(),
        blake3: *blake3::hash(b"before").as_bytes(),
    }));
    let all = beside.finish();
    let told = |stamp| {
        all.told(seen.id.expect("it has one"), stamp)
            .map(|known| known.hashes)
    };
    let stamp = FileStamp::from(&seen);
    assert_eq!(told(stamp), Some(hash_of(b"before")));
    let later = FileStamp {
        ctime_ns: stamp.ctime_ns + 1,
        ..stamp
    };
    assert_eq!(told(later), None);
}

#[test]
fn what_is_written_is_hashed_when_nobody_writes_any_more() {
    let folder = folder();
    let made = file(&folder, "made", b"");
    let beside = without_cache();
    beside.see(&touched(&made, Access::Created));
    let mut handle = File::options().append(true).open(&made).expect("opened");
    handle.write_all(b"content").expect("written");
    assert_eq!(content(&beside).1, hash_of(b"content"));
    // Written again after a pause: seen without another event.
    handle.write_all(b" and more").expect("written");
    assert_eq!(content(&beside).1, hash_of(b"content and more"));
    // Under its last name.
    let placed = folder.path().join("placed");
    let temporary = file(&folder, "temporary", b"x");
    beside.see(&touched(&temporary, Access::Written { bytes: 1 }));
    fs::rename(&temporary, &placed).expect("renamed");
    beside.see(&event(EventKind::Renamed {
        from: RawString::from_path(&temporary),
        to: RawString::from_path(&placed),
        change: NameChange::Rename,
        id: None,
    }));
    assert_eq!(
        content(&beside),
        (open::look(&placed).expect("there"), hash_of(b"x"))
    );
}

/// Nothing is found of what must be left alone: the next thing found is of the file after it.
#[test]
fn what_is_left_alone() {
    let folder = folder();
    let beside = without_cache();
    let last = file(&folder, "last", b"last");
    let changed = file(&folder, "changed", b"one");
    let seen_before = touched(&changed, Access::Read);
    fs::write(&changed, "another").expect("written");
    let mapped = file(&folder, "mapped", b"mapped");
    let unwanted = file(&folder, "unwanted", b"unwanted");
    let fifo = folder.path().join("fifo");
    mknodat(CWD, &fifo, FileType::Fifo, Mode::RWXU, 0).expect("a FIFO");
    let gone = file(&folder, "gone", b"gone");
    let seen_gone = touched(&gone, Access::Read);
    fs::remove_file(&gone).expect("removed");
    for left_alone in [
        seen_before,
        touched(&mapped, Access::MappedWrite),
        touched(&unwanted, Access::Read),
        touched(&unwanted, Access::Written { bytes: 1 }),
        touched(&fifo, Access::Read),
        seen_gone,
        // No file of a local file system.
        touched(Path::new("/proc/self/status"), Access::Read),
    ] {
        beside.see(&left_alone);
    }
    beside.see(&touched(&last, Access::Read));
    let first = beside.found.recv_timeout(LONG).expect("found");
    assert!(
        matches!(first, Found::State(id, ..) if id == id_of(&last)),
        "{first:?}"
    );
    assert_eq!(content(&beside).1, hash_of(b"last"));
    beside.see(&touched(&fifo, Access::Written { bytes: 1 }));
    beside.see(&touched(&mapped, Access::Written { bytes: 1 }));
    assert_eq!(content(&beside).1, hash_of(b"mapped"));
}

#[test]
fn what_earlier_runs_hashed_is_not_hashed_again() {
    struct Knows;
    impl HashCache for Knows {
        fn get(&mut self, keys: &[CacheKey]) -> Vec<Option<CachedHash>> {
            let known = |key: &CacheKey| {
                (key.size_bytes == 5).then(|| CachedHash {
                    hashes: hash_of(b"known"),
                })
            };
            keys.iter().map(known).collect()
        }

        fn put(&mut self, _entries: &[(CacheKey, CachedHash)]) {}
    }
    let folder = folder();
    let beside = start(Box::new(|| Box::new(Knows)));
    beside.see(&touched(&file(&folder, "known", b"known"), Access::Read));
    beside.see(&touched(
        &file(&folder, "unknown", b"unknown"),
        Access::Read,
    ));
    assert_eq!(content(&beside).1, hash_of(b"unknown"));
}

#[test]
fn a_full_queue_drops_and_the_end_comes_at_once() {
    let folder = folder();
    let path = file(&folder, "input", b"x");
    let beside = Beside::start(Plan {
        // As if it never got a processor.
        is_wanted: Box::new(|_, _| {
            thread::park_timeout(LONG);
            false
        }),
        cache: Box::new(|| Box::new(NoCache)),
        algorithms: Vec::new(),
        step_back: || (),
    })
    .expect("a thread");
    let event = touched(&path, Access::Read);
    for _ in 0..3 * QUEUE {
        beside.see(&event);
    }
    assert!(beside.shared.queued.load(Ordering::Relaxed) <= QUEUE);
    assert!(beside.finish().is_empty());
}

#[test]
fn mounts_of_local_file_systems() {
    for (line, expected) in [
        (
            "36 35 98:0 / /mnt rw,noatime master:1 - ext4 /dev/root rw",
            Some(36),
        ),
        ("37 35 0:44 / /home/a rw - fuse.sshfs host: rw", None),
        (
            "38 35 0:45 /sub /a\\040b rw shared:7 - btrfs /dev/x rw",
            Some(38),
        ),
        ("39 35 0:46 / /proc rw - proc proc rw", None),
        ("40 35 0:47 / /n rw - nfs4 host:/ rw", None),
        ("", None),
        ("x - ext4", None),
    ] {
        assert_eq!(local_mount(line), expected, "{line}");
    }
}
