use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{AtFlags, CWD, FileType, Mode, Timestamps, mknodat, utimensat};
use rustix::time::Timespec;
use tempfile::TempDir;

use super::*;
use crate::model::Digest;

#[derive(Default)]
struct MapCache {
    entries: BTreeMap<CacheKey, CachedHash>,
    asked: usize,
}

impl HashCache for MapCache {
    fn get(&mut self, keys: &[CacheKey]) -> Vec<Option<CachedHash>> {
        self.asked += keys.len();
        keys.iter().map(|k| self.entries.get(k).cloned()).collect()
    }

    fn put(&mut self, entries: &[(CacheKey, CachedHash)]) {
        self.entries.extend(entries.iter().cloned());
    }
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn file(folder: &TempDir, name: &str, content: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, content).expect("written");
    path
}

/// Bytes without a period that a block size could hide.
fn bytes(count: usize) -> Vec<u8> {
    (0..count)
        .map(|i| (i % 251) as u8 ^ (i / 251) as u8)
        .collect()
}

fn hash(path: &Path, cache: &mut dyn HashCache) -> Result<Hashed, Unhashed> {
    hash_files(&[path.to_path_buf()], &[], cache).remove(0)
}

fn blake3_of(hashed: &Hashed) -> &str {
    hashed.hashes[&HashAlgorithm::Blake3].as_str()
}

/// A state older than every margin, as a file that was written long ago has. The change time
/// cannot be set, so the test waits for the kernel's clock to move on.
fn let_settle(path: &Path) {
    let key = open::look(path).expect("a file");
    while !settled::is_settled(&key, settled::now_ns(), settled::FileSystem::Local) {
        std::thread::yield_now();
    }
}

#[test]
fn published_vectors() {
    let folder = folder();
    let cases = [
        (
            &b""[..],
            [
                "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
                "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce\
                 47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e",
                "d41d8cd98f00b204e9800998ecf8427e",
            ],
        ),
        (
            b"abc",
            [
                "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85",
                "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
                "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
                 2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
                "900150983cd24fb0d6963f7d28e17f72",
            ],
        ),
    ];
    for (content, expected) in cases {
        let path = file(&folder, "f", content);
        let hashed = hash_files(&[path], &HashAlgorithm::ALL, &mut NoCache)
            .remove(0)
            .expect("hashed");
        let found: Vec<&str> = hashed.hashes.values().map(Digest::as_str).collect();
        assert_eq!(found, expected);
        assert_eq!(hashed.size_bytes, content.len() as u64);
    }
}

/// Every way through the code (alone, in parallel, together, with and without further
/// algorithms) at every boundary of blocks, chunks and windows, against other programs.
#[test]
fn other_programs_agree() {
    let folder = folder();
    let sizes = [
        0,
        1,
        1023,
        1024,
        1025,
        (256 << 10) - 1,
        256 << 10,
        (256 << 10) + 1,
        (4 << 20) - 1,
        4 << 20,
        (4 << 20) + 1,
        (5 << 20) + 77,
    ];
    let mut paths: Vec<PathBuf> = sizes
        .iter()
        .map(|size| file(&folder, &format!("f{size}"), &bytes(*size)))
        .collect();
    // Across windows; the hole costs no disk.
    let sparse = file(&folder, "sparse", b"");
    let handle = OpenOptions::new()
        .write(true)
        .open(&sparse)
        .expect("opened");
    handle.set_len((64 << 20) + (3 << 20) + 5).expect("grown");
    handle.write_all_at(b"x", 66 << 20).expect("written");
    paths.push(sparse);

    let only_blake3 = hash_files(&paths, &[], &mut NoCache);
    let everything = hash_files(&paths, &HashAlgorithm::ALL, &mut NoCache);
    for (path, (alone, all)) in paths.iter().zip(only_blake3.iter().zip(&everything)) {
        let (alone, all) = (
            alone.as_ref().expect("hashed"),
            all.as_ref().expect("hashed"),
        );
        let content = fs::read(path).expect("read");
        assert_eq!(
            blake3_of(alone),
            blake3::hash(&content).to_hex().as_str(),
            "{path:?}"
        );
        assert_eq!(blake3_of(alone), blake3_of(all), "{path:?}");
        let single = hash(path, &mut NoCache).expect("hashed");
        assert_eq!(single.hashes, alone.hashes, "{path:?}");
    }
    for (program, algorithm) in [
        ("b3sum", HashAlgorithm::Blake3),
        ("sha256sum", HashAlgorithm::Sha256),
        ("sha512sum", HashAlgorithm::Sha512),
        ("md5sum", HashAlgorithm::Md5),
    ] {
        // A program that is not installed tells nothing; the in-memory comparison above stands.
        let Ok(output) = Command::new(program).args(&paths).output() else {
            continue;
        };
        let listing = String::from_utf8(output.stdout).expect("text");
        let theirs: Vec<&str> = listing.split_whitespace().step_by(2).collect();
        let ours: Vec<&str> = everything
            .iter()
            .map(|h| h.as_ref().expect("hashed").hashes[&algorithm].as_str())
            .collect();
        assert_eq!(ours, theirs, "{program}");
    }
}

