//! The workloads and the real tools as an ordinary user, observed through seccomp: the record
//! is what the table says, but for the exceptions that are listed here, each of which must
//! still be one.
#![cfg(target_os = "linux")]

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use roar_tests::binary;
use roar_tests::project::Project;
use roar_tests::record::Record;
use roar_tests::require::{Need, met};
use roar_tests::transcript::Transcript;
use roar_tests::user::OrdinaryUser;
use roar_tests::workload::tools;
use roar_tests::workload::{Workload, check_each, compare, table};

const NEEDS: &[Need] = &[
    Need::Root,
    Need::Program("setpriv"),
    Need::Program("unshare"),
    Need::Program("gcc"),
];

/// Where seccomp tells something else than the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exception {
    /// An open for reading counts as a read: whether bytes were read cannot be seen. The file
    /// that the record has too much.
    OpenedIsRead(&'static str),
    /// Asks for a capability that an ordinary user has not: it fails without roar as well.
    NoCapability,
    /// io_uring cannot be observed through seccomp and is refused; these programs know no
    /// other way. The record says that it was refused.
    IoUringRefused,
}

use Exception::{IoUringRefused, NoCapability, OpenedIsRead};

const EXCEPTIONS: &[(&str, Exception)] = &[
    ("descriptor cloexec in in2 old out", OpenedIsRead("old")),
    (": < in", OpenedIsRead("in")),
    ("silent stat old", OpenedIsRead("old")),
    ("silent open-read old", OpenedIsRead("old")),
    ("silent open-both old", OpenedIsRead("old")),
    ("silent metadata old", OpenedIsRead("old")),
    ("silent failing old", OpenedIsRead("old")),
    ("open by-handle in", NoCapability),
    ("open by-handle-write old", NoCapability),
];

fn exception(workload: &Workload) -> Option<Exception> {
    if workload.needs.contains(&Need::IoUring) {
        return Some(IoUringRefused);
    }
    let mut found = EXCEPTIONS.iter().filter(|(name, _)| *name == workload.name);
    found.next().map(|(_, exception)| *exception)
}

#[test]
fn every_exception_is_of_a_workload() {
    let names: BTreeSet<_> = table::all().into_iter().map(|row| row.name).collect();
    for (name, _) in EXCEPTIONS {
        assert!(names.contains(*name), "{name}");
    }
}

/// A command with the workload programs where the user gets at them.
fn argv(user: &OrdinaryUser<'_>, argv: Vec<OsString>) -> Vec<OsString> {
    let built = binary::cache("workloads");
    let within_reach = |word: OsString| {
        if Path::new(&word).starts_with(&built) {
            user.within_reach(Path::new(&word)).into_os_string()
        } else {
            word
        }
    };
    argv.into_iter().map(within_reach).collect()
}

/// Runs a list of workloads as an ordinary user; where that takes rights, in a user
/// namespace in which the user has them.
fn check_table(workloads: &[Workload], wrapper: &[&str]) {
    check_each(workloads, NEEDS, |project, workload| {
        project.init();
        let user = OrdinaryUser::of(project);
        let mut words: Vec<_> = wrapper.iter().map(OsString::from).collect();
        words.extend(argv(&user, workload.argv()));
        let told = Transcript::of(
            user.roar_command()
                .args(["run", "-q", "--tracer", "seccomp"])
                .args(&words),
        );
        let may_fail = matches!(exception(workload), Some(NoCapability | IoUringRefused));
        if !may_fail && (told.code() != 0 || !told.stdout.is_empty()) {
            return Err(told.snapshot());
        }
        let record = Record::of(project, "@1");
        match exception(workload) {
            Some(NoCapability) => {
                let bare = Transcript::of(user.command(&words[0]).args(&words[1..]));
                let same = told.code() != 0 && told.code() == bare.code();
                return same.then_some(()).ok_or_else(|| told.snapshot());
            }
            Some(IoUringRefused) => {
                let notes = record.completeness()["notes"].to_string();
                let said = told.code() != 0 && notes.contains("io_uring was refused");
                return said
                    .then_some(())
                    .ok_or_else(|| format!("{notes}\n{}", told.snapshot()));
            }
            Some(OpenedIsRead(_)) | None => {}
        }
        let mut right = workload.expected.clone();
        if let Some(OpenedIsRead(path)) = exception(workload) {
            if !right.inputs.insert(PathBuf::from(path)) {
                return Err("the exception is none".to_owned());
            }
            let entry = record.entry("inputs", &project.path(path));
            if entry["basis"] != "opened" {
                return Err(format!("not said to be inferred: {entry:#}"));
            }
        }
        compare(&record.files_under(project.root()), &right)?;
        if !record.is_complete() {
            return Err(format!("completeness: {:#}", record.completeness()));
        }
        Ok(())
    });
}

