//! A server that knows only the protocol as published clients speak it: everything arrives in its
//! order, within its limits, under its signature.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use roar_cli::register::keys::armoured;
use roar_tests::transcript::Transcript;
use roar_tests::users::{Users, can_run};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// What the protocol lets a request hold at most.
const BATCH_BYTES: usize = 90 << 10;
const LINKS: usize = 100;

#[derive(Clone, Debug)]
struct Request {
    method: String,
    path: String,
    head: String,
    body: Vec<u8>,
}

impl Request {
    fn read(client: &mut TcpStream) -> Option<Self> {
        let mut bytes = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            if let Some(end) = bytes.windows(4).position(|part| part == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
                let length = head.lines().find_map(|line| {
                    let (name, value) = line.split_once(':')?;
                    let is_length = name.eq_ignore_ascii_case("content-length");
                    is_length.then(|| value.trim().parse::<usize>().ok())?
                });
                if bytes.len() >= end + 4 + length.unwrap_or(0) {
                    let mut words = head.split(' ');
                    return Some(Self {
                        method: words.next()?.to_owned(),
                        path: words.next()?.to_owned(),
                        body: bytes[end + 4..].to_vec(),
                        head,
                    });
                }
            }
            match client.read(&mut buffer) {
                Ok(count @ 1..) => bytes.extend_from_slice(&buffer[..count]),
                _ => return None,
            }
        }
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    fn answer(&self, known: &Value) -> (&'static str, Value) {
        let ok = |data: Value| ("200 OK", json!({"success": true, "data": data}));
        let path = self.path.strip_prefix("/api/v1").unwrap_or_default();
        match (self.method.as_str(), path) {
            ("GET", "/health") => ok(json!({})),
            ("GET", path) if path.starts_with("/artifacts/") && !known.is_null() => {
                let member = if path.ends_with("/dag") {
                    "dag"
                } else {
                    "artifact"
                };
                ok(known[member].clone())
            }
            ("POST", "/sessions") => {
                let hash = self.json()["hash"].clone();
                ok(json!({"hash": hash, "url": "", "created": true}))
            }
            ("POST", "/artifacts/batch") => ok(json!({"created": 1, "existing": 0})),
            ("POST", path) if path.ends_with("/jobs/batch") => {
                ok(json!({"job_ids": [1], "errors": []}))
            }
            ("POST", path) if path.ends_with("/inputs") => ok(json!({"inputs_linked": 1})),
            ("POST", path) if path.ends_with("/outputs") => ok(json!({"outputs_linked": 1})),
            _ => ("404 Not Found", json!({"detail": "there is no such thing"})),
        }
    }

    /// The text that the protocol has signed, and its signature.
    fn signed(&self) -> (String, String) {
        let field = |name: &str| {
            let (_, rest) = self
                .head
                .split_once(&format!("{name}=\""))
                .expect("a field");
            rest.split('"').next().expect("a value").to_owned()
        };
        let mut text = format!("{}\n{}\n{}", field("ts"), self.method, self.path);
        if !self.body.is_empty() {
            let digest = Sha256::digest(&self.body);
            let digest: Vec<String> = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            let digest = digest.concat();
            text.push('\n');
            text.push_str(&digest);
        }
        (text, field("sig"))
    }
}

/// A server of that kind, and what it hears. What it knows of any artifact: `artifact`, `dag`.
fn published(known: Value) -> (String, Arc<Mutex<Vec<Request>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let heard: Arc<Mutex<Vec<Request>>> = Arc::default();
    let kept = Arc::clone(&heard);
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let Some(request) = Request::read(&mut client) else {
                continue;
            };
            let (status, body) = request.answer(&known);
            kept.lock().expect("no panic within").push(request);
            let body = body.to_string();
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            );
            let _ = client.write_all(answer.as_bytes());
        }
    });
    (url, heard)
}

