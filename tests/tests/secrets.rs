//! Canaries: secrets that are planted everywhere a command has to do with, and must be found
//! nowhere below `.roar/`.

use std::fs;
use std::path::{Path, PathBuf};

use roar_tests::project::Project;
use roar_tests::record::Record;
use roar_tests::require::require_bpf;

const CANARIES: [&str; 5] = [
    "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
    "hunter2canary",
    "AKIAIOSFODNN7XCANARY",
    "canarypass",
    "canaryuser",
];

/// Every file below a folder that holds a canary, and which.
fn leaks(folder: &Path) -> Vec<(PathBuf, &'static str)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.as_os_str().as_encoded_bytes().to_vec();
        let content = if path.is_dir() {
            found.extend(leaks(&path));
            Vec::new()
        } else {
            fs::read(&path).expect("readable")
        };
        for canary in CANARIES {
            let holds = |bytes: &[u8]| bytes.windows(canary.len()).any(|w| w == canary.as_bytes());
            if holds(&content) || holds(&name) {
                found.push((path.clone(), canary));
            }
        }
    }
    found
}

/// A repository whose remote, tracked change, arguments, variables and file names hold canaries.
fn planted() -> Project {
    let project = Project::new();
    project.write("train.py", "token = None\n");
    project.commit_all();
    project.run(
        "git",
        [
            "remote",
            "add",
            "origin",
            "https://canaryuser:canarypass@example.org/x.git",
        ],
    );
    project.write("train.py", format!("token = \"{}\"\n", CANARIES[0]));
    project.write(format!("data_{}.csv", CANARIES[0]), "1\n");
    // Untracked files that are read are kept.
    project.write(
        "notes.ipynb",
        r#"{"cells": [{"cell_type": "code", "source": ["api_key = \"hunter2canary\"\n"]}]}"#,
    );
    project.write("settings.toml", "[api]\ntoken = \"hunter2canary\"\n");
    project.write(
        "config.json",
        "{\"api\": {\"secret_key\": \"hunter2canary\"}}\n",
    );
    project
}

fn run(project: &Project) {
    let script = format!(
        "cat train.py data_*.csv notes.ipynb settings.toml config.json > out_{0}.csv; ls .roar/running; grep -rc {0} .roar/running; true",
        CANARIES[0]
    );
    let answer = roar_tests::transcript::Transcript::of(
        project
            .roar_command()
            .env("HF_TOKEN", CANARIES[1])
            .env("MY_SEED", CANARIES[0])
            .args([
                "run",
                "-n",
                "upload AKIAIOSFODNN7XCANARY",
                "sh",
                "-c",
                &script,
            ])
            .args(["x", "--token", "hunter2canary", "--password=hunter2canary"])
            .arg("https://canaryuser:canarypass@example.org/"),
    );
    answer.succeeds();
    // While the command ran, the marker was there, and held none either.
    let said = answer.stdout_text();
    assert!(said.contains(".json") && said.contains(":0"), "{said}");
}

#[test]
fn no_canary_is_found_in_the_record() {
    if !require_bpf() {
        return;
    }
    let project = planted();
    project
        .roar(["env", "set", "PLAIN_VARIABLE", "fine"])
        .succeeds();
    run(&project);
    assert_eq!(leaks(&project.path(".roar")), []);
    let record = Record::of(&project, "@1");
    let redactions = record.json["redactions"].to_string();
    for place in ["argument", "variable", "name", "files"] {
        assert!(redactions.contains(place), "{place}: {redactions}");
    }
    let argv = record.json["argv"].as_array().expect("a list");
    assert_eq!(argv[5], "[redacted:named-secret]");
    assert_eq!(argv[6], "--password=[redacted:named-secret]");
    assert_eq!(record.json["environment"]["PLAIN_VARIABLE"], "fine");
    assert!(record.json["environment"].get("HF_TOKEN").is_none());
    assert_eq!(record.json["git"]["remote"], "https://example.org/x.git");
    project.roar(["show", "@1"]).succeeds();
}

