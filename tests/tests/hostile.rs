//! A lineage server that means harm: what it says is shown, confined, and never run unasked.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use roar_tests::project::Project;
use roar_tests::require::{Need, met};
use roar_tests::transcript::Transcript;

/// Answers every request for a closure with the same document, blobs with their content.
struct Server {
    port: u16,
}

impl Server {
    fn start(closure: &Value, blobs: Vec<Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let closure = json!({"success": true, "data": closure}).to_string();
        std::thread::spawn(move || {
            for mut client in listener.incoming().flatten() {
                let mut request = Vec::new();
                let mut buffer = [0; 4096];
                while !request.windows(4).any(|part| part == b"\r\n\r\n") {
                    match client.read(&mut buffer) {
                        Ok(count @ 1..) => request.extend_from_slice(&buffer[..count]),
                        _ => break,
                    }
                }
                let text = String::from_utf8_lossy(&request).into_owned();
                let path = text.split(' ').nth(1).unwrap_or_default();
                let (status, body) = if path.ends_with("/health") {
                    let health = json!({"status": "ok", "features": {"reproduction": true}});
                    ("200 OK", health.to_string().into_bytes())
                } else if path.ends_with("/closure") {
                    ("200 OK", closure.clone().into_bytes())
                } else {
                    let wanted = path.rsplit('/').next().unwrap_or_default();
                    let mut found = blobs.iter();
                    match found.find(|blob| blake3::hash(blob).to_hex().as_str() == wanted) {
                        Some(blob) => ("200 OK", blob.clone()),
                        None => ("404 Not Found", b"{}".to_vec()),
                    }
                };
                let head = format!(
                    "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                    body.len()
                );
                let _ = client.write_all(head.as_bytes());
                let _ = client.write_all(&body);
            }
        });
        Self { port }
    }

    fn roar(&self, project: &Project, arguments: &[&str]) -> Command {
        let mut command = project.roar_command();
        command
            .env("GLAAS_URL", format!("http://127.0.0.1:{}", self.port))
            .args(arguments);
        command
    }
}

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

fn target() -> String {
    "ab".repeat(32)
}

/// A job that makes the target, with changes to its document.
fn closure(command: &[&str], change: impl FnOnce(&mut Value)) -> Value {
    let mut job = json!({
        "job_uid": "00000001",
        "job_type": "run",
        "step_number": 1,
        "exit_code": 0,
        "command": command.join(" "),
        "document": {
            "version": 1,
            "argv": command,
            "cwd": ".",
            "duration_ns": 1,
            "completeness": {"complete": true},
            "git": null,
        },
        "inputs": [],
        "outputs": [{"hash": target(), "path": "out"}],
    });
    change(&mut job);
    json!({
        "version": 1,
        "artifact": {"hash": target(), "hashes": [{"algorithm": "blake3", "digest": target()}]},
        "jobs": [job],
    })
}

/// Asks for the plan, then for its execution; the second must be refused with these words, and
/// neither may leave anything outside of the folder.
fn refused(closure: &Value, blobs: Vec<Vec<u8>>, words: &str) {
    let project = Project::empty();
    fs::write(project.base().join("victim"), "kept").expect("written");
    let server = Server::start(closure, blobs);
    let hash = target();
    let preview = Transcript::of(&mut server.roar(&project, &["reproduce", &hash]));
    preview.succeeds();
    let run = ["reproduce", &hash, "--run", "-y", "--out", "copy"];
    let told = Transcript::of(&mut server.roar(&project, &run));
    told.exits(1).says(words);
    untouched(&project);
}

fn untouched(project: &Project) {
    let base = project.base();
    assert_eq!(fs::read(base.join("victim")).expect("there"), b"kept");
    let mut names: Vec<String> = fs::read_dir(&base)
        .expect("a folder")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    assert_eq!(names, ["home", "project", "tmp", "victim"]);
    assert!(!Path::new("/tmp/roar-was-here").exists());
}

