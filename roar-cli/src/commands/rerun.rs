//! `roar rerun`: make without a makefile.

use std::collections::BTreeSet;
use std::process::ExitCode;

use super::Context;
use super::again;
use super::observing::Observing;
use super::reading;
use super::runner::Runner;
use crate::error::CommandError;
use crate::model::JobKind;
use crate::present::{self, dag, human, paths, shell};
use crate::project::Project;
use crate::store::{JobSummary, Store};
use crate::trace;

/// Run the stale steps again.
///
/// Every stale step runs with its latest command in the folder it ran in, dependencies first.
/// Staleness is judged anew after each: a step whose inputs turn out unchanged is left alone.
/// The first command that fails ends it, and its status is roar's.
///
/// Under sudo, only the first step can be observed by eBPF: roar has become the invoking user
/// for good by then. Give roar the capabilities instead (setcap).
#[derive(Debug, clap::Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an option of its own"
)]
pub(super) struct Args {
    /// The stale steps of the active session.
    #[arg(long, required = true)]
    stale: bool,

    /// Only list what would run.
    #[arg(short = 'n', long)]
    dry_run: bool,

    /// Machine-readable list of what would run, as of `roar log --json`.
    #[arg(long, requires = "dry_run")]
    json: bool,

    /// Do not ask.
    #[arg(short = 'y', long)]
    yes: bool,

    #[command(flatten)]
    pub(super) observing: Observing,
}

/// # Errors
/// The database cannot be read, nobody confirmed, or a step cannot be started.
pub(super) fn run(context: &mut Context, args: &Args) -> Result<ExitCode, CommandError> {
    let Args {
        stale: _,
        dry_run,
        json,
        yes,
        observing,
    } = args;
    if *dry_run {
        let (_, store) = reading::open(context)?;
        let steps = store.moment(|| stale_steps(&store))??;
        store.moment(|| warn_of_missing(context, &store, &steps))??;
        if steps.is_empty() {
            context.ui.note("no step is stale");
        }
        context.ui.data(&if *json {
            present::log::json(&steps)
        } else {
            steps.iter().map(line).collect()
        });
        return Ok(ExitCode::SUCCESS);
    }
    let early = observing.attach_first()?;
    let store = Store::open(&Project::find(&context.cwd)?)?;
    let steps = store.moment(|| stale_steps(&store))??;
    if steps.is_empty() {
        context.ui.note("no step is stale");
        return Ok(ExitCode::SUCCESS);
    }
    store.moment(|| warn_of_missing(context, &store, &steps))??;
    drop(store);
    if !yes && !confirmed(context, &steps)? {
        context.ui.note("nothing was run");
        return Ok(ExitCode::FAILURE);
    }
    let mut runner = Runner::prepare(context, observing, early)?;
    let mut done = BTreeSet::new();
    loop {
        let left = stale_steps(runner.store())?;
        let waiting = left
            .iter()
            .filter(|step| !done.contains(&step.step_number))
            .count();
        // Each step once: steps that feed each other would never come to rest.
        let Some(next) = left.iter().find(|step| !done.contains(&step.step_number)) else {
            tell_end(context, done.len(), &left);
            return Ok(ExitCode::SUCCESS);
        };
        done.insert(next.step_number);
        let reference = reference(next);
        let asked = runner.again(context, next.kind, &[reference.clone().into()])?;
        let progress = format!("[{}/{}] ", done.len(), done.len() - 1 + waiting);
        again::announce(context, &asked, &progress);
        let status = runner.execute(context, &asked)?;
        if status != 0 {
            context.ui.warning(&format!(
                "{reference} failed with status {status}; the steps after it were not run"
            ));
            return Ok(ExitCode::from(status));
        }
        if trace::asked_to_end() {
            context.ui.warning("interrupted between two steps");
            return Ok(ExitCode::from(130));
        }
    }
}

/// The latest jobs of the stale steps, dependencies first.
fn stale_steps(store: &Store) -> Result<Vec<JobSummary>, CommandError> {
    let Some(session) = store.active_session()? else {
        return Ok(Vec::new());
    };
    let graph = reading::graph(store, session.id)?;
    let mut stale = Vec::new();
    for step in graph.stale_in_order(&graph.states()) {
        if let Some(index) = graph.newest(step) {
            stale.extend(store.job_summary(graph.executions()[index].job_id)?);
        }
    }
    Ok(stale)
}

/// Says which files the steps had read that are gone from their places, where none of the steps
/// makes them again: moved, most likely, since whoever made them is not stale.
fn warn_of_missing(
    context: &Context,
    store: &Store,
    steps: &[JobSummary],
) -> Result<(), CommandError> {
    let Some(first) = steps.first() else {
        return Ok(());
    };
    let graph = reading::graph(store, first.session_id)?;
    let again: BTreeSet<u32> = steps.iter().map(|step| step.step_number).collect();
    for step in steps {
        let Some(index) = graph.latest().get(&step.step_number) else {
            continue;
        };
        for source in graph.sources(*index) {
            let maker = &graph.executions()[source.execution];
            if again.contains(&maker.step_number) {
                continue;
            }
            let place = graph.executions()[*index].inputs[source.input].path;
            let path = store.path_of(place)?;
            if path.to_path_buf().symlink_metadata().is_err() {
                let maker = dag::reference(maker.step_number, maker.kind == JobKind::Build);
                context.ui.warning(&format!(
                    "{}, which {} read, is gone; to make it again: roar run {maker}",
                    paths::shown(&path, &context.cwd),
                    reference(step)
                ));
            }
        }
    }
    Ok(())
}

fn confirmed(context: &Context, steps: &[JobSummary]) -> Result<bool, CommandError> {
    for step in steps {
        context.ui.note(line(step).trim_end());
    }
    let question = format!("Run {} again?", human::count(steps.len(), "stale step"));
    context.ui.confirm(&question, true).ok_or_else(|| {
        CommandError::user("running steps again must be confirmed")
            .hint("without a terminal, run: roar rerun --stale -y (or -n to see what would run)")
    })
}

fn tell_end(context: &Context, ran: usize, left: &[JobSummary]) {
    let ran = human::count(ran, "step");
    if left.is_empty() {
        context.ui.note(&format!("ran {ran}; nothing is stale now"));
        return;
    }
    let names: Vec<String> = left.iter().map(reference).collect();
    context.ui.warning(&format!(
        "ran {ran}; still stale: {} (what such a step reads or writes has changed, or steps feed \
         each other)",
        names.join(" ")
    ));
}

fn reference(job: &JobSummary) -> String {
    dag::reference(job.step_number, job.kind == JobKind::Build)
}

fn line(job: &JobSummary) -> String {
    format!("{}  {}\n", reference(job), shell::one_line(&job.argv))
}
