//! Whether every processor of the machine has work.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

/// The kernel's count of threads that run or could (`/proc/loadavg`), which is of the whole machine,
/// and the processors that roar may use.
#[derive(Debug)]
pub(super) struct Load {
    counts: Option<File>,
    processors: u64,
}

impl Load {
    pub(super) fn new() -> Self {
        Self {
            counts: File::open("/proc/loadavg").ok(),
            processors: std::thread::available_parallelism().map_or(1, |count| count.get() as u64),
        }
    }

    /// Whether others than the calling thread keep every processor busy; none where that is not told.
    pub(super) fn is_full(&self) -> Option<bool> {
        let mut text = [0; 64];
        let length = self.counts.as_ref()?.read_at(&mut text, 0).ok()?;
        let others = runnable(text.get(..length)?)?.saturating_sub(1);
        Some(others >= self.processors)
    }
}

/// The first of `0.10 0.20 0.30 RUNNABLE/ALL LAST`, see proc_loadavg(5).
fn runnable(text: &[u8]) -> Option<u64> {
    let text = str::from_utf8(text).ok()?;
    let counts = text.split_ascii_whitespace().nth(3)?;
    counts.split_once('/')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fourth_field() {
        assert_eq!(runnable(b"0.10 0.20 0.30 3/417 9876\n"), Some(3));
        for other in ["", "0.10 0.20 0.30", "0.10 0.20 0.30 3 9876", "a b c d/e f"] {
            assert_eq!(runnable(other.as_bytes()), None, "{other}");
        }
        assert!(Load::new().is_full().is_some(), "/proc is there");
    }
}
