//! Folders of many files that are one thing: the same hash wherever they lie, one line in `show`.

use roar_tests::project::Project;
use roar_tests::record::Record;
use roar_tests::require::{Need, accelerate, met, require_bpf};
use roar_tests::server::Server;
use roar_tests::transcript::Transcript;

/// A project with a data set of 150 files, which one job reads and another one splits.
fn project(folder: &str, changed: bool) -> Project {
    let project = Project::new();
    for number in 0..150 {
        let content = if changed && number == 7 { "x" } else { "y" };
        let name = format!("{folder}/part{}/{number}.txt", number % 3);
        project.write(name, format!("{number} {content}\n"));
    }
    project.write("single.txt", "1");
    let read = format!("cat single.txt $(find {folder} -type f | sort -r) >all.txt");
    project.roar(["run", "-q", "sh", "-c", &read]).succeeds();
    project
        .roar([
            "run",
            "-q",
            "sh",
            "-c",
            "mkdir shards; cd shards; split -l 1 -a 3 ../all.txt",
        ])
        .succeeds();
    project
}

#[test]
fn a_data_set_is_one_collection() {
    if !require_bpf() {
        return;
    }
    let here = project("data", false);
    let record = Record::of(&here, "@1");
    let collections = record.json["collections"].as_array().expect("a list");
    assert_eq!(collections.len(), 1, "{collections:#?}");
    let data = &collections[0];
    assert_eq!(data["folder"], here.path("data").to_str().expect("text"));
    assert_eq!(
        (&data["name"], &data["role"]),
        (&"data".into(), &"input".into())
    );
    assert_eq!(data["files"], 150);
    // Members stay reachable.
    assert_eq!(record.inputs().len(), 151);
    let shards = Record::of(&here, "@2").json["collections"][0].clone();
    assert_eq!(
        (&shards["name"], &shards["role"]),
        (&"shards".into(), &"output".into())
    );

    let text = here.roar(["show", "@1"]).succeeds().stdout_text();
    assert!(text.contains("collection of 150 files"), "{text}");
    assert!(
        text.contains("single.txt") && !text.contains("part0/0.txt"),
        "{text}"
    );
    let text = here.roar(["show", "--all", "@1"]).succeeds().stdout_text();
    assert!(text.contains("part0/0.txt"), "{text}");

    let hash = |project: &Project| {
        let json = Record::of(project, "@1").json;
        json["collections"][0]["hash"]
            .as_str()
            .expect("a hash")
            .to_owned()
    };
    assert_eq!(hash(&project("elsewhere/deeper", false)), hash(&here));
    assert_ne!(hash(&project("data", true)), hash(&here));
}

#[test]
fn the_threshold_is_a_setting() {
    if !require_bpf() {
        return;
    }
    let project = Project::new();
    for name in ["d/1", "d/2", "d/3"] {
        project.write(name, name);
    }
    for (least, expected) in [("3", 1), ("4", 0), ("0", 0)] {
        project
            .roar(["config", "set", "collections.min_files", least])
            .succeeds();
        project
            .roar(["run", "-q", "cat", "d/1", "d/2", "d/3"])
            .succeeds();
        let json = Record::of(&project, "@1").json;
        let found = json["collections"].as_array().map_or(0, Vec::len);
        assert_eq!(found, expected, "min_files = {least}");
    }
}