#[test]
fn what_cannot_be_confined_is_refused() {
    if !met(&[Need::Program("git")]) {
        return;
    }
    let touch = ["touch", "/tmp/roar-was-here"];
    let blob = b"#!/bin/sh\ntouch /tmp/roar-was-here\n".to_vec();
    let digest = blake3::hash(&blob).to_hex().to_string();
    for path in [
        "../victim",
        ".git/hooks/post-checkout",
        "a/../../victim",
        ".roar/config.toml",
    ] {
        let hostile = closure(&touch, |job| {
            job["document"]["git"] = json!({
                "commit": COMMIT, "remote": "https://example.invalid/a",
                "untracked": [{"path": path, "blob": digest}],
            });
        });
        refused(&hostile, vec![blob.clone()], "cannot be used");
    }
    for remote in [
        "ext::sh -c 'touch /tmp/roar-was-here'",
        "--upload-pack=touch",
        "fd::3",
    ] {
        let hostile = closure(&touch, |job| {
            job["document"]["git"] = json!({"commit": COMMIT, "remote": remote});
        });
        refused(&hostile, Vec::new(), "cannot be cloned from");
    }
    for commit in ["--help", "HEAD; touch x", "main"] {
        let hostile = closure(&touch, |job| {
            job["document"]["git"] = json!({"commit": commit, "remote": "https://x.invalid/a"});
        });
        refused(&hostile, Vec::new(), "is no commit");
    }
    let hostile = closure(&touch, |job| job["document"]["cwd"] = "../..".into());
    refused(&hostile, Vec::new(), "cannot be used");
    let hostile = closure(&touch, |job| {
        job["outputs"][0]["path"] = "../../victim".into();
    });
    refused(&hostile, Vec::new(), "cannot be used");
    let hostile = closure(&touch, |job| {
        job["document"]["software"] = json!({
            "pip": {"--index-url=http://x.invalid/": "1"},
            "interpreters": [{"implementation": "cpython", "version": "3.11.2", "executable": "x"}],
        });
    });
    refused(&hostile, Vec::new(), "no Python package");
    let hostile = closure(&touch, |job| {
        job["document"]["git"] = json!({
            "commit": COMMIT, "remote": "https://x.invalid/a", "dirty": true, "patch": digest,
        });
    });
    // Another content than was asked for is none.
    let hostile_blob = b"something else".to_vec();
    refused(&hostile, vec![hostile_blob], "is not to be had");
}

#[test]
fn commands_are_shown_and_not_run_unasked() {
    let project = Project::empty();
    fs::write(project.base().join("victim"), "kept").expect("written");
    let command = [
        "sh",
        "-c",
        "rm -rf /tmp/roar-was-here; touch /tmp/roar-was-here \u{1b}[2J",
    ];
    let server = Server::start(&closure(&command, |_| {}), Vec::new());
    let hash = target();
    let preview = Transcript::of(&mut server.roar(&project, &["reproduce", &hash]));
    let preview = preview.succeeds().stdout_text();
    assert!(preview.contains("rm -rf /tmp/roar-was-here"), "{preview}");
    assert!(!preview.contains('\u{1b}'), "{preview}");
    let told = Transcript::of(&mut server.roar(&project, &["reproduce", &hash, "--run"]));
    told.exits(1).says("must be confirmed");
    untouched(&project);
}

#[test]
fn links_of_a_repository_lead_nowhere() {
    if !met(&[Need::Bpf, Need::Program("git")]) {
        return;
    }
    let project = Project::empty();
    let victim = project.base().join("victim");
    fs::create_dir(&victim).expect("made");
    project.write(".roar/config.toml", "[filters]\nignore_paths = [\"*\"]\n");
    project.write("sub/.gitmodules", "");
    std::os::unix::fs::symlink(&victim, project.path("link")).expect("made");
    project.commit_all();
    let commit = Transcript::of(project.command("git").args(["rev-parse", "HEAD"]));
    let commit = commit.succeeds().stdout_text().trim().to_owned();
    let blob = b"evil".to_vec();
    let digest = blake3::hash(&blob).to_hex().to_string();
    let remote = project.path(".git");
    let hostile = closure(&["true"], |job| {
        job["document"]["git"] = json!({
            "commit": commit, "remote": remote.to_str().expect("text"),
            "untracked": [{"path": "link/evil", "blob": digest}],
        });
    });
    let server = Server::start(&hostile, vec![blob]);
    let hash = target();
    let out = project.base().join("copy");
    let run = [
        "reproduce",
        &hash,
        "--run",
        "-y",
        "--out",
        out.to_str().expect("text"),
    ];
    let mut command = server.roar(&project, &run);
    let told = Transcript::of(command.current_dir(project.home()));
    told.exits(1).says("stands on the way");
    assert_eq!(fs::read_dir(&victim).expect("there").count(), 0);
    // The repository's own .roar decided nothing.
    let config = fs::read_to_string(out.join(".roar/config.toml")).expect("roar's own");
    assert!(!config.contains("\"*\""), "{config}");
}

