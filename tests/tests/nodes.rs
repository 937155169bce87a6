//! A launch over several machines, each with a record of its own: on the lineage server it is one
//! step.

use std::collections::BTreeSet;

use serde_json::Value;

use roar_tests::project::Project;
use roar_tests::record::Record;
use roar_tests::require::{Need, met};
use roar_tests::server::Server;
use roar_tests::transcript::Transcript;

/// What runs on every machine: a rank reads its part of the data and writes its shard.
const WORK: &str = "cat part$1 shared >shard$1\n";

/// A machine with the code, a record and a key.
fn machine(server: &Server, user: &str) -> Project {
    let project = Project::new();
    server.admit(user, &project);
    project.write(".gitignore", ".roar/\npart*\nshard*\n");
    project.write("work.sh", WORK);
    project.write("shared", "shared\n");
    project.publish();
    project
}

fn launched(project: &Project, rank: u32, join: &str) {
    project.write(
        format!("part{rank}"),
        format!("{user} {rank}\n", user = project.base().display()),
    );
    let mut command = project.roar_command();
    command
        .env("RANK", rank.to_string())
        .env("WORLD_SIZE", "2")
        .args(["run", "-q", "--join", join, "sh", "work.sh"])
        .arg(rank.to_string());
    Transcript::of(&mut command).succeeds();
}

fn registered(project: &Project, server: &Server, path: &str) {
    let mut command = project.roar_command();
    command
        .env("GLAAS_URL", server.url())
        .args(["register", "--public", "-y", path]);
    Transcript::of(&mut command).succeeds();
}

fn hash(project: &Project, path: &str) -> String {
    blake3::hash(&project.read(path)).to_hex().to_string()
}

/// Names of the files that the jobs of a lineage wrote.
fn written(lineage: &Value) -> BTreeSet<String> {
    let jobs = lineage["data"]["jobs"].as_array().expect("jobs");
    let outputs = jobs
        .iter()
        .flat_map(|job| job["outputs"].as_array().expect("a list"));
    outputs
        .map(|file| {
            let path = file["path"].as_str().expect("text");
            path.rsplit('/').next().expect("a name").to_owned()
        })
        .collect()
}

#[test]
fn one_step_across_records() {
    if !met(&[
        Need::Bpf,
        Need::Program("git"),
        Need::Program("ssh-keygen"),
        Need::Program("curl"),
    ]) {
        return;
    }
    let base = Project::empty();
    let server = Server::start(base.root());
    let machines = [machine(&server, "a"), machine(&server, "a")];
    for (rank, machine) in (0..).zip(&machines) {
        launched(machine, rank, "night");
    }
    // Somebody else with the same key, and the same user's other launch.
    let stranger = machine(&server, "b");
    launched(&stranger, 7, "night");
    launched(&machines[0], 3, "day");
    registered(&machines[0], &server, "shard3");
    registered(&stranger, &server, "shard7");
    registered(&machines[0], &server, "shard0");
    let lineage = |machine: &Project, shard: &str| {
        server.get(&format!(
            "/api/v1/artifacts/{}/lineage",
            hash(machine, shard)
        ))
    };
    let names = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect();
    assert_eq!(
        written(&lineage(&machines[0], "shard0")),
        names(&["shard0"])
    );
    registered(&machines[1], &server, "shard1");
    for (machine, shard) in [(&machines[0], "shard0"), (&machines[1], "shard1")] {
        let found = lineage(machine, shard);
        assert_eq!(written(&found), names(&["shard0", "shard1"]), "{found:#}");
        let ranks: BTreeSet<u64> = found["data"]["jobs"]
            .as_array()
            .expect("jobs")
            .iter()
            .flat_map(|job| {
                job["document"]["launch"]["ranks"]
                    .as_array()
                    .expect("ranks")
            })
            .map(|rank| rank.as_u64().expect("a number"))
            .collect();
        assert_eq!(ranks, [0, 1].into(), "{found:#}");
        // One box of the picture.
        let page = server.page(&format!("/artifact/{}", hash(machine, shard)));
        let page = String::from_utf8_lossy(&page);
        assert_eq!(page.matches("2 parts").count(), 1, "{page}");
    }
    assert_eq!(written(&lineage(&stranger, "shard7")), names(&["shard7"]));
    assert_eq!(
        written(&lineage(&machines[0], "shard3")),
        names(&["shard3"])
    );
}

/// Several parts in one record, as on a machine that two of them share.
#[test]
fn parts_of_one_record_know_each_other() {
    if !met(&[Need::Bpf]) {
        return;
    }
    let project = Project::new();
    project.write("work.sh", WORK);
    project.write("shared", "shared\n");
    launched(&project, 0, "night");
    launched(&project, 1, "night");
    launched(&project, 2, "day");
    let record = Record::of(&project, "@2");
    let first = Record::of(&project, "@1").json["job_uid"].clone();
    assert_eq!(record.json["launch_parts"][0]["job_uid"], first);
    assert_eq!(record.json["launch_parts"][0]["step_number"], 1);
    let alone = Record::of(&project, "@3");
    assert!(alone.json.get("launch_parts").is_none());
    let text = project.roar(["show", "@2"]).succeeds().stdout_text();
    assert!(text.contains("also a part: @1, job"), "{text}");
}