#[test]
fn answers_keep_the_order_of_the_paths() {
    let folder = folder();
    let mut paths: Vec<PathBuf> = (0..200)
        .map(|i| file(&folder, &format!("f{i}"), &bytes(i * 7919 % 30_000)))
        .collect();
    paths.insert(100, folder.path().join("missing"));
    let mut cache = MapCache::default();
    for round in 0..2 {
        let answers = hash_files(&paths, &[], &mut cache);
        for (path, answer) in paths.iter().zip(answers) {
            let expected = fs::read(path)
                .map(|c| blake3::hash(&c).to_hex().to_string())
                .ok();
            let found = answer.as_ref().ok().map(|h| blake3_of(h).to_owned());
            assert_eq!(found, expected, "{path:?}, round {round}");
        }
    }
}

#[test]
fn what_is_not_a_file_has_a_reason() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    let regular = file(&folder, "regular", b"x");
    mknodat(CWD, at("fifo"), FileType::Fifo, Mode::RWXU, 0).expect("a FIFO");
    symlink("nowhere", at("dangling")).expect("a link");
    symlink("loop", at("loop")).expect("a link");
    symlink("regular", at("link")).expect("a link");
    let _listener = std::os::unix::net::UnixListener::bind(at("socket")).expect("a socket");
    let cases = [
        (at("fifo"), Unhashed::Fifo),
        (at("dangling"), Unhashed::Symlink),
        (at("loop"), Unhashed::Symlink),
        (at("link"), Unhashed::Symlink),
        (at("socket"), Unhashed::Socket),
        (folder.path().to_path_buf(), Unhashed::Directory),
        (at("missing"), Unhashed::Missing),
        (regular.join("below"), Unhashed::Missing),
        ("/dev/zero".into(), Unhashed::Device),
        ("/dev/null".into(), Unhashed::Device),
        ("/proc/self/status".into(), Unhashed::Kernel),
        ("/sys/kernel/notes".into(), Unhashed::Kernel),
    ];
    for (path, expected) in cases {
        assert_eq!(hash(&path, &mut NoCache), Err(expected.clone()), "{path:?}");
        // The same when the path only became such a thing after it was looked at.
        assert_eq!(open::open(&path).err(), Some(expected), "{path:?}");
    }
    assert!(matches!(
        hash(&at(&"n".repeat(300)), &mut NoCache),
        Err(Unhashed::Io(_))
    ));
}

/// As root nothing is unreadable, so the check runs in a child without privileges.
#[test]
fn unreadable_files_are_denied() {
    const VARIABLE: &str = "ROAR_TEST_UNREADABLE";
    if let Some(path) = std::env::var_os(VARIABLE) {
        assert_eq!(hash(Path::new(&path), &mut NoCache), Err(Unhashed::Denied));
        return;
    }
    let folder = folder();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("opened up");
    let secret = file(&folder, "secret", b"x");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o0)).expect("closed");
    // A copy that another user can reach, wherever the build folder is.
    let program = folder.path().join("test");
    fs::copy(std::env::current_exe().expect("a program"), &program).expect("copied");
    let mut child = Command::new(&program);
    child
        .args([
            "--exact",
            "capture::hash::tests::unreadable_files_are_denied",
        ])
        .env(VARIABLE, &secret)
        .current_dir("/");
    if rustix::process::geteuid().is_root() {
        child.gid(65534).uid(65534);
    }
    let output = child.output().expect("started");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}"
    );
}

