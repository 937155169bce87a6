//! Two users and a lineage server: what one of them makes and registers, the other makes again
//! with nothing but the hash.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

use roar_tests::project::Project;
use roar_tests::require::{Need, met};
use roar_tests::server::Server;
use roar_tests::transcript::Transcript;

fn can_run() -> bool {
    met(&[
        Need::Bpf,
        Need::Program("git"),
        Need::Program("ssh-keygen"),
        Need::Program("curl"),
    ])
}

/// User A's project, with a bare remote, and user B's home beside it.
struct Users {
    project: Project,
    server: Server,
}

impl Users {
    fn new() -> Self {
        let project = Project::new();
        let server = Server::start(&project.base());
        let users = Self { project, server };
        for home in [users.project.home(), users.other_home()] {
            let folder = home.join(".ssh");
            fs::create_dir_all(&folder).expect("made");
            users.project.run(
                "ssh-keygen",
                ["-q", "-t", "ed25519", "-N", "", "-f"]
                    .map(Into::into)
                    .into_iter()
                    .chain([folder.join("id_ed25519").into_os_string()]),
            );
        }
        users.server.add_key("a", &users.project.home());
        users.server.add_key("b", &users.other_home());
        users
    }

    fn other_home(&self) -> PathBuf {
        self.project.base().join("other-home")
    }

    /// roar as user A.
    fn a(&self, arguments: &[&str]) -> Command {
        let mut command = self.project.roar_command();
        command.env("GLAAS_URL", self.server.url()).args(arguments);
        command
    }

    /// roar as user B: another home, another folder, no record.
    fn b(&self, arguments: &[&str]) -> Command {
        let folder = self.project.base().join("elsewhere");
        fs::create_dir_all(&folder).expect("made");
        let mut command = self.project.roar_command();
        command
            .current_dir(folder)
            .env("HOME", self.other_home())
            .env("GLAAS_URL", self.server.url())
            .args(arguments);
        command
    }

    fn push(&self) {
        let remote = self.project.base().join("remote.git");
        self.project.commit_all();
        if remote.exists() {
            self.project
                .run("git", ["push", "--quiet", "origin", "main"]);
        } else {
            let remote = remote.to_str().expect("text");
            self.project
                .run("git", ["clone", "--quiet", "--bare", ".", remote]);
            self.project.run("git", ["remote", "add", "origin", remote]);
        }
        self.project.run("git", ["fetch", "--quiet", "origin"]);
    }

    /// A pipeline of two steps whose result is `model.bin`; its hash.
    fn pipeline(&self) -> String {
        for script in ["prepare.sh", "train.sh"] {
            Transcript::of(&mut self.a(&["run", "-q", "sh", script])).succeeds();
        }
        self.hash()
    }

    fn hash(&self) -> String {
        blake3::hash(&self.project.read("model.bin"))
            .to_hex()
            .to_string()
    }

    fn write_pipeline(&self) {
        let project = &self.project;
        project.write(".gitignore", ".roar/\ndata/\nmodel.bin\n");
        project.write("raw.txt", "c\na\nb\n");
        project.write(
            "prepare.sh",
            "mkdir -p data; sort raw.txt >data/sorted.txt\n",
        );
        project.write(
            "train.sh",
            "{ cat settings; cat data/sorted.txt; } >model.bin\n",
        );
        project.write("settings", "rate 0.1\n");
    }

    fn register(&self) -> Transcript {
        Transcript::of(&mut self.a(&["register", "model.bin", "-y", "--json"]))
    }

    fn reproduce(&self, hash: &str, out: &str, status: i32) -> Value {
        let arguments = ["reproduce", hash, "--run", "-y", "--json", "--out", out];
        Transcript::of(&mut self.b(&arguments)).exits(status).json()
    }
}

