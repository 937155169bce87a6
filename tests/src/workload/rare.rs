//! Ways to touch a file that few programs use, found by looking for what a tracer may overlook.

use std::ffi::OsString;

use super::{CommandLine, Workload};
use crate::require::Need;

/// Every such way.
pub fn all() -> Vec<Workload> {
    let mut rows = calls();
    rows.extend(scripts());
    rows.extend(rings());
    rows.extend(devices());
    rows
}

fn calls() -> Vec<Workload> {
    let row = |arguments: &[&str], reads: &[&str], writes: &[&str]| {
        Workload::program("rare", arguments)
            .reads(reads)
            .writes(writes)
    };
    let mut rows = vec![
        row(&["protect-two", "in", "in2"], &["in", "in2"], &[]),
        row(
            &["protect-two-writable", "old", "old2"],
            &["old", "old2"],
            &["old", "old2"],
        ),
        row(&["remap", "in"], &["in"], &[]),
        row(&["protect-in-child", "old"], &["old"], &["old"]),
        row(&["map-nothing", "in"], &[], &[]),
        row(&["other-memory", "old"], &["old"], &["old"]),
        row(&["sendfile-empty", "empty", "out"], &["empty"], &["out"]),
        row(&["copy-empty", "empty", "out"], &["empty"], &["out"]),
        row(&["dedupe", "in", "in2"], &["in", "in2"], &[]).on("btrfs"),
        row(&["zero-range", "old"], &["old"], &["old"]),
        row(&["empty-by-reader", "old"], &[], &["old"]),
        row(&["cut-then-move", "old", "new"], &["old"], &["new"]),
        row(&["cut-by-link", "old", "new"], &["old"], &["old"]),
        row(&["make-then-move", "temporary", "out"], &[], &["out"]),
        row(&["move-to-itself", "old", "new"], &["old"], &["new"]),
        row(&["reopen-removed", "in"], &["in"], &[]),
        row(&["places", "in", "old"], &["in"], &["old"]),
        row(&["shared-table", "in"], &["in"], &[]),
        row(&["adopted", "in"], &["in"], &[]),
        row(&["tee", "in", "out", "out2"], &["in"], &["out", "out2"]),
        row(&["given", "out"], &[], &["out"]),
        row(&["own-table", "in", "in2"], &["in", "in2"], &[]),
        row(&["confined", "in", "out"], &["in"], &["out"]),
        row(&["injected", "in", "in2"], &["in", "in2"], &[]),
    ];
    for workload in &mut rows {
        workload.unseen_by_strace = Some("the oracle follows the usual calls");
    }
    rows
}

/// Programs of which the kernel reads a part by itself: scripts whose interpreter does not look
/// into them, and those whose interpreter is a script.
fn scripts() -> Vec<Workload> {
    const BY_KERNEL: &str = "the oracle takes a script for its interpreter's input";
    let tool = |path: &str| CommandLine::Tool(vec![OsString::from(path)]);
    [
        Workload::new("a script that nobody reads", tool("./unread.sh")).reads(&["unread.sh"]),
        Workload::new("a script of a script", tool("./nested.sh"))
            .reads(&["nested.sh", "unread.sh"]),
        Workload::shell("rw", "ln -s unread.sh l; ./l; rm l").reads(&["unread.sh"]),
        Workload::shell("rw", "cd folder; PATH=..:$PATH; unread.sh").reads(&["unread.sh"]),
        Workload::shell("rw", "cp unread.sh new; ./new")
            .reads(&["unread.sh"])
            .writes(&["new"]),
    ]
    .map(|row| row.unseen_by_strace(BY_KERNEL))
    .into()
}

/// io_uring with files in the ring's own table, and with requests that are silent.
fn rings() -> Vec<Workload> {
    [
        (&["direct-create", "out"][..], &[][..], &["out"][..]),
        (&["direct-create-anywhere", "out"], &[], &["out"]),
        (&["direct-empty", "old"], &[], &["old"]),
        (&["direct-copy", "in", "out"], &["in"], &["out"]),
        (&["splice-registered", "in"], &["in"], &[]),
        (&["silent-read", "in"], &["in"], &[]),
        (&["silent-read-registered", "in"], &["in"], &[]),
        (&["silent-write", "old"], &["old"], &["old"]),
        (&["silent-rename", "old", "new"], &["old"], &["new"]),
    ]
    .map(|(arguments, reads, writes)| {
        let mut full = vec![arguments[0], "sync"];
        full.extend(&arguments[1..]);
        Workload::program("uring", &full)
            .reads(reads)
            .writes(writes)
            .needs(Need::IoUring)
            .unseen_by_strace("strace does not see what io_uring does")
    })
    .into()
}

/// Files that the kernel reads and writes as a disk.
fn devices() -> Vec<Workload> {
    const BY_KERNEL: &str = "the kernel reads and writes the file";
    let read = "l=$(losetup --find --show --read-only in) && cat $l > /dev/null; losetup -d $l";
    let write = "l=$(losetup --find --show old) && \"$0\" write $l; sync $l; losetup -d $l";
    [
        Workload::shell("rw", read).reads(&["in"]),
        Workload::shell("rw", write)
            .reads(&["old"])
            .writes(&["old"]),
    ]
    .map(|row| {
        row.needs(Need::Root)
            .needs(Need::Program("losetup"))
            .unseen_by_strace(BY_KERNEL)
    })
    .into()
}
