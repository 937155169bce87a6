//! The packages of a run. The truth is Python's own (`importlib.metadata` on the modules that were
//! loaded) and dpkg's own (`dpkg -S`).

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;

use roar_tests::project::Project;
use roar_tests::record::Record;
use roar_tests::require::{Need, met};
use roar_tests::transcript::Transcript;

const NEEDS: &[Need] = &[
    Need::Bpf,
    Need::Program("python3"),
    Need::Program("dpkg-query"),
];

/// Prints what `importlib.metadata` says of the modules that were loaded before it was asked.
const TRUTH: &str = "
import sys
loaded = {name.partition('.')[0] for name, module in list(sys.modules.items()) if module}
files = {getattr(m, '__file__', None) for m in list(sys.modules.values())} - {None}
import json, os, importlib.metadata as metadata
found = {}
for distribution in metadata.distributions():
    owned = {os.path.realpath(distribution.locate_file(f)) for f in distribution.files or []}
    if any(os.path.realpath(f) in owned for f in files):
        found[distribution.metadata['Name']] = distribution.version
found.pop('setuptools', None)
json.dump(found, open('truth.json', 'w'))
";

/// A virtual environment of the project, made by the system's Python.
fn environment(project: &Project) -> bool {
    let made = Transcript::of(project.command("python3").args(["-m", "venv", "v"]));
    made.status.success()
}

fn install(project: &Project, program: &str, arguments: &[&str]) -> bool {
    let mut command = project.command(project.path(program));
    // uv trusts the certificates that it comes with; pip those of the system.
    command.args(arguments).env("UV_SYSTEM_CERTS", "1");
    Transcript::of(&mut command).status.success()
}

fn pip(record: &Record) -> BTreeMap<String, String> {
    serde_json::from_value(record.json["packages"]["pip"].clone()).expect("names and versions")
}

fn truth(project: &Project) -> BTreeMap<String, String> {
    serde_json::from_slice(&project.read("truth.json")).expect("JSON")
}

/// A distribution without dependencies, installed by pip from its sources.
fn write_distribution(project: &Project, folder: &str, name: &str, module: &str) {
    project.write(
        format!("{folder}/setup.py"),
        format!(
            "from setuptools import setup\n\
             setup(name='{name}', version='1.5', py_modules=[], packages=['{module}'])\n"
        ),
    );
    project.write(format!("{folder}/{module}/__init__.py"), "VALUE = 1\n");
}