#[track_caller]
fn verifies(users: &Users, request: &Request) {
    let public = fs::read_to_string(users.project.home().join(".ssh/id_ed25519.pub"));
    let signers = users.project.base().join("signers");
    fs::write(&signers, format!("a {}", public.expect("a key"))).expect("written");
    let (text, signature) = request.signed();
    let file = users.project.base().join("signature");
    fs::write(&file, armoured(&signature).expect("base64")).expect("written");
    let mut child = users
        .project
        .command("ssh-keygen")
        .args(["-Y", "verify", "-n", "glaas", "-I", "a", "-f"])
        .arg(&signers)
        .arg("-s")
        .arg(&file)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("ssh-keygen can be started");
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(text.as_bytes()).expect("written");
    drop(stdin);
    assert!(child.wait().expect("a child").success(), "{request:?}");
}

#[track_caller]
fn has(value: &Value, members: &[&str]) {
    for member in members {
        assert!(value.get(member).is_some(), "{member}: {value:#}");
    }
}

#[test]
fn a_published_server_is_spoken_to_in_its_own_words() {
    if !can_run() {
        return;
    }
    let users = Users::new();
    users.write_pipeline();
    users.project.write(
        "prepare.sh",
        "mkdir -p data; sort raw.txt >data/sorted.txt\n\
         for n in $(seq 130); do echo $n >data/$n; done\n",
    );
    users.project.write(
        "train.sh",
        "cat settings data/* >model.bin; cat more.txt >>model.bin\n",
    );
    users.push();
    users.project.write("more.txt", "not in the commit\n");
    users.pipeline();
    let (url, heard) = published(Value::Null);
    let a = |arguments: &[&str]| {
        let mut command = users.a(arguments);
        Transcript::of(command.env("GLAAS_URL", &url))
    };
    a(&["auth", "test"]).succeeds();
    // It takes no contents, and that is said.
    a(&["register", "model.bin", "-y"])
        .succeeds()
        .says("was not sent (the server takes no contents)");
    let requests = heard.lock().expect("no panic within").clone();
    let mut kinds = Vec::new();
    for request in &requests {
        if request.path.ends_with("/health") {
            assert!(!request.head.contains("sig="), "{}", request.head);
            continue;
        }
        verifies(&users, request);
        assert!(request.body.len() <= BATCH_BYTES, "{}", request.body.len());
        let kind = request.path.rsplit('/').next().expect("a part");
        if kind == "00000000" {
            continue;
        }
        let body = request.json();
        match kind {
            "sessions" => has(&body, &["hash", "git_repo", "git_commit", "git_branch"]),
            "batch" if request.path.ends_with("/jobs/batch") => {
                for job in body["jobs"].as_array().expect("jobs") {
                    let members = [
                        "command",
                        "timestamp",
                        "job_uid",
                        "git_commit",
                        "git_branch",
                        "duration_seconds",
                        "exit_code",
                        "job_type",
                        "step_number",
                    ];
                    has(job, &members);
                    assert!(job["timestamp"].is_f64(), "{job:#}");
                    assert!(job["metadata"].is_string(), "{job:#}");
                }
            }
            "batch" => {
                for artifact in body["artifacts"].as_array().expect("artifacts") {
                    has(artifact, &["hashes", "size", "source_type", "session_hash"]);
                    has(&artifact["hashes"][0], &["algorithm", "digest"]);
                }
            }
            _ => {
                let files = body["artifacts"].as_array().expect("files");
                assert!(files.len() <= LINKS, "{}", files.len());
                for file in files {
                    has(file, &["hash", "path"]);
                }
            }
        }
        let order = match kind {
            "sessions" => 0,
            "batch" if request.path.ends_with("/jobs/batch") => 1,
            "batch" => 2,
            "inputs" | "outputs" => 3,
            other => panic!("the protocol knows no {other}"),
        };
        kinds.push(order);
    }
    assert!(kinds.is_sorted(), "{kinds:?}");
    // 131 outputs and 132 inputs need two requests each.
    assert!(
        kinds.iter().filter(|kind| **kind == 3).count() >= 4,
        "{kinds:?}"
    );
}

