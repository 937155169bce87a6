//! One file system seen through another, or in several places: the record names files as the
//! command named them, and mistakes none for another.
#![cfg(target_os = "linux")]

use std::fs;
use std::path::Path;

use roar_tests::mount::{Cover, Mount};
use roar_tests::oracle::FileSets;
use roar_tests::project::Project;
use roar_tests::record::Record;
use roar_tests::require::{Need, met};
use roar_tests::workload::{Build, compare, program};

/// Runs a script under roar; inputs and outputs are those named, the outputs have the hashes
/// of what is there now, and the record is complete.
#[track_caller]
fn check(project: &Project, script: &str, inputs: &[&str], outputs: &[&str]) {
    project.roar(["run", "-q", "sh", "-c", script]).succeeds();
    let record = Record::newest(project);
    let right = FileSets {
        inputs: inputs.iter().map(Into::into).collect(),
        outputs: outputs.iter().map(Into::into).collect(),
    };
    compare(&record.files_under(project.root()), &right)
        .unwrap_or_else(|wrong| panic!("{script}:\n{wrong}"));
    for name in outputs {
        let hash = blake3::hash(&project.read(name)).to_hex();
        let entry = record.entry("outputs", &project.path(name));
        assert_eq!(entry["hash"], hash.as_str(), "{script}: {name}");
    }
    assert!(
        record.is_complete(),
        "{script}: {:#}",
        record.completeness()
    );
}

fn folder(project: &Project, name: &str) -> std::path::PathBuf {
    let path = project.path(name);
    fs::create_dir(&path).expect("the project's folders can be made");
    path
}

#[test]
fn fuse() {
    if !met(&[Need::Bpf, Need::Program("bindfs"), Need::FileSystem("fuse")]) {
        return;
    }
    let project = Project::new();
    let behind = folder(&project, "behind");
    let view = folder(&project, "view");
    fs::write(behind.join("in"), "input").expect("the project's folders can be filled");
    fs::write(behind.join("old"), "a longer text\n").expect("as above");
    let _view = Cover::fuse(&behind, &view);
    check(
        &project,
        "cat view/in > view/out",
        &["view/in"],
        &["view/out"],
    );
    check(
        &project,
        "cat view/in > view/tmp && mv view/tmp view/moved",
        &["view/in"],
        &["view/moved"],
    );
    check(
        &project,
        "echo more >> view/old",
        &["view/old"],
        &["view/old"],
    );
    check(
        &project,
        "cp view/in out; rm view/in",
        &["view/in"],
        &["out"],
    );
}

#[test]
fn bind_mounts() {
    if !met(&[Need::Bpf, Need::Root]) {
        return;
    }
    let project = Project::new();
    let one = folder(&project, "one");
    let two = folder(&project, "two");
    project.write("one/in", "input");
    let _two = Cover::bind(&one, &two);
    check(&project, "cat two/in > out", &["two/in"], &["out"]);
    check(&project, "cat one/in > two/out", &["one/in"], &["two/out"]);
    // One file by two names: as an input it counts once, by the name that was used first.
    check(&project, "cat one/in two/in > both", &["one/in"], &["both"]);
    check(
        &project,
        "cat two/in > x1; cat one/in > x2",
        &["two/in"],
        &["x1", "x2"],
    );
    check(
        &project,
        "echo x > two/made; cat one/made > copied",
        &[],
        &["one/made", "two/made", "copied"],
    );
    // A rename from one to the other is refused: mv copies and removes.
    check(&project, "mv one/in two/moved", &["one/in"], &["two/moved"]);
}

