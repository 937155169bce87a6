//! How fast content is hashed, beside `b3sum`, which does nothing else.
//!
//! `roar verify` reads every file of the record anew, whatever its times say; what it takes from its
//! start to its end, database and report included, is compared with `b3sum` at the same threads.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::measure::{Sample, sample};
use super::results;
use super::site::{Site, User};
use super::statistics::Spread;
use crate::{console, process};

const LARGE_BYTES: usize = 1 << 30;
const SMALL_FILES: usize = 20_000;
const SMALL_BYTES: usize = 4096;

/// Wall clock of roar to that of `b3sum`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct HashingResult {
    /// One file of 1 GiB.
    pub(super) large: Spread,
    /// 20,000 files of 4 KiB.
    pub(super) small: Spread,
}

/// Measures both in turn, in a page cache that holds everything.
///
/// # Errors
/// A command fails, or there is no `b3sum`.
pub(super) fn run(site: &Site, rounds: u32) -> Result<()> {
    site.fresh(User::Caller)?;
    site.init(User::Caller)?;
    let (large, small) = (site.work().join("large"), site.work().join("small"));
    // No two files alike.
    fs::write(&large, noise(0, LARGE_BYTES)).context("cannot write a large file")?;
    fs::create_dir(&small).context("cannot make a folder")?;
    for number in 1..=SMALL_FILES {
        let content = noise(number as u64, SMALL_BYTES);
        fs::write(small.join(format!("{number:05}")), content).context("cannot write a file")?;
    }
    let mut record = site.command(User::Caller, site.roar());
    record.args(["run", "-q", "sh", "-c", "cat large small/* > /dev/null"]);
    process::quietly(&mut record)?;
    let result = HashingResult {
        large: beside_b3sum(site, &large, rounds)?,
        small: beside_b3sum(site, &small, rounds)?,
    };
    console::line(&format!(
        "wall clock to that of b3sum: 1 GiB {:.3}, 20,000 files {:.3}",
        result.large.median, result.small.median
    ));
    results::write(super::HASHING, rounds, &result)
}

fn beside_b3sum(site: &Site, place: &Path, rounds: u32) -> Result<Spread> {
    let mut files = Vec::new();
    if place.is_dir() {
        for entry in fs::read_dir(place).context("cannot list the files")? {
            files.push(entry.context("cannot list the files")?.path());
        }
    } else {
        files.push(place.to_owned());
    }
    let threads = std::thread::available_parallelism().context("how many processors there are")?;
    let mut ratios = Vec::new();
    for round in 0..=rounds {
        let mut b3sum = site.command(User::Caller, "b3sum");
        b3sum.arg(format!("--num-threads={threads}")).args(&files);
        let mut verify = site.command(User::Caller, site.roar());
        verify.arg("verify").arg(place);
        let wall_s = |command: &mut Command| -> Result<f64> {
            let Sample { wall_s, .. } = sample(command, None)?;
            Ok(wall_s)
        };
        let before = wall_s(&mut b3sum)?;
        let roar = wall_s(&mut verify)?;
        let after = wall_s(&mut b3sum)?;
        if round > 0 {
            ratios.push(roar / f64::midpoint(before, after));
        }
    }
    Spread::of(ratios).context("no rounds")
}

/// Bytes that no file system could leave out.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed;
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        // SplitMix64.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bytes.extend_from_slice(&(word ^ (word >> 31)).to_ne_bytes());
    }
    bytes.truncate(length);
    bytes
}
