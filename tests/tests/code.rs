//! The code of a run: what git had, and what only the work tree had. The truth is git's own, and
//! files compared byte by byte after a checkout was rebuilt by hand.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use roar_tests::project::Project;
use roar_tests::record::Record;
use roar_tests::require::{Need, met};
use roar_tests::transcript::Transcript;

fn can_run() -> bool {
    met(&[Need::Bpf, Need::Program("git")])
}

/// Runs a shell script in the project's folder.
fn shell(project: &Project, script: &str) {
    project.run("sh", ["-euc", script]);
}

/// Records one run of a shell script in a folder of the project.
fn record(project: &Project, folder: &str, script: &str) -> Record {
    let mut command = project.roar_command();
    command.current_dir(project.path(folder));
    Transcript::of(command.args(["run", "-q", "sh", "-c", script])).succeeds();
    let mut command = project.roar_command();
    command.current_dir(project.path(folder));
    let log = Transcript::of(command.args(["log", "-n", "1", "--json"]));
    let log = log.succeeds().json();
    let uid = log[0]["job_uid"].as_str().expect("a job").to_owned();
    let mut command = project.roar_command();
    command.current_dir(project.path(folder));
    let json = Transcript::of(command.args(["show", &uid, "--json", "--all"]))
        .succeeds()
        .json();
    Record { json }
}

fn blob(project: &Project, hash: &Value) -> PathBuf {
    let hash = hash.as_str().expect("a hash");
    let path = project.path(format!(".roar/blobs/{}/{}", &hash[..2], &hash[2..]));
    let content = fs::read(&path).expect("the blob is there");
    assert_eq!(blake3::hash(&content).to_hex().as_str(), hash);
    path
}

const REPOSITORY: &str = "
    mkdir sub; seq 1000 >text; printf '\\000\\001\\002' >binary; echo x >'a b'; echo run >tool
    echo one >sub/module.py; ln -s text link; echo gone >removed; printf 'no end' >unended
    git init -qb main; printf '.roar/\\n' >.gitignore; git add -A; git commit -qm first";

/// Every way in which a work tree may differ, each alone.
const CHANGES: &[&str] = &[
    "echo more >>text",
    "sed -i 's/^500$/changed/' text",
    "head -c 100000 /dev/urandom >binary",
    "rm binary",
    "chmod +x tool",
    "echo y >>'a b'",
    "ln -sfn tool link",
    "rm link; echo file >link",
    "rm removed",
    "printf 'still no end' >unended",
    "echo staged >new; git add new",
    "echo staged >new; git add new; echo and more >>new",
    "git mv text moved",
    "git rm -q --cached tool",
    "git config diff.noprefix true; git config diff.mnemonicPrefix true; echo z >>text",
    "git config core.autocrlf input; echo z >>text",
];

/// A clone of the recorded commit, the patch, the untracked files: by hand, with git's own program.
fn rebuild(project: &Project, record: &Record) -> PathBuf {
    let git = &record.json["git"];
    let copy = project.base().join("copy");
    let _ = fs::remove_dir_all(&copy);
    let target = copy.to_str().expect("text");
    project.run("git", ["clone", "-q", ".", target]);
    let run = |arguments: &[&str]| {
        Transcript::of(project.command("git").arg("-C").arg(&copy).args(arguments)).succeeds();
    };
    run(&["checkout", "-q", git["commit"].as_str().expect("a commit")]);
    if git.get("patch_hash").is_some() {
        run(&[
            "apply",
            blob(project, &git["patch_hash"]).to_str().expect("text"),
        ]);
    }
    for file in git["untracked"].as_array().into_iter().flatten() {
        let path = copy.join(file["path"].as_str().expect("text"));
        fs::create_dir_all(path.parent().expect("in a folder")).expect("made");
        fs::copy(blob(project, &file["blob"]), path).expect("copied");
    }
    copy
}

