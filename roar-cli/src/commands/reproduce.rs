//! `roar reproduce`: from a hash back to its content, and whether it is the same.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use glaas_api::artifacts::MIN_PREFIX;

use super::reading;
use super::reference;
use super::{Context, connection, gather, init};
use crate::error::CommandError;
use crate::model::{Digest, HashPrefix, PortableLineage};
use crate::present::reproduce::{Outlook, PlanView, progress_line};
use crate::present::script;
use crate::present::verdict::VerdictView;
use crate::present::{Terminal, inert};
use crate::project::Project;
use crate::register::client::Client;
use crate::register::fetch;
use crate::reproduce::checkout::Code;
use crate::reproduce::inputs::{self, Presence, Search};
use crate::reproduce::plan::Plan;
use crate::reproduce::rebase::rebase;
use crate::reproduce::state::State;
use crate::reproduce::steps::{Ending, Progress, Reproduction};
use crate::reproduce::verdict::{Verdict, judge};
use crate::reproduce::{ReproduceError, machine, python};
use crate::store::{Blobs, Store};

/// A result that differs from what was recorded.
const DIFFERS: u8 = 3;

/// Make an artifact again from its recorded lineage, and say whether it is the same.
///
/// Without --run, shows what would be done: code, environment, packages, steps, inputs, and what is
/// already known to be impossible. With it, everything happens in a folder of its own. roar exits
/// with 0 when the artifact is bit-identical, 3 when it differs (and says what differed first),
/// and 1 when it could not be made or compared. What was interrupted goes on when it is started again.
#[derive(Debug, clap::Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an option of the command line"
)]
pub(super) struct Args {
    /// An artifact hash (8 digits or more), or a path.
    #[arg(value_name = "HASH|PATH")]
    artifact: OsString,
    /// Do it.
    #[arg(long, conflicts_with = "script")]
    run: bool,
    /// Do not ask.
    #[arg(short = 'y', long)]
    yes: bool,
    /// Also install system packages at their recorded versions (apt).
    #[arg(long)]
    package_sync: bool,
    /// Show every package and every step.
    #[arg(long)]
    list_requirements: bool,
    /// Write a shell script instead that does it without roar.
    #[arg(long)]
    script: bool,
    /// Where a Python package is not to be had in its version, take another one.
    #[arg(long)]
    pip_any_version: bool,
    /// Where a system package is not to be had in its version, take another one.
    #[arg(long)]
    dpkg_any_version: bool,
    /// The folder to make; `reproduce-HASH` when left out.
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Look for inputs in this folder, too; may be repeated.
    #[arg(long, value_name = "FOLDER")]
    inputs: Vec<PathBuf>,
    /// Fetch the code from here and not from where it was recorded.
    #[arg(long, value_name = "URL")]
    repository: Option<String>,
    /// End a step that takes longer than so many seconds.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    timeout: Option<u64>,
    /// Machine-readable output.
    #[arg(long)]
    json: bool,
    /// Arguments that were secrets and are not recorded: --option=VALUE, or STEP.ARGUMENT=VALUE for
    /// one that is no option's.
    #[arg(last = true, value_name = "SECRET")]
    secrets: Vec<OsString>,
}

/// # Errors
/// The artifact is not known, something that is needed is not to be had, or nobody agreed.
pub(super) fn run(context: &mut Context, args: &Args) -> Result<ExitCode, CommandError> {
    let known = Known::find(context, args)?;
    let mut plan = Plan::of(known.lineage.clone());
    plan.fill(&args.secrets).map_err(|text| {
        let mut error = CommandError::user(text);
        for hidden in &plan.hidden {
            error = error.hint(format!("step {}: {}", hidden.step + 1, hidden.spelling()));
        }
        error
    })?;
    let outlook = outlook(&plan, &known, args);
    let view = PlanView {
        plan: &plan,
        outlook: &outlook,
        reference: args.artifact.to_string_lossy().into_owned(),
        all: args.list_requirements,
    };
    if args.script {
        let blob = |digest: &Digest| known.blob(digest).ok().flatten();
        context.ui.data(&script::script(&plan, &outlook, &blob));
        return Ok(ExitCode::SUCCESS);
    }
    if !args.run {
        context.ui.data(&if args.json {
            view.json()
        } else {
            view.text(Terminal::from_environment())
        });
        return Ok(ExitCode::SUCCESS);
    }
    if !args.json {
        context.ui.data(&view.text(Terminal::from_environment()));
    }
    refuse_the_impossible(&plan, &outlook)?;
    if !args.yes {
        let agreed = context.ui.confirm("Run these commands?", false);
        let agreed = agreed.ok_or_else(|| {
            CommandError::user("running somebody's commands must be confirmed")
                .hint("without a terminal, add: -y")
        })?;
        if !agreed {
            context.ui.note("nothing was run");
            return Ok(ExitCode::FAILURE);
        }
    }
    carry_out(context, args, &known, &plan, &outlook)
}

