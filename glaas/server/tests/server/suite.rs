//! What holds on every engine.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use super::machine::{Server, User, base64, unix_seconds};

const SESSION: &str = "5e55105e55105e55105e55105e55105e55105e55105e55105e55105e55105e55";

fn hash(name: &str) -> String {
    blake3::hash(name.as_bytes()).to_hex().to_string()
}

fn job(uid: &str, command: &str, step: u32) -> Value {
    let document = json!({ "roar": { "version": 1, "name": uid, "host": { "hostname": "node7",
        "gpus": [{ "name": "NVIDIA H100" }] }, "environment": { "SEED": "7" },
        "git": { "patch": hash("patch") },
        "completeness": { "backend": "ebpf", "complete": true } } });
    json!({ "command": command, "timestamp": 1_795_000_000.5 + f64::from(step), "job_uid": uid,
        "git_commit": "abcdef0123456789abcdef0123456789abcdef01", "duration_seconds": 1.5,
        "exit_code": 0, "job_type": "run", "step_number": step, "metadata": document.to_string() })
}

/// data.csv → prepare → clean.csv → train → model.pt, as published clients register it.
fn register(user: &User, server: &Server, extra: &Value) {
    let mut session = json!({ "hash": SESSION, "git_repo": "https://u:secret@example.org/x.git",
        "git_commit": "abcdef0123456789", "git_branch": "main" });
    for (name, value) in extra.as_object().expect("members") {
        session[name] = value.clone();
    }
    user.post(server, "/api/v1/sessions", &session).data();
    let at = |rest: &str| format!("/api/v1/sessions/{SESSION}/{rest}");
    let jobs = json!({ "jobs": [job("aaaa1111", "python prepare.py", 1),
        job("bbbb2222", "python train.py --lr=0.1", 2)] });
    let made = user.post(server, &at("jobs/batch"), &jobs).data();
    assert_eq!(made["errors"], json!([]));
    let artifacts: Vec<Value> = ["data", "clean", "model"]
        .iter()
        .map(|name| {
            json!({ "hashes": [{ "algorithm": "blake3", "digest": hash(name) }],
            "size": 1000 + name.len(), "source_type": null, "session_hash": SESSION })
        })
        .collect();
    user.post(
        server,
        "/api/v1/artifacts/batch",
        &json!({ "artifacts": artifacts }),
    )
    .data();
    for (uid, role, name, path) in [
        ("aaaa1111", "inputs", "data", "/p/data.csv"),
        ("aaaa1111", "outputs", "clean", "/p/clean.csv"),
        ("bbbb2222", "inputs", "clean", "/p/clean.csv"),
        ("bbbb2222", "outputs", "model", "/p/model.pt"),
    ] {
        let files = json!({ "artifacts": [{ "hash": hash(name), "path": path }] });
        let linked = user.post(server, &at(&format!("jobs/{uid}/{role}")), &files);
        assert_eq!(linked.data()[format!("{role}_linked")], 1);
    }
}

fn uids(closure: &Value) -> Vec<&str> {
    let jobs = closure["jobs"].as_array().expect("jobs");
    jobs.iter()
        .filter_map(|job| job["job_uid"].as_str())
        .collect()
}

