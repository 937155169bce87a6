//! A command under the seccomp tracer, as an ordinary user: it does what it does without.
#![cfg(target_os = "linux")]

use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, ExitStatus, Stdio};

use roar_tests::binary;
use roar_tests::project::Project;
use roar_tests::record::Record;
use roar_tests::require::{Need, met};
use roar_tests::terminal::Terminal;
use roar_tests::transcript::Transcript;
use roar_tests::user::OrdinaryUser;
use roar_tests::workload::Build;
use roar_tests::workload::program;
use rustix::process::{Pid, Signal, kill_process};

const NEEDS: &[Need] = &[Need::Root, Need::Program("setpriv"), Need::Program("bash")];

/// A command of the user, bare and under roar.
fn both(user: &OrdinaryUser<'_>, argv: &[&str]) -> [Command; 2] {
    let mut bare = user.command(argv[0]);
    bare.args(&argv[1..]);
    let mut traced = user.roar_command();
    traced.args(["run", "-q", "--tracer", "seccomp"]).args(argv);
    [bare, traced]
}

/// As a shell tells it: roar exits with 128 + N where the bare command dies by signal N.
fn code(status: ExitStatus) -> i32 {
    status
        .code()
        .or(status.signal().map(|n| 128 + n))
        .expect("it ended")
}

#[test]
fn control_c_ends_it() {
    if !met(NEEDS) {
        return;
    }
    for script in [
        "echo ready; exec sleep 1000",
        "trap 'echo caught; exit 7' INT; echo ready; read -r x",
    ] {
        let project = Project::new();
        let user = OrdinaryUser::of(&project);
        let codes = both(&user, &["bash", "-c", script]).map(|command| {
            let mut terminal = Terminal::start(&command);
            terminal.wait_for("ready");
            terminal.type_in("\u{3}");
            let (status, shown) = terminal.finish();
            (code(status), shown.matches("caught").count())
        });
        assert_eq!(codes[0], codes[1], "{script}");
        let record = Record::of(&project, "@1");
        assert_eq!(record.json["interrupted"], true, "{:#}", record.json);
    }
}

/// Types into an interactive shell: each of the lines after what must have been shown.
fn converse(user: &OrdinaryUser<'_>, steps: &[(&str, &str)]) -> String {
    let mut shell = user.command("timeout");
    shell
        .args(["--foreground", "60", "bash"])
        .args(["--norc", "--noprofile", "-i"])
        .env("PS1", "ready> ")
        // No escapes between what is typed and what is shown.
        .env("TERM", "dumb");
    let mut terminal = Terminal::start(&shell);
    for (shown, keys) in steps {
        terminal.wait_for(shown);
        terminal.type_in(keys);
    }
    terminal.finish().1
}

#[test]
fn job_control_works() {
    const WAIT: &str = "until [ -n \"$(jobs -s)\" ]; do sleep 0.05; done; echo is\"\" stopped\n";
    if !met(NEEDS) {
        return;
    }
    let project = Project::new();
    let user = OrdinaryUser::of(&project);
    project.write(
        "ask",
        "echo asks; read -r line; echo \"got $line\"; exit 5\n",
    );
    let roar = user.within_reach(binary::roar());
    let traced = format!("{} run -q --tracer seccomp bash ask", roar.display());
    for line in ["bash ask", &traced] {
        // The shell shows the job that it puts in front.
        let in_front = format!("fg\r\n{line}");
        for (start, stop) in [
            (format!("{line}\n"), "\u{1a}"),
            // A reader in the background is stopped by the terminal.
            (format!("{line} &\n"), WAIT),
        ] {
            let is_stopped = if stop == WAIT {
                "is stopped"
            } else {
                "Stopped"
            };
            let shown = converse(
                &user,
                &[
                    ("ready> ", &start),
                    ("asks", stop),
                    (is_stopped, "fg\n"),
                    (&in_front, "one\n"),
                    ("got one", "echo status $?; exit\n"),
                ],
            );
            assert!(shown.contains("status 5"), "{start}: {shown}");
        }
    }
}

/// What the workload says: how many of its opens were interrupted, by how many signals.
fn interrupted_of(mut command: Command) -> (u64, u64) {
    let told = Transcript::of(&mut command);
    let line = told.succeeds().stdout_text();
    let (calls, signals) = line.trim().split_once(' ').expect("two numbers");
    let number = |text: &str| text.parse().expect("a number");
    (number(calls), number(signals))
}

