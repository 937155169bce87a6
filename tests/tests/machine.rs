//! Packages of systems with other package managers, accelerator libraries, and what is noted for the
//! user. The truth is the package manager's own.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::PathBuf;

use serde_json::Value;

use roar_tests::binary;
use roar_tests::project::Project;
use roar_tests::record::Record;
use roar_tests::require::{Need, met};
use roar_tests::transcript::Transcript;

/// A package that has two programs of this machine.
const SPECIFICATION: &str = "
Name: shell-tools
Epoch: 2
Version: 9.1
Release: 3.test
Summary: Programs
License: none
%description
%install
mkdir -p %{buildroot}/usr/bin
cp /usr/bin/env /usr/bin/dash %{buildroot}/usr/bin/
%files
/usr/bin/env
/usr/bin/dash
";

/// This machine as one of another distribution: without dpkg's database, with that in a folder.
const WITHOUT_DPKG: &str = r#"
mount -t tmpfs none /var/lib/dpkg
mkdir -p "$2"
mount --bind "$1" "$2"
shift 2
exec "$@"
"#;

/// Runs a command line there under roar; the packages of one manager.
fn packages(project: &Project, folders: [&str; 2], manager: &str) -> BTreeMap<String, String> {
    let mut command = project.command("unshare");
    command
        .args(["--mount", "sh", "-ec", WITHOUT_DPKG, "sh"])
        .args(folders)
        .arg(binary::roar())
        .args(["run", "-q", "/usr/bin/env", "true"]);
    Transcript::of(&mut command).succeeds();
    let record = Record::newest(project);
    assert_eq!(record.json["packages"]["dpkg"], serde_json::json!({}));
    // Managers without packages are left out.
    let packages = record.json["packages"].get(manager).cloned();
    serde_json::from_value(packages.unwrap_or(serde_json::json!({}))).expect("versions")
}

#[test]
fn what_rpm_says() {
    if !met(&[Need::Bpf, Need::Root, Need::Program("rpmbuild")]) {
        return;
    }
    let project = Project::new();
    project.write("tools.spec", SPECIFICATION);
    let top = format!("_topdir {}", project.path("top").display());
    project.run(
        "rpmbuild",
        [
            "-bb",
            "--quiet",
            "--define",
            &top,
            "--define",
            "debug_package %{nil}",
            "--define",
            "__os_install_post %{nil}",
            "tools.spec",
        ],
    );
    let database = project.path("database");
    let architecture = std::env::consts::ARCH;
    let package = format!("top/RPMS/{architecture}/shell-tools-9.1-3.test.{architecture}.rpm");
    let rpm = |arguments: &[&str]| {
        let mut command = project.command("rpm");
        command.arg("--dbpath").arg(&database).args(arguments);
        Transcript::of(&mut command).succeeds().stdout_text()
    };
    let insert = [
        "-i",
        "--justdb",
        "--nodeps",
        "--ignoreos",
        "--ignorearch",
        &package,
    ];
    rpm(&insert);
    let told = rpm(&["-q", "--qf", "%{EVR}", "-f", "/usr/bin/env"]);
    assert_eq!(told, "2:9.1-3.test");
    let folders = [database.to_str().expect("text"), "/var/lib/rpm"];
    for _ in 0..2 {
        let found = packages(&project, folders, "rpm");
        assert_eq!(found, [("shell-tools".to_owned(), told.clone())].into());
    }
    let record = Record::newest(&project);
    let programs = record.json["runtime"]["programs"]
        .as_array()
        .expect("a list");
    let env = programs
        .iter()
        .find(|program| program["path"] == "/usr/bin/env");
    assert_eq!(env.expect("it ran")["package"], "shell-tools 2:9.1-3.test");
    berkeley_says_the_same(&project, &database, &told);
    // A package that is gone is not remembered.
    rpm(&["-e", "--justdb", "shell-tools"]);
    assert_eq!(packages(&project, folders, "rpm"), BTreeMap::new());
    let unread = || Record::newest(&project).json["packages"]["unread"].clone();
    assert_eq!(unread(), Value::Null, "it is empty, and whole");
    // What cannot be read is said to be so, each time.
    let file = database.join("rpmdb.sqlite");
    for name in ["rpmdb.sqlite-wal", "rpmdb.sqlite-shm"] {
        let _ = fs::remove_file(database.join(name));
    }
    let whole = fs::read(&file).expect("it is there");
    fs::write(&file, [&whole[..100], &[0x5a; 8000]].concat()).expect("root can");
    for _ in 0..2 {
        assert_eq!(packages(&project, folders, "rpm"), BTreeMap::new());
        assert_eq!(unread(), serde_json::json!(["/var/lib/rpm/rpmdb.sqlite"]));
    }
    let shown = project.roar(["show", "@1"]);
    let said = "packages   of the system unknown, /var/lib/rpm/rpmdb.sqlite cannot be read";
    assert!(shown.stdout_text().contains(said), "{}", shown.snapshot());
}