pub(super) fn keeps_and_finds(database: &str) {
    let server = Server::start(database, &[]);
    let ann = User::new("ed25519");
    ann.join(&server, "ann");
    register(&ann, &server, &json!({}));
    let closure_path = format!("/api/v1/artifacts/{}/closure", &hash("model")[..12]);
    let closure = server.get(&closure_path).data();
    assert_eq!(uids(&closure), ["aaaa1111", "bbbb2222"]);
    assert_eq!(closure["unsourced"], json!([hash("data")]));
    assert_eq!(closure["jobs"][0]["document"]["environment"]["SEED"], "7");
    assert_eq!(closure["jobs"][0]["git_repo"], "https://example.org/x.git");
    assert_eq!(closure["artifact"]["size"], 1005);
    // Registering twice changes nothing.
    register(&ann, &server, &json!({}));
    assert_eq!(server.get(&closure_path).data(), closure);
    let lineage = format!("/api/v1/artifacts/{}/lineage?depth=1", hash("model"));
    let lineage = server.get(&lineage).data();
    assert_eq!(
        (uids(&lineage), &lineage["hidden_jobs"]),
        (vec!["bbbb2222"], &json!(1))
    );
    let dag = server
        .get(&format!("/api/v1/artifacts/{}/dag", hash("model")))
        .data();
    assert_eq!(dag["jobs"][1]["stepNumber"], 2);
    assert_eq!(dag["gitRepo"], "https://example.org/x.git");
    for (query, expected) in [
        ("jobs?q=train", 1),
        ("jobs?q=trai*", 1),
        ("jobs?q=trai", 0),
        ("jobs?command=python", 2),
        ("jobs?gpu=h100&host=node7", 2),
        ("jobs?commit=abcdef", 2),
        ("jobs?commit=abce", 0),
        ("jobs?exit=failed", 0),
        ("jobs?exit=0&limit=1", 1),
        ("jobs?since=2099-01-01", 0),
        ("jobs?q=%25", 2),
        ("jobs?q=%27%20OR%201%3D1", 0),
        ("artifacts?type=csv", 2),
        ("artifacts?name=model.pt", 1),
        ("artifacts?min_size=1005&max_size=1k", 2),
        ("artifacts?q=clean", 1),
    ] {
        let found = server.get(&format!("/api/v1/{query}")).data();
        assert_eq!(
            found["items"].as_array().map(Vec::len),
            Some(expected),
            "{query}"
        );
    }
    // Pages read what clients read.
    for path in [
        "/".to_owned(),
        "/jobs?q=train".to_owned(),
        "/artifacts".to_owned(),
        "/sessions".to_owned(),
        "/keys".to_owned(),
        format!("/artifact/{}", hash("model")),
        format!("/dag/{SESSION}"),
        format!("/session/{SESSION}"),
        format!("/job/{SESSION}/bbbb2222"),
    ] {
        let reply = server.get(&path);
        assert_eq!(reply.status, 200, "{path}: {}", reply.body);
        assert!(reply.head.contains("default-src 'self'"), "{path}");
        assert!(reply.body.len() < 200_000, "{path}");
    }
    let page = server.get(&format!("/artifact/{}", hash("model"))).body;
    assert!(page.contains(&format!("roar reproduce {} --run", hash("model"))));
    // Two contents, one beginning: the server says which.
    for end in ["00", "11"] {
        let digest = format!("feedface{}", end.repeat(28));
        let body = json!({ "session_hash": SESSION, "hashes": [{ "algorithm": "blake3", "digest": digest }] });
        ann.post(&server, "/api/v1/artifacts", &body).data();
    }
    let ambiguous = server.get("/api/v1/artifacts/feedface");
    assert_eq!(ambiguous.status, 409);
    assert_eq!(
        ambiguous.json()["error"]["candidates"]
            .as_array()
            .map(Vec::len),
        Some(2)
    );
}

