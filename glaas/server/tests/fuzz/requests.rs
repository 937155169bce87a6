//! Every route, asked for what nobody means to ask.

use std::fmt::Write as _;
use std::net::SocketAddr;

use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::{Method, Request};
use clap::Parser as _;
use glaas_server::app::{Shared, router};
use glaas_server::settings::Cli;
use glaas_server::store::Database;
use roar_tests::postgres::Postgres;
use roar_tests::require::{Need, met};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::chance::Chance;
use super::{KEY, authorization, cases, seed};

const SESSION: &str = "5e55105e55105e55105e55105e55105e55105e55105e55105e55105e55105e55";
const ARTIFACT: &str = "a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1";

/// What a client tells of a job's surroundings.
pub(super) fn metadata() -> Value {
    json!({ "roar": { "version": 1, "name": "n", "cwd": "/w",
            "host": { "hostname": "node7", "os": "Linux", "gpus": [{ "name": "H100" }], "memory_bytes": 1 },
            "environment": { "SEED": "7" }, "git": { "dirty": true, "patch": ARTIFACT },
            "software": { "pip": { "numpy": "1.0" }, "interpreters": [{ "implementation": "CPython", "version": "3" }] },
            "completeness": { "backend": "ebpf", "complete": true, "lost_events": { "open": 1 }, "gaps": ["g"] } },
        "runtime": { "hostname": "vm", "gpu": [{ "name": "A10" }] } })
}

fn job() -> Value {
    json!({ "command": "python train.py", "timestamp": 1_795_000_000.5, "job_uid": "job1",
        "git_commit": "abcdef01", "git_branch": "main", "duration_seconds": 1.5, "exit_code": 0,
        "job_type": "run", "step_number": 1, "parent_step_number": 1,
        "metadata": metadata().to_string() })
}

fn artifact() -> Value {
    json!({ "hashes": [{ "algorithm": "blake3", "digest": ARTIFACT }, { "algorithm": "sha256", "digest": SESSION }],
        "size": 5, "source_type": "s3", "session_hash": SESSION, "source_url": "s3://b/k", "metadata": "{}" })
}

fn links() -> Value {
    json!({ "artifacts": [{ "hash": ARTIFACT, "path": "/p/x.pt", "size": 5, "basis": "read", "note": "n",
        "raw_path": "/p/x.pt" }] })
}

fn labels() -> Value {
    json!({ "labels": [{ "entity_type": "job", "session_hash": SESSION, "job_uid": "job1", "labels": { "a": 1 } }] })
}

/// Routes that take a body, with one that is right. `{r}` is an open registration.
fn writes() -> Vec<(Method, String, Value)> {
    let post = |path: &str, body: Value| (Method::POST, path.to_owned(), body);
    let at = format!("/api/v1/sessions/{SESSION}");
    let up = "/api/v1/registration-sessions";
    vec![
        post(
            "/api/v1/sessions",
            json!({ "hash": SESSION, "git_repo": "https://u:p@h/r.git",
            "git_commit": "abcdef01", "git_branch": "main", "visibility": "public" }),
        ),
        (
            Method::PATCH,
            at.clone(),
            json!({ "visibility": "private" }),
        ),
        post(&format!("{at}/jobs"), job()),
        post(
            &format!("{at}/jobs/batch"),
            json!({ "jobs": [job(), job()] }),
        ),
        post(&format!("{at}/jobs/job1/inputs"), links()),
        post(&format!("{at}/jobs/job1/outputs"), links()),
        post("/api/v1/artifacts", artifact()),
        post(
            "/api/v1/artifacts/batch",
            json!({ "artifacts": [artifact()], "session_hash": SESSION }),
        ),
        post("/api/v1/blobs/missing", json!({ "digests": [ARTIFACT] })),
        (Method::PUT, format!("/api/v1/blobs/{ARTIFACT}"), json!("x")),
        post(
            "/api/v1/keys",
            json!({ "public_key": KEY, "user": "ann", "proof": "eA==" }),
        ),
        (
            Method::DELETE,
            "/api/v1/keys/SHA256:x".to_owned(),
            Value::Null,
        ),
        post(
            up,
            json!({ "client_session_id": "c", "mode": "anonymous_public" }),
        ),
        post(&format!("{up}/{{r}}/jobs"), job()),
        post(
            &format!("{up}/{{r}}/jobs/batch"),
            json!({ "jobs": [job()] }),
        ),
        post(
            &format!("{up}/{{r}}/artifacts/batch"),
            json!({ "artifacts": [artifact()] }),
        ),
        post(
            &format!("{up}/{{r}}/artifacts/composites"),
            json!({ "composites": [{ "hash": ARTIFACT }] }),
        ),
        post(&format!("{up}/{{r}}/jobs/job1/inputs"), links()),
        post(&format!("{up}/{{r}}/jobs/job1/outputs"), links()),
        post(
            &format!("{up}/{{r}}/jobs/job1/view-edges"),
            json!({ "edges": [{ "a": 1 }] }),
        ),
        post(&format!("{up}/{{r}}/labels/batch"), labels()),
        post(
            &format!("{up}/{{r}}/finalize"),
            json!({ "git_repo": "r", "git_commit": "c",
            "git_branch": "b", "scope_request": { "visibility": "private" }, "expected": { "jobs": 1 } }),
        ),
        post("/api/v1/labels/sync", labels()),
        post("/api/v1/labels/reconcile", labels()),
    ]
}

