//! Published clients of the protocol, unmodified: each registers a lineage, and reads it back.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use roar_tests::require::{Need, met};
use tempfile::TempDir;

use super::machine::{Server, User};
use super::{on_postgres, on_sqlite};

/// The package of the index, and its versions: the newest, and the last of the older line.
const PACKAGE: &str = "roar-cli";
const NEWER: &str = "0.4.7";
const OLDER: &str = "0.2.11";

const NEEDS: [Need; 3] = [
    Need::PackageIndex,
    Need::Program("git"),
    Need::Program("ssh-keygen"),
];

/// Copies its input in capitals, and says where to.
const STEP: &str = "import sys
text = open(sys.argv[1]).read()
open(sys.argv[2], 'w').write(text.upper() + sys.argv[2])
";

/// A version of the package in an environment of its own.
struct Client {
    folder: TempDir,
}

impl Client {
    fn install(version: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let made = Command::new("python3")
            .args(["-m", "venv"])
            .arg(folder.path())
            .status();
        assert!(made.expect("python3 runs").success());
        let pip = Command::new(folder.path().join("bin/pip"))
            .args(["install", "-q", "--disable-pip-version-check"])
            .arg(format!("{PACKAGE}=={version}"))
            .status();
        assert!(pip.expect("pip runs").success());
        Self { folder }
    }

    /// What a command line says, in a folder of a user's.
    fn says(&self, user: &User, server: &Server, at: &Path, words: &[&str]) -> String {
        let bin = self.folder.path().join("bin");
        let output = Command::new(bin.join(words[0]))
            .args(&words[1..])
            .current_dir(at)
            .env("HOME", user.home())
            .env("ROAR_SSH_KEY", user.key())
            .env("GLAAS_URL", format!("http://{}", server.address))
            .env("DO_NOT_TRACK", "1")
            .env("PATH", format!("{}:/usr/bin:/bin", bin.display()))
            .output()
            .expect("it runs");
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        assert!(output.status.success(), "{words:?}: {said}");
        said
    }
}

/// Two steps in a repository whose commits lie in another one, on data of one's own.
fn pipeline(client: &Client, user: &User, server: &Server, place: &Path, data: &str) -> PathBuf {
    let (project, remote) = (place.join("project"), place.join("remote.git"));
    std::fs::create_dir(&project).expect("ours");
    for (name, text) in [
        ("step.py", STEP),
        ("data.csv", data),
        (".gitignore", ".roar\n*.out\n"),
    ] {
        std::fs::write(project.join(name), text).expect("ours");
    }
    let git = |words: &[&str]| {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=a", "-c", "user.email=a@example.org"]);
        let done = git.args(words).current_dir(&project).status();
        assert!(done.expect("git runs").success(), "{words:?}");
    };
    let remote = remote.to_str().expect("text");
    git(&["init", "-q", "-b", "main"]);
    git(&["init", "-q", "--bare", remote]);
    git(&["remote", "add", "origin", remote]);
    let roar = |words: &[&str]| client.says(user, server, &project, words);
    roar(&["roar", "init", "-y"]);
    git(&["add", "."]);
    git(&["commit", "-q", "-m", "first"]);
    git(&["push", "-q", "origin", "main"]);
    // The test's own files are such.
    roar(&["roar", "config", "set", "filters.ignore_tmp_files", "false"]);
    for (from, to) in [("data.csv", "clean.out"), ("clean.out", "model.out")] {
        let run = [
            "roar", "run", "--tracer", "preload", "python3", "step.py", from, to,
        ];
        roar(&run);
    }
    project
}

fn unix_seconds() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.expect("after 1970").as_secs()
}

/// Registers with these options, twice, and reads back: as the client, and as the server tells anyone.
fn registers(client: &Client, server: &Server, options: &[&str], owner: &str) {
    let user = User::new("ed25519");
    if owner != "anonymous" {
        user.join(server, owner);
    }
    let place = tempfile::tempdir().expect("a folder");
    let project = pipeline(client, &user, server, place.path(), owner);
    let model = std::fs::read(project.join("model.out")).expect("the second step wrote it");
    let hash = blake3::hash(&model).to_hex().to_string();
    let is_private = options.contains(&"--private");
    let read = |path: &str| {
        if is_private {
            user.get(server, path)
        } else {
            server.get(path)
        }
    };
    let path = format!("/api/v1/artifacts/{hash}/closure");
    let mut seen = Vec::new();
    for _ in 0..2 {
        let words = [&["roar", "register", "-y"], options, &["model.out"]].concat();
        client.says(&user, server, &project, &words);
        seen.push(read(&path).data());
        // The older line's signatures have the second and no nonce: the same write once more within it is
        // taken for a replay, and the client goes on as nobody.
        let second = unix_seconds();
        while unix_seconds() == second {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    assert_eq!(seen[0], seen[1], "the same again changes nothing");
    let jobs = seen[0]["jobs"].as_array().expect("jobs");
    let commands: Vec<_> = jobs.iter().map(|job| &job["command"]).collect();
    assert_eq!(
        commands,
        [
            "python3 step.py data.csv clean.out",
            "python3 step.py clean.out model.out"
        ]
    );
    assert_eq!(
        jobs[1]["inputs"].as_array().map(Vec::len),
        Some(1),
        "{jobs:?}"
    );
    assert_eq!(jobs[0]["outputs"][0]["hash"], jobs[1]["inputs"][0]["hash"]);
    let session = jobs[0]["session_hash"].as_str().expect("a hash");
    let session = read(&format!("/api/v1/sessions/{session}")).data();
    assert_eq!(session["owner"], owner);
    let visibility = if is_private { "private" } else { "public" };
    assert_eq!(session["visibility"], visibility);
    if is_private {
        assert_eq!(server.get(&path).status, 404);
    }
    // Elsewhere, without the record.
    let elsewhere = place.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).expect("ours");
    let plan = client.says(&user, server, &elsewhere, &["roar", "reproduce", &hash]);
    for command in commands {
        assert!(plan.contains(command.as_str().expect("text")), "{plan}");
    }
}

fn older(database: &str) {
    let client = Client::install(OLDER);
    let server = Server::start(database, &[]);
    registers(&client, &server, &[], "ann");
}

fn newer(database: &str) {
    let client = Client::install(NEWER);
    let server = Server::start(database, &["--allow-anonymous"]);
    registers(&client, &server, &["--anonymous"], "anonymous");
    registers(&client, &server, &["--public"], "ann");
    registers(&client, &server, &["--private"], "bob");
}

#[test]
fn sqlite_takes_the_older_client() {
    if met(&NEEDS) {
        on_sqlite(older);
    }
}

#[test]
fn postgres_takes_the_older_client() {
    if met(&NEEDS) {
        on_postgres(older);
    }
}

#[test]
fn sqlite_takes_the_newer_client() {
    if met(&NEEDS) {
        on_sqlite(newer);
    }
}

#[test]
fn postgres_takes_the_newer_client() {
    if met(&NEEDS) {
        on_postgres(newer);
    }
}