pub(super) fn guards(database: &str) {
    let server = Server::start(database, &[]);
    let (ann, bob) = (User::new("ed25519"), User::new("ed25519"));
    ann.join(&server, "ann");
    let unknown = bob.get(&server, "/api/v1/auth/me");
    assert_eq!(
        (unknown.status, &unknown.json()["error"]["code"]),
        (401, &json!("unknown_key"))
    );
    bob.join(&server, "bob");
    register(&ann, &server, &json!({ "visibility": "private" }));
    let patch = b"a patch";
    let digest = blake3::hash(patch).to_hex().to_string();
    let blob = format!("/api/v1/blobs/{digest}");
    assert_eq!(
        ann.send(&server, "PUT", &blob, patch).data()["created"],
        true
    );
    // What is private is as if it were not there, to the letter.
    let model = hash("model");
    for (private, absent) in [
        (
            format!("/api/v1/artifacts/{model}"),
            format!("/api/v1/artifacts/{}", hash("no")),
        ),
        (
            format!("/api/v1/artifacts/{}", &model[..9]),
            "/api/v1/artifacts/000000000".to_owned(),
        ),
        (
            format!("/api/v1/artifacts/{model}/closure"),
            format!("/api/v1/artifacts/{}/closure", hash("no")),
        ),
        (
            format!("/api/v1/sessions/{SESSION}"),
            "/api/v1/sessions/00000000".to_owned(),
        ),
        (
            format!("/api/v1/sessions/{SESSION}/jobs/aaaa1111"),
            format!("/api/v1/sessions/{SESSION}/jobs/cccc"),
        ),
        (blob.clone(), format!("/api/v1/blobs/{}", hash("no"))),
    ] {
        assert_ne!(ann.get(&server, &private).status, 404, "{private}");
        let (seen, nothing) = (bob.get(&server, &private), bob.get(&server, &absent));
        assert_eq!((seen.status, seen.body), (404, nothing.body), "{private}");
        assert_eq!(server.get(&private).status, 404, "{private}");
    }
    assert_eq!(bob.get(&server, "/api/v1/jobs").data()["items"], json!([]));
    // Nor by registering the same: what bob is told is about bob.
    let jobs = format!("/api/v1/sessions/{SESSION}/jobs");
    assert_eq!(
        bob.post(&server, &jobs, &job("cccc3333", "x", 3)).status,
        404
    );
    let own = bob.post(
        &server,
        "/api/v1/sessions",
        &json!({ "hash": SESSION, "visibility": "private" }),
    );
    assert_eq!(own.data()["created"], true);
    let same = json!({ "artifacts": [{ "session_hash": SESSION, "hashes": [{ "algorithm": "blake3", "digest": model }] }] });
    assert_eq!(
        bob.post(&server, "/api/v1/artifacts/batch", &same).data()["created"],
        1
    );
    assert_eq!(
        bob.get(&server, &format!("/api/v1/artifacts/{model}"))
            .data()["size"],
        Value::Null
    );
    assert_eq!(
        ann.get(&server, &format!("/api/v1/artifacts/{model}"))
            .data()["size"],
        1005
    );
    // Published by its owner, and by nobody else.
    let session = format!("/api/v1/sessions/{SESSION}");
    let publish = json!({ "visibility": "public" }).to_string();
    ann.send(&server, "PATCH", &session, publish.as_bytes())
        .data();
    server.get(&format!("/api/v1/artifacts/{model}")).data();
    // Signatures: time, content, repetition, revocation.
    let path = "/api/v1/sessions";
    let body = json!({ "hash": "12345678" }).to_string();
    let code = |header: &str, body: &str| {
        let reply = server
            .send("POST", path, &[("Authorization", header)], body.as_bytes())
            .expect("an answer");
        (
            reply.status,
            reply.json()["error"]["code"]
                .as_str()
                .unwrap_or("")
                .to_owned(),
            reply.body,
        )
    };
    let (status, word, text) = code(
        &ann.authorization("POST", path, body.as_bytes(), 600),
        &body,
    );
    assert_eq!((status, word.as_str()), (401, "clock_skew"));
    assert!(text.contains("600 s") || text.contains("601 s"), "{text}");
    let header = ann.authorization("POST", path, body.as_bytes(), 1);
    assert_eq!(code(&header, &body.replace('1', "2")).1, "bad_signature");
    assert_eq!(code(&header, &body).0, 200);
    assert_eq!(code(&header, &body).1, "replayed_request");
    assert_eq!(
        server
            .send("POST", path, &[], body.as_bytes())
            .map(|reply| reply.status),
        Some(401)
    );
    // Bound to a host and a nonce.
    let now = unix_seconds();
    let nonce = "0123456789abcdef";
    let with_nonce = |host: &str, nonce: &str| {
        let text =
            glaas_api::auth::signed_text_with_nonce(now, nonce, "GET", host, "/api/v1/auth/me", "");
        let header = format!(
            "GlaasSignature keyid=\"{}\" ts=\"{now}\" nonce=\"{nonce}\" sig=\"{}\"",
            bob.fingerprint,
            bob.signature(&text)
        );
        server
            .send("GET", "/api/v1/auth/me", &[("Authorization", &header)], b"")
            .map(|reply| reply.status)
    };
    assert_eq!(with_nonce("elsewhere.example", nonce), Some(401));
    assert_eq!(with_nonce(&server.address, nonce), Some(200));
    assert_eq!(with_nonce(&server.address, nonce), Some(401));
    assert_eq!(with_nonce(&server.address, "fedcba9876543210"), Some(200));
    // A further key proves that its holder agrees; a revoked one is done with.
    let second = User::new("ecdsa");
    let proof = glaas_api::auth::key_proof_text("bob", &second.fingerprint);
    let unproven = json!({ "public_key": second.public_key(), "proof": base64(b"x") });
    assert_eq!(bob.post(&server, "/api/v1/keys", &unproven).status, 400);
    let proven = json!({ "public_key": second.public_key(), "proof": second.signature(&proof) });
    assert_eq!(
        bob.post(&server, "/api/v1/keys", &proven).data()["user"],
        "bob"
    );
    let key = glaas_api::paths::key(&bob.fingerprint);
    assert_eq!(ann.send(&server, "DELETE", &key, b"").status, 404);
    second.send(&server, "DELETE", &key, b"").data();
    assert_eq!(
        bob.get(&server, "/api/v1/keys").json()["error"]["code"],
        "revoked_key"
    );
}