/// Routes that are read, pages included.
fn reads() -> Vec<String> {
    let mut all: Vec<String> = [
        "/", "/search?q=train", "/jobs?q=a&command=b&gpu=c&host=d&repo=e&commit=f&exit=1&since=2026-01-01&until=2026-01-02&limit=5&cursor=9",
        "/artifacts?q=a&name=b*&type=c&hash=ab&min_size=1k&max_size=1G&since=2026-01-01&until=2026-01-02&limit=5&cursor=9",
        "/sessions?cursor=9", "/keys", "/signin", "/nothing", "/api/v1/health", "/api/v1/auth/me",
        "/api/v1/keys", "/api/v1/sessions?limit=1&cursor=9", "/readyz", "/openapi.json",
        "/api/v1/labels/current?entity_type=job&session_hash=a&job_uid=b",
        "/api/v1/labels/history?entity_type=artifact&artifact_hash=a",
    ]
    .map(str::to_owned)
    .into();
    for (page, query) in [
        ("artifact", "?depth=3"),
        ("dag", "?depth=3&jobs=2"),
        ("session", ""),
    ] {
        let hash = if page == "artifact" {
            ARTIFACT
        } else {
            SESSION
        };
        all.push(format!("/{page}/{hash}{query}"));
    }
    all.push(format!("/job/{SESSION}/job1?depth=2&inputs=1&outputs=1"));
    all.push(format!("/job/{SESSION}/job1/record"));
    for rest in ["", "/lineage?depth=5", "/dag", "/closure"] {
        all.push(format!("/api/v1/artifacts/{ARTIFACT}{rest}"));
    }
    all.push(format!("/api/v1/public/artifacts/{ARTIFACT}"));
    all.push(format!("/api/v1/public/sessions/{SESSION}/reproduction"));
    all.push(format!("/api/v1/sessions/{SESSION}/jobs/job1"));
    all.push(format!("/api/v1/blobs/{ARTIFACT}"));
    let api = ["jobs", "artifacts"].map(|kind| {
        let page = all
            .iter()
            .find(|path| path.starts_with(&format!("/{kind}?")));
        format!("/api/v1{}", page.expect("a page"))
    });
    all.extend(api);
    all
}

/// A path with parts and values of the query changed, in characters that a URL may have.
fn changed_path(chance: &mut Chance, path: &str) -> String {
    let cut = |c: char| matches!(c, '/' | '?' | '&' | '=');
    if chance.one_in(2) {
        return path.to_owned();
    }
    let mut changed = String::new();
    for part in path.split_inclusive(cut) {
        let (word, end) = match part.char_indices().last() {
            Some((at, c)) if cut(c) => part.split_at(at),
            _ => (part, ""),
        };
        let word = if chance.one_in(6) {
            chance.changed(word)
        } else {
            word.to_owned()
        };
        for byte in word.bytes() {
            let plain = byte.is_ascii_alphanumeric() || b"-._*:".contains(&byte);
            if plain || (byte == b'%' && chance.one_in(2)) {
                changed.push(char::from(byte));
            } else {
                // A String takes everything.
                let _ = write!(changed, "%{byte:02x}");
            }
        }
        changed.push_str(end);
    }
    changed
}

/// The server, with a registration that is open.
struct Target {
    routes: axum::Router,
    registration: (String, String),
}

impl Target {
    async fn send(&self, request: Request<Body>) -> (u16, Vec<u8>) {
        let mut request = request;
        let client = SocketAddr::from(([127, 0, 0, 1], 9));
        request.extensions_mut().insert(ConnectInfo(client));
        let answered = self.routes.clone().oneshot(request).await;
        let response = answered.expect("a router does not fail");
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), usize::MAX).await;
        (status, body.expect("a body").to_vec())
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        let body = Body::from(body.to_string());
        let request = Request::post(path).body(body).expect("a request");
        let (status, answer) = self.send(request).await;
        assert_eq!(status, 200, "{path}: {}", String::from_utf8_lossy(&answer));
        serde_json::from_slice(&answer).expect("JSON")
    }

    /// Opens a registration, and sees that what is sent unchanged is taken.
    async fn prepare(&mut self) {
        let opened = self.post("/api/v1/registration-sessions", &json!({})).await;
        let text = |name: &str| opened["data"][name].as_str().expect("a text").to_owned();
        self.registration = (
            text("registration_session_id"),
            text("registration_session_token"),
        );
    }
}

