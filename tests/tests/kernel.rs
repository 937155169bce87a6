//! Kernels that do not let eBPF look: roar observes through seccomp and says why in one line.
#![cfg(target_os = "linux")]

use std::ffi::OsStr;
use std::fs;
use std::process::Command;

use roar_tests::binary;
use roar_tests::project::Project;
use roar_tests::record::Record;
use roar_tests::require::{Need, met};
use roar_tests::transcript::Transcript;

/// Runs roar, started by `launcher`, where eBPF is refused for the reason `why`.
fn check_refusal(launcher: &[&str], why: &str) {
    let project = Project::new();
    project.write("in", "input");
    let roar = |arguments: &[&str]| {
        let words = launcher.iter().map(OsStr::new);
        let mut words = words.chain([binary::roar().as_os_str(), OsStr::new("run")]);
        let mut command: Command = project.command(words.next().expect("roar at least"));
        Transcript::of(command.args(words).args(arguments))
    };
    let told = roar(&["sh", "-c", "cat in > temporary && mv temporary out"]);
    let line = format!("observing through seccomp: eBPF cannot run here: {why}");
    told.succeeds().says(&line);
    let said = told.stderr_text();
    let lines: Vec<_> = said.lines().filter(|line| line.contains("eBPF")).collect();
    assert_eq!(lines.len(), 1, "{said}");
    let record = Record::of(&project, "@1");
    assert_eq!(record.completeness()["backend"], "seccomp");
    let files = record.files_under(project.root());
    assert_eq!(files.describe(), "  in  in\n  out out\n");

    let forced = roar(&["--tracer", "ebpf", "touch", "made"]);
    forced.exits(125).says(why);
    assert!(!project.path("made").exists(), "nothing is run unobserved");
}

#[test]
fn a_kernel_without_type_information() {
    if !met(&[Need::Root, Need::Bpf, Need::Program("unshare")]) {
        return;
    }
    // In a mount namespace of its own: nobody else misses anything.
    let hide = "mount -t tmpfs none /sys/kernel/btf && exec \"$0\" \"$@\"";
    check_refusal(
        &["unshare", "--mount", "sh", "-c", hide],
        "cannot read /sys/kernel/btf/vmlinux: this kernel was built without BTF or hides it",
    );
}

/// Lockdown cannot be taken back before the next boot, so that nothing is locked down here:
/// `cargo xtask vm-test` runs this in a guest before and after it did that.
#[test]
fn lockdown_for_confidentiality_keeps_ebpf_out() {
    if !met(&[Need::Bpf]) {
        return;
    }
    let state = fs::read_to_string("/sys/kernel/security/lockdown").unwrap_or_default();
    if state.contains("[confidentiality]") {
        check_refusal(&[], "this kernel is in lockdown for confidentiality");
        return;
    }
    let project = Project::new();
    let run = ["run", "-q", "--tracer", "ebpf", "touch", "out"];
    project.roar(run).succeeds();
    let record = Record::of(&project, "@1");
    assert_eq!(record.completeness()["backend"], "ebpf");
}