/// The test above would pass if nothing were recorded at all.
#[test]
fn the_originals_are_kept_where_the_user_says_so() {
    if !require_bpf() {
        return;
    }
    let project = planted();
    project
        .roar(["config", "set", "record.redact_secrets", "false"])
        .succeeds();
    let command = ["run", "-q", "echo", "--token", "hunter2canary"];
    project.roar(command).succeeds();
    let found = leaks(&project.path(".roar"));
    assert!(found.iter().any(|(_, canary)| *canary == "hunter2canary"));
    assert_eq!(Record::of(&project, "@1").json["argv"][2], "hunter2canary");
}

#[test]
fn the_users_own_rules() {
    if !require_bpf() {
        return;
    }
    let project = Project::new();
    for (key, value) in [
        ("registration.omit.secrets.values", "plainsecret"),
        ("registration.omit.patterns", "EMP-[0-9]+"),
        ("registration.omit.allowlist.patterns", "^ghp_16C7"),
    ] {
        project.roar(["config", "set", key, value]).succeeds();
        assert!(
            project
                .roar(["config", "get", key])
                .stdout_text()
                .contains(value)
        );
    }
    project
        .roar(["run", "-q", "echo", "plainsecret", "EMP-77", CANARIES[0]])
        .succeeds();
    let argv = Record::of(&project, "@1").json["argv"].clone();
    assert_eq!(
        argv,
        serde_json::json!([
            "echo",
            "[redacted:listed-value]",
            "[redacted:listed-pattern]",
            CANARIES[0]
        ])
    );
    project
        .roar(["config", "set", "registration.omit.patterns", "("])
        .succeeds();
    project.roar(["run", "true"]).exits(125).says("'('");
}

#[test]
fn variables_of_roar_env() {
    let project = Project::new();
    project.roar(["env", "get", "FOO"]).exits(1).says("FOO");
    project.roar(["env", "unset", "FOO"]).exits(1);
    project.roar(["env", "set", "A=B", "x"]).exits(1);
    project.roar(["env", "set", "FOO", "two words"]).succeeds();
    project.roar(["env", "set", "BAR", "-1"]).succeeds();
    let get = project.roar(["env", "get", "FOO"]);
    assert_eq!(get.succeeds().stdout_text(), "two words\n");
    assert_eq!(
        project.roar(["env", "list"]).stdout_text(),
        "BAR=-1\nFOO=two words\n"
    );
    if require_bpf() {
        let run = project.roar(["run", "-q", "sh", "-c", "echo $FOO"]);
        assert_eq!(run.succeeds().stdout_text(), "two words\n");
        let record = Record::of(&project, "@1");
        assert_eq!(record.json["environment"]["FOO"], "two words");
    }
    project.roar(["env", "unset", "FOO"]).succeeds();
    project.roar(["env", "get", "FOO"]).exits(1);
    let json = project.roar(["env", "list", "--json"]).succeeds().json();
    assert_eq!(json, serde_json::json!({"BAR": "-1"}));
}

/// What was taken out of a command cannot be run again; it has to be given.
#[test]
fn a_redacted_argument_is_asked_for() {
    if !require_bpf() {
        return;
    }
    let project = Project::new();
    let secret = format!("--token={}", CANARIES[0]);
    let script = r#"printf '%s\n' "$@" >> seen"#;
    project
        .roar(["run", "-q", "sh", "-c", script, "sh", "--lr=0.1", &secret])
        .succeeds();
    for words in [&["@1"][..], &["@1", "--lr=0.2"]] {
        let told = project.roar(["run", "-q"].iter().chain(words));
        told.exits(1).says("--token").says("roar run @1 --token=");
    }
    project
        .roar(["run", "-q", "@1", "--token=given"])
        .succeeds();
    let seen = format!("--lr=0.1\n{secret}\n--lr=0.1\n--token=given\n");
    assert_eq!(String::from_utf8_lossy(&project.read("seen")), seen);
}
