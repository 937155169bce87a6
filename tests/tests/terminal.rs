//! Terminals and signals: a command under `roar run` behaves as it does without.
#![cfg(target_os = "linux")]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Stdio};

use roar_tests::binary::roar;
use roar_tests::project::Project;
use roar_tests::record::Record;
use roar_tests::require::{Need, met};
use roar_tests::terminal::Terminal;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// Counts signals; tells of each; ends at SIGTERM with the count. Waits for them blocked: a
/// handler may run just before the wait begins.
const COUNTER: &str = "\
import os, signal, sys
awaited = {signal.SIGTERM, getattr(signal, sys.argv[2])}
signal.pthread_sigmask(signal.SIG_BLOCK, awaited)
if sys.argv[1] == 'own':
    os.setpgrp()
print('ready', flush=True)
count = 0
while signal.sigwait(awaited) != signal.SIGTERM:
    count += 1
    print('heard', count, flush=True)
sys.exit(count)
";

fn needs() -> bool {
    met(&[Need::Bpf, Need::Program("python3"), Need::Program("bash")])
}

/// An interactive shell on a terminal, where `$ROAR` is roar. It leaves the terminal's modes alone:
/// what is typed while they change may be lost.
fn shell(project: &Project) -> Terminal {
    let mut command = project.command("bash");
    command
        .args(["--norc", "--noprofile", "--noediting", "-i"])
        .env("ROAR", roar())
        .env("PS1", "prompt> ");
    let mut terminal = Terminal::start(&command);
    terminal.wait_for("prompt> ");
    terminal
}

#[test]
fn stopped_by_a_key_and_continued() {
    if !needs() {
        return;
    }
    let project = Project::new();
    let mut terminal = shell(&project);
    terminal.type_in(
        "$ROAR run -q sh -c 'echo $$ > pid; echo rea\"\"dy; read line; echo \"$line\" > out'\n",
    );
    terminal.wait_for("ready");
    terminal.type_in("\u{1a}");
    terminal.wait_for("Stopped");
    terminal.wait_for("prompt> ");
    // The shell hears of it when roar stops, which is after its command.
    let pid = String::from_utf8(project.read("pid")).expect("a number");
    assert!(is_stopped(pid.trim()));
    terminal.type_in("fg\n");
    // The shell shows what it continues.
    terminal.wait_for("fg\r\n");
    terminal.wait_for("run -q");
    terminal.type_in("hello\n");
    terminal.type_in("echo status $?; exit\n");
    terminal.wait_for("status 0");
    terminal.finish();
    assert_eq!(project.read("out"), b"hello\n");
    assert_eq!(Record::newest(&project).json["interrupted"], false);
}

/// Whether a process is stopped.
fn is_stopped(process: &str) -> bool {
    fs::read_to_string(format!("/proc/{process}/status"))
        .expect("it lives")
        .contains("State:\tT")
}

fn wait_until_stopped(process: &str, stopped: bool) {
    while is_stopped(process) != stopped {
        std::thread::yield_now();
    }
}

/// A command that takes no notice of the key is not stopped, and roar is not either.
#[test]
fn a_command_that_does_not_stop() {
    if !needs() {
        return;
    }
    let project = Project::new();
    let mut terminal = shell(&project);
    terminal.type_in(
        "$ROAR run -q sh -c 'trap \"\" TSTP; echo rea\"\"dy; read line; echo \"$line\" > out'\n",
    );
    terminal.wait_for("ready");
    terminal.type_in("\u{1a}");
    terminal.type_in("hello\n");
    terminal.type_in("echo status $?; exit\n");
    terminal.wait_for("status 0");
    let (_, shown) = terminal.finish();
    assert!(!shown.contains("Stopped"), "{shown}");
    assert_eq!(project.read("out"), b"hello\n");
}

/// Who stops or continues roar alone stops or continues the command, and roar with it.
#[test]
fn stopped_and_continued_without_a_terminal() {
    if !needs() {
        return;
    }
    for signal in [Signal::TSTP, Signal::TTIN, Signal::TTOU] {
        let project = Project::new();
        // The group of a child whose parent is of another group of the session: no orphan, whose
        // processes the kernel would not stop.
        let mut roar = project
            .roar_command()
            .args(["run", "-q", "sh", "-c", "echo $$; read line"])
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("roar can be started");
        let mut lines = BufReader::new(roar.stdout.take().expect("it is piped")).lines();
        let command = lines.next().expect("the command speaks").expect("in text");
        let observer = roar.id().to_string();
        let process = Pid::from_child(&roar);
        kill_process(process, signal).expect("roar lives");
        wait_until_stopped(&observer, true);
        assert!(is_stopped(&command), "{signal:?}");
        kill_process(process, Signal::CONT).expect("roar lives");
        wait_until_stopped(&observer, false);
        wait_until_stopped(&command, false);
        drop(roar.stdin.take());
        assert_eq!(ended_with(roar), 1, "{signal:?}");
        assert_eq!(Record::newest(&project).json["interrupted"], false);
    }
}