#[test]
fn transfers() {
    check_table(&table::transfers(), &[]);
}

#[test]
fn mappings() {
    check_table(&table::mappings(), &[]);
}

#[test]
fn copies() {
    check_table(&table::copies(), &[]);
}

#[test]
fn opens() {
    check_table(&table::opens(), &[]);
}

#[test]
fn names() {
    check_table(&table::names(), &[]);
}

#[test]
fn descriptors() {
    check_table(&table::descriptors(), &[]);
}

#[test]
fn paths() {
    check_table(&table::paths(), &[]);
}

#[test]
fn processes() {
    check_table(&table::processes(), &[]);
    check_table(&[table::many(1_009)], &[]);
}

#[test]
fn rings() {
    check_table(&table::rings(), &[]);
}

#[test]
fn silent() {
    check_table(&table::silent(), &[]);
}

#[test]
fn file_systems() {
    check_table(&table::file_systems(), &[]);
}

#[test]
fn namespaces() {
    check_table(
        &table::namespaces(),
        &["unshare", "--user", "--map-root-user"],
    );
}

#[test]
fn tools() {
    if !met(NEEDS) {
        return;
    }
    for tool in tools::all() {
        let name = tool.name;
        let project = Project::empty();
        (tool.set_up)(&project);
        project.init();
        let user = OrdinaryUser::of(&project);
        let mut run = user.roar_command();
        run.args(["run", "-q", "--tracer", "seccomp"]);
        Transcript::of(run.args(argv(&user, tool.argv()))).succeeds();
        let record = Record::of(&project, "@1");
        let recorded = record.files_under(project.root()).without_git();
        if let Some(truth) = &tool.truth {
            compare(&recorded, truth).unwrap_or_else(|text| panic!("{name}:\n{text}"));
        }
        assert!(record.is_complete(), "{name}: {:#}", record.completeness());
    }
}

/// A pipeline of four steps: the same steps on each other, the same files with the same hashes,
/// through eBPF and, as an ordinary user, through seccomp.
#[test]
fn a_pipeline_is_the_same_through_both() {
    const STEPS: &[&str] = &[
        "mkdir data; for i in 1 2 3; do seq $i 7 1009 > data/$i; done",
        "sort -n data/1 data/2 data/3 > temporary; mv temporary sorted",
        // Until another change of the model would show in its time: what is hashed sooner is not
        // kept for the next step, which changes the model as soon as it has read it.
        "python3 -B train.py sorted model.json
         while [ $(($(date +%s%N) - $(date -r model.json +%s%N))) -lt 20000000 ]; do :; done",
        "sed -i s/mean/average/ model.json; gzip -kn model.json; cp model.json.gz final.gz",
    ];
    const TRAIN: &str = "import json, sys\n\
        values = [int(line) for line in open(sys.argv[1])]\n\
        json.dump({'mean': sum(values) / len(values)}, open(sys.argv[2], 'w'))\n";
    let needs = [Need::Bpf, Need::Program("python3"), Need::Program("gzip")];
    if !met(NEEDS) || !met(&needs) {
        return;
    }
    let told = ["ebpf", "seccomp"].map(|tracer| {
        let project = Project::new();
        project.write("train.py", TRAIN);
        let user = OrdinaryUser::of(&project);
        for step in STEPS {
            let mut run = match tracer {
                "ebpf" => project.roar_command(),
                _ => user.roar_command(),
            };
            run.args(["run", "-q", "--tracer", tracer, "sh", "-c", step]);
            Transcript::of(&mut run).succeeds();
        }
        let mut text = String::new();
        let dag = project.roar(["dag", "--json"]).succeeds().json();
        for node in dag["nodes"].as_array().expect("a list of steps") {
            let facts = ["step_number", "state", "metrics", "dependencies"];
            writeln!(text, "{:?}", facts.map(|fact| node[fact].to_string()))
                .expect("a string takes all");
        }
        for step in 1..=STEPS.len() {
            let record = Record::of(&project, &format!("@{step}"));
            assert_eq!(record.completeness()["backend"], tracer);
            assert!(record.is_complete(), "{:#}", record.completeness());
            for (list, paths) in [("inputs", record.inputs()), ("outputs", record.outputs())] {
                for path in paths {
                    let hash = &record.entry(list, &path)["hash"];
                    let path = path.strip_prefix(project.root()).unwrap_or(&path);
                    writeln!(text, "{step} {list} {} {hash}", path.display())
                        .expect("a string takes all");
                }
            }
        }
        text
    });
    assert_eq!(told[0], told[1]);
    assert!(told[0].contains("4 outputs final.gz \""), "{}", told[0]);
}
