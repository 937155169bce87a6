//! Distributed launches on one machine, by real launchers: one job, whose ranks are told apart.

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::process::{Child, Stdio};

use serde_json::Value;

use roar_tests::project::Project;
use roar_tests::record::Record;
use roar_tests::require::{Need, accelerate, met};
use roar_tests::transcript::Transcript;

/// Rank → names of the files in a list of the record, as the launch says.
fn files_of_ranks(record: &Record, role: &str, list: &str) -> BTreeMap<u64, BTreeSet<String>> {
    let files = record.json[list].as_array().expect("a list");
    let name = |place: &Value| {
        let place = usize::try_from(place.as_u64().expect("a place")).expect("small");
        let path = files[place]["path"].as_str().expect("text");
        path.rsplit('/').next().expect("a name").to_owned()
    };
    let ranks = record.json["launch"]["ranks"].as_array().expect("a list");
    ranks
        .iter()
        .map(|rank| {
            let places = rank[role].as_array().expect("a list");
            (
                rank["rank"].as_u64().expect("a number"),
                places.iter().map(name).collect(),
            )
        })
        .collect()
}

fn expected(count: u64, file: impl Fn(u64) -> Vec<String>) -> BTreeMap<u64, BTreeSet<String>> {
    (0..count)
        .map(|rank| (rank, file(rank).into_iter().collect()))
        .collect()
}

#[test]
fn mpirun_is_one_job_with_ranks() {
    if !met(&[Need::Bpf, Need::Program("mpirun")]) {
        return;
    }
    let project = Project::new();
    for rank in 0..3 {
        project.write(format!("part{rank}"), "x");
    }
    project.write_program(
        "work.sh",
        "#!/bin/sh\ncat part$OMPI_COMM_WORLD_RANK shared >out$OMPI_COMM_WORLD_RANK\nsleep 0.3\n",
    );
    project.write("shared", "y");
    let mut command = project.roar_command();
    command
        .env("OMPI_ALLOW_RUN_AS_ROOT", "1")
        .env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")
        .args([
            "run",
            "-q",
            "mpirun",
            "--oversubscribe",
            "-n",
            "3",
            "./work.sh",
        ]);
    Transcript::of(&mut command).succeeds();
    let record = Record::of(&project, "@1");
    let launch = &record.json["launch"];
    assert_eq!(launch["kind"], "mpirun");
    assert_eq!(launch["world_size"], 3, "{launch:#}");
    assert_eq!(
        files_of_ranks(&record, "writes", "outputs"),
        expected(3, |rank| vec![format!("out{rank}")])
    );
    assert_eq!(
        files_of_ranks(&record, "reads", "inputs"),
        expected(3, |rank| vec![
            format!("part{rank}"),
            "shared".into(),
            "work.sh".into()
        ])
    );
}

/// A data set of which each rank reads its part, by two worker processes.
const DATA: &str = "
import os, torch
from torch.utils.data import DataLoader, Dataset

class Part(Dataset):
    def __len__(self): return 2
    def __getitem__(self, index):
        rank = os.environ['RANK']
        return torch.tensor(float(open(f'part{rank}.{index}').read()))

def total():
    return sum(batch.sum() for batch in DataLoader(Part(), num_workers=2))
";

/// Each rank makes sure that all are there (gloo), reads its part and writes its shard of a
/// checkpoint.
const TORCH: &str = "
import torch.distributed as dist
def main():
    dist.init_process_group('gloo')
    rank, sum = dist.get_rank(), total()
    dist.all_reduce(sum)
    torch.save({'total': sum}, f'checkpoint/shard{rank}.pt')
    dist.destroy_process_group()
if __name__ == '__main__':
    main()
";

/// The same by accelerate.
const ACCELERATE: &str = "
from accelerate import Accelerator
def main():
    accelerator = Accelerator(cpu=True)
    sum = accelerator.reduce(total())
    torch.save({'total': sum}, f'checkpoint/shard{accelerator.process_index}.pt')
    accelerator.wait_for_everyone()
if __name__ == '__main__':
    main()
";

/// Runs a training script under a launcher with so many ranks; checks what each read and wrote.
fn training(kind: &str, launcher: &[&str], script: &str, ranks: u64) {
    let project = Project::new();
    for rank in 0..ranks {
        for index in 0..2 {
            project.write(format!("part{rank}.{index}"), "1.5");
        }
    }
    project.write("train.py", format!("{DATA}{script}"));
    project.write("checkpoint/README", "");
    let mut command = project.roar_command();
    command
        .env("OMP_NUM_THREADS", "1")
        // torch 1.13 on Python 3.11 chokes on its own default, which is neither (`Std` has no zero).
        .env("PET_REDIRECTS", "1")
        .env("PET_TEE", "1")
        // Looks for ranks that have ended every second, not every five.
        .env("PET_MONITOR_INTERVAL", "1")
        .args(["run", "-q"])
        .args(launcher)
        .arg("train.py");
    Transcript::of(&mut command).succeeds();
    let record = Record::of(&project, "@1");
    let launch = &record.json["launch"];
    assert_eq!(launch["kind"], kind, "{launch:#}");
    assert_eq!(launch["world_size"], ranks, "{launch:#}");
    let local: Vec<u64> = launch["ranks"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|rank| rank["local_rank"].as_u64().expect("a number"))
        .collect();
    assert_eq!(local, (0..ranks).collect::<Vec<_>>());
    assert_eq!(
        files_of_ranks(&record, "writes", "outputs"),
        expected(ranks, |rank| vec![format!("shard{rank}.pt")])
    );
    let mut reads = files_of_ranks(&record, "reads", "inputs");
    // The script: read by the rank, unless it came as byte code.
    for names in reads.values_mut() {
        names.remove("train.py");
    }
    assert_eq!(
        reads,
        expected(ranks, |rank| vec![
            format!("part{rank}.0"),
            format!("part{rank}.1")
        ])
    );
    assert!(record.json["packages"]["dpkg"]["python3-torch"].is_string());
    assert!(record.is_complete(), "{:#}", record.completeness());
    let text = project.roar(["show", "@1"]).succeeds().stdout_text();
    for rank in 0..ranks {
        let line = format!("rank {rank}: ");
        assert!(text.contains(&line), "{line}: {text}");
    }
}