/// On a lineage server: one entity among the files of the job, with its members within reach.
#[test]
fn registered_as_one_thing() {
    let needs = ["git", "ssh-keygen", "curl"].map(Need::Program);
    if !require_bpf() || !met(&needs) {
        return;
    }
    let project = Project::new();
    let server = Server::start(&project.base());
    server.admit("a", &project);
    project.write(".gitignore", ".roar/\ndata/\nsum.txt\n");
    project.write(
        "make.sh",
        "mkdir data; for n in $(seq 150); do echo $n >data/$n.txt; done\n",
    );
    project.write("sum.sh", "cat data/*.txt >sum.txt\n");
    project.publish();
    for script in ["make.sh", "sum.sh"] {
        project.roar(["run", "-q", "sh", script]).succeeds();
    }
    let data = Record::of(&project, "@1").json["collections"][0].clone();
    let hash = data["hash"].as_str().expect("a hash");
    let mut command = project.roar_command();
    command
        .env("GLAAS_URL", server.url())
        .args(["register", "--public", "-y", "sum.txt"]);
    Transcript::of(&mut command).succeeds();

    // What made the whole, and what read it.
    let lineage = server.get(&format!("/api/v1/artifacts/{hash}/lineage"));
    let jobs = lineage["data"]["jobs"].as_array().expect("jobs");
    assert_eq!(jobs.len(), 1, "{lineage:#}");
    assert_eq!(jobs[0]["outputs"][0]["hash"], hash);
    assert_eq!(jobs[0]["outputs"][0]["path"], "data");
    assert_eq!(jobs[0]["document"]["collections"][0]["files"], 150);
    // One row on the job's page.
    let (session, uid) = (&jobs[0]["session_hash"], &jobs[0]["job_uid"]);
    let text = |value: &serde_json::Value| value.as_str().expect("text").to_owned();
    let page = server.page(&format!("/job/{}/{}", text(session), text(uid)));
    let page = String::from_utf8_lossy(&page);
    assert!(page.contains("collection of 150 files"), "{page}");
    assert!(!page.contains("data/7.txt"), "{page}");
    // One entity among the files of each job, and the members in a list of their own.
    assert_eq!(jobs[0]["outputs"].as_array().map(Vec::len), Some(1));
    let members = server.get(&format!("/api/v1/artifacts/{hash}/members?offset=100"));
    assert_eq!(members["data"]["files"], 150);
    assert_eq!(
        members["data"]["members"].as_array().map(Vec::len),
        Some(50)
    );
    let page = server.page(&format!("/artifact/{hash}"));
    assert!(String::from_utf8_lossy(&page).contains("1.txt"));
    // Each member by its own hash.
    let member = blake3::hash(&project.read("data/7.txt")).to_hex();
    let found = server.get(&format!("/api/v1/artifacts/{member}/lineage"));
    assert_eq!(found["data"]["jobs"][0]["job_uid"], jobs[0]["job_uid"]);

    // The whole again, from its hash.
    let elsewhere = project.base().join("elsewhere");
    std::fs::create_dir(&elsewhere).expect("made");
    let mut command = project.roar_command();
    command
        .current_dir(&elsewhere)
        .env("GLAAS_URL", server.url())
        .args(["reproduce", hash, "--run", "-y", "--json", "--out", "again"]);
    let verdict = Transcript::of(&mut command).succeeds().json();
    assert_eq!(verdict["verdict"], "bit_identical", "{verdict:#}");
    let made = std::fs::read_dir(elsewhere.join("again/data")).expect("made");
    assert_eq!(made.count(), 150);
    // And what was made of it, and one of it.
    let sum = blake3::hash(&project.read("sum.txt")).to_hex().to_string();
    for (wanted, out, steps) in [(sum, "sum", 2), (member.to_string(), "one", 1)] {
        let mut command = project.roar_command();
        command
            .current_dir(&elsewhere)
            .env("GLAAS_URL", server.url())
            .args(["reproduce", &wanted, "--run", "-y", "--json", "--out", out]);
        let told = Transcript::of(&mut command);
        let verdict = told.succeeds().json();
        assert_eq!(verdict["verdict"], "bit_identical", "{verdict:#}");
        assert_eq!(told.stderr_text().matches("/150]").count(), 0);
        let ran = told.stderr_text().matches(&format!("/{steps}]")).count();
        assert_eq!(ran, steps, "{}", told.stderr_text());
    }
}