#[test]
fn the_cache_answers_for_settled_files_only() {
    let folder = folder();
    let path = file(&folder, "f", b"first content");
    let mut cache = MapCache::default();

    // Whether the first hashing may be remembered depends on how fast it came; the second
    // comes late enough.
    let first = hash(&path, &mut cache).expect("hashed");
    assert!(!first.from_cache);
    let_settle(&path);
    cache.entries.clear();
    assert!(!hash(&path, &mut cache).expect("hashed").from_cache);
    let again = hash(&path, &mut cache).expect("hashed");
    assert!(again.from_cache);
    assert_eq!(again.hashes, first.hashes);

    // A further algorithm is a miss, and both are known afterwards.
    let sha = [HashAlgorithm::Sha256];
    let more = hash_files(std::slice::from_ref(&path), &sha, &mut cache)
        .remove(0)
        .expect("hashed");
    assert!(!more.from_cache && more.hashes.len() == 2);
    assert!(hash(&path, &mut cache).expect("hashed").from_cache);
    let both = hash_files(std::slice::from_ref(&path), &sha, &mut cache)
        .remove(0)
        .expect("hashed");
    assert!(both.from_cache && both.hashes == more.hashes);
}

/// Same size, times set back: only the change time tells.
#[test]
fn a_rewrite_with_restored_times_is_seen() {
    let folder = folder();
    let path = file(&folder, "f", b"AAAA");
    let_settle(&path);
    let mut cache = MapCache::default();
    let before = hash(&path, &mut cache).expect("hashed");
    assert_eq!(cache.entries.len(), 1);

    OpenOptions::new()
        .write(true)
        .open(&path)
        .and_then(|mut f| f.write_all(b"BBBB"))
        .expect("rewritten");
    let time = Timespec {
        tv_sec: before.state.mtime_ns / 1_000_000_000,
        tv_nsec: before.state.mtime_ns % 1_000_000_000,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    utimensat(CWD, &path, &times, AtFlags::empty()).expect("set back");
    let after = hash(&path, &mut cache).expect("hashed");
    assert_eq!(after.state.mtime_ns, before.state.mtime_ns);
    assert_eq!(after.state.size_bytes, before.state.size_bytes);
    assert!(!after.from_cache);
    assert_eq!(blake3_of(&after), blake3::hash(b"BBBB").to_hex().as_str());
}

/// Written, hashed, rewritten in the same tick, many times over: whatever the cache says must be
/// the content.
#[test]
fn quick_rewrites_never_give_a_stale_hash() {
    let folder = folder();
    let path = file(&folder, "f", &[0]);
    let handle = OpenOptions::new().write(true).open(&path).expect("opened");
    let mut cache = MapCache::default();
    for round in 0..3000_u32 {
        handle.write_all_at(&[round as u8], 0).expect("written");
        let hashed = hash(&path, &mut cache).expect("hashed");
        let expected = blake3::hash(&[round as u8]);
        assert_eq!(
            blake3_of(&hashed),
            expected.to_hex().as_str(),
            "round {round}"
        );
    }
}

#[test]
fn a_change_while_hashing_is_hashed_again_then_marked() {
    let folder = folder();
    // (changes made after the bytes were read, is it marked)
    for (changes, marked) in [(0, false), (1, false), (2, true)] {
        let path = file(&folder, "f", b"0");
        let left = Cell::new(changes);
        let change = || {
            if left.get() > 0 {
                left.set(left.get() - 1);
                let mut handle = File::options().append(true).open(&path).expect("opened");
                handle.write_all(b"1").expect("written");
            }
        };
        let fresh = hash_one(&path, &[HashAlgorithm::Blake3], false, &(), &change).expect("hashed");
        assert_eq!(fresh.hashed.changed_during, marked, "{changes} changes");
        assert!(!(marked && fresh.may_be_cached));
        // The hash is that of the bytes read, whatever came later.
        let read: &[u8] = if changes == 0 { b"0" } else { b"01" };
        assert_eq!(
            blake3_of(&fresh.hashed),
            blake3::hash(read).to_hex().as_str()
        );
        assert_eq!(fresh.hashed.size_bytes, read.len() as u64);
    }
}

/// The path names another file when its bytes have been read: that one is hashed.
#[test]
fn a_file_replaced_while_hashing() {
    let folder = folder();
    let path = file(&folder, "f", b"old");
    let replace = || {
        if folder.path().join("new").exists() {
            fs::rename(folder.path().join("new"), &path).expect("replaced");
        }
    };
    file(&folder, "new", b"newer");
    let fresh = hash_one(&path, &[HashAlgorithm::Blake3], false, &(), &replace).expect("hashed");
    assert_eq!(
        blake3_of(&fresh.hashed),
        blake3::hash(b"newer").to_hex().as_str()
    );
    assert!(!fresh.hashed.changed_during);
}

/// The file is shorter than it was when its hashing began.
#[test]
fn a_cut_file_gives_the_hash_of_what_is_left() {
    let folder = folder();
    let content = bytes((5 << 20) + 3);
    let path = file(&folder, "f", &content);
    for together in [false, true] {
        for claimed in [content.len() as u64 + 1, 64 << 20, 200 << 20] {
            let handle = File::open(&path).expect("opened");
            let algorithms = [HashAlgorithm::Blake3];
            let source = digest::Source {
                file: &handle,
                size_bytes: claimed,
                sparse: false,
                watch: &(),
            };
            let found = digest::digest(source, &algorithms, together).expect("hashed");
            assert_eq!(found.size_bytes, content.len() as u64);
            let expected = blake3::hash(&content).to_hex().to_string();
            assert_eq!(found.hashes[&HashAlgorithm::Blake3].as_str(), expected);
        }
    }
}

/// A writer that cuts and grows the file all the while: no signal, no hang, and a hash that is not
/// marked is the hash of a content the file really had.
#[test]
fn a_writer_at_work_does_no_harm() {
    let folder = folder();
    let path = file(&folder, "f", b"");
    let sizes = [9 << 20, 1 << 20, 5_000_000_u64];
    let known: Vec<String> = sizes
        .iter()
        .chain(&[0])
        .map(|s| blake3::hash(&vec![0; *s as usize]).to_hex().to_string())
        .collect();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let handle = OpenOptions::new().write(true).open(&path).expect("opened");
            while !stop.load(Ordering::Relaxed) {
                for size in sizes {
                    handle.set_len(size).expect("set");
                }
            }
        });
        for _ in 0..20 {
            let hashed = hash(&path, &mut NoCache).expect("hashed");
            if !hashed.changed_during {
                assert!(known.iter().any(|k| k == blake3_of(&hashed)));
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
}

/// Whoever watches ends the hashing of one file, of a file by many threads, and of many files.
#[test]
fn hashing_ends_when_it_is_no_longer_wanted() {
    struct Until(std::sync::atomic::AtomicU64);
    impl Watch for Until {
        fn go_on(&self, bytes: u64) -> bool {
            let take = |left: u64| Some(left.saturating_sub(bytes));
            let before = self
                .0
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, take);
            before.is_ok_and(|left| left > bytes)
        }
    }
    let folder = folder();
    let large = file(&folder, "large", &bytes(9 << 20));
    let small: Vec<PathBuf> = (0..100)
        .map(|i| file(&folder, &format!("f{i}"), &bytes(1000)))
        .collect();
    let all: Vec<PathBuf> = std::iter::once(large).chain(small).collect();
    for algorithms in [&[][..], &[HashAlgorithm::Sha256]] {
        let until = Until((1 << 20).into());
        let answers = hash_files_watched(&all, algorithms, &mut NoCache, &until);
        assert!(answers.iter().all(|a| *a == Err(Unhashed::Interrupted)));
        // The large one is first; then some of the small ones.
        let until = Until(((9 << 20) + 50_000).into());
        let answers = hash_files_watched(&all, algorithms, &mut NoCache, &until);
        assert!(answers[0].is_ok());
        let interrupted = answers.iter().filter(|a| **a == Err(Unhashed::Interrupted));
        let interrupted = interrupted.count();
        assert!((20..=60).contains(&interrupted), "{interrupted}");
    }
}

/// Holes, data, and the end of the file at every kind of boundary.
#[test]
fn holes_are_zeros() {
    let folder = folder();
    let path = file(&folder, "sparse", b"");
    let handle = OpenOptions::new().write(true).open(&path).expect("opened");
    let length = (12_u64 << 20) + 1;
    handle.set_len(length).expect("grown");
    for at in [3 << 20, (6 << 20) - 1, length - 1] {
        handle.write_all_at(b"data", at).expect("written");
        let content = fs::read(&path).expect("read");
        let expected = blake3::hash(&content).to_hex().to_string();
        let only = hash(&path, &mut NoCache).expect("hashed");
        assert_eq!(blake3_of(&only), expected);
        let one = std::slice::from_ref(&path);
        let also = hash_files(one, &[HashAlgorithm::Md5], &mut NoCache).remove(0);
        assert_eq!(blake3_of(&also.expect("hashed")), expected);
    }
}
