//! Collections whose members are listed apart from the jobs, on every engine.

use glaas_api::members::{Member, pages};
use serde_json::{Value, json};

use super::machine::{Server, User};

const SESSION: &str = "c011ec7c011ec7c011ec7c011ec7c011ec7c011ec7c011ec7c011ec7c011ec7c";

fn hash(name: &str) -> String {
    blake3::hash(name.as_bytes()).to_hex().to_string()
}

/// Sends the list of a folder's members; how a document names it.
fn listed(user: &User, server: &Server, name: &str, produced: bool, members: &[&str]) -> Value {
    let members: Vec<Member> = members
        .iter()
        .map(|member| Member {
            path: format!("{member}.txt").as_str().into(),
            hash: hash(member),
            size: Some(member.len() as u64),
            ..Member::default()
        })
        .collect();
    let listing: Vec<Value> = pages(&members)
        .into_iter()
        .map(|(page, files)| {
            let digest = hash(&page);
            let path = format!("/api/v1/blobs/{digest}");
            user.send(server, "PUT", &path, page.as_bytes()).data();
            json!({ "digest": digest, "files": files })
        })
        .collect();
    json!({ "folder": "data", "produced": produced, "name": "data", "hash": hash(name),
        "files": members.len(), "listing": listing })
}

/// Registers a job with one collection and one file.
fn job(user: &User, server: &Server, uid: &str, step: u64, collection: &Value, file: (&str, &str)) {
    let at = |rest: &str| format!("/api/v1/sessions/{SESSION}/{rest}");
    let metadata = json!({ "roar": { "version": 1, "collections": [collection] } });
    let job = json!({ "command": uid, "job_uid": uid, "timestamp": 1_795_000_000 + step,
        "step_number": step, "exit_code": 0, "metadata": metadata.to_string() });
    user.post(server, &at("jobs"), &job).data();
    if !collection["hash"].is_null() {
        let side = if collection["produced"] == true {
            "outputs"
        } else {
            "inputs"
        };
        let link = json!({ "hash": collection["hash"], "path": "data", "basis": "collection" });
        let links = json!({ "artifacts": [link] });
        user.post(server, &at(&format!("jobs/{uid}/{side}")), &links)
            .data();
    }
    let (side, name) = file;
    let links = json!({ "artifacts": [{ "hash": hash(name), "path": name }] });
    user.post(server, &at(&format!("jobs/{uid}/{side}")), &links)
        .data();
}

fn uids(answer: &Value) -> Vec<&str> {
    let jobs = answer["jobs"].as_array().expect("jobs");
    jobs.iter()
        .filter_map(|job| job["job_uid"].as_str())
        .collect()
}

pub(super) fn lists_members(database: &str) {
    let server = Server::start(database, &[]);
    let (ann, bob) = (User::new("ed25519"), User::new("ed25519"));
    ann.join(&server, "ann");
    bob.join(&server, "bob");
    let private = json!({ "hash": SESSION, "visibility": "private" });
    ann.post(&server, "/api/v1/sessions", &private).data();
    // One makes a folder, one reads a file of it alone, one a larger folder, one another file of
    // which nobody knows.
    let made = listed(&ann, &server, "three", true, &["a", "b", "c"]);
    job(&ann, &server, "makes", 1, &made, ("inputs", "raw"));
    job(&ann, &server, "reads-one", 2, &json!({}), ("inputs", "b"));
    let links = json!({ "artifacts": [{ "hash": hash("one"), "path": "one" }] });
    let at = format!("/api/v1/sessions/{SESSION}/jobs/reads-one/outputs");
    ann.post(&server, &at, &links).data();
    let larger = listed(&ann, &server, "four", false, &["a", "b", "c", "d"]);
    job(&ann, &server, "reads-four", 3, &larger, ("outputs", "sum"));

    let members = format!("/api/v1/artifacts/{}/members", hash("three"));
    let member = format!("/api/v1/artifacts/{}", hash("a"));
    let beginning = format!("/api/v1/artifacts/{}", &hash("a")[..12]);
    // What is private is as if it were not there.
    for path in [&members, &member, &beginning] {
        for reply in [bob.get(&server, path), server.get(path)] {
            assert_eq!(reply.status, 404, "{path}");
        }
    }
    let own = ann.get(&server, &members).data();
    assert_eq!(own["files"], 3);
    let publish = json!({ "visibility": "public" }).to_string();
    let session = format!("/api/v1/sessions/{SESSION}");
    ann.send(&server, "PATCH", &session, publish.as_bytes())
        .data();

    let all = server.get(&members).data();
    let paths = |part: &Value| -> Vec<String> {
        let members = part["members"].as_array().expect("members");
        let path = |member: &Value| member["path"].as_str().expect("text").to_owned();
        members.iter().map(path).collect()
    };
    assert_eq!(paths(&all), ["a.txt", "b.txt", "c.txt"]);
    assert_eq!(all["members"][1]["hash"], hash("b"));
    for (query, expected) in [
        ("offset=1&limit=1", &["b.txt"][..]),
        ("offset=2", &["c.txt"]),
        ("offset=3", &[]),
        ("limit=0", &[]),
    ] {
        let part = server.get(&format!("{members}?{query}")).data();
        assert_eq!(paths(&part), expected, "{query}");
        assert_eq!(part["files"], 3, "{query}");
    }
    let known = server.get(&beginning).data();
    assert_eq!(
        (&known["hash"], &known["path"]),
        (&json!(hash("a")), &json!("data/a.txt"))
    );
    assert_eq!(known["size"], 1);

    // Who made what, through the lists.
    let lineage = |name: &str, kind: &str| {
        server
            .get(&format!("/api/v1/artifacts/{}/{kind}", hash(name)))
            .data()
    };
    assert_eq!(uids(&lineage("b", "lineage")), ["makes"]);
    assert_eq!(uids(&lineage("three", "lineage")), ["makes"]);
    assert_eq!(uids(&lineage("one", "closure")), ["makes", "reads-one"]);
    assert_eq!(lineage("one", "closure")["unsourced"], json!([hash("raw")]));
    let sum = lineage("sum", "closure");
    assert_eq!(uids(&sum), ["makes", "reads-four"]);
    assert_eq!(sum["jobs"][0]["outputs"].as_array().map(Vec::len), Some(1));

    let page = server.get(&format!("/artifact/{}", hash("three"))).body;
    assert!(
        page.contains("b.txt") && page.contains(&hash("b")),
        "{page}"
    );
    let page = server
        .get(&format!("/artifact/{}?members=2", hash("three")))
        .body;
    assert!(
        !page.contains("b.txt") && page.contains("3–3 of 3"),
        "{page}"
    );
    let page = server.get(&format!("/artifact/{}", hash("b"))).body;
    assert!(
        page.contains("reads-one") && page.contains("makes"),
        "{page}"
    );
    // What only looks like a list is a blob like any other.
    let odd = b"roar members 1\nnonsense\n";
    let path = format!("/api/v1/blobs/{}", blake3::hash(odd).to_hex());
    ann.send(&server, "PUT", &path, odd).data();
}