fn refuse_the_impossible(plan: &Plan, outlook: &Outlook) -> Result<(), CommandError> {
    let mut reasons: Vec<String> = plan
        .problems
        .iter()
        .filter(|problem| problem.weight == crate::reproduce::problems::Weight::Impossible)
        .map(|problem| problem.text.clone())
        .collect();
    reasons.extend(outlook.gaps.iter().cloned());
    let missing = plan.inputs.iter().zip(&outlook.presences);
    let missing: Vec<String> = missing
        .filter_map(|(input, presence)| inputs::obstacle(input, presence))
        .collect();
    if !missing.is_empty() {
        reasons.extend(missing);
        reasons.push("inputs that are elsewhere here are found with: --inputs FOLDER".to_owned());
    }
    if reasons.is_empty() {
        return Ok(());
    }
    let mut error = CommandError::user("this cannot be reproduced here");
    for reason in reasons {
        error = error.hint(reason);
    }
    Err(error)
}

fn carry_out(
    context: &mut Context,
    args: &Args,
    known: &Known,
    plan: &Plan,
    outlook: &Outlook,
) -> Result<ExitCode, CommandError> {
    let out = folder(context, args, plan);
    let mut state = enter(&out, plan)?;
    let project = Project {
        root: out
            .canonicalize()
            .map_err(ReproduceError::io("enter", &out))?,
    };
    init::create(&project)?;
    if state.plan.is_empty() {
        state = State::new(plan);
        state.write(&project.root)?;
    }
    let blobs = Blobs::of(&project)?;
    for step in 0..plan.steps.len() {
        for digest in Code::of(plan.job(step)).blobs() {
            if blobs.get(&digest)?.is_none()
                && let Some(content) = known.blob(&digest)?
            {
                blobs.put(&content)?;
            }
        }
    }
    if args.package_sync
        && let Some(others) = &outlook.other_packages
    {
        let names: Vec<String> = others
            .iter()
            .map(|other| format!("{}={}", other.name, other.wanted))
            .collect();
        if !names.is_empty() {
            let names = names.join(" ");
            context
                .ui
                .note(&format!("installing system packages: {}", inert(&names)));
        }
        machine::install_packages(others, args.dpkg_any_version)?;
    }
    let ui = &context.ui;
    let tell = |progress: Progress<'_>| ui.note(&progress_line(plan, progress));
    let look = || presences(plan, known, args);
    let reproduction = Reproduction {
        plan,
        project: &project,
        blobs: &blobs,
        roar: std::env::current_exe().map_err(|error| {
            CommandError::user("roar cannot find its own program").because(error)
        })?,
        timeout: args.timeout.map(Duration::from_secs),
        pip_any_version: args.pip_any_version,
        sources: sources(plan, known, args),
        tell: &tell,
        look: &look,
    };
    match reproduction.run(&mut state)? {
        Ending::Complete => {}
        Ending::Failed { step, status } => {
            return Err(failed(
                plan,
                step,
                &format!("ended with status {status}"),
                &project.root,
            ));
        }
        Ending::TimedOut { step } => {
            return Err(failed(plan, step, "took too long", &project.root));
        }
    }
    let made = reproduction.made_jobs(&state)?;
    let last = plan.steps.len().saturating_sub(1);
    let rebase = rebase(plan, plan.job(last), &project.root);
    let report = judge(plan, &state, &made, &rebase);
    let view = VerdictView {
        plan,
        report: &report,
        folder: &project.root,
    };
    context.ui.data(&if args.json {
        view.json()
    } else {
        view.text(Terminal::from_environment())
    });
    Ok(match report.verdict {
        Verdict::BitIdentical => ExitCode::SUCCESS,
        Verdict::Differs => ExitCode::from(DIFFERS),
        Verdict::NotComparable => ExitCode::FAILURE,
    })
}

