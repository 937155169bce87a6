use roar_cli::model::{Collection, RawString};
use roar_cli::store::JobCollection;
use serde_json::json;

use crate::project::{
    DAG_KEYS, NODE_KEYS, TestProject, VERSION_KEYS, digest, keys, pipeline, roar_in,
};

#[test]
fn text() {
    let project = pipeline();
    insta::assert_snapshot!(project.roar(&["dag"]).whole(), @r"
    Pipeline: 3 steps · session 1

    @1 python prepare.py  1 in, 2 out, 0 consumed
    └─ @2 python train.py --lr 0.1  1 in, 1 out, 1 consumed
       └─ @3 python evaluate.py  2 in, 1 out, 2 consumed  also from @1
             → metrics.json  6e46dd10 2 B

    in, out: files read and written; consumed: inputs that other steps made
    → an artifact in place
    --- stderr
    --- status 0
    ");
    insta::assert_snapshot!(project.roar(&["dag", "--show-artifacts"]).stdout, @r"
    Pipeline: 3 steps · session 1

    @1 python prepare.py  1 in, 2 out, 0 consumed
    │  → test.csv  4878ca04 4 B
    │  → train.csv  4164c055 5 B
    └─ @2 python train.py --lr 0.1  1 in, 1 out, 1 consumed
       │  → model.pkl  ccca5379 5 B
       └─ @3 python evaluate.py  2 in, 1 out, 2 consumed  also from @1
             → metrics.json  6e46dd10 2 B

    in, out: files read and written; consumed: inputs that other steps made
    → an artifact in place
    ");
}

#[test]
fn text_of_a_pipeline_with_a_history() {
    let mut project = pipeline();
    project.job_with("make", &[], &[("tool", "binary")], |job| {
        job.kind = roar_cli::model::JobKind::Build;
    });
    project.job(
        "python prepare.py",
        &["raw.csv"],
        &[("train.csv", "train 2"), ("test.csv", "test")],
    );
    project.job_with("python broken.py", &["tool"], &[], |job| {
        job.outcome.exit_code = Some(3);
        job.name = Some("broken one".to_owned());
    });
    insta::assert_snapshot!(project.roar(&["dag"]).stdout, @r"
    Pipeline: 5 steps, 2 stale, 2 stale artifacts · session 1

    @1 python prepare.py  1 in, 2 out, 0 consumed
    └─ @2* python train.py --lr 0.1  1 in, 1 out, 1 consumed
       └─ @3* python evaluate.py  2 in, 1 out, 2 consumed  also from @1
             → metrics.json *  6e46dd10 2 B
    @B4 make  0 in, 1 out, 0 consumed
    └─ @5 [broken one] python broken.py  [exit 3]  1 in, 0 out, 1 consumed

    in, out: files read and written; consumed: inputs that other steps made
    → an artifact in place
    * stale: an input has been produced anew since
    ");
    insta::assert_snapshot!(project.roar(&["dag", "--expanded"]).stdout, @r"
    Pipeline: 5 steps, 2 stale, 6 executions, 2 stale artifacts · session 1

    @1 00000001 python prepare.py  [superseded]  1 in, 2 out, 0 consumed
    └─ @2* 00000002 python train.py --lr 0.1  1 in, 1 out, 1 consumed
       └─ @3* 00000003 python evaluate.py  2 in, 1 out, 2 consumed  also from @1
             → metrics.json *  6e46dd10 2 B
    @1 00000005 python prepare.py  1 in, 2 out, 0 consumed
    @B4 00000004 make  0 in, 1 out, 0 consumed
    └─ @5 00000006 [broken one] python broken.py  [exit 3]  1 in, 0 out, 1 consumed

    in, out: files read and written; consumed: inputs that other steps made
    → an artifact in place
    * stale: an input has been produced anew since
    [superseded]: something newer took its place
    ");
    insta::assert_snapshot!(project.roar(&["dag", "--stale-only"]).stdout, @r"
    Pipeline: 5 steps, 2 stale, 2 stale artifacts · session 1

    @2* python train.py --lr 0.1  1 in, 1 out, 1 consumed
    └─ @3* python evaluate.py  2 in, 1 out, 2 consumed
          → metrics.json *  6e46dd10 2 B

    in, out: files read and written; consumed: inputs that other steps made
    → an artifact in place
    * stale: an input has been produced anew since
    ");
}

#[test]
fn json_has_the_published_keys() {
    let project = pipeline();
    let dag = project.roar(&["dag", "--json"]).json();
    assert_eq!(keys(&dag), DAG_KEYS);
    assert_eq!(keys(&dag["nodes"][0]), NODE_KEYS);
    assert_eq!(keys(&dag["artifacts"][0]), VERSION_KEYS);
    assert_eq!(dag["total_steps"], 3);
    assert_eq!(dag["is_expanded"], false);
    assert_eq!(dag["nodes"][2]["dependencies"], json!([1, 2]));
    assert_eq!(
        dag["nodes"][0]["metrics"],
        json!({"inputs": 1, "outputs": 2, "consumed": 0})
    );
    let artifacts = dag["artifacts"].as_array().expect("array");
    assert_eq!(artifacts.len(), 1, "only the ends: {artifacts:?}");
    assert_eq!(artifacts[0]["hash"], digest(b"{}").as_str());
    assert_eq!(artifacts[0]["producer_step"], 3);
    let id = artifacts[0]["artifact_id"].as_str().expect("a text");
    assert!(digest(b"{}").as_str().starts_with(id));
    assert_eq!(
        project.roar(&["show", id, "--json"]).json()["hash"],
        artifacts[0]["hash"]
    );
    let all = project.roar(&["dag", "--json", "--show-artifacts"]).json();
    assert_eq!(all["artifacts"].as_array().map(Vec::len), Some(4));
}

#[test]
fn reruns_make_stale_and_superseded() {
    let mut project = pipeline();
    project.job(
        "python prepare.py",
        &["raw.csv"],
        &[("train.csv", "new"), ("test.csv", "test")],
    );
    let dag = project.roar(&["dag", "--json"]).json();
    let states: Vec<&str> = dag["nodes"]
        .as_array()
        .expect("array")
        .iter()
        .filter_map(|node| node["state"].as_str())
        .collect();
    assert_eq!(states, ["active", "stale", "stale"]);
    assert_eq!(dag["stale_count"], 2);
    assert_eq!(dag["stale_artifact_count"], 2);
    assert_eq!(dag["superseded_artifact_count"], 0);
    assert_eq!(dag["nodes"][0]["job_uid"], "00000004");
    // What nobody has read yet, though steps read its place, is no end of the pipeline.
    let all = project.roar(&["dag", "--json", "--show-artifacts"]).json();
    let states: Vec<(&str, &str)> = all["artifacts"]
        .as_array()
        .expect("array")
        .iter()
        .filter_map(|artifact| Some((artifact["path"].as_str()?, artifact["state"].as_str()?)))
        .map(|(path, state)| (path.rsplit('/').next().unwrap_or(path), state))
        .collect();
    assert_eq!(
        states,
        [
            ("test.csv", "active"),
            ("train.csv", "orphaned"),
            ("model.pkl", "stale"),
            ("metrics.json", "stale")
        ]
    );
    let expanded = project
        .roar(&["dag", "--json", "--expanded", "--show-artifacts"])
        .json();
    assert_eq!(expanded["superseded_artifact_count"], 1);
    assert_eq!(expanded["nodes"].as_array().map(Vec::len), Some(4));
    assert_eq!(expanded["nodes"][0]["state"], "superseded");
    let old = expanded["artifacts"]
        .as_array()
        .expect("array")
        .iter()
        .find(|artifact| artifact["state"] == "superseded")
        .expect("the old train.csv");
    assert_eq!(old["hash"], digest(b"train").as_str());
    let current = all["artifacts"][1]["artifact_id"].as_str();
    assert_eq!(old["superseded_by"].as_str(), current);
    assert_eq!(old["consumer_steps"], json!([2]));
}

#[test]
fn nothing_yet_and_no_such_session() {
    let project = TestProject::new();
    insta::assert_snapshot!(project.roar(&["dag"]).whole(), @r"
    Pipeline: 0 steps
    --- stderr
    --- status 0
    ");
    assert_eq!(project.roar(&["dag", "--json"]).json()["nodes"], json!([]));
    let project = pipeline();
    insta::assert_snapshot!(project.roar(&["dag", "--session", "9"]).whole(), @r"
    --- stderr
    error: there is no session 9
    hint: sessions: 1
    --- status 1
    ");
    assert_eq!(project.roar(&["dag", "--session", "1"]).status, 0);
}

#[test]
fn every_width_and_locale_and_colour() {
    let mut project = pipeline();
    for step in 0..40 {
        let (from, to) = (format!("c{step}"), format!("c{}", step + 1));
        if step == 0 {
            project.write(&from, "0");
        }
        project.job(
            &format!("python a-rather-long-name-of-a-script.py --from {from} --to {to}"),
            &[&from],
            &[(&to, &to)],
        );
    }
    for width in ["1", "20", "40", "80", "200"] {
        for locale in ["C", "C.UTF-8"] {
            let answer = roar_in(
                &project.root(),
                &["dag", "--show-artifacts"],
                &[
                    ("COLUMNS", width),
                    ("LC_ALL", locale),
                    ("CLICOLOR_FORCE", "1"),
                ],
            );
            assert_eq!(answer.status, 0, "{answer:?}");
            assert_eq!(answer.stdout.is_ascii(), locale == "C", "{}", answer.stdout);
            assert!(answer.stdout.contains('\x1b'));
            for step in 1..=43 {
                assert!(
                    answer.stdout.contains(&format!("@{step}\x1b")),
                    "@{step} in {}",
                    answer.stdout
                );
            }
        }
    }
    let plain = roar_in(
        &project.root(),
        &["dag", "--no-color"],
        &[("CLICOLOR_FORCE", "1")],
    );
    assert!(!plain.stdout.contains('\x1b'));
    for variable in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let answer = roar_in(&project.root(), &["dag"], &[variable]);
        assert!(!answer.stdout.contains('\x1b'), "{variable:?}");
    }
    insta::assert_snapshot!(
        roar_in(&project.root(), &["dag"], &[("COLUMNS", "62")])
            .stdout
            .lines()
            .take(24)
            .collect::<Vec<_>>()
            .join("\n"),
        @r"
        Pipeline: 43 steps · session 1

        @1 python prepare.py  1 in, 2 out, 0 consumed
        └─ @2 python train.py --lr 0.1  1 in, 1 out, 1 consumed
           └─ @3 python evalua…  2 in, 1 out, 2 consumed  also from @1
                 → metrics.json  6e46dd10 2 B
        @4 python a-rather-long-name-of-a-sc…  1 in, 1 out, 0 consumed
        └─ @5 python a-rather-long-name-of-a…  1 in, 1 out, 1 consumed
           └─ @6 python a-rather-long-name-o…  1 in, 1 out, 1 consumed
              └─ @7 python a-rather-long-nam…  1 in, 1 out, 1 consumed
                 └─ @8 python a-rather-long-…  1 in, 1 out, 1 consumed
                    └─ @9 python a-rather-lo…  1 in, 1 out, 1 consumed
                       └─ @10 python a-rathe…  1 in, 1 out, 1 consumed
        @11 python a-rather-long-n…  1 in, 1 out, 1 consumed  from @10
        └─ @12 python a-rather-long-name-of-…  1 in, 1 out, 1 consumed
           └─ @13 python a-rather-long-name-…  1 in, 1 out, 1 consumed
              └─ @14 python a-rather-long-na…  1 in, 1 out, 1 consumed
                 └─ @15 python a-rather-long…  1 in, 1 out, 1 consumed
                    └─ @16 python a-rather-l…  1 in, 1 out, 1 consumed
                       └─ @17 python a-rathe…  1 in, 1 out, 1 consumed
        @18 python a-rather-long-n…  1 in, 1 out, 1 consumed  from @17
        └─ @19 python a-rather-long-name-of-…  1 in, 1 out, 1 consumed
           └─ @20 python a-rather-long-name-…  1 in, 1 out, 1 consumed
              └─ @21 python a-rather-long-na…  1 in, 1 out, 1 consumed
        "
    );
}

#[test]
fn a_collection_is_one_artifact() {
    let mut project = pipeline();
    let frames: Vec<(String, String)> = (0..3)
        .map(|n| (format!("frames/{n}.png"), format!("frame {n}")))
        .collect();
    let writes: Vec<(&str, &str)> = frames
        .iter()
        .map(|(path, content)| (path.as_str(), content.as_str()))
        .collect();
    project.job("python render.py", &["metrics.json"], &writes);
    let members = frames
        .iter()
        .map(|(path, content)| {
            let name = path.trim_start_matches("frames/");
            (name.into(), digest(content.as_bytes()))
        })
        .collect();
    let collection = Collection {
        name: "frames".to_owned(),
        members,
    };
    let hash = collection.hash();
    let folder = RawString::from_path(&project.root().join("frames"));
    project
        .store()
        .add_collection(
            4,
            &JobCollection {
                folder: folder.clone(),
                produced: true,
                collection,
            },
        )
        .expect("is recorded");
    let text = project.roar(&["dag"]).stdout;
    let line = format!("→ frames/  {} 21 B, 3 files", hash.short());
    assert!(text.contains(&line), "{text}");
    assert!(!text.contains("png"), "{text}");
    let dag = project.roar(&["dag", "--json"]).json();
    let artifacts = dag["artifacts"].as_array().expect("array");
    assert_eq!(artifacts.len(), 1, "{artifacts:?}");
    assert_eq!(artifacts[0]["hash"], hash.as_str());
    assert_eq!(artifacts[0]["path"].as_str(), folder.as_str());
    assert_eq!(artifacts[0]["is_terminal"], true);
    let shown = project.roar(&["show", hash.short(), "--json"]).json();
    assert_eq!(shown["files"], 3);
    assert_eq!(shown["size"], 21);
    assert_eq!(shown["produced_by"][0]["job_uid"], "00000004");
    let shown = project.roar(&["show", hash.short()]).stdout;
    assert!(shown.contains("as frames/"), "{shown}");
    // Read in part, it is no end any more.
    project.job("python look.py", &["frames/1.png"], &[("seen", "1")]);
    let dag = project.roar(&["dag", "--json", "--show-artifacts"]).json();
    let one = dag["artifacts"]
        .as_array()
        .expect("array")
        .iter()
        .find(|artifact| artifact["hash"] == hash.as_str())
        .expect("still one");
    assert_eq!(one["is_terminal"], false);
    assert_eq!(one["consumer_steps"], json!([5]));
}

#[test]
fn an_input_that_was_edited_between_two_steps_is_marked() {
    let mut project = pipeline();
    assert!(!project.roar(&["dag"]).stdout.contains("edited"));
    project.write("model.pkl", "by hand");
    project.job(
        "python evaluate.py",
        &["model.pkl", "test.csv"],
        &[("metrics.json", "{}")],
    );
    let text = project.roar(&["dag"]).stdout;
    let line = text.lines().find(|line| line.contains("@3")).expect("it");
    assert!(line.contains("[edited input]"), "{text}");
    assert!(text.contains("changed a file between two steps"), "{text}");
    assert!(
        project
            .roar(&["dag", "--dot"])
            .stdout
            .contains("edited input")
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_rerun_says_which_input_is_gone() {
    let mut project = pipeline();
    project.job(
        "python train.py --lr 0.5",
        &["train.csv"],
        &[("model.pkl", "model 2")],
    );
    let preview = project.roar(&["rerun", "--stale", "-n"]);
    assert_eq!(preview.stdout, "@3  python evaluate.py\n");
    assert_eq!(preview.stderr, "");
    let listed = project.roar(&["rerun", "--stale", "-n", "--json"]).json();
    assert_eq!(listed[0]["step_number"], 3);
    assert_eq!(listed[0]["command"], "python evaluate.py");
    assert_eq!(listed.as_array().map(Vec::len), Some(1));
    let root = project.root();
    std::fs::rename(root.join("model.pkl"), root.join("best.pkl")).expect("it is there");
    let preview = project.roar(&["rerun", "--stale", "-n"]);
    assert!(
        preview
            .stderr
            .contains("model.pkl, which @3 read, is gone; to make it again: roar run @2"),
        "{preview:?}"
    );
}
