//! Every way to touch a file, and what a record must say of it.
//!
//! Names of files are those of [`super::prepare`], or new ones. An operation that lists
//! nothing must leave the record empty.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;

use super::{Build, CommandLine, Workload, invalid_name, long_name};
use crate::require::Need;

const URING: &str = "strace does not see what io_uring does";

/// Shorthand: a program, its arguments, its inputs, its outputs.
fn row(program: &'static str, arguments: &[&str], reads: &[&str], writes: &[&str]) -> Workload {
    Workload::program(program, arguments)
        .reads(reads)
        .writes(writes)
}

/// Reads and writes through descriptors.
pub fn transfers() -> Vec<Workload> {
    let mut rows = Vec::new();
    for operation in ["read", "pread", "readv", "preadv", "preadv2", "rdwr-read"] {
        rows.push(row("rw", &[operation, "in"], &["in"], &[]));
    }
    for operation in [
        "write",
        "pwrite",
        "writev",
        "pwritev",
        "pwritev2",
        "write-then-read",
    ] {
        rows.push(row("rw", &[operation, "out"], &[], &["out"]));
        rows.push(row("rw", &[operation, "old"], &[], &["old"]));
    }
    for operation in ["update", "append", "read-then-update"] {
        rows.push(row("rw", &[operation, "old"], &["old"], &["old"]));
    }
    rows.push(row("rw", &["read-empty", "empty"], &["empty"], &[]));
    rows.push(row("rw", &["copy", "in", "out"], &["in"], &["out"]));
    rows
}

/// Mappings.
pub fn mappings() -> Vec<Workload> {
    let mut rows = Vec::new();
    for operation in [
        "private",
        "shared-read",
        "private-write",
        "rdwr-shared-read",
        "mprotect-read",
    ] {
        rows.push(row("map", &[operation, "in"], &["in"], &[]));
    }
    for operation in ["shared-write", "mprotect-write"] {
        rows.push(row("map", &[operation, "old"], &["old"], &["old"]));
    }
    rows.push(row("map", &["new", "out"], &[], &["out"]));
    rows
}

/// Copies inside the kernel.
pub fn copies() -> Vec<Workload> {
    let mut rows = Vec::new();
    for operation in ["sendfile", "splice", "copy_file_range"] {
        rows.push(row("copy", &[operation, "in", "out"], &["in"], &["out"]));
    }
    rows.push(row("copy", &["splice-read", "in"], &["in"], &[]));
    rows.push(row("copy", &["splice-write", "out"], &[], &["out"]));
    for file_system in ["btrfs", "xfs"] {
        for operation in ["ficlone", "ficlonerange", "copy_file_range"] {
            let mut clone = row("copy", &[operation, "in", "out"], &["in"], &["out"]);
            clone.name = format!("{} on {file_system}", clone.name);
            rows.push(clone.on(file_system));
        }
    }
    rows
}

/// Ways to open, create and size.
pub fn opens() -> Vec<Workload> {
    let mut rows = Vec::new();
    for operation in ["open", "openat2", "creat-existing-read"] {
        rows.push(row("open", &[operation, "in"], &["in"], &[]));
    }
    rows.push(row(
        "open",
        &["openat", "folder", "in3"],
        &["folder/in3"],
        &[],
    ));
    for operation in [
        "creat",
        "openat2-write",
        "tmpfile-link",
        "create-empty",
        "fallocate-new",
    ] {
        rows.push(row("open", &[operation, "out"], &[], &["out"]));
    }
    for operation in ["creat", "trunc-empty", "truncate-empty", "ftruncate-empty"] {
        rows.push(row("open", &[operation, "old"], &[], &["old"]));
    }
    for operation in ["truncate", "ftruncate", "fallocate"] {
        rows.push(row("open", &[operation, "old"], &["old"], &["old"]));
    }
    rows.push(row("open", &["tmpfile"], &[], &[]));
    rows.push(row("open", &["by-handle", "in"], &["in"], &[]).needs(Need::Root));
    rows.push(row("open", &["by-handle-write", "old"], &[], &["old"]).needs(Need::Root));
    rows
}