/// The same headers in a database of rpm's before 2020, made by Berkeley DB itself: among them one
/// that needs pages of its own, and the pair that tells the next package's number.
fn berkeley_says_the_same(project: &Project, sqlite: &std::path::Path, version: &str) {
    if !met(&[Need::Program("db5.3_load"), Need::Program("sqlite3")]) {
        return;
    }
    let old = project.path("old");
    std::fs::create_dir_all(&old).expect("a folder");
    let mut headers = project.command("sqlite3");
    headers
        .arg(sqlite.join("rpmdb.sqlite"))
        .arg("SELECT lower(hex(blob)) FROM Packages");
    let header = Transcript::of(&mut headers).succeeds().stdout_text();
    let text = format!(
        "VERSION=3\nformat=bytevalue\ntype=hash\ndb_pagesize=4096\nHEADER=END\n 00000000\n 02000000\n \
         01000000\n {}\nDATA=END\n",
        header.trim()
    );
    project.write("old.dump", &text);
    let dump = project.path("old.dump");
    let file = dump.to_str().expect("text");
    let made = old.join("Packages");
    project.run("db5.3_load", ["-f", file, made.to_str().expect("text")]);
    let folders = [old.to_str().expect("text"), "/var/lib/rpm"];
    let found = packages(project, folders, "rpm");
    assert_eq!(
        found,
        [("shell-tools".to_owned(), version.to_owned())].into()
    );
}

/// In the form of Alpine's database, whose programs are not to be had here.
#[test]
fn what_apk_lists() {
    if !met(&[Need::Bpf, Need::Root]) {
        return;
    }
    let project = Project::new();
    project.write(
        "apk/installed",
        "C:Q1x\nP:busybox\nV:1.36.1-r5\nF:bin\nR:env\na:0:0:755\nF:usr/bin\nR:env\n\nP:musl\nV:1.2.4-r2\nF:lib\n\n",
    );
    let folders = [project.path("apk"), PathBuf::from("/lib/apk/db")];
    let folders = folders
        .each_ref()
        .map(|folder| folder.to_str().expect("text"));
    let _place = Place::make();
    let found = packages(&project, folders, "apk");
    assert_eq!(
        found,
        [("busybox".to_owned(), "1.36.1-r5".to_owned())].into()
    );
    let unread = serde_json::json!(["/lib/apk/db/installed"]);
    for (text, expected) in [("", Value::Null), ("nonsense", unread)] {
        project.write("apk/installed", text);
        packages(&project, folders, "apk");
        let found = &Record::newest(&project).json["packages"]["unread"];
        assert_eq!(*found, expected, "{text}");
    }
}

/// Where Alpine's database is: made where it is not, and gone afterwards.
struct Place;

impl Place {
    fn make() -> Self {
        fs::create_dir_all("/lib/apk/db").expect("root may");
        Self
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Only as long as they are empty.
        drop(fs::remove_dir("/lib/apk/db").and_then(|()| fs::remove_dir("/lib/apk")));
    }
}