#[test]
fn from_a_hash_to_the_same_bytes() {
    if !can_run() {
        return;
    }
    let users = Users::new();
    users.write_pipeline();
    users.push();
    let hash = users.pipeline();
    let told = users.register();
    let answer = told.succeeds().json();
    assert_eq!(answer["was_there"], false);
    assert!(
        answer["session_url"]
            .as_str()
            .expect("a link")
            .contains("/dag/")
    );
    // Once more: nothing changes.
    assert_eq!(users.register().succeeds().json()["was_there"], true);

    let preview = Transcript::of(&mut users.b(&["reproduce", &hash[..12]]));
    let preview = preview.succeeds().stdout_text();
    assert!(
        preview.contains("sh train.sh") && preview.contains("model.bin"),
        "{preview}"
    );
    let verdict = users.reproduce(&hash, "clean", 0);
    assert_eq!(verdict["verdict"], "bit_identical", "{verdict:#}");
    let made = fs::read(users.project.base().join("elsewhere/clean/model.bin")).expect("made");
    assert_eq!(made, users.project.read("model.bin"));

    // From a dirty tree, with code that no commit has, on a commit that was not pushed.
    users.project.write("settings", "rate 0.2\n");
    users.project.commit_all();
    users.project.write(
        "train.sh",
        ". ./more.sh; { cat settings; more; cat data/sorted.txt; } >model.bin\n",
    );
    users.project.write("more.sh", "more() { echo more; }\n");
    let hash = users.pipeline();
    users
        .register()
        .succeeds()
        .says("was not pushed: it travels as a patch");
    let verdict = users.reproduce(&hash, "dirty", 0);
    assert_eq!(verdict["verdict"], "bit_identical", "{verdict:#}");
    fs::remove_file(users.project.path("more.sh")).expect("removed");

    // A step that is not deterministic.
    users
        .project
        .write("train.sh", "head -c 9 /dev/urandom >model.bin\n");
    users.push();
    let hash = users.pipeline();
    users.register().succeeds();
    let verdict = users.reproduce(&hash, "chance", 3);
    assert_eq!(verdict["verdict"], "differs");
    assert_eq!(
        verdict["cause"]["difference"]["kind"], "not_deterministic",
        "{verdict:#}"
    );

    // An input that has changed since.
    let shared = users.project.base().join("shared.txt");
    fs::write(&shared, "x\n").expect("written");
    users
        .project
        .write("train.sh", "cat \"$1\" data/sorted.txt >model.bin\n");
    users.push();
    let shared_text = shared.to_str().expect("text");
    Transcript::of(&mut users.a(&["run", "-q", "sh", "train.sh", shared_text])).succeeds();
    users.register().succeeds();
    fs::write(&shared, "y\n").expect("written");
    let verdict = users.reproduce(&users.hash(), "changed", 3);
    assert_eq!(
        verdict["cause"]["difference"]["kind"], "input",
        "{verdict:#}"
    );
    assert_eq!(verdict["cause"]["difference"]["paths"][0], shared_text);

    // What is private is not there for others.
    users.project.write("settings", "rate 0.9\n");
    users
        .project
        .write("train.sh", "cat settings data/sorted.txt >model.bin\n");
    users.push();
    let hash = users.pipeline();
    let private = ["register", "model.bin", "-y", "--private"];
    Transcript::of(&mut users.a(&private)).succeeds();
    Transcript::of(&mut users.b(&["reproduce", &hash])).exits(1);
}

#[test]
fn what_fails_is_told_apart() {
    if !can_run() {
        return;
    }
    let users = Users::new();
    users.write_pipeline();
    users.project.commit_all();
    users.pipeline();
    // Nobody could fetch the code.
    users.register().exits(1).says("no remote");
    users.push();
    users.project.write("loose.sh", "cat raw.txt >loose.out\n");
    // Without anybody to agree.
    Transcript::of(&mut users.a(&["register", "model.bin"]))
        .exits(1)
        .says("-y");
    Transcript::of(&mut users.a(&["auth", "test"])).succeeds();
    let shown = Transcript::of(&mut users.a(&["auth", "register"]))
        .succeeds()
        .stdout_text();
    let public = fs::read_to_string(users.project.home().join(".ssh/id_ed25519.pub"));
    assert!(
        public.expect("a key").starts_with(shown.trim_end()),
        "{shown}"
    );
    // A key that the server does not know; none; one that is no key; a server that is down; a clock.
    let stranger = users.project.base().join("stranger");
    let arguments = ["-q", "-t", "ed25519", "-N", "", "-f"].map(Into::into);
    let arguments = arguments
        .into_iter()
        .chain([stranger.clone().into_os_string()]);
    users
        .project
        .run::<std::ffi::OsString>("ssh-keygen", arguments);
    let with = |name: &str, value: &Path| {
        let mut command = users.a(&["auth", "test"]);
        Transcript::of(command.env(name, value))
    };
    with("ROAR_SSH_KEY", &stranger)
        .exits(1)
        .says("roar auth register");
    with("ROAR_SSH_KEY", Path::new("/no/such/key"))
        .exits(1)
        .says("ssh-keygen -t ed25519");
    with("HOME", Path::new("/no/such/home"))
        .exits(1)
        .says("no SSH key was found");
    with("ROAR_SSH_KEY", &users.project.path("raw.txt"))
        .exits(1)
        .says("cannot be used");
    with("GLAAS_URL", Path::new("http://127.0.0.1:1"))
        .exits(1)
        .says("does not answer");
    with("GLAAS_URL", Path::new("nonsense"))
        .exits(1)
        .says("is no address");
}

