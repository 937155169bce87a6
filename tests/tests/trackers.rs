//! Runs of experiment trackers. The files that jobs write here are those of the trackers
//! themselves (wandb 0.31 offline, MLflow 3.17 with its file store, tensorboardX 2.6, neptune 1.14
//! offline), shortened: the packages are too large to be installed for a test.

use roar_tests::project::Project;
use roar_tests::record::Record;
use roar_tests::require::require_bpf;

const JOB: &str = r#"
log='\0010\0010\0212\0014\0012\0012\0010zrc0nq08\0252\0001;\0212\0001_'
run='\0012\0010zrc0nq08\0022\0004team\0032\0004proj\0042\0017'
for kind in run offline-run; do
  folder=wandb/$kind-20261126_074031-zrc0nq08
  mkdir -p $folder/files
  printf ':W&B%b%b' $log $run >$folder/run-zrc0nq08.wandb
  echo '{}' >$folder/files/wandb-summary.json
done
mlflow=mlruns/620306985001996976/8d60cb2e601b497987ba1c7b5d33ccc4
mkdir -p $mlflow/metrics
echo '1795678839159 1.0 0' >$mlflow/metrics/a
printf 'run_id: 8d60cb2e601b497987ba1c7b5d33ccc4\nrun_name: first\n' >$mlflow/meta.yaml
printf 'lifecycle_stage: active\nname: exp-one\n' >mlruns/620306985001996976/meta.yaml
mkdir -p runs/exp1
echo x >runs/exp1/events.out.tfevents.1795678853.vm
neptune=.neptune/offline/run__8d756dfb-8384-4282-b727-8c9de1b55c5c__4569__o907g4py
mkdir -p $neptune
echo '{"containerType": "run"}' >$neptune/metadata.json
"#;

#[test]
fn runs_of_four_trackers() {
    if !require_bpf() {
        return;
    }
    let project = Project::new();
    project.write("job.sh", JOB);
    project.roar(["run", "-q", "bash", "job.sh"]).succeeds();
    let record = Record::of(&project, "@1");
    let runs = record.json["trackers"].as_array().expect("a list");
    let shown: Vec<String> = runs
        .iter()
        .map(|run| {
            ["tracker", "id", "name", "project", "url"]
                .map(|key| run[key].as_str().unwrap_or("-").to_owned())
                .join(" ")
        })
        .collect();
    assert_eq!(
        shown,
        [
            "mlflow 8d60cb2e601b497987ba1c7b5d33ccc4 first exp-one -",
            "neptune 8d756dfb-8384-4282-b727-8c9de1b55c5c - - -",
            "tensorboard exp1 - - -",
            "wandb zrc0nq08 - team/proj -",
            "wandb zrc0nq08 - team/proj https://wandb.ai/team/proj/runs/zrc0nq08",
        ],
        "{runs:#?}"
    );
    let text = project.roar(["show", "@1"]).succeeds().stdout_text();
    assert!(
        text.contains("wandb zrc0nq08 (team/proj) https://wandb.ai/team/proj/runs/zrc0nq08"),
        "{text}"
    );
}
