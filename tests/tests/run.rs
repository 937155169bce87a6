//! `roar run` as the command and the caller see it: status, streams, signals, terminal.
#![cfg(target_os = "linux")]

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Stdio;
use std::thread;

use roar_tests::binary::roar;
use roar_tests::project::Project;
use roar_tests::record::Record;
use roar_tests::require::require_bpf;
use roar_tests::terminal::Terminal;
use roar_tests::transcript::Transcript;
use rustix::process::{Pid, Signal, kill_process};

/// How many jobs the project has recorded.
fn job_count(project: &Project) -> usize {
    let log = project
        .roar(["log", "--json", "-n", "1000"])
        .succeeds()
        .json();
    let jobs = log.as_array().or_else(|| log["jobs"].as_array());
    jobs.expect("a list of jobs").len()
}

#[test]
fn the_status_is_the_commands_own() {
    if !require_bpf() {
        return;
    }
    for (script, code) in [
        ("exit 0", 0),
        ("exit 3", 3),
        ("exit 255", 255),
        ("kill -TERM $$", 128 + 15),
        ("kill -KILL $$", 128 + 9),
        ("kill -SEGV $$", 128 + 11),
    ] {
        let project = Project::new();
        project.roar(["run", "sh", "-c", script]).exits(code);
        assert_eq!(job_count(&project), 1, "{script}");
        let record = Record::of(&project, "@1");
        if code > 128 && code < 255 {
            assert_eq!(record.json["signal"], code - 128, "{script}");
        } else {
            assert_eq!(record.json["exit_code"], code, "{script}");
        }
    }
}

#[test]
fn what_cannot_start_makes_no_job() {
    if !require_bpf() {
        return;
    }
    let project = Project::new();
    project.write("plain", "not a program");
    project.write_program("bad-interpreter", "#!/no/such/interpreter\n");
    for (program, code) in [
        ("no-such-program", 127),
        ("./no-such-file", 127),
        ("./plain", 126),
        ("./.roar", 126),
        ("./bad-interpreter", 127),
    ] {
        let told = project.roar(["run", program]);
        // A missing interpreter: the shells say 126 or 127.
        let fits = told.code() == code || program == "./bad-interpreter" && told.code() == 126;
        assert!(fits, "{program}: {}", told.snapshot());
        told.says(program);
    }
    assert_ne!(project.roar(["run"]).code(), 0);
    assert_eq!(job_count(&project), 0);
}