const TORCH_NEEDS: &[Need] = &[Need::Bpf, Need::PythonModule("torch.distributed")];

#[test]
fn torchrun_is_one_job_with_ranks() {
    if met(TORCH_NEEDS) && met(&[Need::Program("torchrun")]) {
        let launcher = ["torchrun", "--standalone", "--nproc_per_node=4"];
        training("torchrun", &launcher, TORCH, 4);
    }
}

#[test]
fn so_is_its_module() {
    if met(TORCH_NEEDS) {
        let launcher = [
            "python3",
            "-m",
            "torch.distributed.run",
            "--standalone",
            "--nproc_per_node=2",
        ];
        training("torchrun", &launcher, TORCH, 2);
    }
}

/// One launch on two machines, each of which has a record of its own: what torchelastic calls the
/// run joins them.
#[test]
fn two_nodes_of_one_torchrun() {
    if !met(TORCH_NEEDS) || !met(&[Need::Program("torchrun")]) {
        return;
    }
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let endpoint = format!("--rdzv_endpoint={}", free.expect("a free port"));
    let nodes = [Project::new(), Project::new()];
    let runs: Vec<Child> = nodes
        .iter()
        .map(|project| {
            for part in [
                "part0.0",
                "part0.1",
                "part1.0",
                "part1.1",
                "checkpoint/README",
            ] {
                project.write(part, "1.5");
            }
            project.write("train.py", format!("{DATA}{TORCH}"));
            let mut command = project.roar_command();
            command
                .env("OMP_NUM_THREADS", "1")
                .env("PET_REDIRECTS", "1")
                .env("PET_TEE", "1")
                .env("PET_MONITOR_INTERVAL", "1")
                .args(["run", "-q", "torchrun", "--nnodes=2", "--nproc_per_node=1"])
                .args([
                    "--rdzv_id=night",
                    "--rdzv_backend=c10d",
                    &endpoint,
                    "train.py",
                ]);
            // The second node tries to be the first, and says that it cannot.
            command.stderr(Stdio::null());
            command.spawn().expect("roar can be started")
        })
        .collect();
    for mut run in runs {
        assert!(run.wait().expect("it ends").success());
    }
    let mut ranks = BTreeSet::new();
    for project in &nodes {
        let record = Record::of(project, "@1");
        let launch = &record.json["launch"];
        assert_eq!(launch["id"], "torchelastic:night", "{launch:#}");
        assert_eq!(launch["world_size"], 2);
        let rank = launch["ranks"][0]["rank"].as_u64().expect("a number");
        assert_eq!(
            files_of_ranks(&record, "writes", "outputs"),
            [(rank, [format!("shard{rank}.pt")].into())].into()
        );
        ranks.insert(rank);
    }
    assert_eq!(ranks, [0, 1].into());
}

#[test]
fn so_is_accelerate() {
    if met(TORCH_NEEDS) && met(&[Need::Accelerate]) {
        let program = accelerate();
        let launcher = [
            program.to_str().expect("text"),
            "launch",
            "--multi_gpu",
            "--num_processes=2",
            "--num_machines=1",
            "--mixed_precision=no",
            "--dynamo_backend=no",
            "--tee=1",
            "--monitor_interval=1",
        ];
        training("accelerate", &launcher, ACCELERATE, 2);
    }
}

#[test]
fn keys_and_variables_join_jobs() {
    if !met(&[Need::Bpf]) {
        return;
    }
    let project = Project::new();
    project
        .roar(["run", "-q", "--join", "night", "true"])
        .succeeds();
    assert_eq!(
        Record::of(&project, "@1").json["launch"]["id"],
        "join:night"
    );
    let mut command = project.roar_command();
    command
        .envs([
            ("SLURM_PROCID", "5"),
            ("SLURM_JOB_ID", "7"),
            ("SLURM_STEP_ID", "0"),
        ])
        .args(["run", "-q", "echo", "ranked"]);
    Transcript::of(&mut command).succeeds();
    let record = Record::of(&project, "@2");
    assert_eq!(record.json["launch"]["id"], "slurm:7.0");
    assert_eq!(record.json["launch"]["ranks"][0]["rank"], 5);
    project.roar(["run", "-q", "echo", "alone"]).succeeds();
    assert!(Record::of(&project, "@3").json.get("launch").is_none());
    project.roar(["show", "@2"]).succeeds();
}