/// A step of two, as the published client of version 0.2.11 registers it; `changes` are its own.
fn step(users: &Users, number: u64, script: &str, files: [&[&str]; 2], clean: bool) -> Value {
    let project = &users.project;
    let top = project.path("").display().to_string();
    let top = top.trim_end_matches('/');
    let git = |arguments: &[&str]| {
        let told = Transcript::of(project.command("git").args(arguments));
        told.succeeds().stdout_text().trim().to_owned()
    };
    let metadata = json!({
        "packages": {"pip": {"roar-cli": "0.2.11"}, "dpkg": {}},
        "runtime": {
            "hostname": "vm",
            "command": [],
            "os": {"system": "Linux", "release": "6.1.0", "machine": "x86_64"},
            "env_vars": {"ROAR_LOG_FILE": format!("{top}/.roar/run_7_inject.json"), "ROAR_WRAP": "1"},
            "cpu": {"count": 2, "model": "some"},
        },
        "git": {
            "commit": git(&["rev-parse", "HEAD"]),
            "branch": "main",
            "remote_url": git(&["remote", "get-url", "origin"]),
            "clean": clean,
            "uncommitted_changes": null,
        },
        "cwd": "",
    });
    let linked = |names: &[&str]| -> Vec<Value> {
        let link = |name: &&str| {
            let hash = blake3::hash(&project.read(name)).to_hex().to_string();
            json!({"hash": hash, "path": format!("{top}/{name}"), "size": project.read(name).len()})
        };
        names.iter().map(link).collect()
    };
    json!({
        "id": format!("job-{number}"),
        "command": format!("sh '{script}'"),
        "jobType": "run",
        "stepNumber": number,
        "timestamp": 1_795_706_160.5,
        "exitCode": 0,
        "metadata": metadata.to_string(),
        "inputs": linked(files[0]),
        "outputs": linked(files[1]),
    })
}

/// What the published client registered is made again as far as such a server tells of it.
#[test]
fn what_a_published_client_registered_is_made_again() {
    if !can_run() {
        return;
    }
    let users = Users::new();
    users.write_pipeline();
    users.push();
    for script in ["prepare.sh", "train.sh"] {
        users.project.run("sh", [script]);
    }
    let hash = users.hash();
    let sides: [[&[&str]; 2]; 2] = [
        [&["raw.txt"], &["data/sorted.txt"]],
        [&["settings", "data/sorted.txt"], &["model.bin"]],
    ];
    let nothing: [[&[&str]; 2]; 2] = [[&[], &[]]; 2];
    let answer = |sides: [[&[&str]; 2]; 2], clean: bool, artifact: &str| {
        let [prepare, train] = sides;
        json!({
            "artifact": {"id": "an id", "hash": artifact, "created_at": "2026-01-01T00:00:00Z"},
            "dag": {
                "jobs": [
                    step(&users, 1, "prepare.sh", prepare, clean),
                    step(&users, 2, "train.sh", train, clean),
                ],
                "is_external": false,
            },
        })
    };
    let reproduce = |known: Value, hash: &str, out: &str| {
        let (url, _) = published(known);
        let mut command = users.b(&["reproduce", hash, "--run", "-y", "--out", out]);
        Transcript::of(command.env("GLAAS_URL", &url))
    };
    let told = reproduce(answer(sides, true, &hash), &hash, "whole");
    let text = told.exits(0).stdout_text();
    assert!(text.contains("verdict: bit-identical"), "{text}");
    assert!(
        text.contains("data/sorted.txt") && text.contains("no uncommitted code"),
        "{text}"
    );

    // Without the files of the jobs, all of them run, and the artifact is known by its content.
    let told = reproduce(answer(nothing, true, &hash), &hash, "untold");
    let text = told.exits(0).stdout_text();
    assert!(text.contains("verdict: bit-identical"), "{text}");
    assert!(
        text.contains("does not tell what the jobs read and wrote"),
        "{text}"
    );
    let other = "0123456789abcdef".repeat(4);
    let told = reproduce(answer(nothing, true, &other), &other, "other");
    told.exits(1);
    assert!(
        told.stdout_text().contains("not comparable"),
        "{}",
        told.stdout_text()
    );

    // What is lacking is named before anything runs.
    reproduce(answer(sides, false, &hash), &hash, "dirty")
        .exits(1)
        .says("its uncommitted changes were not kept");
    reproduce(
        json!({"artifact": {"hash": hash}, "dag": {"jobs": []}}),
        &hash,
        "none",
    )
    .exits(1)
    .says("knows no job that made it");
}