/// A gibibyte in and out again; held nowhere whole.
#[test]
fn a_gibibyte_passes_unchanged() {
    if !require_bpf() {
        return;
    }
    const BLOCKS: u64 = 1024;
    let project = Project::new();
    let mut child = project
        .roar_command()
        .args(["run", "-q", "cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("roar can be started");
    let mut input = child.stdin.take().expect("it is piped");
    let output = child.stdout.take().expect("it is piped");
    let (sent, received) = thread::scope(|scope| {
        let sent = scope.spawn(move || {
            let mut hasher = blake3::Hasher::new();
            let mut block = vec![0; 1 << 20];
            blake3::Hasher::new().finalize_xof().fill(&mut block);
            for number in 0..BLOCKS {
                block[..8].copy_from_slice(&number.to_le_bytes());
                hasher.update(&block);
                input.write_all(&block).expect("the command reads");
            }
            hasher.finalize()
        });
        let mut hasher = blake3::Hasher::new();
        let length = std::io::copy(&mut BufReader::with_capacity(1 << 20, output), &mut hasher);
        assert_eq!(length.expect("the command writes"), BLOCKS << 20);
        (sent.join().expect("it was sent"), hasher.finalize())
    });
    assert_eq!(sent, received);
    assert!(child.wait().expect("it ends").success());
}

/// Everything that a process gets from the one that starts it, but for what names it.
#[test]
fn the_command_finds_nothing_changed() {
    if !require_bpf() {
        return;
    }
    let project = Project::new();
    let script = "env | grep -v '^_=' | sort; pwd; umask; ulimit -a; ls /proc/self/fd; id; \
                  grep -E 'Sig(Blk|Ign)|NoNewPrivs|Seccomp:|Cap|^Groups|CoreDumping' /proc/self/status; \
                  ps -o ni= -p $$; cat /proc/self/oom_score_adj /proc/self/personality";
    let bare = Transcript::of(project.command("sh").args(["-c", script]));
    let run = project.roar(["run", "sh", "-c", script]);
    assert_eq!(run.stdout_text(), bare.stdout_text());
    assert_eq!(run.code(), bare.code());
}

#[test]
fn the_callers_redirections_are_the_commands() {
    if !require_bpf() {
        return;
    }
    let project = Project::new();
    project.write("in", "input\n");
    let line = format!(
        "'{}' run -q sh -c 'cat; cat none' < in > out 2> err",
        roar().display()
    );
    Transcript::of(project.command("sh").args(["-c", &line])).exits(1);
    let files = Record::newest(&project).files_under(project.root());
    assert_eq!(files.describe(), "  in  in\n  out err\n  out out\n");
}

/// The same under a caller that ignores signals or has closed descriptors.
#[test]
fn what_the_caller_ignores_or_closed_stays_so() {
    if !require_bpf() {
        return;
    }
    let project = Project::new();
    let look =
        "grep SigIgn /proc/self/status >&2; ls -l /proc/self/fd 2>&1 | grep -c null >&2; echo out";
    for (before, after) in [
        ("trap '' PIPE", ""),
        ("trap '' CHLD", ""),
        ("trap '' INT TERM HUP", ""),
        (":", ">&-"),
        (":", "<&-"),
        (":", "<&- >&-"),
    ] {
        let line = |roar: &str| {
            let line = format!("{before}; {roar} sh -c \"$0\" {after}");
            Transcript::of(project.command("bash").args(["-c", &line, look]))
        };
        let (bare, run) = (line(""), line(&format!("'{}' run -q", roar().display())));
        assert_eq!(run.snapshot(), bare.snapshot(), "{before} {after}");
        assert_eq!(Record::newest(&project).json["exit_code"], bare.code());
    }
    assert_eq!(job_count(&project), 6);
}

/// The caller's shell appends to a log: the log is an output, and no input of anybody.
#[test]
fn a_log_that_the_output_is_appended_to_is_an_output_only() {
    if !require_bpf() {
        return;
    }
    let project = Project::new();
    project.write("log", "earlier\n");
    let log = BTreeSet::from([project.path("log")]);
    let none = BTreeSet::new();
    for (script, inputs) in [("echo more", &none), ("echo more; head -n 1 log", &log)] {
        let line = format!("'{}' run -q sh -c '{script}' >> log", roar().display());
        Transcript::of(project.command("sh").args(["-c", &line])).succeeds();
        let job = Record::newest(&project);
        assert_eq!(&job.inputs(), inputs, "{script}");
        assert_eq!(job.outputs(), log, "{script}");
    }
}

#[test]
fn quiet_says_nothing() {
    if !require_bpf() {
        return;
    }
    let project = Project::new();
    let told = project.roar(["run", "-q", "sh", "-c", "echo out; echo err >&2"]);
    assert_eq!(told.stdout_text(), "out\n");
    assert_eq!(told.stderr_text(), "err\n");
    let told = project.roar(["run", "sh", "-c", "echo out; echo err >&2"]);
    assert_eq!(told.stdout_text(), "out\n");
    assert!(
        told.stderr_text().starts_with("err\n"),
        "{}",
        told.snapshot()
    );
    assert!(
        told.stderr.len() > 4,
        "the report is on stderr: {}",
        told.snapshot()
    );
}

#[test]
fn options_after_the_command_are_the_commands() {
    if !require_bpf() {
        return;
    }
    let project = Project::new();
    let told = project.roar(["run", "-q", "echo", "-n", "--help", "--", "-q", "--hash=x"]);
    assert_eq!(told.stdout_text(), "--help -- -q --hash=x");
}

#[test]
fn a_signal_to_roar_reaches_the_command() {
    if !require_bpf() {
        return;
    }
    for (signal, name, code) in [
        (Signal::TERM, "TERM", 9),
        (Signal::INT, "INT", 8),
        (Signal::HUP, "HUP", 7),
    ] {
        let project = Project::new();
        let script = format!(
            "trap 'cat in > out; exit {code}' {name}; echo ready; while :; do read -r x || sleep 1; done"
        );
        project.write("in", "input");
        let mut child = project
            .roar_command()
            .args(["run", "-q", "sh", "-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("roar can be started");
        // Kept open: the shell reads from it, and is interrupted there.
        let _stdin = child.stdin.take();
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("it is piped"))
            .read_line(&mut line)
            .expect("the command says that it is ready");
        assert_eq!(line, "ready\n");
        let pid = Pid::from_child(&child);
        kill_process(pid, signal).expect("a child can be signalled");
        let status = child.wait().expect("a child can be waited for");
        assert_eq!(status.code(), Some(code), "SIG{name}");
        let record = Record::of(&project, "@1");
        assert_eq!(
            record.json["interrupted"], true,
            "SIG{name}: {:#}",
            record.json
        );
        let files = record.files_under(project.root());
        assert_eq!(files.describe(), "  in  in\n  out out\n", "SIG{name}");
    }
}

#[test]
fn a_terminal_stays_a_terminal() {
    if !require_bpf() {
        return;
    }
    let project = Project::new();
    let script = "test -t 0 && test -t 1 && test -t 2 && stty size && read -r line && echo \"got $line\"; \
                  ps -o stat= -p $$";
    let mut command = project.roar_command();
    command.args(["run", "-q", "sh", "-c", script]);
    let mut terminal = Terminal::start(&command);
    terminal.wait_for("24 80");
    terminal.type_in("hello\n");
    terminal.wait_for("got hello");
    let (status, shown) = terminal.finish();
    assert!(status.success(), "{shown}");
    // `+`: in the foreground of its terminal.
    assert!(shown.trim_end().ends_with('+'), "{shown}");
}

#[test]
fn control_c_reaches_the_command_once() {
    if !require_bpf() {
        return;
    }
    let project = Project::new();
    let script =
        "trap 'echo caught' INT; echo ready; read -r x; read -r y; echo \"end $y\"; exit 7";
    let mut command = project.roar_command();
    command.args(["run", "-q", "bash", "-c", script]);
    let mut terminal = Terminal::start(&command);
    terminal.wait_for("ready");
    terminal.type_in("\u{3}");
    terminal.wait_for("caught");
    terminal.type_in("one\ntwo\n");
    let (status, shown) = terminal.finish();
    assert_eq!(shown.matches("caught").count(), 1, "{shown}");
    assert!(shown.contains("end "), "{shown}");
    assert_eq!(status.code(), Some(7), "{shown}");
    assert_eq!(Record::of(&project, "@1").json["interrupted"], true);
}

#[test]
fn runs_from_a_folder_below() {
    if !require_bpf() {
        return;
    }
    let project = Project::new();
    project.write("folder/in", "input");
    let mut command = project.roar_command();
    command
        .current_dir(project.path("folder"))
        .args(["run", "-q", "cp", "in", "out"]);
    Transcript::of(&mut command).succeeds();
    let record = Record::of(&project, "@1");
    assert_eq!(
        record.json["cwd"],
        project.path("folder").to_string_lossy().as_ref()
    );
    let files = record.files_under(project.root());
    assert_eq!(files.describe(), "  in  folder/in\n  out folder/out\n");
}

#[test]
fn the_same_step_again_keeps_its_number() {
    if !require_bpf() {
        return;
    }
    let project = Project::new();
    project.write("in", "input");
    for _ in 0..2 {
        project.roar(["run", "-q", "cp", "in", "out"]).succeeds();
    }
    project.roar(["run", "-q", "cp", "out", "out2"]).succeeds();
    let dag = project.roar(["dag", "--json"]).succeeds().json();
    assert_eq!(dag["total_steps"], 2, "{dag:#}");
    assert_eq!(job_count(&project), 3);
}
