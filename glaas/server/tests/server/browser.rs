//! The pages in a real browser: used, judged by axe-core, and given names that would do harm.

use std::path::Path;
use std::process::Command;

use roar_tests::require::{Need, met, tool};
use serde_json::{Value, json};

use super::machine::{Server, User};
use super::{on_postgres, on_sqlite};

/// What would run, if a page let it.
const HOSTILE: [&str; 5] = [
    "<script>document.title='hit';alert(1)</script>",
    "\"><img src=x onerror=\"window.hit=true;alert(2)\">",
    "'><svg onload=alert(3)>",
    "]]></title><iframe src=javascript:alert(4)>",
    "{{7*7}}${7*7}\u{202e}</dl><a href=javascript:alert(5)>x</a>",
];

fn hash(name: &str) -> String {
    blake3::hash(name.as_bytes()).to_hex().to_string()
}

const TOOLS: [Need; 3] = [
    Need::BrowserDriver,
    Need::Program("chromium"),
    Need::Program("node"),
];

#[test]
fn sqlite_has_pages_that_people_can_use() {
    if met(&TOOLS) {
        on_sqlite(people_can_use_the_pages);
    }
}

#[test]
fn postgres_has_pages_that_people_can_use() {
    if met(&TOOLS) {
        on_postgres(people_can_use_the_pages);
    }
}

fn people_can_use_the_pages(database: &str) {
    let server = Server::start(database, &["--allow-anonymous", "--rate", "0"]);
    let post = |path: &str, body: &Value| {
        let reply = server.send("POST", path, &[], body.to_string().as_bytes());
        reply.expect("an answer").data()
    };
    let evil = |number: usize| HOSTILE[number % HOSTILE.len()];
    let session = hash("session");
    let open = json!({ "hash": session, "git_repo": format!("javascript:alert(6)//{}", evil(0)),
        "git_branch": evil(1), "git_commit": "abcdef01" });
    post("/api/v1/sessions", &open);
    let at = format!("/api/v1/sessions/{session}/jobs");
    for number in 0..8 {
        let metadata = json!({ "roar": { "version": 1, "name": evil(number),
            "cwd": evil(number + 1), "environment": { evil(number + 2): evil(number + 3) },
            "host": { "hostname": evil(number + 4), "gpus": [{ "name": evil(number) }] },
            "completeness": { "backend": "ebpf", "complete": true, "gaps": [evil(number)] } } });
        let command = format!("step{number} {}", evil(number));
        let job = json!({ "job_uid": format!("job{number}"), "command": command, "exit_code": 0,
            "timestamp": 1_795_000_000, "step_number": number, "metadata": metadata.to_string() });
        post(&at, &job);
        let file = |number: usize| {
            let path = format!("{number}{}", evil(number));
            json!({ "artifacts": [{ "hash": hash(&number.to_string()), "path": path, "note": evil(number) }] })
        };
        post(&format!("{at}/job{number}/outputs"), &file(number + 1));
        post(&format!("{at}/job{number}/inputs"), &file(number));
    }
    let ann = User::new("ed25519");
    ann.join(&server, "ann");
    let own = hash("own");
    super::pages::register(&ann, &server, &own);
    let newcomer = User::new("ecdsa");
    let artifact = hash("8");
    let base = format!("http://{}", server.address);
    let command = format!("GLAAS_URL={base} roar reproduce {artifact} --run");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/server/browser.mjs");
    let output = Command::new("node")
        .arg(script)
        .arg(tool(""))
        .args([&base, &artifact, &session, "job7", &command, &own])
        .args([ann.key(), newcomer.key()])
        .args(std::env::var_os("GLAAS_PICTURES"))
        .output()
        .expect("node runs");
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
