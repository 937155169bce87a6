//! What is lost is counted, and what roar leaves behind when it is killed.
#![cfg(target_os = "linux")]

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::process::Stdio;

use roar_tests::mount::Mount;
use roar_tests::programs;
use roar_tests::project::Project;
use roar_tests::record::Record;
use roar_tests::require::{Need, met, require_bpf};
use roar_tests::transcript::Transcript;
use roar_tests::workload::{Build, program};
use rustix::process::{Pid, Signal, kill_process};

/// A prime, so that no block or batch size divides it.
const FILES: usize = 4999;

/// The command stops roar, its parent: nobody empties the ring meanwhile.
const STALL: &str = "kill -STOP $PPID";
const GO_ON: &str = "kill -CONT $PPID";

#[test]
fn a_tiny_ring_reports_exactly_what_it_lost() {
    if !require_bpf() {
        return;
    }
    let project = Project::new();
    for number in 0..FILES {
        project.write(format!("data/{number}"), number.to_string());
    }
    for ring in ["4096", "8192", "16384"] {
        let script = format!("{STALL}; cat data/* > all-{ring}; {GO_ON}");
        let mut command = project.roar_command();
        command
            .env("ROAR_RING_BYTES", ring)
            .args(["run", "-q", "sh", "-c", &script]);
        Transcript::of(&mut command).succeeds();
        let record = Record::newest(&project);
        let recorded = record.files_under(&project.path("data")).inputs.len();
        let lost = &record.completeness()["lost_events"];
        let lost_files = usize::try_from(lost["file"].as_u64().unwrap_or(0)).expect("a count");
        let system = record.filtered().len();
        assert!(
            (FILES..FILES + 200).contains(&(recorded + lost_files)),
            "ring of {ring}: {recorded} recorded, {lost_files} lost, {system} filtered"
        );
        assert_eq!(
            record.is_complete(),
            lost.as_object().is_none_or(serde_json::Map::is_empty)
        );
        assert!(lost_files > 0, "a ring of {ring} was not tiny enough");
    }
}

/// Eight writers at full speed: the default ring takes it all. `cargo xtask storm` has the larger ones.
#[test]
fn a_storm_of_files_loses_nothing() {
    const WRITERS: usize = 8;
    const FILES_EACH: usize = 5000;
    if !met(&[Need::Bpf, Need::FileSystem("tmpfs"), Need::Program("gcc")]) {
        return;
    }
    let memory = Mount::new("tmpfs");
    let project = Project::under(&memory.path());
    project.init();
    let writers = program::path("process", Build::Dynamic);
    let numbers = [WRITERS, FILES_EACH].map(|number| number.to_string());
    let mut command = project.roar_command();
    command
        .args(["run", "-q"])
        .arg(writers)
        .args(["storm", &numbers[0], &numbers[1], "made"]);
    roar_tests::transcript::Transcript::of(&mut command).succeeds();
    let record = Record::of(&project, "@1");
    let made: BTreeSet<_> = (0..WRITERS)
        .flat_map(|writer| (0..FILES_EACH).map(move |file| format!("made/{writer}/{file}").into()))
        .collect();
    assert!(record.is_complete(), "{:#}", record.completeness());
    let recorded = record.files_under(project.root());
    assert_eq!(recorded.outputs.len(), made.len());
    assert!(recorded.outputs == made && recorded.inputs.is_empty());
}