/// What a repository says of its submodules is no order to run anything.
#[test]
fn submodules_run_nothing() {
    if !met(&[Need::Bpf, Need::Program("git")]) {
        return;
    }
    let project = Project::empty();
    project.write("inner.txt", "x\n");
    project.commit_all();
    let inner = project.base().join("inner.git");
    let inner = inner.to_str().expect("text");
    project.run("git", ["clone", "--quiet", "--bare", ".", inner]);
    fs::write(project.base().join("victim"), "kept").expect("written");
    let touch = "touch /tmp/roar-was-here";
    let git = |arguments: &[&str]| {
        let told = Transcript::of(project.command("git").args(arguments));
        told.succeeds().stdout_text().trim().to_owned()
    };
    let allow = "protocol.file.allow=always";
    git(&["-c", allow, "submodule", "--quiet", "add", inner, "x"]);
    let module = git(&["-C", "x", "rev-parse", "HEAD"]);
    for (number, (url, update, path, comes)) in [
        (inner.to_owned(), "checkout".to_owned(), "x", true),
        (inner.to_owned(), format!("!{touch}"), "x", false),
        (
            format!("ext::sh -c '{touch}'"),
            "checkout".to_owned(),
            "x",
            false,
        ),
        (
            format!("--upload-pack={touch}"),
            "checkout".to_owned(),
            "x",
            false,
        ),
        (inner.to_owned(), "checkout".to_owned(), "../victim", false),
    ]
    .into_iter()
    .enumerate()
    {
        let text = format!("[submodule \"x\"]\npath = x\nurl = {url}\nupdate = {update}\n");
        project.write(".gitmodules", text);
        project.commit_all();
        let commit = git(&["rev-parse", "HEAD"]);
        let hostile = closure(&["cp", "x/inner.txt", "out"], |job| {
            job["document"]["git"] = json!({
                "commit": commit, "remote": project.path(".git").to_str().expect("text"),
                "submodules": [{"path": path, "commit": module, "checked_out": module}],
            });
        });
        let server = Server::start(&hostile, Vec::new());
        let out = project.base().join(format!("copy-{number}"));
        let out_text = out.to_str().expect("text");
        let run = ["reproduce", &target(), "--run", "-y", "--out", out_text];
        let mut command = server.roar(&project, &run);
        let told = Transcript::of(command.current_dir(project.home()));
        // The one that means no harm comes along: its step runs, and makes another content.
        told.exits(if comes { 3 } else { 1 });
        assert_eq!(out.join("x/inner.txt").exists(), comes, "{number}");
        assert_eq!(out.join("out").exists(), comes, "{number}");
        let victim = fs::read(project.base().join("victim"));
        assert_eq!(victim.expect("there"), b"kept");
        assert!(!Path::new("/tmp/roar-was-here").exists(), "{number}");
    }
}

#[test]
fn an_enormous_graph_is_refused_at_once() {
    let project = Project::empty();
    let mut hostile = closure(&["true"], |_| {});
    let job = hostile["jobs"][0].clone();
    hostile["jobs"] = vec![job; 20_000].into();
    let server = Server::start(&hostile, Vec::new());
    let hash = target();
    let told = Transcript::of(&mut server.roar(&project, &["reproduce", &hash]));
    assert!(
        told.succeeds().stdout_text().contains("impossible"),
        "{}",
        told.snapshot()
    );
    let run = ["reproduce", &hash, "--run", "-y"];
    Transcript::of(&mut server.roar(&project, &run))
        .exits(1)
        .says("20000 jobs");
}