/// Sends one request, and says whether it was fulfilled.
async fn one(target: &mut Target, chance: &mut Chance, case: u64) -> bool {
    let (method, path, body) = if chance.one_in(2) {
        let all = writes();
        let (method, path, body) = chance.of(&all).clone();
        let path = path.replace("{r}", &target.registration.0);
        let body = if body.is_null() {
            Vec::new()
        } else {
            let text = chance.json(&body).to_string();
            match chance.below(8) {
                0 => chance.changed_bytes(text.as_bytes()),
                1 => chance.changed(&text).into_bytes(),
                _ => text.into_bytes(),
            }
        };
        (method, path, body)
    } else if chance.one_in(12) {
        let fields = *chance.of(&["user=ann&public_key=x", "challenge=a&signature=b"]);
        let path = *chance.of(&["/keys", "/signin", "/signout"]);
        (
            Method::POST,
            path.to_owned(),
            chance.changed(fields).into_bytes(),
        )
    } else {
        let all = reads();
        (Method::GET, chance.of(&all).clone(), Vec::new())
    };
    let path = changed_path(chance, &path);
    let mut request = Request::builder().method(method).uri(&path);
    let authorization = match chance.below(6) {
        0 => Some(format!("Signature {}", authorization(chance))),
        1 => Some(format!("GlaasSignature {}", authorization(chance))),
        2 => Some(chance.text()),
        _ if path.contains("registration-sessions/") => {
            Some(format!("RegistrationSession {}", target.registration.1))
        }
        _ => None,
    };
    for (name, value) in [
        ("authorization", authorization),
        (
            "cookie",
            chance
                .one_in(5)
                .then(|| format!("glaas_session={}", chance.text())),
        ),
        (
            "content-type",
            path.starts_with("/keys")
                .then(|| "application/x-www-form-urlencoded".to_owned()),
        ),
        (
            "content-type",
            path.starts_with("/sign")
                .then(|| "application/x-www-form-urlencoded".to_owned()),
        ),
        ("origin", chance.one_in(9).then(|| chance.text())),
    ] {
        // What no header can hold cannot be sent, either.
        if let Some(value) = value
            && let Ok(value) = axum::http::HeaderValue::from_bytes(value.as_bytes())
        {
            request = request.header(name, value);
        }
    }
    let Ok(request) = request.body(Body::from(body.clone())) else {
        return false;
    };
    let told = format!("case {case}: {} {path}", request.method());
    let (status, answer) = target.send(request).await;
    let said = String::from_utf8_lossy(&answer);
    assert!(
        status < 500,
        "{told}: {status}: {said}\n{}",
        String::from_utf8_lossy(&body)
    );
    let is_json = serde_json::from_slice::<Value>(&answer).is_ok();
    if path.starts_with("/api/v1/") && !path.starts_with("/api/v1/blobs/") && status != 405 {
        assert!(is_json, "{told}: {status}: {said}");
    }
    if !path.starts_with("/api/") && !path.ends_with("/record") && !is_json {
        assert!(answer.len() < 200_000, "{told}: {} bytes", answer.len());
    }
    if status == 200 && path.ends_with("/finalize") {
        target.prepare().await;
    }
    status == 200
}

#[test]
fn every_route_takes_anything_on_sqlite() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("glaas.db");
    every_route_takes_anything(&format!("sqlite:{}", file.display()));
}

#[test]
fn every_route_takes_anything_on_postgres() {
    if met(&[Need::Postgres]) {
        every_route_takes_anything(&Postgres::start().url());
    }
}

fn every_route_takes_anything(database: &str) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let cli = Cli::parse_from(["glaas-server", "--allow-anonymous", "--rate", "0"]);
        let opened = Database::open(database).await.expect("a database");
        let app = Shared::new(opened, cli.settings, 8000);
        let mut target = Target {
            routes: router(&app),
            registration: (String::new(), String::new()),
        };
        target.prepare().await;
        for (method, path, body) in writes() {
            // What is right is taken, else nothing beneath would be reached.
            if method == Method::POST && path.starts_with("/api/v1/sessions") {
                target.post(&path, &body).await;
            }
        }
        let mut chance = Chance::new(seed());
        let (mut fulfilled, all) = (0, cases(3_000));
        for case in 0..all {
            fulfilled += u64::from(one(&mut target, &mut chance, case).await);
        }
        // Else all of it is refused at the door, and nothing behind it is tried.
        assert!(fulfilled > all / 4, "{fulfilled} of {all}");
    });
}