/// Secrets planted everywhere: what reaches the server is taken from a proxy in between.
#[test]
fn secrets_reach_no_body() {
    if !can_run() {
        return;
    }
    const CANARY: &str = "ghp_abcdefghijklmnopqrstuvwxyz0123456789";
    let users = Users::new();
    users.write_pipeline();
    users.push();
    let project = &users.project;
    let login = format!("https://user:{CANARY}@example.invalid/a.git");
    project.run("git", ["remote", "set-url", "--push", "origin", &login]);
    // Not redacted when it was recorded: the transport has to do it.
    project
        .roar(["config", "set", "record.redact_secrets", "false"])
        .succeeds();
    project.write("settings", format!("token = \"{CANARY}\"\n"));
    project.write(
        "notebook.ipynb",
        format!("{{\"cells\": [{{\"source\": [\"key = '{CANARY}'\"]}}]}}\n"),
    );
    project.write(format!("name-{CANARY}"), "x\n");
    project.write(
        "train.sh",
        "cat settings notebook.ipynb name-* data/sorted.txt >model.bin\n",
    );
    Transcript::of(&mut users.a(&["run", "-q", "sh", "prepare.sh"])).succeeds();
    let mut train = users.a(&["run", "-q", "sh", "train.sh", "--token", CANARY]);
    Transcript::of(train.env("PYTHONPATH", CANARY)).succeeds();

    let dry = Transcript::of(&mut users.a(&["register", "model.bin", "--dry-run", "--json"]));
    let dry_text = dry.succeeds().stdout_text();
    assert!(!dry_text.contains(CANARY));
    assert!(
        dry.json()["redacted"].as_array().expect("a list").len() > 2,
        "{dry_text}"
    );

    let proxy = Proxy::start(&users.server, u64::MAX);
    let mut register = users.a(&["register", "model.bin", "-y"]);
    let told = Transcript::of(register.env("GLAAS_URL", proxy.url()));
    told.succeeds();
    let sent = proxy.sent();
    assert!(sent.len() > 2000, "{}", sent.len());
    for (name, bytes) in [
        ("a body", sent),
        ("stdout", told.stdout),
        ("stderr", told.stderr),
    ] {
        let found = String::from_utf8_lossy(&bytes).contains(CANARY);
        assert!(!found, "the canary is in {name}");
    }
}

/// A hundred connections cut at random: nothing twice, nothing missing.
#[test]
fn cut_connections_lose_and_double_nothing() {
    if !can_run() {
        return;
    }
    let users = Users::new();
    users.write_pipeline();
    users.project.write(
        "prepare.sh",
        "mkdir -p data; sort raw.txt >data/sorted.txt; for n in $(seq 250); do echo $n >data/$n; done\n",
    );
    users.push();
    Transcript::of(&mut users.a(&["run", "-q", "sh", "prepare.sh"])).succeeds();
    for step in 0..6 {
        let script =
            format!("cat data/[0-9]* settings >data/out-{step}-x; echo {step} >>data/out-{step}-x");
        Transcript::of(&mut users.a(&["run", "-q", "sh", "-c", &script])).succeeds();
    }
    let proxy = Proxy::start(&users.server, 100);
    let mut attempts = 0;
    loop {
        attempts += 1;
        assert!(attempts < 100, "it does not come to an end");
        let mut register = users.a(&["register", "-y", "--json"]);
        let told = Transcript::of(register.env("GLAAS_URL", proxy.url()));
        if told.code() == 0 && proxy.cuts() >= 100 {
            break;
        }
        if told.code() == 0 {
            // All had arrived before the hundredth: forget it, and go on cutting.
            let database = users.project.path(".roar/roar.db");
            users.project.run(
                "sqlite3",
                [
                    database.to_str().expect("text"),
                    "DELETE FROM registrations",
                ],
            );
        }
    }
    let dry = Transcript::of(&mut users.a(&["register", "--dry-run", "--json"])).json();
    let session = dry["session"].as_str().expect("a hash");
    let mut jobs = 0;
    for request in dry["requests"].as_array().expect("requests") {
        let path = request["path"].as_str().expect("a path");
        if path.ends_with("/jobs/batch") {
            jobs += request["body"]["jobs"].as_array().map_or(0, Vec::len);
        }
    }
    assert!(jobs >= 7, "{jobs}");
    // What the proxy does not touch: the server itself.
    let answer = users.server.get(&format!("/api/v1/sessions/{session}"));
    let known = answer["data"]["jobs"].as_array().expect("jobs");
    assert_eq!(known.len(), jobs, "{answer:#}");
    let mut linked = 0;
    for job in known {
        let uid = job["job_uid"].as_str().expect("a uid");
        let job = users
            .server
            .get(&format!("/api/v1/sessions/{session}/jobs/{uid}"));
        for side in ["inputs", "outputs"] {
            linked += job["data"][side].as_array().map_or(0, Vec::len);
        }
    }
    let mut sent = 0;
    for request in dry["requests"].as_array().expect("requests") {
        let path = request["path"].as_str().expect("a path");
        if path.ends_with("/inputs") || path.ends_with("/outputs") {
            sent += request["body"]["artifacts"].as_array().map_or(0, Vec::len);
        }
    }
    assert_eq!(linked, sent);
}