/// Files of a folder that several jobs wrote, read together: each writer belongs to the lineage, and
/// what nobody wrote is an input.
#[test]
fn members_come_from_where_they_were_made() {
    let needs = ["git", "ssh-keygen", "curl"].map(Need::Program);
    if !require_bpf() || !met(&needs) {
        return;
    }
    let project = Project::new();
    let server = Server::start(&project.base());
    server.admit("a", &project);
    project.write(".gitignore", ".roar/\ndata/\nsum.txt\n");
    project.write(
        "make.sh",
        "mkdir -p data; for n in $(seq $1 $2); do echo $n >data/$n.txt; done\n",
    );
    project.write("sum.sh", "cat data/*.txt >sum.txt\n");
    project.publish();
    // A collection, some files that are none, and a few that nobody recorded.
    project
        .roar(["run", "-q", "sh", "make.sh", "1", "120"])
        .succeeds();
    project
        .roar(["run", "-q", "sh", "make.sh", "121", "130"])
        .succeeds();
    project.run("sh", ["make.sh", "131", "135"]);
    project.roar(["run", "-q", "sh", "sum.sh"]).succeeds();
    let mut command = project.roar_command();
    command
        .env("GLAAS_URL", server.url())
        .args(["register", "--public", "-y", "sum.txt"]);
    Transcript::of(&mut command)
        .succeeds()
        .says("members of collections");
    let elsewhere = project.base().join("elsewhere");
    std::fs::create_dir(&elsewhere).expect("made");
    let sum = blake3::hash(&project.read("sum.txt")).to_hex().to_string();
    let reproduce = |more: &[&str]| {
        let mut command = project.roar_command();
        command
            .current_dir(&elsewhere)
            .env("GLAAS_URL", server.url())
            .args(["reproduce", &sum])
            .args(more);
        Transcript::of(&mut command)
    };
    let preview = reproduce(&[]).succeeds().stdout_text();
    for text in ["make.sh 1 120", "make.sh 121 130", "sum.sh", "data/133.txt"] {
        assert!(preview.contains(text), "{text}: {preview}");
    }
    assert!(!preview.contains("data/7.txt"), "{preview}");
    let told = reproduce(&["--run", "-y", "--out", "again"]);
    let text = told.exits(0).stdout_text();
    assert!(text.contains("verdict: bit-identical"), "{text}");
}

/// What a hub's own library finds in its cache carries the repository and the revision.
#[test]
fn downloads_carry_their_source() {
    if !require_bpf() || !met(&[Need::Accelerate]) {
        return;
    }
    let revision = "0123456789abcdef0123456789abcdef01234567";
    let project = Project::new();
    let cache = project
        .home()
        .join(".cache/huggingface/hub/models--org--tiny");
    let folder = |name: &str| {
        let folder = cache.join(name);
        std::fs::create_dir_all(&folder).expect("one's own home can be filled");
        folder
    };
    std::fs::write(folder("refs").join("main"), revision).expect("written");
    std::fs::write(folder("blobs").join("deadbeef"), "{}").expect("written");
    let snapshot = folder("snapshots").join(revision);
    std::fs::create_dir(&snapshot).expect("made");
    std::os::unix::fs::symlink("../../blobs/deadbeef", snapshot.join("config.json"))
        .expect("linked");
    project.write(
        "load.py",
        "from huggingface_hub import hf_hub_download\n\
         open(hf_hub_download('org/tiny', 'config.json', local_files_only=True)).read()\n",
    );
    // Accelerate brings the hub's library with it.
    let python = accelerate().with_file_name("python");
    let python = python.to_str().expect("text");
    project.roar(["run", "-q", python, "load.py"]).succeeds();
    let record = Record::of(&project, "@1");
    assert_eq!(
        record.json["sources"],
        serde_json::json!([
            {"hub": "huggingface", "name": "org/tiny", "revision": revision, "files": 1}
        ])
    );
    assert!(record.inputs().contains(&cache.join("blobs/deadbeef")));
    project
        .roar(["run", "-q", python, "-c", "import huggingface_hub"])
        .succeeds();
    assert!(Record::of(&project, "@2").json.get("sources").is_none());
}