/// Path, mode (executable or not) and content of everything below a folder but git and roar's own.
fn tree(folder: &Path) -> Vec<(PathBuf, u32, Vec<u8>)> {
    use std::os::unix::fs::PermissionsExt as _;
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.strip_prefix(folder).expect("below").to_path_buf();
            let metadata = path.symlink_metadata().expect("there");
            if metadata.is_symlink() {
                let target = fs::read_link(&path).expect("a link");
                let target = target.as_os_str().as_encoded_bytes().to_vec();
                found.push((name, 0, target));
            } else if metadata.is_file() {
                let mode = metadata.permissions().mode() & 0o100;
                found.push((name, mode, fs::read(&path).expect("readable")));
            } else if !matches!(name.to_str(), Some(".git" | ".roar")) {
                folders.push(path);
            }
        }
    }
    found.sort();
    found
}

#[test]
fn a_dirty_run_is_rebuilt_by_hand() {
    if !can_run() {
        return;
    }
    for change in CHANGES {
        let project = Project::new();
        shell(&project, REPOSITORY);
        shell(&project, change);
        // Everything untracked is read, so everything has to come back.
        let record = record(
            &project,
            ".",
            "cat $(git ls-files -o --exclude-standard) /dev/null",
        );
        assert_eq!(record.json["git"]["dirty"], true, "{change}");
        let before = tree(project.root());
        let after = tree(&rebuild(&project, &record));
        let names = |tree: &[(PathBuf, u32, Vec<u8>)]| {
            tree.iter()
                .map(|(path, mode, _)| (path.clone(), *mode))
                .collect::<Vec<_>>()
        };
        assert_eq!(names(&after), names(&before), "{change}");
        assert!(after == before, "{change}: a content differs");
    }
}

#[test]
fn untracked_code_that_was_read_comes_along() {
    if !can_run() || !met(&[Need::Program("python3")]) {
        return;
    }
    let project = Project::new();
    shell(&project, REPOSITORY);
    project.write(
        "main.py",
        "import helper\nprint(open('data.txt').read(), helper.VALUE)\n",
    );
    project.write("helper.py", "VALUE = 1\n");
    project.write("unread.py", "VALUE = 2\n");
    project.write("data.txt", "data\n");
    // The second run reads helper's byte code and not its source.
    for _ in 0..2 {
        let record = record(&project, ".", "python3 main.py");
        let untracked = record.json["git"]["untracked"].as_array().expect("a list");
        let paths: Vec<&str> = untracked
            .iter()
            .filter_map(|f| f["path"].as_str())
            .collect();
        assert_eq!(paths, ["data.txt", "helper.py", "main.py"]);
        let copy = rebuild(&project, &record);
        for path in paths {
            assert_eq!(
                fs::read(copy.join(path)).expect("there"),
                project.read(path)
            );
        }
    }
}

#[test]
fn the_patch_is_of_the_moment_before_the_command() {
    if !can_run() {
        return;
    }
    let project = Project::new();
    shell(&project, REPOSITORY);
    shell(
        &project,
        "echo before >>text; echo mine >own; echo other >gone",
    );
    let record = record(
        &project,
        ".",
        "cat own gone; echo during >>text; echo x >>own; rm gone",
    );
    let git = &record.json["git"];
    let patch = fs::read(blob(&project, &git["patch_hash"])).expect("there");
    let patch = String::from_utf8(patch).expect("text");
    assert!(
        patch.contains("+before") && !patch.contains("during"),
        "{patch}"
    );
    // Too late for what the job changed itself, and said so.
    for file in git["untracked"].as_array().expect("a list") {
        let (blob, note) = (&file["blob"], file["note"].as_str().unwrap_or_default());
        assert_eq!(blob, &Value::Null, "{file}");
        assert!(note.contains("before it could be copied"), "{file}");
    }
}

#[test]
fn what_an_earlier_job_made_is_not_copied() {
    if !can_run() {
        return;
    }
    let project = Project::new();
    shell(&project, REPOSITORY);
    record(&project, ".", "echo made >intermediate");
    let record = record(&project, ".", "cat intermediate");
    assert!(
        record.json["git"].get("untracked").is_none(),
        "{:#}",
        record.json["git"]
    );
}