/// Killed at any moment, registering goes on.
#[test]
fn killed_while_registering() {
    if !can_run() {
        return;
    }
    let users = Users::new();
    users.write_pipeline();
    users.push();
    let hash = users.pipeline();
    for round in 0_u64..20 {
        let mut register = users.a(&["register", "model.bin", "-y"]);
        let mut child = register
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("roar can be started");
        std::thread::sleep(Duration::from_millis(3 + round * 29 % 180));
        let _ = child.kill();
        child.wait().expect("a child can be waited for");
    }
    users.register().succeeds();
    let verdict = users.reproduce(&hash, "again", 0);
    assert_eq!(verdict["verdict"], "bit_identical", "{verdict:#}");
}

/// Stands between a client and the server; keeps what the client sends, and cuts connections after
/// a random number of bytes, in either direction.
struct Proxy {
    port: u16,
    sent: Arc<Mutex<Vec<u8>>>,
    cuts: Arc<AtomicU64>,
}

impl Proxy {
    /// `cuts`: how many connections are cut before it leaves them whole; `u64::MAX` cuts none.
    fn start(server: &Server, cuts: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let proxy = Self {
            port,
            sent: Arc::default(),
            cuts: Arc::default(),
        };
        let (target, sent, made) = (server.port(), proxy.sent.clone(), proxy.cuts.clone());
        std::thread::spawn(move || {
            let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
            for (number, client) in listener.incoming().flatten().enumerate() {
                // A small generator: the same cuts in every run.
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                let limit = if cuts == u64::MAX || made.load(Ordering::SeqCst) >= cuts {
                    u64::MAX
                } else if number % 2 == 0 {
                    seed % 9000
                } else {
                    // Room for the largest body, so that something arrives between two cuts.
                    50_000 + seed % 30_000
                };
                let Ok(upstream) = TcpStream::connect(("127.0.0.1", target)) else {
                    continue;
                };
                let left = Arc::new(AtomicU64::new(limit));
                let pairs = [
                    (client.try_clone(), upstream.try_clone(), Some(sent.clone())),
                    (upstream.try_clone(), client.try_clone(), None),
                ];
                for (from, to, kept) in pairs {
                    let (Ok(from), Ok(to)) = (from, to) else {
                        continue;
                    };
                    let (left, made) = (left.clone(), made.clone());
                    std::thread::spawn(move || {
                        if carry(from, to, &left, kept.as_deref()) {
                            made.fetch_add(1, Ordering::SeqCst);
                        }
                    });
                }
            }
        });
        proxy
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn sent(&self) -> Vec<u8> {
        self.sent.lock().expect("no panic within").clone()
    }

    fn cuts(&self) -> u64 {
        self.cuts.load(Ordering::SeqCst)
    }
}

/// Carries bytes until either side ends or the allowance is used up; then both are cut. Whether it
/// was the allowance.
fn carry(
    mut from: TcpStream,
    mut to: TcpStream,
    left: &AtomicU64,
    kept: Option<&Mutex<Vec<u8>>>,
) -> bool {
    let mut buffer = [0; 1024];
    let mut cut = false;
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        let allowance = left.load(Ordering::SeqCst);
        let allowed = allowance.min(count as u64);
        let part = &buffer[..usize::try_from(allowed).unwrap_or(count)];
        if let Some(kept) = kept {
            kept.lock()
                .expect("no panic within")
                .extend_from_slice(part);
        }
        if to.write_all(part).is_err() {
            break;
        }
        if allowance != u64::MAX && left.fetch_sub(allowed, Ordering::SeqCst) <= allowed {
            cut = true;
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
    cut
}
