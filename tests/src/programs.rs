//! The BPF programs that a process keeps in the kernel, as the kernel and bpftool tell them.

use std::process::Command;
use std::time::{Duration, Instant};

/// The ids of the BPF programs that a process holds.
pub fn held_by(process: u32) -> Vec<String> {
    let folder = format!("/proc/{process}/fdinfo");
    let entries = std::fs::read_dir(folder).expect("the process lives");
    entries
        .flatten()
        .filter_map(|entry| std::fs::read_to_string(entry.path()).ok())
        .filter(|text| text.contains("prog_type:"))
        .filter_map(|text| {
            let line = text.lines().find(|line| line.starts_with("prog_id:"))?;
            Some(line.split_whitespace().nth(1)?.to_owned())
        })
        .collect()
}

/// Whether a program is in the kernel. Needs `bpftool` and root.
pub fn is_loaded(program: &str) -> bool {
    let mut command = Command::new("bpftool");
    let shown = command
        .args(["prog", "show", "id", program])
        .output()
        .expect("bpftool runs");
    shown.status.success()
}

/// Waits until the kernel has freed the programs, which takes a grace period.
///
/// # Panics
/// They are still there after 20 seconds.
pub fn wait_until_gone(programs: &[String]) {
    let patience = Instant::now() + Duration::from_secs(20);
    while programs.iter().any(|id| is_loaded(id)) {
        assert!(Instant::now() < patience, "still loaded: {programs:?}");
        std::thread::yield_now();
    }
}
