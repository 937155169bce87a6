//! Hashing against `b3sum`, which is the yardstick: one large file, and many small ones, in a
//! file system in memory. `cargo run --release -p roar-cli --example hash_speed -- [FOLDER]`
//!
//! Each program runs as a process of its own, in turns, with the same number of threads; the
//! figures are medians of the wall time, and their ratio.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use roar_cli::capture::hash::{NoCache, hash_files};

const ROUNDS: usize = 9;
const LARGE_BYTES: usize = 1 << 30;
const SMALL_FILES: usize = 20_000;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let first = arguments.next();
    if first.as_deref() == Some("--hash".as_ref()) {
        let folder = arguments.next().ok_or("--hash FOLDER")?;
        return hash(Path::new(&folder));
    }
    let folder = first.map_or_else(|| PathBuf::from("/dev/shm"), PathBuf::from);
    let folder = tempfile::Builder::new()
        .prefix("hash-speed-")
        .tempdir_in(folder)?;
    let (large, small) = (folder.path().join("large"), folder.path().join("small"));
    fs::create_dir(&large)?;
    fs::create_dir(&small)?;
    fs::write(large.join("file"), bytes(LARGE_BYTES))?;
    let content = bytes(64 << 10);
    for number in 0..SMALL_FILES {
        let length = 1 + number * 7919 % (16 << 10);
        fs::write(
            small.join(number.to_string()),
            &content[number % 64..][..length],
        )?;
    }
    let mut report = Vec::new();
    for (name, folder) in [
        ("one file of 1 GiB", &large),
        ("20,000 small files", &small),
    ] {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            ours.push(timed(
                Command::new(std::env::current_exe()?)
                    .arg("--hash")
                    .arg(folder),
            )?);
            theirs.push(timed(Command::new("b3sum").args(files(folder)?))?);
        }
        let (ours, theirs) = (median(ours), median(theirs));
        report.push(format!(
            "{name}: roar {:.1} ms, b3sum {:.1} ms: {:.2} times as fast\n",
            ours.as_secs_f64() * 1e3,
            theirs.as_secs_f64() * 1e3,
            theirs.as_secs_f64() / ours.as_secs_f64(),
        ));
    }
    fs::write("/dev/stdout", report.concat())?;
    Ok(())
}

fn hash(folder: &Path) -> Result<(), Box<dyn Error>> {
    for answer in hash_files(&files(folder)?, &[], &mut NoCache) {
        answer?;
    }
    Ok(())
}

fn files(folder: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        files.push(entry?.path());
    }
    Ok(files)
}

fn timed(command: &mut Command) -> Result<Duration, Box<dyn Error>> {
    let since = Instant::now();
    let status = command.stdout(Stdio::null()).status()?;
    let taken = since.elapsed();
    if status.success() {
        Ok(taken)
    } else {
        Err(format!("{command:?}: {status}").into())
    }
}

fn median(mut all: Vec<Duration>) -> Duration {
    all.sort();
    all[all.len() / 2]
}

/// Bytes without a period that a block size could hide.
fn bytes(count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    blake3::Hasher::new().finalize_xof().fill(&mut bytes);
    bytes
}