/// Libraries with the names that the makers give them, loaded by a program.
#[test]
fn accelerator_libraries_by_their_names() {
    if !met(&[Need::Bpf, Need::Program("gcc"), Need::Program("python3")]) {
        return;
    }
    let project = Project::new();
    project.write("empty.c", "int nothing;\n");
    let wheel = "v/lib/python3/site-packages/nvidia/cudnn/lib";
    fs::create_dir_all(project.path(wheel)).expect("made");
    let libraries = [
        "libcudart.so.12.4.127".to_owned(),
        "libnccl.so.2.21.5".to_owned(),
        format!("{wheel}/libcudnn.so.9"),
    ];
    for library in &libraries {
        project.run("gcc", ["-shared", "-fPIC", "-o", library, "empty.c"]);
    }
    // A wheel knows more digits than its file's name.
    let site = "v/lib/python3/site-packages/nvidia_cudnn_cu12-9.1.0.70.dist-info";
    project.write(
        format!("{site}/METADATA"),
        "Metadata-Version: 2.1\nName: nvidia-cudnn-cu12\nVersion: 9.1.0.70\n\n",
    );
    project.write(
        format!("{site}/RECORD"),
        "nvidia/cudnn/lib/libcudnn.so.9,,\nnvidia_cudnn_cu12-9.1.0.70.dist-info/METADATA,,\n",
    );
    let loads = libraries
        .each_ref()
        .map(|library| format!("ctypes.CDLL('./{library}')"));
    let script = format!("import ctypes; {}", loads.join("; "));
    project
        .roar(["run", "-q", "python3", "-c", &script])
        .succeeds();
    let record = Record::newest(&project);
    assert_eq!(
        record.json["runtime"]["libraries"],
        serde_json::json!({"cuda": "12.4.127", "cudnn": "9.1.0.70", "nccl": "2.21.5"})
    );
    project
        .roar(["run", "-q", "python3", "-c", "import json"])
        .succeeds();
    let record = Record::newest(&project);
    assert_eq!(record.json["runtime"]["libraries"], serde_json::json!({}));
}

/// Notes are the user's own: another project finds them, nobody else reads or replaces them.
#[test]
fn notes_are_kept_for_the_user() {
    if !met(&[Need::Bpf, Need::Program("dpkg-query")]) {
        return;
    }
    let project = Project::new();
    let notes = project.home().join(".cache/roar");
    let states = || -> BTreeMap<PathBuf, (u64, i64)> {
        let entries = fs::read_dir(&notes).expect("notes were made");
        let states = entries.map(|entry| {
            let entry = entry.expect("a note");
            let metadata = entry.metadata().expect("it is there");
            assert_eq!(metadata.mode() & 0o777, 0o600);
            (entry.path(), (metadata.ino(), metadata.ctime_nsec()))
        });
        states.collect()
    };
    let packages = |project: &Project, folder: &str| {
        let folder = project.path(folder);
        fs::create_dir_all(&folder).expect("made");
        let roar = |arguments: &[&str]| {
            let mut command = project.roar_command();
            Transcript::of(command.current_dir(&folder).args(arguments))
        };
        roar(&["init", "-n"]).succeeds();
        roar(&["run", "-q", "python3", "-c", "import numpy"]).succeeds();
        let shown = roar(&["show", "@1", "--json"]);
        shown.succeeds().json()["packages"].clone()
    };
    let first = packages(&project, "one");
    assert!(first["dpkg"]["libc6"].is_string(), "{first}");
    let made = states();
    let folder = fs::metadata(&notes).expect("it is there");
    assert_eq!(folder.mode() & 0o777, 0o700);
    assert_eq!(packages(&project, "two"), first);
    assert_eq!(states(), made, "nothing was looked up again");
    // What others can write is not believed: it is looked up, and the record is the same.
    fs::set_permissions(&notes, fs::Permissions::from_mode(0o777)).expect("one's own");
    for note in made.keys() {
        fs::write(note, "roar note 1\n").expect("one's own");
    }
    let spoilt = states();
    assert_eq!(packages(&project, "three"), first);
    assert_eq!(states(), spoilt, "and nothing is written there");
}