/// Changes of names.
pub fn names() -> Vec<Workload> {
    let mut rows = Vec::new();
    for operation in ["save", "save-at", "save-noreplace", "save-link"] {
        rows.push(row("name", &[operation, "temporary", "out"], &[], &["out"]));
    }
    for operation in ["save", "save-at", "save-exchange"] {
        rows.push(row("name", &[operation, "temporary", "old"], &[], &["old"]));
    }
    rows.extend([
        row(
            "name",
            &["save-folder", "temporary", "final"],
            &[],
            &["final/file"],
        ),
        row(
            "name",
            &["save-chain", "one", "two", "three"],
            &[],
            &["three"],
        ),
        row("name", &["replace", "temporary", "old"], &["old"], &["old"]),
        row("name", &["move", "old", "new"], &["old"], &["new"]),
        row(
            "name",
            &["exchange", "old", "old2"],
            &["old", "old2"],
            &["old", "old2"],
        ),
        row("name", &["noreplace-taken", "old", "old2"], &[], &[]),
        row("name", &["read-then-move", "in", "new"], &["in"], &["new"]),
        row("name", &["make-linked", "one", "two"], &[], &["one", "two"]),
        row("name", &["move-back", "old", "new"], &[], &[]),
        row(
            "name",
            &["move", "folder", "moved"],
            &["folder/in3", "folder/inner/in4"],
            &["moved/in3", "moved/inner/in4"],
        ),
        row("name", &["link", "old", "new"], &["old"], &["new"]),
        row("name", &["symlink", "in", "new"], &[], &[]),
        row("name", &["symlink-read", "in", "new"], &["in"], &[]),
        row("name", &["symlink-write", "out", "new"], &[], &["out"]),
        row("name", &["move-then-read", "in", "new"], &["in"], &["new"]),
        row("name", &["unlink", "old"], &[], &[]),
        row("name", &["read-then-unlink", "in"], &["in"], &[]),
        row("name", &["temporary", "temporary"], &[], &[]),
        row("name", &["remake", "old"], &[], &["old"]),
        row("name", &["make-twice", "out"], &[], &["out"]),
    ]);
    rows
}

/// Descriptors that travel.
pub fn descriptors() -> Vec<Workload> {
    let mut rows = Vec::new();
    for operation in [
        "dup", "dup2", "dup3", "f-dupfd", "high", "fork", "vfork", "spawn", "exec",
    ] {
        rows.push(row(
            "descriptor",
            &[operation, "in", "out"],
            &["in"],
            &["out"],
        ));
    }
    rows.extend([
        row(
            "descriptor",
            &["reuse", "in", "out", "in2"],
            &["in", "in2"],
            &["out"],
        ),
        row("descriptor", &["replace", "in", "in2"], &["in", "in2"], &[]),
        row(
            "descriptor",
            &["close-range", "in", "in2"],
            &["in", "in2"],
            &[],
        ),
        row(
            "descriptor",
            &["cloexec", "in", "in2", "old", "out"],
            &["in", "in2"],
            &["out"],
        ),
        row(
            "descriptor",
            &["scm-rights", "in", "out", "in2"],
            &["in", "in2"],
            &["out"],
        ),
        row("descriptor", &["pidfd-getfd", "in"], &["in"], &[]),
        Workload::shell("rw", "\"$0\" filter < in > out")
            .reads(&["in"])
            .writes(&["out"]),
        Workload::shell("rw", "\"$0\" filter < in >> old")
            .reads(&["in", "old"])
            .writes(&["old"]),
        Workload::shell("rw", "\"$0\" filter < in | \"$0\" filter > out")
            .reads(&["in"])
            .writes(&["out"]),
        Workload::shell("rw", "exec 5< in 6> out; (\"$0\" filter <&5 >&6) & wait")
            .reads(&["in"])
            .writes(&["out"]),
        Workload::shell("rw", ": > out").writes(&["out"]),
        Workload::shell("rw", ": < in"),
    ]);
    rows
}

