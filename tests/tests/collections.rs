//! Folders of many files that are one thing: the same hash wherever they lie, one line in `show`.

use roar_tests::project::Project;
use roar_tests::record::Record;
use roar_tests::require::require_bpf;

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