/// A batch system that stops its command, and continues just that, does not stop roar.
#[test]
fn only_the_command_is_stopped() {
    if !needs() {
        return;
    }
    let project = Project::new();
    let mut command = project.roar_command();
    command.args(["run", "-q", "sh", "-c"]).arg(
        "(while ! grep -q 'State:.T' /proc/$$/status; do :; done; kill -CONT $$) & \
         kill -STOP $$; wait; exit 5",
    );
    let roar = command
        .process_group(0)
        .stdout(Stdio::null())
        .spawn()
        .expect("roar can be started");
    assert_eq!(ended_with(roar), 5);
}

/// A command in the background that reads from the terminal is stopped, and waits for `fg`.
#[test]
fn reading_in_the_background() {
    if !needs() {
        return;
    }
    let project = Project::new();
    let mut terminal = shell(&project);
    // Tells of a stopped job at once, and not before the next prompt.
    terminal.type_in("set -b\n");
    terminal.type_in("$ROAR run -q sh -c 'read line; echo \"$line\" > out' &\n");
    terminal.wait_for("Stopped");
    terminal.type_in("fg\n");
    // The shell shows what it continues.
    terminal.wait_for("fg\r\n");
    terminal.wait_for("run -q");
    terminal.type_in("hello\n");
    terminal.type_in("echo status $?; exit\n");
    terminal.wait_for("status 0");
    terminal.finish();
    assert_eq!(project.read("out"), b"hello\n");
}

#[test]
fn a_window_that_changes_its_size() {
    if !needs() {
        return;
    }
    let project = Project::new();
    let script = "\
import os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGWINCH})
print('was', *os.get_terminal_size(), flush=True)
signal.sigwait({signal.SIGWINCH})
print('now', *os.get_terminal_size(), flush=True)
sys.exit(3)
";
    let mut command = project.roar_command();
    command.args(["run", "-q", "python3", "-c", script]);
    let mut terminal = Terminal::start(&command);
    terminal.wait_for("was 80 24");
    terminal.resize(30, 100);
    terminal.wait_for("now 100 30");
    let (status, shown) = terminal.finish();
    assert_eq!(status.code(), Some(3), "{shown}");
    assert_eq!(shown.matches("now").count(), 1, "{shown}");
}

#[test]
fn an_editor_on_a_terminal() {
    if !met(&[Need::Bpf, Need::Program("vim")]) {
        return;
    }
    let project = Project::new();
    project.write("in", "first\nsecond\n");
    let mut command = project.roar_command();
    command
        .args(["run", "-q", "vim", "-u", "NONE", "in"])
        .env("TERM", "xterm");
    let mut terminal = Terminal::start(&command);
    terminal.wait_for("second");
    terminal.type_in("dd:wq\r");
    let (status, shown) = terminal.finish();
    assert!(status.success(), "{shown}");
    assert_eq!(project.read("in"), b"second\n");
    let files = Record::newest(&project).files_under(project.root());
    assert_eq!(files.describe(), "  in  in\n  out in\n");
}

/// What stands on the screen is byte for byte the same.
#[test]
fn a_screen_looks_the_same() {
    if !needs() {
        return;
    }
    let bar = "import sys, time\nfor i in range(101):\n  sys.stderr.write(f'\\r{i:3}%|' + '#' * (i // 4)); sys.stderr.flush()\nsys.stderr.write('\\n'); print(sys.stdout.isatty(), sys.stdin.isatty())";
    for argv in [
        &["python3", "-c", bar][..],
        &["ls", "--color=auto", "/"],
        &["stty", "-a"],
        &[
            "sh",
            "-c",
            "tty; tput cols 2>&1; ps -o stat= -p $$ | tr -d RSs",
        ],
    ] {
        let shown = ["bare", "roar"].map(|how| {
            let project = Project::new();
            let mut command = match how {
                "bare" => project.command(argv[0]),
                _ => project.command(roar()),
            };
            match how {
                "bare" => command.args(&argv[1..]),
                _ => command.args(["run", "-q"]).args(argv),
            };
            command.env("TERM", "xterm");
            let (status, shown) = Terminal::start(&command).finish();
            // The name of the terminal is its own.
            let shown: Vec<_> = shown
                .lines()
                .map(|line| match line.strip_prefix("/dev/pts/") {
                    Some(_) => "/dev/pts/N".to_owned(),
                    None => line.to_owned(),
                })
                .collect();
            (status.code(), shown)
        });
        assert_eq!(shown[0], shown[1], "{argv:?}");
    }
}

