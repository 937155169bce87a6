//! The short answer to what a job means for the others, against the long one of the graph.

use proptest::prelude::*;
use roar_cli::lineage::{Execution, Place, SessionGraph, consequences};
use roar_cli::model::JobState;
use roar_cli::store::{FileRef, JobQuery, JobWithFiles, Store};

use crate::project::TestProject;

/// A job as (what it reads, what it writes): places by number, contents by number.
type Job = (Vec<u8>, Vec<(u8, u8)>);

fn jobs() -> impl Strategy<Value = Vec<Job>> {
    let reads = proptest::collection::vec(0..6_u8, 0..3);
    let writes = proptest::collection::vec((0..6_u8, 0..4_u8), 0..3);
    proptest::collection::vec((reads, writes), 1..12)
}

fn graph(store: &Store) -> SessionGraph {
    let session = store.active_session().expect("reads").expect("is there");
    let query = JobQuery {
        session: Some(session.id),
        ..JobQuery::default()
    };
    let jobs = store.job_summaries(&query).expect("reads").into_iter();
    let with_files = |job| store.job_with_files(job).expect("reads");
    SessionGraph::new(jobs.map(with_files).map(execution).collect())
}

fn execution(job: JobWithFiles) -> Execution {
    let places = |files: Vec<FileRef>| {
        let place = |file: FileRef| Place {
            path: file.path,
            hash: file.hash,
            size_bytes: file.size_bytes,
        };
        files.into_iter().map(place).collect()
    };
    Execution {
        job_id: job.summary.id,
        uid: job.summary.uid,
        kind: job.summary.kind,
        step_number: job.summary.step_number,
        lost: job.summary.state == JobState::Lost,
        failed: job.summary.state == JobState::Done && !job.summary.outcome.succeeded(),
        inputs: places(job.inputs),
        outputs: places(job.outputs),
    }
}

/// Records the jobs one after the other and compares the answers after each; how many were
/// quiet, and how many had no consequences.
fn compare(jobs: &[Job]) -> (usize, usize) {
    let mut project = TestProject::new();
    for place in 0..6 {
        project.write(&format!("f{place}"), &format!("raw {place}"));
    }
    let (mut quiet, mut without) = (0, 0);
    for (reads, writes) in jobs {
        let reads: Vec<String> = reads.iter().map(|place| format!("f{place}")).collect();
        let mut reads: Vec<&str> = reads.iter().map(String::as_str).collect();
        reads.sort_unstable();
        reads.dedup();
        let mut writes: Vec<(String, String)> = writes
            .iter()
            .map(|(place, content)| (format!("f{place}"), format!("content {content}")))
            .collect();
        writes.sort();
        writes.dedup_by(|a, b| a.0 == b.0);
        let writes: Vec<(&str, &str)> = writes
            .iter()
            .map(|(path, content)| (path.as_str(), content.as_str()))
            .collect();
        project.job("work", &reads, &writes);
        let store = project.store();
        let graph = graph(&store);
        let last = graph.executions().last().expect("one was recorded");
        let found = consequences(&graph, &last.uid);
        let nothing = found.stale_reads.is_empty() && found.made_stale.is_empty();
        let is_quiet = store.is_quiet(last.job_id).expect("reads");
        assert!(nothing || !is_quiet, "{found:?} after {jobs:?}");
        quiet += usize::from(is_quiet);
        without += usize::from(nothing);
    }
    (quiet, without)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_quiet_job_has_no_consequences(jobs in jobs()) {
        compare(&jobs);
    }
}

#[test]
fn an_ordinary_pipeline_is_quiet_until_a_step_runs_anew() {
    let chain: Vec<Job> = vec![
        (vec![0], vec![(1, 0)]),
        (vec![1], vec![(2, 0)]),
        (vec![1, 2], vec![(3, 0)]),
    ];
    assert_eq!(compare(&chain), (3, 3));
    let again = [chain.clone(), vec![(vec![0], vec![(1, 1)])]].concat();
    assert_eq!(compare(&again), (3, 3));
    // What a stale step made is read: not quiet either.
    let reads_stale = [again, vec![(vec![2], vec![(4, 0)])]].concat();
    assert_eq!(compare(&reads_stale), (3, 3));
}