fn failed(plan: &Plan, step: usize, how: &str, out: &Path) -> CommandError {
    let command = crate::present::shell::one_line(&plan.job(step).argv);
    CommandError::user(format!("step {} {how}: {command}", step + 1))
        .hint(format!("what it left is in {}", reading::shown(out)))
        .hint("started again, the reproduction goes on with this step")
}

fn folder(context: &Context, args: &Args, plan: &Plan) -> PathBuf {
    let name = args.out.clone().unwrap_or_else(|| {
        let target = plan
            .lineage
            .targets
            .first()
            .and_then(|target| target.hash());
        format!("reproduce-{}", target.map_or("artifact", Digest::short)).into()
    });
    context.cwd.join(name)
}

/// The state of the folder, which is made when it is not there; an empty one for a fresh folder.
fn enter(out: &Path, plan: &Plan) -> Result<State, CommandError> {
    std::fs::create_dir_all(out).map_err(ReproduceError::io("make the folder", out))?;
    let occupied = |reason: &str| {
        CommandError::from(ReproduceError::Occupied {
            path: out.to_path_buf(),
            reason: reason.to_owned(),
        })
        .hint("give another folder: --out FOLDER")
    };
    match State::read(out)? {
        Some(state) if state.plan == plan.digest().as_str() => return Ok(state),
        Some(_) => return Err(occupied("holds the reproduction of something else")),
        None => {}
    }
    let entries = std::fs::read_dir(out).map_err(ReproduceError::io("list", out))?;
    // Interrupted before anything was noted, there is nothing but roar's own folder.
    let foreign = entries.flatten().any(|entry| entry.file_name() != ".roar");
    if foreign {
        return Err(occupied("is not empty"));
    }
    Ok(State::default())
}

/// Where the code may be fetched from.
fn sources(plan: &Plan, known: &Known, args: &Args) -> Vec<String> {
    if let Some(repository) = &args.repository {
        return vec![repository.clone()];
    }
    let Some(source) = &plan.source else {
        return Vec::new();
    };
    let mut sources: Vec<String> = source.remote.clone().into_iter().collect();
    // On one's own machine the work tree has what was not pushed.
    if known.is_local()
        && let Some(top) = source.top.as_str()
        && Path::new(top).is_dir()
    {
        sources.push(top.to_owned());
    }
    sources
}

fn outlook(plan: &Plan, known: &Known, args: &Args) -> Outlook {
    Outlook {
        presences: presences(plan, known, args),
        python: plan.python.as_ref().map(python::maker),
        other_packages: machine::other_packages(&plan.dpkg),
        architecture: std::env::consts::ARCH.to_owned(),
        gaps: gaps(plan, known),
        doubts: known.doubts.clone(),
    }
}

fn presences(plan: &Plan, known: &Known, args: &Args) -> Vec<Presence> {
    let places = |digest: &Digest| known.places(digest);
    let has_blob = |digest: &Digest| matches!(known.blob(digest), Ok(Some(_)));
    inputs::look(
        plan,
        &Search {
            folders: &args.inputs,
            known: &places,
            local: known.is_local(),
            has_blob: &has_blob,
        },
    )
}

/// What of the lineage and the code itself cannot be had, in words.
fn gaps(plan: &Plan, known: &Known) -> Vec<String> {
    let mut missing: BTreeMap<Digest, String> = BTreeMap::new();
    for step in 0..plan.steps.len() {
        let code = Code::of(plan.job(step));
        if let Some(patch) = code.patch
            && !matches!(known.blob(&patch), Ok(Some(_)))
        {
            let text = format!("the patch {} is not to be had", patch.short());
            missing.insert(patch, text);
        }
    }
    let no_git = plan.source.is_some() && machine::program("git").is_none();
    let no_git = no_git.then(|| "git is not installed here: it fetches the code".to_owned());
    known
        .gaps
        .iter()
        .cloned()
        .chain(missing.into_values())
        .chain(no_git)
        .collect()
}