/// The number of interrupted calls that the record speaks of.
fn interrupted_by_record(record: &Record) -> u64 {
    let notes = record.completeness()["notes"]
        .as_array()
        .expect("a list")
        .clone();
    let mut notes = notes
        .iter()
        .filter_map(|note| note.as_str())
        .filter(|note| note.contains("interrupted by signals"));
    let Some(note) = notes.next() else { return 0 };
    assert_eq!(notes.next(), None, "one note says it all");
    match note.rsplit_once('(') {
        Some((_, count)) if count.ends_with(" times)") => count
            .trim_end_matches(" times)")
            .parse()
            .expect("a number of times"),
        _ => 1,
    }
}

/// A signal leaves a call alone from the moment on in which the tracer has taken it; before,
/// while it waits its turn, the kernel lets the signal interrupt it. How often that is depends
/// on how soon the tracer gets to run; but each one is counted, and told.
#[test]
fn calls_that_signals_interrupt_are_counted() {
    if !met(NEEDS) || !met(&[Need::Program("gcc")]) {
        return;
    }
    let project = Project::new();
    project.write("in", "input");
    let user = OrdinaryUser::of(&project);
    let workload = user.within_reach(&program::path("interrupt", Build::Dynamic));
    let workload = workload.to_string_lossy();
    let [bare, traced] = both(&user, &[&workload, "opens", "in", "5000"]).map(interrupted_of);
    assert_eq!(bare.0, 0, "no open of a regular file is interrupted");
    let record = Record::of(&project, "@1");
    // Were a signal able to interrupt a call that was taken, more calls would fail than numbers
    // of notifications are missing.
    assert_eq!(traced.0, interrupted_by_record(&record), "{traced:?}");
    let (calls, signals) = traced;
    assert!(calls <= signals, "{traced:?}");
    assert!(record.is_complete(), "{:#}", record.completeness());
    assert_eq!(record.files_under(project.root()).describe(), "  in  in\n");
}

#[test]
fn pipes_by_name_do_not_hang() {
    if !met(NEEDS) {
        return;
    }
    let project = Project::new();
    project.write("in", "input");
    let user = OrdinaryUser::of(&project);
    let script = "mkfifo pipe; cat pipe > out & cat in > pipe; wait; exec 3<> pipe; rm pipe";
    for mut command in both(&user, &["timeout", "60", "bash", "-c", script]) {
        Transcript::of(&mut command).succeeds();
        assert_eq!(project.read("out"), b"input");
        std::fs::remove_file(project.path("out")).expect("it was made");
    }
}

/// Needs root, for `/dev/fuse` is not everybody's.
#[test]
fn a_file_system_of_its_own_does_not_hang() {
    let is_missing = !std::path::Path::new("/dev/fuse").exists();
    if !met(NEEDS) || !met(&[Need::Program("gcc"), Need::FileSystem("fuse")]) || is_missing {
        return;
    }
    let project = Project::new();
    project.write("in", "input");
    std::fs::create_dir(project.path("folder")).expect("one's own folder can be filled");
    let workload = program::path("fuse", Build::Dynamic);
    let mut command = project.command("timeout");
    command
        .arg("60")
        .arg(binary::roar())
        .args(["run", "-q", "--tracer", "seccomp"])
        .arg(workload)
        .args(["serve", "folder", "in", "out"]);
    Transcript::of(&mut command).succeeds();
    assert_eq!(project.read("out"), b"served by the command itself\n");
    let record = Record::of(&project, "@1");
    let files = record.files_under(project.root()).describe();
    // What could not be looked at in time is named.
    assert!(
        files == "  in  folder/file\n  in  in\n  out out\n" || !record.is_complete(),
        "{:#}",
        record.json
    );
}

/// The guard takes over from a tracer that is killed: every later program still starts.
#[test]
fn the_command_outlives_its_tracer() {
    if !met(NEEDS) {
        return;
    }
    let project = Project::new();
    let user = OrdinaryUser::of(&project);
    let script = "failed=0; for i in $(seq 3000); do /bin/true || failed=$((failed+1)); \
                  [ $i = 100 ] && echo started; done; echo failed $failed";
    let [_, mut command] = both(&user, &["bash", "-c", script]);
    let mut roar = command
        .stdout(Stdio::piped())
        .spawn()
        .expect("roar can be started");
    let mut told = BufReader::new(roar.stdout.take().expect("it is piped"));
    let mut line = String::new();
    told.read_line(&mut line)
        .expect("the command says that it started");
    assert_eq!(line, "started\n");
    // setpriv has become roar.
    kill_process(Pid::from_child(&roar), Signal::KILL).expect("a child can be killed");
    roar.wait().expect("a child can be waited for");
    let mut rest = String::new();
    told.read_to_string(&mut rest)
        .expect("the command's words can be read");
    assert_eq!(rest, "failed 0\n");
    // The next run says that a job was lost.
    let mut next = user.roar_command();
    Transcript::of(next.args(["run", "--tracer", "seccomp", "true"]))
        .succeeds()
        .says("was lost");
}