/// Processes that the kernel side has no room for, and what they do, are unseen; the record says
/// how many.
#[test]
fn more_processes_than_there_is_room_for() {
    if !require_bpf() {
        return;
    }
    let project = Project::new();
    project.write("in", "input");
    // Each shell waits for one within it, seven deep, then makes a file for another process to
    // fill. With room for four there is none for the fourth shell below the first, and what is
    // below it, nor for the process that fills the file of the third, which that shell makes.
    let script = "f() { if [ $1 -gt 0 ]; then (f $(($1 - 1)); cat in > out.$1; :); fi; }; f 7; :";
    for (room, outputs, lost) in [(64, 7, 0), (4, 3, 2)] {
        let mut command = project.roar_command();
        command
            .env("ROAR_PROCESSES", room.to_string())
            .args(["run", "-q", "sh", "-c", script]);
        Transcript::of(&mut command).succeeds();
        let record = Record::newest(&project);
        let files = record.files_under(project.root());
        assert_eq!(files.outputs.len(), outputs, "{}", files.describe());
        let untracked = &record.completeness()["lost_events"]["untracked_process"];
        assert_eq!(untracked.as_u64().unwrap_or(0), lost);
        assert_eq!(record.is_complete(), lost == 0);
    }
}

/// Of a path that is longer than a record holds, the record says that it is cut.
#[test]
fn a_path_that_is_cut() {
    if !met(&[Need::Bpf, Need::Program("python3")]) {
        return;
    }
    let project = Project::new();
    let script = "\
import os
for _ in range(40):
    os.mkdir('d' * 250)
    os.chdir('d' * 250)
open('out', 'w').write('x')
";
    let argv = ["run", "-q", "python3", "-c", script];
    project.roar(argv).succeeds();
    let record = Record::newest(&project);
    assert_eq!(record.completeness()["truncated_paths"], 1);
    assert!(!record.is_complete(), "{:#}", record.completeness());
}

#[test]
fn loss_can_be_made_a_failure() {
    if !require_bpf() {
        return;
    }
    let project = Project::new();
    for number in 0..FILES {
        project.write(format!("data/{number}"), "");
    }
    project
        .roar(["config", "set", "tracer.on_loss", "fail"])
        .succeeds();
    let mut command = project.roar_command();
    command
        .env("ROAR_RING_BYTES", "4096")
        .args(["run", "-q", "sh", "-c"])
        .arg(format!("{STALL}; cat data/* > all; {GO_ON}"));
    roar_tests::transcript::Transcript::of(&mut command)
        .exits(1)
        .says("events were lost");
}

/// Killed at once, roar leaves no program in the kernel and a job that is called lost; the
/// command runs on to its own end.
#[test]
fn killed_roar_leaves_nothing_but_a_lost_job() {
    if !met(&[Need::Bpf, Need::Program("bpftool")]) {
        return;
    }
    let project = Project::new();
    let mut command = project.roar_command();
    command.args([
        "run",
        "sh",
        "-c",
        "echo started; read line; echo $line > out",
    ]);
    // A group of its own: the kernel tells nobody else of its end.
    command
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut roar = command.spawn().expect("roar starts");
    let mut started = String::new();
    BufReader::new(roar.stdout.as_mut().expect("piped"))
        .read_line(&mut started)
        .expect("the command speaks");
    assert_eq!(started, "started\n");
    // Waiting for roar would close it.
    let mut input = roar.stdin.take().expect("piped");
    let programs = programs::held_by(roar.id());
    assert!(
        !programs.is_empty(),
        "roar holds its programs while it runs"
    );
    assert!(
        programs.iter().all(|id| programs::is_loaded(id)),
        "{programs:?}"
    );
    kill_process(Pid::from_child(&roar), Signal::KILL).expect("roar is there");
    roar.wait().expect("reaped");
    programs::wait_until_gone(&programs);

    // The command did not notice: it still gets its line, and writes it.
    std::io::Write::write_all(&mut input, b"go on\n").expect("the command reads");
    drop(input);
    let mut rest = String::new();
    std::io::Read::read_to_string(roar.stdout.as_mut().expect("piped"), &mut rest)
        .expect("the command closes its output at its end");
    assert_eq!(project.read("out"), b"go on\n");

    let log = project.roar(["log", "--json"]).succeeds().json();
    let text = log.to_string();
    assert!(text.contains("\"lost\""), "{text}");
}
