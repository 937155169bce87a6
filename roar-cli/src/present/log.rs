//! Lists of jobs.

use serde::Serialize;

use super::dag::reference;
use super::job::ending;
use super::table::{Cell, Column, Table};
use super::{Style, Terminal, human, inert, shell};
use crate::model::{JobKind, JobState, RawString};
use crate::store::JobSummary;

/// The jobs as a table, in the order given.
pub fn text(jobs: &[JobSummary], now_ns: i64, terminal: Terminal) -> String {
    let mut table = Table::new(vec![
        Column::new("job"),
        Column::new("step").expendable(2),
        Column::new("started").expendable(3),
        Column::new("took").right().expendable(4),
        Column::new("status").expendable(1),
        Column::new("command").flexible(),
    ]);
    for job in jobs {
        let (mut ending, mut style) = ending(job.state, job.outcome);
        if !job.complete && job.state == JobState::Done {
            ending.push_str(", incomplete");
            if style == Style::Good {
                style = Style::Warning;
            }
        }
        let name = job
            .name
            .as_ref()
            .map_or(String::new(), |name| format!("[{}] ", inert(name)));
        table.row(vec![
            Cell::new(job.uid.as_str(), Style::Reference),
            reference(job.step_number, job.kind == JobKind::Build).into(),
            Cell::new(human::ago(job.started_at_ns, now_ns), Style::Dim),
            job.duration_ns
                .map(human::duration)
                .unwrap_or_default()
                .into(),
            Cell::new(ending, style),
            format!("{name}{}", shell::one_line(&job.argv)).into(),
        ]);
    }
    table.render(terminal)
}

/// The jobs as an array.
pub fn json(jobs: &[JobSummary]) -> String {
    super::json(&jobs.iter().map(document).collect::<Vec<_>>())
}

/// One job of a list.
#[derive(Debug, Serialize)]
pub(super) struct JobLine<'a> {
    job_uid: &'a str,
    session_id: i64,
    step_number: u32,
    job_type: JobKind,
    step_name: Option<&'a str>,
    command: String,
    argv: &'a [RawString],
    started_at: String,
    duration_seconds: Option<f64>,
    state: JobState,
    exit_code: Option<i32>,
    signal: Option<i32>,
    interrupted: bool,
    complete: bool,
    inputs: u64,
    outputs: u64,
}

pub(super) fn document(job: &JobSummary) -> JobLine<'_> {
    JobLine {
        job_uid: job.uid.as_str(),
        session_id: job.session_id,
        step_number: job.step_number,
        job_type: job.kind,
        step_name: job.name.as_deref(),
        command: shell::join(&job.argv),
        argv: &job.argv,
        started_at: human::rfc3339(job.started_at_ns),
        duration_seconds: job.duration_ns.map(human::seconds),
        state: job.state,
        exit_code: job.outcome.exit_code,
        signal: job.outcome.signal,
        interrupted: job.outcome.interrupted,
        complete: job.complete,
        inputs: job.input_count,
        outputs: job.output_count,
    }
}
