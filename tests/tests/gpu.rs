//! Graphics processors, as a stand-in for the driver's library tells of them (workloads/nvml.c): no
//! machine of the tests has one.

use std::path::Path;

use roar_tests::project::Project;
use roar_tests::record::Record;
use roar_tests::require::{Need, met};
use roar_tests::transcript::Transcript;

/// Uses the driver's library for programs until it was looked at three times.
const JOB: &str = "
echo $$ >gpu_pid.new
mv gpu_pid.new gpu_pid
LD_PRELOAD=$PWD/libcuda.so.1 /bin/true
until [ -e samples ] && [ $(wc -l <samples) -ge 3 ]; do sleep 0.02; done
";

fn project() -> Project {
    let project = Project::new();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("workloads/nvml.c");
    for (library, from) in [
        ("nvml.so", source),
        ("libcuda.so.1", project.write("e.c", "int x;\n")),
    ] {
        let mut command = project.command("gcc");
        command.args(["-shared", "-fPIC", "-Wall", "-Werror", "-o", library]);
        Transcript::of(command.arg(from)).succeeds();
    }
    project
}

#[test]
fn a_job_that_uses_a_processor() {
    if !met(&[Need::Bpf, Need::Program("gcc")]) {
        return;
    }
    let project = project();
    let mut command = project.roar_command();
    command.env("ROAR_NVML", project.path("nvml.so"));
    command.args(["run", "-q", "sh", "-c", JOB]);
    Transcript::of(&mut command).succeeds();
    let record = Record::of(&project, "@1");
    let runtime = &record.json["runtime"];
    assert_eq!(runtime["nvidia_driver"], "550.54.15");
    assert_eq!(runtime["cuda"], "12.4");
    assert_eq!(runtime["gpus"][0]["name"], "NVIDIA Test 100");
    assert_eq!(runtime["gpus"][0]["memory_bytes"], 80_u64 << 30);
    let used = runtime["gpu_use"].as_array().expect("a list");
    assert_eq!(used.len(), 1, "only the job's own process: {used:#?}");
    let pid = String::from_utf8(project.read("gpu_pid")).expect("a number");
    assert_eq!(used[0]["process"].to_string(), pid.trim());
    assert_eq!(used[0]["peak_memory_bytes"], 300_u64 << 20);
    let busy_seconds = used[0]["busy_ns"].as_f64().expect("a number") / 1e9;
    let duration = record.json["duration_seconds"].as_f64().expect("a number");
    assert!(
        busy_seconds > 0.0 && busy_seconds < duration * 0.6,
        "half of it: {busy_seconds} of {duration}"
    );
    let text = project.roar(["show", "@1"]).succeeds().stdout_text();
    assert!(
        text.contains("NVIDIA Test 100 (80 GiB), driver 550.54.15, CUDA 12.4"),
        "{text}"
    );
}

/// Without such a library in use nothing is sampled, and without a driver nothing is said.
#[test]
fn a_job_that_uses_none() {
    if !met(&[Need::Bpf, Need::Program("gcc")]) {
        return;
    }
    let project = project();
    let mut command = project.roar_command();
    command.env("ROAR_NVML", project.path("nvml.so"));
    command.args(["run", "-q", "sh", "-c", "echo $$ >gpu_pid"]);
    Transcript::of(&mut command).succeeds();
    let runtime = &Record::of(&project, "@1").json["runtime"];
    assert_eq!(runtime["gpus"].as_array().map(Vec::len), Some(1));
    assert!(runtime.get("gpu_use").is_none(), "{runtime:#}");
    assert!(!project.path("samples").exists());

    let mut command = project.roar_command();
    command.env("ROAR_NVML", project.path("missing.so"));
    Transcript::of(command.args(["run", "-q", "true"])).succeeds();
    let runtime = &Record::newest(&project).json["runtime"];
    assert!(runtime.get("gpus").is_none(), "{runtime:#}");
    assert!(!runtime["cpu_flags"].as_array().expect("a list").is_empty());
}