/// Names relative to where a process stands, links, and odd bytes.
pub fn paths() -> Vec<Workload> {
    let mut rows = vec![
        row(
            "directory",
            &["chdir", "in3", "../out", "folder"],
            &["folder/in3"],
            &["out"],
        ),
        row(
            "directory",
            &["fchdir", "../in", "out", "folder"],
            &["in"],
            &["folder/out"],
        ),
        row(
            "directory",
            &["chdir", "in3", "out", "folder-link"],
            &["folder/in3"],
            &["folder/out"],
        ),
        row(
            "directory",
            &["dirfd", "in3", "out", "folder"],
            &["folder/in3"],
            &["folder/out"],
        ),
        row(
            "directory",
            &["dirfd", "inner/../inner/in4", "../out", "folder-link"],
            &["folder/inner/in4"],
            &["out"],
        ),
        row(
            "directory",
            &["dirfd-rename", "in3", "out", "folder"],
            &["folder/in3"],
            &["folder/out"],
        ),
        row("directory", &["deleted", "in"], &["in"], &[]),
        row(
            "directory",
            &["moved", "before", "after", "out"],
            &[],
            &["after/out"],
        ),
        row("rw", &["read", "link"], &["in"], &[]),
        row("rw", &["read", "link-to-link"], &["in"], &[]),
        row("rw", &["read", "folder-link/in3"], &["folder/in3"], &[]),
        row(
            "rw",
            &["read", "folder/../folder/inner/../in3"],
            &["folder/in3"],
            &[],
        ),
        row("rw", &["write", "folder-link/out"], &[], &["folder/out"]),
        // Names that come to stand for something else while the command runs.
        Workload::shell(
            "rw",
            "ln -s in new; \"$0\" read new; ln -sfn in2 new; \"$0\" read new",
        )
        .reads(&["in", "in2"]),
        Workload::shell(
            "rw",
            "\"$0\" read folder/in3; mv folder moved; mkdir folder; cp in folder/in3; \
             \"$0\" read folder/in3",
        )
        .reads(&["folder/in3", "folder/inner/in4", "in"])
        .writes(&["folder/in3", "moved/in3", "moved/inner/in4"]),
        row("rw", &["read", "hard"], &["hard"], &[]),
    ];
    let odd: [&[u8]; 7] = [
        b"-dash",
        b"with space",
        b"with\nnewline",
        b"with\x1b[31mescape",
        "emoji-\u{1f980}-e\u{301}".as_bytes(),
        invalid_name().as_os_str().as_bytes(),
        &[b'n'; 255],
    ];
    assert_eq!(long_name().as_os_str().as_bytes(), odd[6]);
    for name in odd {
        let mut made = name.to_vec();
        // Another name of the same oddity and length.
        if let Some(last) = made.last_mut() {
            *last = last.wrapping_sub(1);
        }
        rows.push(
            Workload::program("rw", &[&b"copy"[..], name, &made])
                .reads(&[name])
                .writes(&[&made]),
        );
        rows.push(Workload::program("name", &[&b"save"[..], b"temporary", &made]).writes(&[&made]));
    }
    rows
}

/// Processes, threads, and kinds of programs.
pub fn processes() -> Vec<Workload> {
    let mut rows = Vec::new();
    let numbered: Vec<_> = (0..7).map(|i| format!("out.{i}")).collect();
    rows.push(
        Workload::program("process", &["threads", "in", "out"])
            .reads(&["in"])
            .writes(&numbered),
    );
    for operation in ["daemon", "memfd", "thread-exec", "leader-gone"] {
        rows.push(row("process", &[operation, "in", "out"], &["in"], &["out"]));
    }
    rows.extend([
        row(
            "process",
            &["vfork-exec", "./program", "copy", "in", "out"],
            &["program", "in"],
            &["out"],
        ),
        many(101),
        Workload::built("rw", Build::Static, &["copy", "in", "out"])
            .reads(&["in"])
            .writes(&["out"]),
        Workload::built("process", Build::Static, &["threads", "in", "out"])
            .reads(&["in"])
            .writes(&numbered),
        Workload::new(
            "a shebang script",
            CommandLine::Tool(vec![OsString::from("./script.sh")]),
        )
        .reads(&["script.sh", "in"])
        .writes(&["out"]),
        Workload::new(
            "a program of the project",
            CommandLine::Tool(
                ["./program", "copy", "in", "out"]
                    .map(OsString::from)
                    .to_vec(),
            ),
        )
        .reads(&["program", "in"])
        .writes(&["out"]),
    ]);
    for (arguments, reads, writes) in [
        (
            &["save", "in", "temporary", "out"][..],
            &["in"][..],
            &["out"][..],
        ),
        (&["stream", "in", "out"], &["in"], &["out"]),
        (
            &["execute", "./program", "copy", "in", "out"],
            &["program", "in"],
            &["out"],
        ),
    ] {
        rows.push(gopher(arguments).reads(reads).writes(writes));
    }
    rows.push(
        gopher(&["routines", "in", "out"])
            .reads(&["in"])
            .writes(&numbered),
    );
    if cfg!(target_arch = "x86_64") {
        rows.push(
            Workload::built(
                "bits32",
                Build::Bits32,
                &["in", "out", "temporary", "final"],
            )
            .reads(&["in"])
            .writes(&["out", "final"]),
        );
    }
    rows
}

