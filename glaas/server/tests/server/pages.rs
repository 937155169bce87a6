//! Pages: what a user who signed in sees, and that they stay small.

use serde_json::{Value, json};

use super::machine::{Server, User};
use super::{on_postgres, on_sqlite};

fn hash(name: &str) -> String {
    blake3::hash(name.as_bytes()).to_hex().to_string()
}

fn form(fields: &[(&str, &str)]) -> String {
    let escaped = |text: &str| {
        let bytes: Vec<String> = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
        bytes.concat()
    };
    let pairs: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("{name}={}", escaped(value)))
        .collect();
    pairs.join("&")
}

const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");

/// The line that the page asks to be signed.
fn challenge(page: &str) -> String {
    let line = page.split("name=\"challenge\" value=\"").nth(1);
    let line = line.and_then(|rest| rest.split('"').next());
    line.expect("a line to sign").to_owned()
}

/// The armoured form of what `ssh-keygen` makes of a text.
fn armoured(user: &User, text: &str) -> String {
    format!(
        "-----BEGIN SSH SIGNATURE-----\n{}\n-----END SSH SIGNATURE-----\n",
        user.signature(text)
    )
}

fn sign_in(server: &Server, line: &str, signature: &str) -> (u16, Option<String>) {
    let body = form(&[("challenge", line), ("signature", signature)]);
    let reply = server
        .send("POST", "/signin", &[FORM], body.as_bytes())
        .expect("an answer");
    let cookie = reply.head.lines().find_map(|line| {
        let cookie = line.strip_prefix("set-cookie: ")?;
        for flag in ["httponly", "samesite=lax", "path=/"] {
            assert!(cookie.contains(flag), "{cookie}");
        }
        cookie.split(';').next().map(str::to_owned)
    });
    (reply.status, cookie)
}

/// The cookie of a user who signs in as the page says.
fn signed_in(server: &Server, user: &User) -> String {
    let line = challenge(&server.get("/signin").body);
    let (_, cookie) = sign_in(server, &line, &armoured(user, &line));
    cookie.expect("a cookie")
}

/// A private session with one job and its output.
pub(crate) fn register(user: &User, server: &Server, session: &str) {
    let open =
        json!({ "hash": session, "visibility": "private", "git_repo": "https://x.example/r" });
    user.post(server, "/api/v1/sessions", &open).data();
    let job = json!({ "command": "python secret.py", "job_uid": "job1", "timestamp": 1.5,
        "exit_code": 0, "step_number": 1 });
    let at = format!("/api/v1/sessions/{session}/jobs");
    user.post(server, &at, &job).data();
    let files = json!({ "artifacts": [{ "hash": hash("secret"), "path": "secret.bin" }] });
    user.post(server, &format!("{at}/job1/outputs"), &files)
        .data();
}

fn shows_ones_own(database: &str) {
    let server = Server::start(database, &[]);
    let (ann, bob) = (User::new("ed25519"), User::new("ecdsa"));
    ann.join(&server, "ann");
    let session = hash("session");
    register(&ann, &server, &session);
    let line = || challenge(&server.get("/signin").body);
    // A key that is not known, another line, a line of another server, no signature.
    let made = line();
    assert_eq!(sign_in(&server, &made, &armoured(&bob, &made)).0, 400);
    bob.join(&server, "bob");
    assert_eq!(sign_in(&server, &made, &armoured(&ann, &line())).0, 400);
    let foreign = made.replace("127.0.0.1", "127.0.0.2");
    assert_eq!(sign_in(&server, &foreign, &armoured(&ann, &foreign)).0, 400);
    assert_eq!(sign_in(&server, &made, "hello").0, 400);
    // A form of another site's.
    let body = form(&[("challenge", &made), ("signature", &armoured(&ann, &made))]);
    let evil = [FORM, ("Origin", "https://evil.example")];
    for path in ["/signin", "/signout"] {
        let reply = server.send("POST", path, &evil, body.as_bytes());
        assert_eq!(reply.map(|reply| reply.status), Some(403));
    }
    let (status, ann_cookie) = sign_in(&server, &made, &armoured(&ann, &made));
    assert_eq!(status, 303);
    let ann_cookie = ann_cookie.expect("a cookie");
    // The line counts once.
    assert_eq!(sign_in(&server, &made, &armoured(&ann, &made)).0, 400);
    let bob_cookie = signed_in(&server, &bob);
    let get = |path: &str, cookie: &str| {
        let headers = [("Cookie", cookie)];
        server.send("GET", path, &headers, b"").expect("an answer")
    };
    for (path, word) in [
        ("/".to_owned(), "secret.py"),
        ("/jobs?q=secret".to_owned(), "secret.py"),
        ("/artifacts?name=secret.bin".to_owned(), ">secret.bin<"),
        ("/sessions".to_owned(), ">private<"),
        (format!("/dag/{session}"), "secret.py"),
        (format!("/artifact/{}", hash("secret")), "secret.py"),
        (format!("/job/{session}/job1"), "secret.bin"),
        (format!("/job/{session}/job1/record"), "secret.bin"),
        (
            format!("/search?q={}", hash("secret")),
            &format!("/artifact/{}", hash("secret")),
        ),
    ] {
        let seen = get(&path, &ann_cookie);
        let text = format!("{}{}", seen.head, seen.body);
        assert!(text.contains(word), "{path}: {text}");
        assert!(seen.head.contains("no-store"), "{path}");
        for other in [&bob_cookie, "", "glaas_session=nonsense"] {
            let unseen = get(&path, other);
            let text = format!("{}{}", unseen.head, unseen.body);
            assert!(!text.contains(word), "{path}: {text}");
        }
    }
    // What is private is as if it were not there.
    let (hidden, absent) = (
        get(&format!("/dag/{session}"), &bob_cookie),
        get(&format!("/dag/{}", hash("no")), &bob_cookie),
    );
    assert_eq!((hidden.status, hidden.body), (404, absent.body));
    // Signed out, and with a key that was revoked.
    let leave = server.send("POST", "/signout", &[("Cookie", &ann_cookie)], b"");
    assert_eq!(leave.map(|reply| reply.status), Some(303));
    assert_eq!(get(&format!("/dag/{session}"), &ann_cookie).status, 404);
    assert!(get("/", &bob_cookie).body.contains(">bob<"));
    let key = glaas_api::paths::key(&bob.fingerprint);
    bob.send(&server, "DELETE", &key, b"").data();
    assert!(!get("/", &bob_cookie).body.contains(">bob<"));
}