#[test]
fn only_what_was_imported() {
    if !met(NEEDS) {
        return;
    }
    let project = Project::new();
    assert!(
        environment(&project),
        "python3-venv is installed by cargo xtask setup"
    );
    write_distribution(&project, "sources", "Some-Name", "some_module");
    write_distribution(&project, "link", "linked", "linked_module");
    for arguments in [
        &[
            "install",
            "-q",
            "--no-build-isolation",
            "--no-index",
            "./sources",
        ][..],
        &[
            "install",
            "-q",
            "--no-build-isolation",
            "--no-index",
            "-e",
            "./link",
        ],
    ] {
        assert!(install(&project, "v/bin/pip", arguments), "{arguments:?}");
    }
    for (index, (imports, expected)) in [
        ("import json", &[][..]),
        ("import some_module", &[("Some-Name", "1.5")]),
        ("import linked_module", &[("linked", "1.5")]),
        (
            "import some_module, linked_module",
            &[("Some-Name", "1.5"), ("linked", "1.5")],
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let script = format!("script{index}.py");
        project.write(&script, format!("{imports}\n"));
        // The second time it reads byte code, and notes that were kept.
        for round in 0..2 {
            project
                .roar(["run", "-q", "v/bin/python", &script])
                .succeeds();
            let step = format!("@{}", newest(&project));
            let record = Record::of(&project, &step);
            let expected = expected
                .iter()
                .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
            assert_eq!(pip(&record), expected.collect(), "{imports}, round {round}");
            let python = &record.json["runtime"]["interpreters"][0];
            let version = Transcript::of(project.command("v/bin/python").arg("-V"));
            let version = version.stdout_text().trim().replace("Python ", "");
            assert_eq!(python["version"], version, "{python}");
            assert_eq!(python["implementation"], "cpython");
            assert_eq!(
                python["environment"],
                project.path("v").to_str().expect("text")
            );
            if imports.contains("linked") {
                let origin = record.json["packages"]["origins"]["linked"].as_str();
                assert!(origin.is_some_and(|o| o.contains("/link") && o.contains("editable")));
            }
        }
    }
}

/// The step number of the newest job.
fn newest(project: &Project) -> u64 {
    let log = project.roar(["log", "-n", "1", "--json"]).succeeds().json();
    log[0]["step_number"].as_u64().expect("a number")
}

/// numpy and requests from the package index: as many distributions as a real job loads.
#[test]
fn what_importlib_says_of_real_packages() {
    if !met(NEEDS) || !met(&[Need::PackageIndex]) {
        return;
    }
    let project = Project::new();
    let packages = ["install", "-q", "numpy", "requests", "uv"];
    assert!(
        environment(&project),
        "cargo xtask setup installs python3-venv"
    );
    assert!(install(&project, "v/bin/pip", &packages), "{packages:?}");
    check_against_importlib(&project, "v/bin/python", "import numpy, requests", 6);
    check_against_importlib(&project, "v/bin/python", "import requests", 5);
    check_against_importlib(&project, "v/bin/python", "import numpy.linalg", 1);
    // The same of an environment that uv made.
    let made = install(&project, "v/bin/uv", &["venv", "-q", "u"])
        && install(
            &project,
            "v/bin/uv",
            &["pip", "install", "-q", "-p", "u", "requests"],
        );
    assert!(made, "uv makes an environment and installs into it");
    check_against_importlib(&project, "u/bin/python", "import requests", 5);
    check_against_importlib(&project, "u/bin/python", "import json", 0);
}

#[track_caller]
fn check_against_importlib(project: &Project, python: &str, imports: &str, at_least: usize) {
    project.write("script.py", format!("{imports}\n{TRUTH}"));
    project.roar(["run", "-q", python, "script.py"]).succeeds();
    let record = Record::of(project, &format!("@{}", newest(project)));
    let found = pip(&record);
    assert_eq!(found, truth(project), "{python}: {imports}");
    assert!(found.len() >= at_least, "{python}: {imports}: {found:?}");
}

#[test]
fn what_dpkg_says_of_system_files() {
    if !met(NEEDS) {
        return;
    }
    let project = Project::new();
    for command in [
        &["python3", "-c", "import json, sqlite3"][..],
        &["git", "--version"],
        &["sh", "-c", "ls -l /usr/bin/env; tar --version; perl -e 1"],
    ] {
        project.roar(["run", "-q"].iter().chain(command)).succeeds();
        let record = Record::of(&project, &format!("@{}", newest(&project)));
        let expected = expected_of_dpkg(&project, &record);
        let found: BTreeMap<String, String> =
            serde_json::from_value(record.json["packages"]["dpkg"].clone()).expect("names");
        assert_eq!(found, expected, "{command:?}");
        assert!(found.contains_key("libc6"), "{command:?}");
    }
}

/// dpkg asked for the files that were read, by both paths that a merged /usr gives each.
fn expected_of_dpkg(project: &Project, record: &Record) -> BTreeMap<String, String> {
    let paths = record.filtered().into_iter().chain(record.inputs());
    let paths: Vec<PathBuf> = paths
        .filter(|path| path.starts_with("/usr") || path.starts_with("/etc"))
        .flat_map(|path| {
            let path = source_of(&path);
            let alias = path
                .strip_prefix("/usr")
                .map(|path| Path::new("/").join(path));
            [Some(path.clone()), alias.ok()]
        })
        .flatten()
        .collect();
    // Its status is that of the files that no package owns.
    let answer = Transcript::of(project.command("dpkg-query").arg("-S").args(&paths));
    let owners: BTreeSet<String> = answer
        .stdout_text()
        .lines()
        .filter(|line| !line.starts_with("diversion"))
        .filter_map(|line| Some(line.split_once(": ")?.0.to_owned()))
        .collect();
    let format = "${Package} ${Version}\n";
    let versions = Transcript::of(
        project
            .command("dpkg-query")
            .args(["-W", "-f", format])
            .args(owners),
    );
    versions
        .succeeds()
        .stdout_text()
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(name, version)| (name.to_owned(), version.to_owned()))
        .collect()
}

fn source_of(path: &Path) -> PathBuf {
    let name = path
        .file_name()
        .and_then(|n| n.to_str())
        .unwrap_or_default();
    let is_byte_code = path.extension().is_some_and(|extension| extension == "pyc");
    let (Some(folder), true) = (path.parent(), is_byte_code) else {
        return path.to_path_buf();
    };
    let module = name.split('.').next().unwrap_or_default();
    folder.with_file_name(format!("{module}.py"))
}

#[test]
fn programs_with_their_packages() {
    if !met(NEEDS) || !met(&[Need::Program("gcc")]) {
        return;
    }
    let project = Project::new();
    project.write("x.c", "int main(void) { return 0; }\n");
    project
        .roar(["build", "-q", "gcc", "-o", "x", "x.c"])
        .succeeds();
    let record = Record::of(&project, "@B1");
    let programs = record.json["runtime"]["programs"]
        .as_array()
        .expect("a list");
    let compiler = programs.iter().find(|program| {
        program["path"]
            .as_str()
            .is_some_and(|path| path.ends_with("/cc1"))
    });
    let compiler = compiler.unwrap_or_else(|| panic!("{programs:#?}"));
    let package: &Value = &compiler["package"];
    assert!(
        package.as_str().is_some_and(|p| p.starts_with("cpp-")),
        "{package}"
    );
}