/// Mounts that the command makes and removes, so fast that no table that is read shows them. Names
/// are right, or the record says that they may not be.
#[test]
fn mounts_that_come_and_go() {
    if !met(&[Need::Bpf, Need::Root, Need::FileSystem("tmpfs")]) {
        return;
    }
    let cases: [(&str, &[&str], &[&str]); 10] = [
        ("write-tmpfs m m/f", &[], &[]),
        ("write-tmpfs m m/new", &[], &[]),
        (
            "copy-bound src dst dst/in dst/out",
            &["src/in"],
            &["src/out"],
        ),
        ("rename-bound src dst dst/n dst/out", &[], &["src/out"]),
        ("move-bound src dst dst/x dst/y", &["src/x"], &["src/y"]),
        ("remove-bound src dst dst/x", &[], &[]),
        ("cut-bound src dst dst/x", &["src/x"], &["src/x"]),
        ("rename-tmpfs m m/new m/f", &[], &[]),
        ("from-tmpfs m m/new out", &[], &["out"]),
        // Last, as the second one stays where it is mounted in the command's namespace.
        ("write-two m m/f other other/f", &[], &["other/f"]),
    ];
    let program = program::path("mounts", Build::Dynamic);
    for (arguments, inputs, outputs) in cases {
        for apart in ["", "apart "] {
            let project = Project::new();
            for name in ["m", "other", "src", "dst"] {
                folder(&project, name);
            }
            for name in ["m/f", "src/in", "src/x", "dst/in", "dst/x", "dst/y"] {
                project.write(name, name);
            }
            let script = format!("{} {apart}{arguments}", program.display());
            project.roar(["run", "-q", "sh", "-c", &script]).succeeds();
            let is_left = arguments.starts_with("write-two") && apart.is_empty();
            let outputs = if apart.is_empty() || !outputs.contains(&"other/f") {
                outputs
            } else {
                &[]
            };
            let record = Record::newest(&project);
            let right = FileSets {
                inputs: inputs.iter().map(Into::into).collect(),
                outputs: outputs.iter().map(Into::into).collect(),
            };
            let compared = compare(&record.files_under(project.root()), &right);
            if is_left {
                project.run("umount", ["other"]);
            }
            if record.is_complete() {
                compared.unwrap_or_else(|wrong| panic!("{apart}{arguments}:\n{wrong}"));
            }
            assert!(
                is_named(&record) || record.is_complete(),
                "{apart}{arguments}: {:#}",
                record.completeness()
            );
        }
    }
}

/// Whether the record says that names may be wrong.
fn is_named(record: &Record) -> bool {
    let gaps = record.completeness()["gaps"].as_array().into_iter();
    gaps.flatten().any(|gap| gap["kind"] == "unresolved_path")
}

/// A mount that is gone at the end: what is at the names then is not what the command used.
#[test]
fn a_mount_that_is_gone_at_the_end() {
    if !met(&[Need::Bpf, Need::Root, Need::FileSystem("tmpfs")]) {
        return;
    }
    let project = Project::new();
    for name in ["m", "src", "dst", "other"] {
        folder(&project, name);
    }
    for name in ["m/f", "src/x", "dst/x", "dst/y"] {
        project.write(name, name);
    }
    let run = |script: &str| {
        project.roar(["run", "-q", "sh", "-c", script]).succeeds();
        Record::newest(&project)
    };
    let record = run("mount --bind src dst; mv dst/x dst/y; umount dst");
    assert!(is_named(&record), "{:#}", record.completeness());
    // The reader is to see the mount while it is there.
    let record = run("mount -t tmpfs none m; echo x > m/f; sleep 0.3; umount m");
    let entry = record.entry("outputs", &project.path("m/f"));
    let note = "another file is in its place";
    assert_eq!(entry["note"], note, "{entry:#}");
    // A mount that was there before, and one that takes over its numbers.
    let _mount = Cover::tmpfs(&project.path("m"));
    let record = run("umount m; mount -t tmpfs none other; echo x > other/new");
    project.run("mount", ["--move", "other", "m"]);
    let files = record.files_under(project.root());
    assert_eq!(files.describe(), "  out other/new\n");
    assert!(record.is_complete(), "{:#}", record.completeness());
}

/// A `/proc` that only the command's namespace has: nothing in it is anybody's file.
#[test]
fn a_proc_of_the_commands_own() {
    if !met(&[Need::Bpf, Need::Root]) {
        return;
    }
    let project = Project::new();
    project.write("in", "input");
    let script = "unshare --mount sh -c 'mount -t proc proc /proc; cat /proc/version in > out'";
    check(&project, script, &["in"], &["out"]);
    let record = Record::newest(&project);
    assert!(!record.inputs().contains(Path::new("/version")));
    assert!(record.filtered().contains(Path::new("/proc/version")));
}