#[test]
fn sqlite_shows_ones_own() {
    on_sqlite(shows_ones_own);
}

#[test]
fn postgres_shows_ones_own() {
    on_postgres(shows_ones_own);
}

/// The owner changes who sees a session, on its page; nobody else does, and no form of another site's.
fn changes_who_sees_a_session(database: &str) {
    let server = Server::start(database, &[]);
    let session = hash("session");
    let mut cookies = Vec::new();
    for name in ["ann", "bob"] {
        let user = User::new("ed25519");
        user.join(&server, name);
        if name == "ann" {
            register(&user, &server, &session);
        }
        cookies.push(signed_in(&server, &user));
    }
    let (ann, bob) = (&*cookies[0], &*cookies[1]);
    let page = format!("/dag/{session}");
    let get = |path: &str, cookie: &str| {
        let reply = server.send("GET", path, &[("Cookie", cookie)], b"");
        reply.expect("an answer")
    };
    let set = |hash: &str, cookie: &str, wanted: &str, more: &[(&str, &str)]| {
        let path = format!("/session/{hash}/visibility");
        let mut headers = vec![FORM, ("Cookie", cookie)];
        headers.extend(more);
        let body = form(&[("visibility", wanted)]);
        let reply = server.send("POST", &path, &headers, body.as_bytes());
        reply.expect("an answer")
    };
    let action = format!("action=\"/session/{session}/visibility\"");
    assert!(get(&page, ann).body.contains(&action));
    for site in [
        ("Origin", "https://evil.example"),
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Site", "same-site"),
    ] {
        assert_eq!(set(&session, ann, "public", &[site]).status, 403);
    }
    assert_eq!(set(&session, ann, "everyone", &[]).status, 422);
    // What is private is, for others, as if it were not there.
    for other in [bob, "", "glaas_session=nonsense"] {
        let (hidden, absent) = (
            set(&session, other, "public", &[]),
            set(&hash("no"), other, "public", &[]),
        );
        assert_eq!((hidden.status, hidden.body), (404, absent.body));
        assert_eq!(get(&page, other).status, 404, "still private");
    }
    let origin = format!("http://{}", server.address);
    let here = [("Origin", &*origin), ("Sec-Fetch-Site", "same-origin")];
    let published = set(&session, ann, "public", &here);
    assert_eq!(published.status, 303);
    assert!(published.head.contains(&format!("location: {page}")));
    let artifact = format!("/api/v1/artifacts/{}", hash("secret"));
    for (path, word) in [(&page, "secret.py"), (&artifact, "secret.bin")] {
        assert!(get(path, bob).body.contains(word), "{path}");
    }
    // Now that it is seen, it is no more another one's to change.
    assert!(!get(&page, bob).body.contains("/visibility"));
    assert_eq!(set(&session, bob, "private", &[]).status, 404);
    assert_eq!(server.get(&page).status, 200);
    assert_eq!(set(&session, ann, "private", &[]).status, 303);
    for path in [&page, &artifact] {
        assert_eq!(get(path, bob).status, 404, "{path}");
    }
    assert_eq!(get(&page, ann).status, 200);
}