/// A lineage, and where its contents come from.
struct Known {
    lineage: PortableLineage,
    /// The project around, whose record may know where contents are.
    record: Option<(Project, Store)>,
    /// The server that gave the lineage; none when the record did.
    server: Option<Client>,
    /// What is missing from the lineage, in words.
    gaps: Vec<String>,
    /// What is not known for sure of it, in words.
    doubts: Vec<String>,
    /// What the server gave, or did not have.
    fetched: RefCell<BTreeMap<Digest, Option<Vec<u8>>>>,
}

impl Known {
    /// Asks the record first, then the server.
    fn find(context: &Context, args: &Args) -> Result<Self, CommandError> {
        let text = args.artifact.to_str().unwrap_or_default();
        let is_path = context.cwd.join(&args.artifact).exists();
        let is_hash = !is_path && text.parse::<HashPrefix>().is_ok();
        if is_hash && text.len() < MIN_PREFIX {
            return Err(CommandError::user(format!(
                "'{text}' is too short for a hash: 8 digits at least"
            )));
        }
        let record = match Project::find(&context.cwd) {
            Ok(_) => Some(reading::open(context)?),
            Err(_) => None,
        };
        let unknown = match &record {
            Some((project, store)) => {
                match reference::resolve_artifact(store, &context.cwd, &args.artifact) {
                    Ok(found) if made_here(store, &found)? || !(is_path || is_hash) => {
                        found.warn_if_changed(context);
                        let target = super::lineage::target(store, &found)?;
                        let lineage = gather::lineage(store, project, &[target])?;
                        return Ok(Self {
                            lineage,
                            record,
                            server: None,
                            gaps: Vec::new(),
                            doubts: Vec::new(),
                            fetched: RefCell::default(),
                        });
                    }
                    Ok(_) => CommandError::user("no recorded job made it"),
                    Err(error) => error,
                }
            }
            None => CommandError::user(format!("'{}' is no file, and no hash", inert(text))),
        };
        let prefix = if is_hash {
            text.to_ascii_lowercase()
        } else if is_path {
            let path = context.cwd.join(&args.artifact);
            let digest = inputs::content_of(&path).ok_or(unknown)?;
            digest.to_string()
        } else {
            return Err(unknown);
        };
        let settings = connection::settings(context)?;
        let client = connection::client(&settings)?;
        context.ui.note(&format!(
            "not made by a job of a record here: asking {}",
            client.server()
        ));
        let fetched = fetch::closure(&client, &prefix)?.ok_or_else(|| {
            CommandError::user(format!(
                "{prefix} is neither in a record here nor known to {}",
                client.server()
            ))
            .hint("a private artifact is shown to its owner only; see: roar auth test")
        })?;
        Ok(Self {
            lineage: fetched.lineage,
            record,
            server: Some(client),
            gaps: fetched.gaps,
            doubts: fetched.doubts,
            fetched: RefCell::default(),
        })
    }

    fn is_local(&self) -> bool {
        self.server.is_none()
    }

    fn blob(&self, digest: &Digest) -> Result<Option<Vec<u8>>, CommandError> {
        if let Some((project, _)) = &self.record
            && let Some(content) = Blobs::of(project)?.get(digest)?
        {
            return Ok(Some(content));
        }
        let Some(client) = &self.server else {
            return Ok(None);
        };
        if let Some(known) = self.fetched.borrow().get(digest) {
            return Ok(known.clone());
        }
        let content = client.content(digest)?;
        self.fetched
            .borrow_mut()
            .insert(digest.clone(), content.clone());
        Ok(content)
    }

    /// Where a record on this machine met a content.
    fn places(&self, digest: &Digest) -> Vec<PathBuf> {
        let Some((_, store)) = &self.record else {
            return Vec::new();
        };
        let Ok(Some(artifact)) = store.artifact(digest) else {
            return Vec::new();
        };
        let uses = store.artifact_uses(artifact.id).unwrap_or_default();
        uses.iter().map(|one| one.path.to_path_buf()).collect()
    }
}

/// Whether a job of the record made the content; who only read it knows less than the server.
fn made_here(store: &Store, found: &reference::FoundArtifact) -> Result<bool, CommandError> {
    let uses = store.artifact_uses(found.artifact.id)?;
    Ok(uses.iter().any(|one| one.produced))
}

impl From<ReproduceError> for CommandError {
    fn from(error: ReproduceError) -> Self {
        match error {
            ReproduceError::Impossible(text) => Self::user(text),
            other => Self::user("the reproduction stopped").because(other),
        }
    }
}