pub(super) fn loses_no_acknowledged_write(database: &str) {
    let options = ["--allow-anonymous", "--rate", "0"];
    let mut acknowledged = Vec::new();
    for round in 0..5 {
        let mut server = Server::start(database, &options);
        let session = json!({ "hash": SESSION }).to_string();
        server
            .send("POST", "/api/v1/sessions", &[], session.as_bytes())
            .expect("an answer");
        let stop = AtomicBool::new(false);
        let path = format!("/api/v1/sessions/{SESSION}/jobs");
        let written: Vec<String> = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..4)
                .map(|writer| {
                    let (server, stop, path) = (&server, &stop, &path);
                    scope.spawn(move || {
                        let mut written = Vec::new();
                        for number in 0.. {
                            if stop.load(Ordering::Relaxed) || number == 40 + round * 10 {
                                break;
                            }
                            let uid = format!("r{round}w{writer}n{number}");
                            let body = job(&uid, "python train.py", 1).to_string();
                            match server.send("POST", path, &[], body.as_bytes()) {
                                Some(reply) if reply.status == 200 => written.push(uid),
                                _ => break,
                            }
                            if writer == 0 && number == 20 + round * 5 {
                                // In the middle of the others' requests.
                                let pid = server.pid().to_string();
                                let killed = std::process::Command::new("kill")
                                    .args(["-9", &pid])
                                    .status();
                                assert!(killed.expect("kill runs").success());
                                stop.store(true, Ordering::Relaxed);
                            }
                        }
                        written
                    })
                })
                .collect();
            writers
                .into_iter()
                .flat_map(|writer| writer.join().expect("no panic"))
                .collect()
        });
        server.kill();
        assert!(written.len() > 20, "{} written", written.len());
        acknowledged.extend(written);
    }
    let server = Server::start(database, &options);
    let session = server.get(&format!("/api/v1/sessions/{SESSION}")).data();
    let jobs = session["jobs"].as_array().expect("jobs");
    let there: std::collections::BTreeSet<&str> = jobs
        .iter()
        .filter_map(|job| job["job_uid"].as_str())
        .collect();
    let lost: Vec<&String> = acknowledged
        .iter()
        .filter(|uid| !there.contains(uid.as_str()))
        .collect();
    assert_eq!(lost, Vec::<&String>::new());
}

pub(super) fn every_kind_of_key(database: &str) {
    let server = Server::start(database, &[]);
    for kind in ["ed25519", "ecdsa", "rsa"] {
        let user = User::new(kind);
        user.join(&server, kind);
        let me = user.get(&server, "/api/v1/auth/me").data();
        assert_eq!(me["username"], kind);
    }
}

/// Two servers on one database, the same registered through both at once: there once.
pub(super) fn two_servers(database: &str) {
    let servers = [Server::start(database, &[]), Server::start(database, &[])];
    let ann = User::new("ed25519");
    ann.join(&servers[0], "ann");
    std::thread::scope(|scope| {
        for server in &servers {
            scope.spawn(|| register(&ann, server, &json!({})));
        }
    });
    for server in &servers {
        let closure = server
            .get(&format!("/api/v1/artifacts/{}/closure", hash("model")))
            .data();
        assert_eq!(uids(&closure), ["aaaa1111", "bbbb2222"]);
    }
    let found = servers[0].get("/api/v1/artifacts").data();
    assert_eq!(found["items"].as_array().map(Vec::len), Some(3));
    // A request that one server has seen is no longer good for the other.
    let body = json!({ "hash": "12345678" }).to_string();
    let header = ann.authorization("POST", "/api/v1/sessions", body.as_bytes(), 0);
    let send = |server: &Server| {
        server
            .send(
                "POST",
                "/api/v1/sessions",
                &[("Authorization", &header)],
                body.as_bytes(),
            )
            .map(|reply| reply.status)
    };
    assert_eq!(
        (send(&servers[0]), send(&servers[1])),
        (Some(200), Some(401))
    );
}

