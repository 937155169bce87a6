//! Many at once on one machine: each record holds what its own command did, and nothing else.
#![cfg(target_os = "linux")]

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Stdio};
use std::thread;

use roar_tests::binary::roar;
use roar_tests::project::Project;
use roar_tests::record::Record;
use roar_tests::require::{Need, met};
use roar_tests::transcript::Transcript;
use roar_tests::workload::{Build, program};
use rustix::process::{Pid, Signal, kill_process_group};

const JOBS: usize = 64;

/// Readers of everything, the jobs' own files included, until dropped.
struct Noise(Child);

impl Noise {
    fn around(project: &Project) -> Self {
        let script = "while :; do find . /usr/share /etc -xdev -type f -print0 | head -z -n 3000 \
                      | xargs -0 -P 2 -n 100 cat; done";
        let mut command = project.command("sh");
        command
            .args(["-c", script])
            .process_group(0)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Self(command.spawn().expect("a shell can be started"))
    }
}

impl Drop for Noise {
    fn drop(&mut self) {
        // The group is ours: nobody else is in it.
        let _ = kill_process_group(Pid::from_child(&self.0), Signal::KILL);
        let _ = self.0.wait();
    }
}

#[test]
fn sixty_four_jobs_beside_a_noisy_reader() {
    if !met(&[Need::Bpf]) {
        return;
    }
    let project = Project::new();
    for i in 0..JOBS {
        project.write(format!("in{i}"), format!("content {i}"));
    }
    let run = |i: usize| {
        let script = format!("cat in{i} > tmp{i} && mv tmp{i} out{i}");
        project.roar(["run", "-q", "-n", &format!("job{i}"), "sh", "-c", &script])
    };
    // What such a job touches besides: programs and libraries.
    run(0).succeeds();
    let usual = Record::newest(&project).filtered();
    let noise = Noise::around(&project);
    thread::scope(|scope| {
        for i in 0..JOBS {
            let run = &run;
            scope.spawn(move || run(i).succeeds().clone());
        }
    });
    drop(noise);
    let log = project
        .roar(["log", "--json", "-n", "1000"])
        .succeeds()
        .json();
    let jobs = log.as_array().or_else(|| log["jobs"].as_array());
    let jobs = jobs.expect("a list of jobs");
    assert_eq!(jobs.len(), JOBS + 1);
    let mut seen = Vec::new();
    for job in jobs {
        let record = Record::of(
            &project,
            job["job_uid"].as_str().expect("every job has one"),
        );
        let name = record.json["step_name"].as_str().expect("it was given");
        let number = name.strip_prefix("job").expect("it was given");
        let files = record.files_under(project.root()).describe();
        assert_eq!(files, format!("  in  in{number}\n  out out{number}\n"));
        // Its own temporary name is among what is kept out; nothing else is new.
        let temporary = project.path(format!("tmp{number}"));
        let foreign: Vec<_> = record
            .filtered()
            .difference(&usual)
            .filter(|path| **path != temporary)
            .cloned()
            .collect();
        assert!(foreign.is_empty(), "job {number}: {foreign:?}");
        assert!(record.is_complete(), "{:#}", record.completeness());
        seen.push(number.parse::<usize>().expect("a number"));
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen, (0..JOBS).collect::<Vec<_>>());
}

/// The arguments that have a program run under a certain process id.
fn take(pid: &str, command: &[&str]) -> Vec<OsString> {
    let taker = program::path("pids", Build::Dynamic).into_os_string();
    let mut argv = vec![taker, "take".into(), pid.into()];
    argv.extend(command.iter().map(OsString::from));
    argv
}

/// While a job runs, a stranger gets the process id that a process of the job had.
#[test]
fn a_strangers_process_with_a_jobs_id() {
    if !met(&[Need::Bpf, Need::Root, Need::Program("gcc")]) {
        return;
    }
    let project = Project::new();
    for name in ["in", "in2", "secret"] {
        project.write(name, name);
    }
    let script = "cat in > out & wait $!; echo $!; read line; cat in2 > out2";
    let mut job = project
        .roar_command()
        .args(["run", "-q", "sh", "-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("roar can be started");
    let mut pid = String::new();
    BufReader::new(job.stdout.take().expect("it is piped"))
        .read_line(&mut pid)
        .expect("the job tells a process id");
    let stranger = take(pid.trim(), &["sh", "-c", "cat secret > stolen"]);
    let told = Transcript::of(project.command(&stranger[0]).args(&stranger[1..]));
    told.succeeds();
    let mut input = job.stdin.take().expect("it is piped");
    input.write_all(b"go on\n").expect("the job reads");
    assert!(job.wait().expect("it ends").success());
    let record = Record::newest(&project);
    let files = record.files_under(project.root()).describe();
    assert_eq!(files, "  in  in\n  in  in2\n  out out\n  out out2\n");
    assert!(record.is_complete(), "{:#}", record.completeness());
}

/// A job's processes get the ids that a stranger's process had, and that another of the job had.
#[test]
fn a_jobs_process_with_a_strangers_id() {
    if !met(&[Need::Bpf, Need::Root, Need::Program("gcc")]) {
        return;
    }
    let project = Project::new();
    for name in ["in", "in2", "secret"] {
        project.write(name, name);
    }
    let stranger = Transcript::of(
        project
            .command("sh")
            .args(["-c", "cat secret; echo; echo $$"]),
    );
    let told = stranger.succeeds().stdout_text();
    let pid = told.lines().last().expect("it tells its process id");
    let words = |name: &str| {
        let argv = take(
            pid,
            &["sh", "-c", &format!("cat {name}; cat {name} > out-{name}")],
        );
        let quoted = argv
            .iter()
            .map(|word| format!("'{}'", word.to_string_lossy()));
        quoted.collect::<Vec<_>>().join(" ")
    };
    let script = format!("{{ {}; {}; }} > /dev/null", words("in"), words("in2"));
    project.roar(["run", "-q", "sh", "-c", &script]).succeeds();
    let record = Record::newest(&project);
    let files = record.files_under(project.root()).describe();
    assert_eq!(files, "  in  in\n  in  in2\n  out out-in\n  out out-in2\n");
    assert!(record.is_complete(), "{:#}", record.completeness());
}

/// In a namespace of few process ids, those of a job and of a stranger beside it go round and round.
#[test]
fn process_ids_of_a_small_namespace() {
    // Before, the limit was the whole machine's.
    if !met(&[Need::Bpf, Need::Root, Need::Kernel(6, 14)]) {
        return;
    }
    let project = Project::new();
    for name in ["in", "secret"] {
        project.write(name, name);
    }
    let script = "\
mount -t proc proc /proc
echo 400 > /proc/sys/kernel/pid_max
(while [ ! -e stop ]; do cat secret > stolen; done) &
\"$ROAR\" run -q sh -c 'i=0; while [ $i -lt 503 ]; do cat in > out.$((i % 7)); i=$((i + 1)); done'
touch stop
wait
[ $(sh -c 'echo $$') -lt 400 ]
";
    let mut command = project.command("unshare");
    command
        .args(["--pid", "--fork", "--mount", "sh", "-ec", script])
        .env("ROAR", roar());
    Transcript::of(&mut command).succeeds();
    let record = Record::newest(&project);
    let files = record.files_under(project.root()).describe();
    let outputs: Vec<_> = (0..7).map(|i| format!("  out out.{i}\n")).collect();
    assert_eq!(files, format!("  in  in\n{}", outputs.concat()));
    assert!(record.is_complete(), "{:#}", record.completeness());
}
