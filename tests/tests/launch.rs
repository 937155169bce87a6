//! Distributed launches on one machine, by real launchers: one job, whose ranks are told apart.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use roar_tests::project::Project;
use roar_tests::record::Record;
use roar_tests::require::{Need, met};
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

/// Each rank makes sure that all are there (gloo), reads its part with two worker processes and
/// writes its shard of a checkpoint.
const TRAIN: &str = "
import os, torch, torch.distributed as dist
from torch.utils.data import DataLoader, Dataset

class Part(Dataset):
    def __len__(self): return 2
    def __getitem__(self, index):
        rank = os.environ['RANK']
        return torch.tensor(float(open(f'part{rank}.{index}').read()))

def main():
    dist.init_process_group('gloo')
    rank = dist.get_rank()
    total = sum(batch.sum() for batch in DataLoader(Part(), num_workers=2))
    dist.all_reduce(total)
    torch.save({'total': total}, f'shard{rank}.pt')
    dist.destroy_process_group()

if __name__ == '__main__':
    main()
";

#[test]
fn torchrun_is_one_job_with_ranks() {
    if !met(&[Need::Bpf, Need::Program("python3")]) {
        return;
    }
    let project = Project::new();
    let torch = Transcript::of(
        project
            .command("python3")
            .args(["-c", "import torch.distributed"]),
    );
    if !torch.status.success() {
        return;
    }
    for rank in 0..4 {
        for index in 0..2 {
            project.write(format!("part{rank}.{index}"), "1.5");
        }
    }
    project.write("train.py", TRAIN);
    let launcher = [
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc_per_node=4",
    ];
    // torch 1.13 on Python 3.11 chokes on its own default, which is neither (`Std` has no zero).
    let output = ["--redirects", "1", "--tee", "1"];
    let mut command = project.roar_command();
    command.env("OMP_NUM_THREADS", "1");
    command
        .args(["run", "-q", "python3"])
        .args(launcher)
        .args(output)
        .arg("train.py");
    Transcript::of(&mut command).succeeds();
    let record = Record::of(&project, "@1");
    let launch = &record.json["launch"];
    assert_eq!(launch["kind"], "torchrun", "{launch:#}");
    assert_eq!(launch["world_size"], 4, "{launch:#}");
    let local: Vec<_> = launch["ranks"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|r| &r["local_rank"])
        .collect();
    assert_eq!(local, [0, 1, 2, 3]);
    assert_eq!(
        files_of_ranks(&record, "writes", "outputs"),
        expected(4, |rank| vec![format!("shard{rank}.pt")])
    );
    let mut reads = files_of_ranks(&record, "reads", "inputs");
    // The script: read by the rank, unless it came as byte code.
    for names in reads.values_mut() {
        names.remove("train.py");
    }
    assert_eq!(
        reads,
        expected(4, |rank| vec![
            format!("part{rank}.0"),
            format!("part{rank}.1")
        ])
    );
    assert!(record.json["packages"]["dpkg"]["python3-torch"].is_string());
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
