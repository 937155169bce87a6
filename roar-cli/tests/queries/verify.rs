use std::fs;

use crate::project::{TestProject, pipeline, roar_in};

#[test]
fn every_file_against_its_last_record() {
    let project = pipeline();
    let fine = project.roar(&["verify"]);
    assert_eq!(
        (fine.status, fine.stdout.as_str()),
        (0, "5 ok, 0 changed, 0 missing\n")
    );

    project.write("train.csv", "TRAIN"); // of the same size
    project.write("raw.csv", "edited by hand");
    fs::remove_file(project.root().join("model.pkl")).expect("it is there");
    fs::remove_file(project.root().join("metrics.json")).expect("it is there");
    fs::create_dir(project.root().join("metrics.json")).expect("nothing is there");
    let before = roar_in(&project.root(), &["verify"], &[]);
    assert_eq!(before.status, 1);
    insta::assert_snapshot!(before.stdout, @r"
    unreadable  metrics.json  made by @3, is a directory
    missing     model.pkl     made by @2
    changed     raw.csv       read by @1
    changed     train.csv     made by @1
    1 ok, 2 changed, 1 missing, 1 unreadable
    ");
    let answer = project.roar(&["verify", "--json"]);
    assert_eq!(answer.status, 1);
    let json: serde_json::Value = serde_json::from_str(&answer.stdout).expect("JSON alone");
    for (state, count) in [("ok", 1), ("changed", 2), ("missing", 1), ("unreadable", 1)] {
        assert_eq!(json[state], count, "{state}");
    }
    assert_eq!(json["files"].as_array().map(Vec::len), Some(5));
}

#[test]
fn a_restored_time_hides_no_edit() {
    let project = pipeline();
    let path = project.root().join("model.pkl");
    let times = fs::metadata(&path)
        .expect("it is there")
        .modified()
        .expect("it has");
    project.write("model.pkl", "MODEL");
    let file = fs::File::options().write(true).open(&path).expect("opens");
    file.set_modified(times).expect("one's own file");
    assert_eq!(project.roar(&["verify", "model.pkl"]).status, 1);
}

#[test]
fn chosen_files_and_folders() {
    let mut project = TestProject::new();
    project.job("make", &[], &[("d/a", "1"), ("d/b", "2"), ("dd", "3")]);
    project.write("dd", "other");
    assert_eq!(project.roar(&["verify"]).status, 1);
    assert_eq!(
        project.roar(&["verify", "d"]).stdout,
        "2 ok, 0 changed, 0 missing\n"
    );
    assert_eq!(project.roar(&["verify", "d/a", "d"]).status, 0);
    assert_eq!(project.roar(&["verify", "dd"]).status, 1);
    let unknown = project.roar(&["verify", "d", "e"]);
    assert_eq!(unknown.status, 1);
    assert!(
        unknown.stderr.contains("nothing is recorded of 'e'"),
        "{unknown:?}"
    );
    // What an older session recorded is its own affair.
    project.roar(&["reset", "-y"]);
    assert_eq!(project.roar(&["verify"]).status, 0);
    assert_eq!(project.roar(&["verify", "--session", "1"]).status, 1);
}