#[test]
fn sqlite_changes_who_sees_a_session() {
    on_sqlite(changes_who_sees_a_session);
}

#[test]
fn postgres_changes_who_sees_a_session() {
    on_postgres(changes_who_sees_a_session);
}

/// The most of everything, in characters that markup makes five of.
fn no_page_is_large(database: &str) {
    let server = Server::start(database, &["--allow-anonymous", "--rate", "0"]);
    let post = |path: &str, body: &Value| {
        let body = body.to_string();
        let reply = server.send("POST", path, &[], body.as_bytes());
        reply.expect("an answer").data()
    };
    let session = "a".repeat(128);
    let long = "<".repeat(4096);
    let open = json!({ "hash": session, "git_repo": long, "git_branch": long });
    post("/api/v1/sessions", &open);
    let variables: serde_json::Map<String, Value> = (0..300)
        .map(|number| (format!("V{number}\"<"), json!("\"".repeat(3000))))
        .collect();
    let metadata = json!({ "roar": { "version": 1, "name": long, "environment": variables,
            "host": { "hostname": long, "gpus": [{ "name": long }] } } })
    .to_string();
    let uid = |number: usize| format!("{}{number}", "u".repeat(120));
    let jobs: Vec<Value> = (0..250)
        .map(|number| {
            json!({ "job_uid": uid(number), "command": format!("{number} {}", "\"".repeat(5000)),
                    "timestamp": 1.5, "step_number": number, "git_branch": long,
                    "metadata": if number == 200 { metadata.clone() } else { "{}".to_owned() } })
        })
        .collect();
    let at = format!("/api/v1/sessions/{session}/jobs");
    for jobs in jobs.chunks(50) {
        let made = post(&format!("{at}/batch"), &json!({ "jobs": jobs }));
        assert_eq!(made["errors"], json!([]));
    }
    let name = |number: usize| format!("{number}{}", "'".repeat(1000));
    let file = |number: usize| json!({ "hash": hash(&name(number)), "path": name(number) });
    let link = |job: usize, role: &str, files: &[Value]| {
        let path = format!("{at}/{}/{role}", uid(job));
        post(&path, &json!({ "artifacts": files }));
    };
    // More jobs and more lines than a picture has room for.
    for job in 0..120 {
        link(job, "outputs", &[file(job)]);
        let before: Vec<Value> = (job.saturating_sub(12)..job).map(file).collect();
        link(job, "inputs", &before);
    }
    let all: Vec<Value> = (0..150).map(file).collect();
    link(200, "inputs", &all);
    link(200, "outputs", &(150..300).map(file).collect::<Vec<_>>());
    for job in 201..240 {
        link(job, "inputs", &[file(119)]);
    }
    let size = |path: &str| {
        let reply = server.get(path);
        assert_eq!(reply.status, 200, "{path}");
        assert!(reply.body.len() < 200_000, "{path}: {}", reply.body.len());
        reply.body
    };
    for path in [
        "/",
        "/jobs?limit=200",
        "/artifacts?limit=200",
        "/sessions",
        &format!("/jobs?q={}", "%22".repeat(2500)),
    ] {
        size(path);
    }
    let page = size(&format!("/dag/{session}?depth=64"));
    assert!(page.contains("hidden</strong>") && page.contains("lines</strong> are not drawn"));
    assert!(page.contains("of 250"), "the jobs go on elsewhere");
    let page = size(&format!("/artifact/{}?depth=64", hash(&name(119))));
    assert!(page.contains("These are the newest; there are more."));
    let page = size(&format!("/job/{session}/{}?depth=64", uid(200)));
    assert!(page.contains("facts</strong> are not shown") && page.contains("hidden</strong>"));
    // Lists that do not fit are read on, to their end, each row once.
    let mut next = "?inputs=0#inputs".to_owned();
    let mut rows = 0;
    while let Some((query, _)) = next.split_once('#') {
        let page = size(&format!("/job/{session}/{}{query}", uid(200)));
        let inputs = page.split("id=\"inputs\"").nth(1).expect("a heading");
        let inputs = inputs.split("id=\"picture\"").next().expect("a heading");
        rows += inputs.matches("<tr><td>").count();
        next = inputs
            .split("href=\"?")
            .nth(1)
            .and_then(|rest| rest.split('"').next())
            .map_or_else(String::new, |query| format!("?{query}"));
    }
    assert_eq!(rows, 150);
}

#[test]
fn sqlite_makes_no_large_page() {
    on_sqlite(no_page_is_large);
}

#[test]
fn postgres_makes_no_large_page() {
    on_postgres(no_page_is_large);
}