/// The newer client's way: all under a token, then final at once; the same again is the same.
pub(super) fn registers_in_one_piece(database: &str) {
    let server = Server::start(database, &["--allow-anonymous"]);
    let post = |path: &str, token: &str, body: &Value| {
        let header = format!("RegistrationSession {token}");
        let headers: &[(&str, &str)] = match token {
            "" => &[],
            _ => &[("Authorization", &header)],
        };
        let body = body.to_string();
        let sent = server.send("POST", path, headers, body.as_bytes());
        sent.expect("an answer")
    };
    let mut hashes = Vec::new();
    for _ in 0..2 {
        let open = json!({ "mode": "anonymous_public" });
        let opened = post("/api/v1/registration-sessions", "", &open).data();
        let text = |name: &str| opened[name].as_str().expect("a text").to_owned();
        let token = text("registration_session_token");
        let at = format!(
            "/api/v1/registration-sessions/{}",
            text("registration_session_id")
        );
        let jobs = json!({ "jobs": [job("aaaa1111", "python x.py", 1)] });
        let made = post(&format!("{at}/jobs/batch"), &token, &jobs).data();
        assert_eq!(
            (&made["created_count"], &made["errors"]),
            (&json!(1), &json!([]))
        );
        let files = json!({ "artifacts": [{ "hash": hash("x"), "path": "x" }] });
        let outputs = format!("{at}/jobs/aaaa1111/outputs");
        assert_eq!(post(&outputs, "", &files).status, 401);
        assert_eq!(post(&outputs, "wrong", &files).status, 401);
        assert_eq!(post(&outputs, &token, &files).data()["outputs_linked"], 1);
        let finalize = format!("{at}/finalize");
        let missing = json!({ "expected": { "jobs": 2 } });
        assert_eq!(post(&finalize, &token, &missing).status, 400);
        let whole = json!({ "git_commit": "abcdef01", "expected": { "jobs": 1, "outputs": 1 } });
        let done = post(&finalize, &token, &whole).data();
        assert_eq!(post(&finalize, &token, &whole).data()["hash"], done["hash"]);
        assert_eq!(post(&outputs, &token, &files).status, 409);
        hashes.push(done["hash"].as_str().expect("a hash").to_owned());
    }
    assert_eq!(hashes[0], hashes[1]);
    let path = format!("/api/v1/public/sessions/{}/reproduction", hashes[0]);
    assert_eq!(uids(&server.get(&path).data()), ["aaaa1111"]);
}

pub(super) fn bad_requests(database: &str) {
    let server = Server::start(
        database,
        &["--rate", "5", "--burst", "60", "--allow-anonymous"],
    );
    for path in [
        "/api/v1/artifacts/..%2f..%2fetc%2fpasswd",
        "/api/v1/artifacts/%2e%2e",
        "/api/v1/artifacts/%00%00%00%00%00%00%00%00",
        "/api/v1/artifacts/%c0%ae%c0%ae",
        "/artifact/..%5c..%5cetc",
        "/assets/../../etc/passwd",
        "/job/%2e%2e/%2e%2e",
        "/nothing",
    ] {
        let status = server.get(path).status;
        assert!(status == 400 || status == 404, "{path}: {status}");
    }
    let send = |headers: &[(&str, &str)], body: &[u8]| {
        server
            .send("POST", "/api/v1/sessions", headers, body)
            .map(|reply| reply.status)
    };
    assert_eq!(send(&[], &vec![b' '; 9 << 20]), Some(413));
    assert_eq!(send(&[("Content-Encoding", "gzip")], b"{}"), Some(415));
    assert_eq!(send(&[], "[".repeat(10_000).as_bytes()), Some(400));
    assert_eq!(send(&[], b"{\"hash\": \"x\"}"), Some(400));
    assert_eq!(
        server
            .get(&format!("/jobs?q={}", "a".repeat(10_000)))
            .status,
        414
    );
    let foreign = [
        ("Origin", "https://evil.example"),
        ("Content-Type", "application/x-www-form-urlencoded"),
    ];
    let form = server.send("POST", "/keys", &foreign, b"user=x&public_key=y");
    assert_eq!(form.map(|reply| reply.status), Some(403));
    // Names that are markup stay text.
    let evil = "\"><script>alert(1)</script><svg onload=alert(1)>";
    let session = json!({ "hash": SESSION, "git_repo": "javascript:alert(1)", "git_branch": evil });
    assert_eq!(send(&[], session.to_string().as_bytes()), Some(200));
    let path = format!("/api/v1/sessions/{SESSION}/jobs");
    server
        .send(
            "POST",
            &path,
            &[],
            job("evil", evil, 1).to_string().as_bytes(),
        )
        .expect("an answer")
        .data();
    for path in [
        "/".to_owned(),
        format!("/dag/{SESSION}"),
        format!("/job/{SESSION}/evil"),
    ] {
        let page = server.get(&path).body;
        assert!(page.contains("alert(1)"), "{path}");
        assert!(
            !page.contains("<script>alert") && !page.contains("<svg onload"),
            "{path}"
        );
        assert!(!page.contains("href=\"javascript:"), "{path}");
    }
    // One who asks too often waits.
    let limited = (0..80)
        .map(|_| server.get("/api/v1/health"))
        .find(|reply| reply.status == 429);
    assert!(limited.is_some_and(|reply| reply.head.contains("retry-after: ")));
}
