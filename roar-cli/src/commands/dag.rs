//! `roar dag`: the pipeline of a session.

use std::mem::ManuallyDrop;
use std::process::ExitCode;

use super::Context;
use super::reading;
use crate::error::CommandError;
use crate::lineage::SessionGraph;
use crate::present::dag::{DagOptions, DagPlan, DagView};
use crate::present::{Terminal, style};
use crate::store::Store;

/// Display the pipeline DAG for the current session.
///
/// Each step stands with its latest execution, below the step it depends on. A step marked *
/// is stale: something it read has been produced anew since, or a step it depends on is stale.
#[derive(Debug, clap::Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub(super) struct Args {
    /// Show all executions including reruns.
    #[arg(long)]
    expanded: bool,
    /// Show intermediate artifacts too, not only those at the ends.
    #[arg(long)]
    show_artifacts: bool,
    /// Show only stale steps.
    #[arg(long)]
    stale_only: bool,
    /// Show an earlier session.
    #[arg(long, value_name = "ID")]
    session: Option<i64>,
    /// Machine-readable output.
    #[arg(long, group = "form")]
    json: bool,
    /// A Mermaid flowchart.
    #[arg(long, group = "form")]
    mermaid: bool,
    /// A graph for Graphviz.
    #[arg(long, group = "form")]
    dot: bool,
    /// A picture: roar dag --svg > dag.svg.
    #[arg(long, group = "form")]
    svg: bool,
    /// A page to look at in a browser, which needs nothing else: roar dag --html > dag.html.
    #[arg(long, group = "form")]
    html: bool,
    /// No colour.
    #[arg(long)]
    no_color: bool,
}

/// # Errors
/// There is no such session.
pub(super) fn run(context: &mut Context, args: &Args) -> Result<ExitCode, CommandError> {
    let (_, store) = reading::open(context)?;
    let session = reading::session(&store, args.session)?;
    let options = DagOptions {
        expanded: args.expanded,
        show_artifacts: args.show_artifacts,
        stale_only: args.stale_only,
    };
    let session_id = session.map(|session| session.id);
    let view = store.moment(|| view(&store, session_id, options))??;
    let view = ManuallyDrop::new(view); // as long as the process
    let undrawn = |_| CommandError::user("the picture cannot be drawn");
    let text = if args.json {
        view.json()
    } else if args.mermaid {
        view.mermaid(&context.cwd)
    } else if args.dot {
        view.dot(&context.cwd)
    } else if args.svg {
        view.svg(&context.cwd).map_err(undrawn)?
    } else if args.html {
        view.html(&context.cwd).map_err(undrawn)?
    } else {
        let text = view.text(&context.cwd, Terminal::from_environment());
        if args.no_color {
            style::without_colour(&text)
        } else {
            text
        }
    };
    context.ui.data(&text);
    Ok(ExitCode::SUCCESS)
}

fn view(
    store: &Store,
    session_id: Option<i64>,
    options: DagOptions,
) -> Result<DagView, CommandError> {
    let (graph, collections) = match session_id {
        Some(id) => (reading::graph(store, id)?, store.collections_produced(id)?),
        None => (SessionGraph::new(Vec::new()), Vec::new()),
    };
    let graph = ManuallyDrop::new(graph); // as long as the process
    let mut plan = DagPlan::new(&graph, options, !collections.is_empty());
    let versions = reading::named(store, std::mem::take(&mut plan.versions))?;
    let job_of = |index: &usize| graph.executions()[*index].job_id;
    let jobs = store.summaries_of(plan.shown.iter().map(job_of))?;
    // What was taken back meanwhile is not shown.
    plan.shown.retain(|index| jobs.get(job_of(index)).is_some());
    Ok(DagView::new(
        session_id,
        &graph,
        &plan,
        &jobs,
        versions,
        &collections,
    ))
}