fn gopher(arguments: &[&str]) -> Workload {
    Workload::built("gopher", Build::Go, arguments).needs(Need::Go)
}

/// A number of short processes, each of which makes a file.
pub fn many(count: usize) -> Workload {
    let made: Vec<_> = (0..count).map(|i| format!("many/{i}")).collect();
    Workload::program("process", &["many", &count.to_string(), "in", "many"])
        .reads(&["in"])
        .writes(&made)
}

/// io_uring, inline and by the kernel's worker threads.
pub fn rings() -> Vec<Workload> {
    let mut rows = Vec::new();
    for mode in ["sync", "async"] {
        for (arguments, reads, writes) in [
            (&["read", "in"][..], &["in"][..], &[][..]),
            (&["readv", "in"], &["in"], &[]),
            (&["read-fixed", "in"], &["in"], &[]),
            (&["write", "out"], &[], &["out"]),
            (&["copy", "in", "out"], &["in"], &["out"]),
            (&["create", "out"], &[], &["out"]),
            (&["open-only", "in"], &[], &[]),
            (&["rename", "temporary", "out"], &[], &["out"]),
            (&["unlink", "temporary"], &[], &[]),
            (&["link", "old", "new"], &["old"], &["new"]),
            (&["fallocate", "out"], &[], &["out"]),
            (&["splice", "in", "out"], &["in"], &["out"]),
        ] {
            let mut full = vec![arguments[0], mode];
            full.extend(&arguments[1..]);
            rows.push(
                row("uring", &full, reads, writes)
                    .needs(Need::IoUring)
                    .unseen_by_strace(URING),
            );
        }
    }
    rows
}

/// Linux AIO: requests that one call hands over and the kernel does later.
pub fn handed_over() -> Vec<Workload> {
    let mut rows = vec![
        row("aio", &["read", "in"], &["in"], &[]),
        row("aio", &["readv", "in"], &["in"], &[]),
        row("aio", &["write", "out"], &[], &["out"]),
        row("aio", &["writev", "out"], &[], &["out"]),
        row("aio", &["update", "old"], &["old"], &["old"]),
        row(
            "aio",
            &["batch", "in", "in2", "out", "old"],
            &["in", "in2"],
            &["out", "old"],
        ),
    ];
    for workload in &mut rows {
        workload.unseen_by_strace = Some("the oracle does not follow io_submit");
    }
    rows
}

/// What is neither an input nor an output.
pub fn silent() -> Vec<Workload> {
    let mut rows = Vec::new();
    for operation in [
        "stat",
        "path",
        "open-read",
        "open-write",
        "open-both",
        "metadata",
        "failing",
        "taken",
    ] {
        rows.push(row("silent", &[operation, "old"], &[], &[]));
    }
    rows.extend([
        row("silent", &["list", "folder"], &[], &[]),
        row("silent", &["absent", "absent"], &[], &[]),
        row("silent", &["readlink", "link"], &[], &[]),
    ]);
    rows
}