#[test]
fn limits_and_secrets_are_said() {
    if !can_run() {
        return;
    }
    let project = Project::new();
    shell(&project, REPOSITORY);
    shell(
        &project,
        "head -c 5000 /dev/urandom >big; echo 'api_key = \"abcdef0123\"' >conf.py",
    );
    shell(&project, "echo 'password = \"hunter2hunter\"' >>text");
    for (key, value) in [
        ("record.max_file_bytes", "4000"),
        ("record.max_job_bytes", "100000"),
    ] {
        project.roar(["config", "set", key, value]).succeeds();
    }
    let json = record(&project, ".", "cat big conf.py").json;
    let untracked = &json["git"]["untracked"];
    assert!(
        untracked[0]["note"]
            .as_str()
            .expect("a reason")
            .contains("max_file_bytes")
    );
    assert_eq!(untracked[1]["redacted"], true);
    assert_eq!(json["git"]["patch_redacted"], true);
    let redactions = json["redactions"].to_string();
    assert!(
        redactions.contains("\"patch\"") && redactions.contains("conf.py"),
        "{redactions}"
    );
    shell(&project, "seq 100000 >text");
    let json = record(&project, ".", "true").json;
    assert!(json["git"].get("patch_hash").is_none());
    let note = json["git"]["patch_note"].as_str().expect("a reason");
    assert!(note.contains("max_job_bytes"), "{note}");
}

#[test]
fn odd_repositories_are_recorded_as_what_they_are() {
    if !can_run() {
        return;
    }
    // Set-up · the folder of the project within · what is special · dirty.
    let submodule = "git -c protocol.file.allow=always submodule --quiet add ./.git inner; git commit -qm inner";
    let cases: &[(&str, &str, &[&str], bool)] = &[
        ("", ".", &[], false),
        ("git checkout -q --detach", ".", &["detached"], false),
        (
            "git commit -q --allow-empty -m 2; git clone -q --depth 1 file://$PWD shallow",
            "shallow",
            &["shallow"],
            false,
        ),
        (
            "git worktree add -q tree -b side",
            "tree",
            &["linked_worktree"],
            false,
        ),
        (
            "git clone -q --bare . bare.git",
            "bare.git",
            &["bare"],
            false,
        ),
        ("mkdir n; git -C n init -q", "n", &["no_commit"], false),
        (
            "mkdir n; git -C n init -q; echo x >n/x; git -C n add x",
            "n",
            &["no_commit"],
            true,
        ),
        (
            "git checkout -qb o; echo o >text; git commit -qam o; git checkout -q main; echo m >text; git commit -qam m; git merge o >/dev/null || true",
            ".",
            &["conflict", "in_progress"],
            true,
        ),
        (
            "echo '*.bin filter=lfs' >.gitattributes; git add -A; git commit -qm l",
            ".",
            &["lfs"],
            false,
        ),
        (submodule, ".", &[], false),
    ];
    for (script, folder, conditions, dirty) in cases {
        let project = Project::empty();
        shell(&project, REPOSITORY);
        shell(&project, script);
        let mut init = project.roar_command();
        init.current_dir(project.path(folder)).args(["init", "-n"]);
        Transcript::of(&mut init).succeeds();
        let json = record(&project, folder, "true").json;
        let found = json["git"].get("conditions").cloned().unwrap_or(json!([]));
        assert_eq!(found, json!(conditions), "{script}");
        assert_eq!(json["git"]["dirty"], *dirty, "{script}");
        assert_eq!(json["git"].get("patch_hash").is_some(), *dirty, "{script}");
        if script == &submodule {
            let module = &json["git"]["submodules"][0];
            assert_eq!(module["path"], "inner");
            assert_eq!(module["commit"], module["checked_out"]);
        }
    }
}

#[test]
fn outside_git_there_is_no_code_state() {
    if !can_run() {
        return;
    }
    let project = Project::new();
    project.write("x", "x");
    assert_eq!(record(&project, ".", "cat x").json["git"], Value::Null);
}
