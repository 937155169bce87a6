//! Runs of experiment trackers. The files that jobs write here are those of the trackers
//! themselves (wandb 0.31 offline, MLflow 3.17 with its file store and with its database, tensorboardX 2.6,
//! neptune 1.14 offline), shortened: the packages are too large to be installed for a test.

use roar_tests::project::Project;
use roar_tests::record::Record;
use roar_tests::require::{Need, met, require_bpf};

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

/// The tables of MLflow's database, as its own migrations make them, with a run of before and one of
/// now; artifacts are beside it.
const DATABASE: &str = r#"
now=$(date +%s)000
id=5d24da3fd6004486b7b07617e70fd4b8
sqlite3 mlflow.db "
  CREATE TABLE experiments (experiment_id INTEGER NOT NULL, name VARCHAR(256) NOT NULL,
    artifact_location VARCHAR(256), lifecycle_stage VARCHAR(32), creation_time BIGINT,
    last_update_time BIGINT, workspace VARCHAR(63) DEFAULT 'default' NOT NULL,
    CONSTRAINT experiment_pk PRIMARY KEY (experiment_id));
  CREATE TABLE runs (run_uuid VARCHAR(32) NOT NULL, name VARCHAR(250), source_type VARCHAR(20),
    source_name VARCHAR(500), entry_point_name VARCHAR(50), user_id VARCHAR(256), status VARCHAR(9),
    start_time BIGINT, end_time BIGINT, source_version VARCHAR(50), lifecycle_stage VARCHAR(20),
    artifact_uri VARCHAR(200), experiment_id INTEGER, deleted_time BIGINT,
    CONSTRAINT run_pk PRIMARY KEY (run_uuid));
  CREATE TABLE latest_metrics (key VARCHAR(250) NOT NULL, value FLOAT NOT NULL, timestamp BIGINT,
    step BIGINT NOT NULL, is_nan BOOLEAN NOT NULL, run_uuid VARCHAR(32) NOT NULL,
    CONSTRAINT latest_metric_pk PRIMARY KEY (key, run_uuid));
  INSERT INTO experiments (experiment_id, name) VALUES (1, 'exp-one');
  INSERT INTO runs (run_uuid, name, status, start_time, end_time, experiment_id) VALUES
    ('0000000000000000000000000000abcd', 'before', 'FINISHED', 1795690000000, 1795690000001, 1),
    ('$id', 'first', 'FINISHED', ${now%000}999, ${now%000}999, 1);"
mkdir -p mlruns/1/$id/artifacts
echo x >mlruns/1/$id/artifacts/art.txt
"#;

#[test]
fn runs_in_a_database() {
    if !require_bpf() || !met(&[Need::Program("sqlite3")]) {
        return;
    }
    let project = Project::new();
    project.write("job.sh", DATABASE);
    project.roar(["run", "-q", "sh", "job.sh"]).succeeds();
    let record = Record::of(&project, "@1");
    let runs = record.json["trackers"].as_array().expect("a list");
    assert_eq!(runs.len(), 1, "{runs:#?}");
    for (key, expected) in [
        ("tracker", "mlflow"),
        ("id", "5d24da3fd6004486b7b07617e70fd4b8"),
        ("name", "first"),
        ("project", "exp-one"),
        ("folder", project.path("mlflow.db").to_str().expect("text")),
    ] {
        assert_eq!(runs[0][key], expected, "{runs:#?}");
    }
}