/// A few operations on each file system whose numbers or paths are peculiar.
pub fn file_systems() -> Vec<Workload> {
    let mut rows = Vec::new();
    for file_system in ["tmpfs", "overlay", "btrfs", "xfs", "ext4"] {
        for (program, arguments, reads, writes) in [
            ("rw", &["copy", "in", "out"][..], &["in"][..], &["out"][..]),
            ("rw", &["update", "old"], &["old"], &["old"]),
            ("map", &["shared-write", "old"], &["old"], &["old"]),
            ("name", &["replace", "temporary", "old"], &["old"], &["old"]),
            ("descriptor", &["fork", "in", "out"], &["in"], &["out"]),
        ] {
            let mut on = row(program, arguments, reads, writes).on(file_system);
            on.name = format!("{} on {file_system}", on.name);
            rows.push(on);
        }
    }
    rows
}

/// Processes that see other mounts, another root, other process ids or user ids. The record
/// names files as they are named outside.
pub fn namespaces() -> Vec<Workload> {
    const OWN_PATHS: &str = "strace prints paths as the process's own mounts show them";
    let copy = "unshare --pid --fork \"$0\" copy in out";
    let user = "unshare --user --map-root-user --mount \"$0\" copy in out";
    let bind = "unshare --mount sh -c 'mount --bind folder many && cp many/in3 many/out' && test -e folder/out";
    let hidden = "unshare --mount sh -c 'mount -t tmpfs none folder && cat in > folder/copy && cp folder/copy out'";
    let mut rows = vec![
        Workload::shell("rw", copy).reads(&["in"]).writes(&["out"]),
        Workload::shell("rw", user).reads(&["in"]).writes(&["out"]),
        Workload::shell("rw", bind)
            .reads(&["folder/in3"])
            .writes(&["folder/out"])
            .unseen_by_strace(OWN_PATHS),
        Workload::shell("rw", hidden)
            .reads(&["in"])
            .writes(&["out"])
            .unseen_by_strace(OWN_PATHS),
        Workload::shell("rw", "chroot . /static copy folder/in3 /out")
            .reads(&["static", "folder/in3"])
            .writes(&["out"]),
        Workload::shell("rw", "chroot . /static copy /folder-link/../in /folder/out")
            .reads(&["static", "in"])
            .writes(&["folder/out"]),
    ];
    // bubblewrap builds a root of its own, out of mounts that no other process sees.
    let whole = "bwrap --ro-bind / / --bind . /mnt --chdir /mnt --unshare-all \"$0\" copy in out";
    let parts = "bwrap --ro-bind /usr /usr --symlink usr/lib /lib --symlink usr/lib64 /lib64 --symlink usr/bin /bin \
                 --proc /proc --dev /dev --tmpfs /tmp --bind folder /data --ro-bind in /input --chdir /data \
                 sh -c 'cat /input in3 > /tmp/both && cp /tmp/both out'";
    rows.extend(
        [
            Workload::shell("rw", whole).reads(&["in"]).writes(&["out"]),
            Workload::shell("rw", parts)
                .reads(&["in", "folder/in3"])
                .writes(&["folder/out"]),
        ]
        .map(|row| {
            row.needs(Need::Program("bwrap"))
                .unseen_by_strace(OWN_PATHS)
        }),
    );
    rows.into_iter()
        .map(|workload| workload.needs(Need::Root))
        .collect()
}

/// The whole table, by what the operations have in common.
pub fn groups() -> Vec<(&'static str, Vec<Workload>)> {
    vec![
        ("reads and writes", transfers()),
        ("mappings", mappings()),
        ("copies inside the kernel", copies()),
        ("opens, creations, sizes", opens()),
        ("changes of names", names()),
        ("descriptors that travel", descriptors()),
        ("paths: relative, linked, odd", paths()),
        ("processes, threads, kinds of programs", processes()),
        ("io_uring", rings()),
        ("Linux AIO", handed_over()),
        ("neither input nor output", silent()),
        ("file systems", file_systems()),
        ("namespaces", namespaces()),
    ]
}

/// The whole table.
pub fn all() -> Vec<Workload> {
    groups().into_iter().flat_map(|(_, rows)| rows).collect()
}