#[test]
fn moves_between_file_systems() {
    if !met(&[Need::Bpf, Need::FileSystem("tmpfs")]) {
        return;
    }
    let project = Project::new();
    project.write("in", "input");
    let other = folder(&project, "other");
    let _other = Cover::tmpfs(&other);
    check(&project, "mv in other/moved", &["in"], &["other/moved"]);
    check(
        &project,
        "cat other/moved > other/tmp && mv other/tmp back",
        &["other/moved"],
        &["back"],
    );
}

/// All subvolumes have one device in the kernel, and the files of a snapshot have the inode
/// numbers of the files that they were.
#[test]
fn btrfs_subvolumes() {
    if !met(&[
        Need::Bpf,
        Need::Program("mkfs.btrfs"),
        Need::FileSystem("btrfs"),
    ]) {
        return;
    }
    let mount = Mount::new("btrfs");
    let project = Project::under(&mount.path());
    project.init();
    for name in ["one", "other"] {
        project.run("btrfs", ["subvolume", "create", name]);
        project.write(Path::new(name).join("in"), name);
    }
    project.run("btrfs", ["subvolume", "snapshot", "one", "two"]);
    check(
        &project,
        "cat one/in two/in other/in > out",
        &["one/in", "two/in", "other/in"],
        &["out"],
    );
    check(
        &project,
        "cat one/in > one/out; echo x > two/out; echo y > other/out",
        &["one/in"],
        &["one/out", "two/out", "other/out"],
    );
    check(
        &project,
        "cat one/in; echo more >> two/in",
        &["one/in", "two/in"],
        &["two/in"],
    );
    check(
        &project,
        "cp --reflink=always one/in two/clone && mv two/clone other/moved",
        &["one/in"],
        &["other/moved"],
    );
    let program = program::path("open", Build::Dynamic);
    let nameless = format!("cd one && {} tmpfile-link linked", program.display());
    check(&project, &nameless, &[], &["one/linked"]);
    // A snapshot that the command itself makes.
    check(
        &project,
        "btrfs subvolume snapshot one three > created && cat three/in > out3 && echo y > three/in",
        &["three/in"],
        &["created", "out3", "three/in"],
    );
}

/// Layers on different file systems hand the same inode numbers on.
#[test]
fn an_overlay_of_different_file_systems() {
    if !met(&[
        Need::Bpf,
        Need::FileSystem("overlay"),
        Need::FileSystem("tmpfs"),
    ]) {
        return;
    }
    const FILES: u32 = 100;
    let (lower, upper) = (Mount::new("tmpfs"), Mount::new("tmpfs"));
    for number in 0..FILES {
        fs::write(lower.path().join(format!("in{number}")), number.to_string())
            .expect("it is empty");
    }
    let around = Project::empty();
    let at = folder(&around, "at");
    let _overlay = Cover::overlay(&lower.path(), &upper.path(), &at);
    let project = Project::under(&at);
    project.init();
    let inputs: Vec<_> = (0..FILES)
        .map(|number| at.join(format!("in{number}")))
        .collect();
    let outputs: Vec<_> = (0..FILES).map(|number| format!("out{number}")).collect();
    let outputs: Vec<_> = outputs.iter().map(String::as_str).collect();
    let script = format!(
        "cat ../../in* > all; for i in $(seq 0 {}); do echo $i > out$i; done",
        FILES - 1
    );
    check(&project, &script, &[], &[&outputs[..], &["all"]].concat());
    let record = Record::newest(&project);
    for input in &inputs {
        assert!(
            record.inputs().contains(input),
            "{} is missing",
            input.display()
        );
        assert!(
            !record.outputs().contains(input),
            "{} was only read",
            input.display()
        );
    }
    check(
        &project,
        "echo more >> all; mv out1 moved; ln out2 linked",
        &["all", "out1", "out2"],
        &["all", "moved", "linked"],
    );
    check(&project, "echo x > t; cat t > u; mv u v; rm t", &[], &["v"]);
}