/// The line breaks: the command hears of it once, and what it then does is recorded.
#[test]
fn a_terminal_that_hangs_up() {
    if !needs() {
        return;
    }
    let script = "\
import signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
print('rea' + 'dy', flush=True)
signal.sigwait({signal.SIGHUP})
open('out', 'a').write(open('in').read())
sys.exit(4)
";
    // roar as the leader of the session, as in a window of its own.
    let project = Project::new();
    project.write("in", "input\n");
    project.write("script.py", script);
    let mut command = project.roar_command();
    command.args(["run", "-q", "python3", "script.py"]);
    let mut terminal = Terminal::start(&command);
    terminal.wait_for("ready");
    let status = terminal.hang_up();
    assert_eq!(status.code(), Some(4));
    check_hung_up(&project);

    // roar as a job of a shell, which passes the news on to its jobs and goes.
    let project = Project::new();
    project.write("in", "input\n");
    project.write("script.py", script);
    let mut terminal = shell(&project);
    terminal.type_in("exec 9> lock; flock 9; $ROAR run -q python3 script.py\n");
    terminal.wait_for("ready");
    terminal.hang_up();
    // roar holds the lock until it has ended.
    project.run("flock", ["lock", "true"]);
    check_hung_up(&project);
}

#[track_caller]
fn check_hung_up(project: &Project) {
    assert_eq!(project.read("out"), b"input\n");
    let record = Record::newest(project);
    assert_eq!(record.json["exit_code"], 4);
    assert_eq!(record.json["interrupted"], true);
    let files = record.files_under(project.root());
    assert_eq!(files.describe(), "  in  in\n  in  script.py\n  out out\n");
}

/// Whoever is signalled, roar, its whole group, or both alike, the command hears it once.
#[test]
fn a_signal_reaches_the_command_once() {
    if !needs() {
        return;
    }
    for (group, signal, name) in [
        ("same", Signal::INT, "SIGINT"),
        ("same", Signal::HUP, "SIGHUP"),
        ("same", Signal::QUIT, "SIGQUIT"),
        ("same", Signal::USR1, "SIGUSR1"),
        ("same", Signal::WINCH, "SIGWINCH"),
        ("same", Signal::CONT, "SIGCONT"),
        ("same", Signal::TSTP, "SIGTSTP"),
        ("own", Signal::INT, "SIGINT"),
        ("own", Signal::USR1, "SIGUSR1"),
        ("own", Signal::WINCH, "SIGWINCH"),
        ("own", Signal::TSTP, "SIGTSTP"),
    ] {
        let project = Project::new();
        let mut roar = project
            .roar_command()
            .args(["run", "-q", "python3", "-c", COUNTER, group, name])
            .process_group(0)
            .stdout(Stdio::piped())
            .spawn()
            .expect("roar can be started");
        let mut lines = BufReader::new(roar.stdout.take().expect("it is piped")).lines();
        let mut next = || lines.next().expect("the command speaks").expect("in text");
        assert_eq!(next(), "ready");
        let process = Pid::from_child(&roar);
        // A second signal to the group, after one to roar alone: each counts.
        for (count, to_group) in [(1, true), (2, false), (3, true)] {
            if to_group {
                kill_process_group(process, signal).expect("the group lives");
            } else {
                kill_process(process, signal).expect("roar lives");
            }
            assert_eq!(next(), format!("heard {count}"), "{name}, {group}");
            wait_until_taken(process);
        }
        // A higher number: what roar still had to pass on comes before it.
        kill_process(process, Signal::TERM).expect("roar lives");
        assert_eq!(ended_with(roar), 3, "{name}, {group}");
        assert_eq!(Record::newest(&project).json["exit_code"], 3);
    }
}

/// Signals of one kind do not queue: two that are pending at once are one.
fn wait_until_taken(process: Pid) {
    let status = format!("/proc/{}/status", process.as_raw_nonzero());
    while fs::read_to_string(&status)
        .expect("roar lives")
        .lines()
        .filter_map(|line| line.strip_prefix("ShdPnd:"))
        .any(|mask| mask.trim().contains(|digit| digit != '0'))
    {
        std::thread::yield_now();
    }
}

fn ended_with(mut roar: Child) -> i32 {
    let status = roar.wait().expect("a child can be waited for");
    status.code().expect("it was not killed")
}
