//! `roar register`: shares how artifacts were made.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use glaas_api::members::PAGE_BYTES;
use glaas_api::paths;
use glaas_api::sessions::Visibility;
use serde_json::json;

use super::reference::{self, Target};
use super::{Context, connection, gather, reading};
use crate::error::CommandError;
use crate::lineage::Place;
use crate::model::{Digest, PortableLineage};
use crate::present::register::{Request, Summary, rehearsal_json, rehearsal_text};
use crate::present::sending::Sending;
use crate::register::bundle::{Bundle, bundle};
use crate::register::client::Client;
use crate::register::contents::{Contents, without_secrets};
use crate::register::reach::{self, Reach};
use crate::register::send::{Memory, Sent, send};
use crate::register::{RegisterError, keys::Key};
use crate::store::{Blobs, JobQuery, JobWithFiles, Store};

/// Register the lineage of an artifact with a lineage server (GLaaS).
///
/// Everything that led to it is sent: jobs, build steps, hashes of files (never the files), and the
/// patches and untracked code that no commit has. Secrets are taken out of whatever is sent. Once
/// registered, others can look it up by its hash and make it again: roar reproduce HASH.
#[derive(Debug, clap::Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an option of the command line"
)]
pub(super) struct Args {
    /// A path, an artifact hash, a job uid, `@N` or `@BN`; the whole session when left out.
    #[arg(value_name = "PATH|HASH|@N")]
    target: Option<OsString>,
    /// Only show what would be sent, to the byte, and what was taken out.
    #[arg(long)]
    dry_run: bool,
    /// Do not ask.
    #[arg(short = 'y', long)]
    yes: bool,
    /// For everyone who can reach the server.
    #[arg(long, conflicts_with = "private")]
    public: bool,
    /// For yourself.
    #[arg(long)]
    private: bool,
    /// Also tag the commits and push the tags, so that they stay reachable.
    #[arg(long)]
    tag: bool,
    /// Register even code that nobody else can fetch.
    #[arg(long)]
    without_code: bool,
    /// Machine-readable output.
    #[arg(long)]
    json: bool,
}

/// # Errors
/// Nothing recorded is meant, its code cannot be fetched by others, or the server refuses.
pub(super) fn run(context: &mut Context, args: &Args) -> Result<ExitCode, CommandError> {
    let settings = connection::settings(context)?;
    let (project, store) = reading::open(context)?;
    let targets = targets(context, &store, args.target.as_ref())?;
    let mut lineage = gather::lineage(&store, &project, &targets)?;
    if lineage.jobs.is_empty() {
        return Err(
            CommandError::user("no recorded job made it: it has no lineage")
                .hint("register something that a job wrote"),
        );
    }
    refuse_what_has_no_commit(&lineage)?;
    let redactor = connection::redactor(&settings)?;
    let blobs = Blobs::of(&project)?;
    let mut extra = Contents::new();
    let code = see_to_the_code(args, &mut lineage, &blobs, &mut extra)?;
    let contents = without_secrets(&mut lineage, &redactor, &|digest: &Digest| match extra
        .get(digest)
    {
        Some(content) => Ok(Some(content.clone())),
        None => blobs.get(digest).map_err(CommandError::from),
    })?;
    let key = match connection::key(&settings) {
        Ok(key) => Some(key),
        Err(error) if !args.dry_run => return Err(error.into()),
        Err(_) => None,
    };
    let fingerprint = key.as_ref().map(Key::fingerprint);
    let creator = fingerprint
        .clone()
        .unwrap_or_else(|| "anonymous".to_owned());
    let visibility = match (args.public, args.private) {
        (true, _) => Some(Visibility::Public),
        (_, true) => Some(Visibility::Private),
        _ => None,
    };
    let progress = Sending::new();
    // A rehearsal asks nobody, and takes the server for one of this project.
    let client = if args.dry_run {
        Client::rehearsing(&settings.glaas.url, None, redactor.clone())?
    } else {
        let beside = progress.clone();
        let patience = connection::patience(&settings, move |say| beside.around(say));
        Client::new(&settings.glaas.url, key, redactor.clone(), patience)?
    };
    let features = client.features()?;
    let takes_listings = features.members && features.max_blob_bytes >= PAGE_BYTES as u64;
    let listing = takes_listings.then_some(&redactor);
    let bundle = bundle(&lineage, &creator, visibility, listing);
    // What is shown is what the same code sends.
    let rehearsal = Client::rehearsing(&settings.glaas.url, None, redactor.clone())?;
    let read = |digest: &Digest| contents.get(digest).cloned();
    let nothing = &mut Nothing;
    let Sent { withheld, .. } = send(&rehearsal, &bundle, &read, nothing, &|| {})?;
    let requests = rehearsal.rehearsed();
    let summary = Summary {
        server: settings.glaas.url.clone(),
        key: fingerprint,
        session: bundle.session.hash.clone(),
        jobs: bundle.jobs.len(),
        artifacts: bundle.artifacts.len(),
        links: bundle
            .jobs
            .iter()
            .map(|job| job.inputs.len() + job.outputs.len())
            .sum(),
        contents: (
            bundle.blobs.len().saturating_sub(withheld.len()),
            contents.values().map(|content| content.len() as u64).sum(),
        ),
        members: bundle.jobs.iter().map(|job| job.members).sum(),
        unhashed: bundle.unhashed,
        visibility: visibility.map(|visibility| match visibility {
            Visibility::Public => "public",
            Visibility::Private => "private",
        }),
        code,
        removed: requests
            .iter()
            .flat_map(|request| &request.removed)
            .map(|removed| (removed.place.clone(), removed.detector.to_owned()))
            .collect(),
    };
    if args.dry_run {
        let requests: Vec<Request> = requests
            .into_iter()
            .map(|request| Request {
                method: request.method,
                path: request.path,
                body: request.body,
            })
            .collect();
        context.ui.data(&if args.json {
            rehearsal_json(&requests, &summary)
        } else {
            rehearsal_text(&requests, &summary)
        });
        return Ok(ExitCode::SUCCESS);
    }
    if !agreed(context, args, &summary)? {
        context.ui.note("nothing was sent");
        return Ok(ExitCode::FAILURE);
    }
    if args.tag {
        tag(context, &lineage, &bundle)?;
    }
    context.ui.note(&format!("sending to {}", client.server()));
    let mut memory = Stored {
        server: client.server().to_owned(),
        store: Store::open(&project)?,
    };
    progress.begin(requests.len());
    let sent = send(&client, &bundle, &read, &mut memory, &|| progress.step());
    progress.end();
    let sent = sent?;
    tell(context, args, &settings.glaas.web_url, &bundle, &sent);
    Ok(ExitCode::SUCCESS)
}

/// The contents that a reference stands for; those of the session's latest jobs without one.
fn targets(
    context: &Context,
    store: &Store,
    reference: Option<&OsString>,
) -> Result<Vec<Place>, CommandError> {
    let outputs = |job: crate::store::JobSummary| -> Result<Vec<Place>, CommandError> {
        let JobWithFiles { outputs, .. } = store.job_with_files(job)?;
        let places = outputs.into_iter().map(|file| Place {
            path: file.path,
            hash: file.hash,
            size_bytes: file.size_bytes,
        });
        Ok(places.filter(|place| place.hash.is_some()).collect())
    };
    if let Some(reference) = reference {
        return match reference::resolve(store, &context.cwd, reference)? {
            Target::Artifact(found) => {
                found.warn_if_changed(context);
                Ok(vec![super::lineage::target(store, &found)?])
            }
            Target::Collection(collection) => Err(CommandError::user(format!(
                "{} is a folder of files, not one of them",
                collection.hash.short()
            ))
            .hint("register a file of it, or the step that made it: roar register @N")),
            Target::Job(job) => {
                let uid = job.uid.clone();
                let places = outputs(job)?;
                if places.is_empty() {
                    return Err(CommandError::user(format!(
                        "job {uid} wrote nothing that could be hashed"
                    )));
                }
                Ok(places)
            }
        };
    }
    let session = store.active_session()?.ok_or_else(|| {
        CommandError::user("nothing is recorded yet").hint("begin with: roar run COMMAND")
    })?;
    let query = JobQuery {
        session: Some(session.id),
        ..JobQuery::default()
    };
    // Newest first: of each step the first one met is its latest.
    let mut steps = BTreeSet::new();
    let mut places = Vec::new();
    for job in store.job_summaries(&query)? {
        if steps.insert(job.step_number) {
            places.extend(outputs(job)?);
        }
    }
    if places.is_empty() {
        return Err(CommandError::user("the session has no outputs yet"));
    }
    Ok(places)
}

fn refuse_what_has_no_commit(lineage: &PortableLineage) -> Result<(), CommandError> {
    let mut error = CommandError::user(
        "a job has no commit, so that nobody could fetch its code: it cannot be registered",
    );
    for job in &lineage.jobs {
        if job
            .git
            .as_ref()
            .and_then(|git| git.commit.as_ref())
            .is_none()
        {
            let command = crate::present::shell::one_line(&job.argv);
            error = error.hint(format!("job {}: {command}", job.uid));
        }
    }
    if error.hints.is_empty() {
        return Ok(());
    }
    Err(error.hint("commit the code to git, then run the step again"))
}

/// Makes sure that others can get at the code: what no remote has travels as a patch. Tells what
/// was decided.
fn see_to_the_code(
    args: &Args,
    lineage: &mut PortableLineage,
    blobs: &Blobs,
    extra: &mut Contents,
) -> Result<Vec<String>, CommandError> {
    let mut told = Vec::new();
    let mut known: BTreeMap<(PathBuf, String), Reach> = BTreeMap::new();
    for git in lineage.jobs.iter_mut().filter_map(|job| job.git.as_mut()) {
        let (Some(top), Some(commit)) = (git.top.clone(), git.commit.clone()) else {
            continue;
        };
        let top = top.to_path_buf();
        let place = (top.clone(), commit.clone());
        let reach = match known.get(&place) {
            Some(reach) => reach.clone(),
            None => reach::reach(&top, &commit)?,
        };
        let is_new = known.insert(place, reach.clone()).is_none();
        let short = commit.get(..12).unwrap_or(&commit);
        let line = match reach {
            Reach::Remote => format!("commit {short} is on the remote"),
            Reach::Unpushed { base: Some(base) } => {
                let mut patch = reach::patch_between(&top, &base, &commit)?;
                if let Some(dirty) = &git.patch_hash {
                    let dirty = Digest::from_hex(dirty.as_str());
                    patch.extend(blobs.get(&dirty)?.unwrap_or_default());
                }
                let digest = Digest::from_bytes(blake3::hash(&patch).as_bytes());
                git.patch_hash = Some(digest.to_string());
                git.dirty = true;
                git.commit = Some(base.clone());
                extra.insert(digest, patch);
                let base = base.get(..12).unwrap_or(&base).to_owned();
                format!("commit {short} was not pushed: it travels as a patch on {base}")
            }
            Reach::Unpushed { base: None } => {
                cannot_be_fetched(args, &format!("no remote has anything of commit {short}"))?
            }
            Reach::NoRemote => cannot_be_fetched(args, "the repository has no remote")?,
            Reach::Unknown => cannot_be_fetched(
                args,
                &format!("whether a remote has commit {short} cannot be told: it is not here"),
            )?,
        };
        if is_new {
            told.push(line);
        }
    }
    Ok(told)
}

fn cannot_be_fetched(args: &Args, why: &str) -> Result<String, CommandError> {
    if args.without_code {
        return Ok(format!("{why}: nobody else can fetch it"));
    }
    Err(
        CommandError::user(format!("{why}: nobody else could fetch the code"))
            .hint("push it: git remote add origin URL; git push -u origin HEAD")
            .hint("to register all the same: roar register --without-code"),
    )
}

fn agreed(context: &Context, args: &Args, summary: &Summary) -> Result<bool, CommandError> {
    for line in summary.text().lines() {
        context.ui.note(line);
    }
    if args.yes {
        return Ok(true);
    }
    context.ui.confirm("Send it?", false).ok_or_else(|| {
        CommandError::user("sending must be confirmed")
            .hint("without a terminal, add: -y (or --dry-run to see what would be sent)")
    })
}

fn tag(context: &Context, lineage: &PortableLineage, bundle: &Bundle) -> Result<(), CommandError> {
    let session = bundle.session.hash.get(..8).unwrap_or_default();
    let mut tagged: BTreeMap<String, PathBuf> = BTreeMap::new();
    for git in lineage.jobs.iter().filter_map(|job| job.git.as_ref()) {
        if let (Some(commit), Some(top)) = (&git.commit, &git.top) {
            tagged.insert(commit.clone(), top.to_path_buf());
        }
    }
    for (number, (commit, top)) in tagged.iter().enumerate() {
        let name = if tagged.len() == 1 {
            format!("roar/{session}")
        } else {
            format!("roar/{session}-{}", number + 1)
        };
        reach::tag(top, &name, commit)?;
        context.ui.note(&format!(
            "tagged {} as {name}",
            commit.get(..12).unwrap_or(commit)
        ));
    }
    Ok(())
}

fn tell(context: &mut Context, args: &Args, web_url: &str, bundle: &Bundle, sent: &Sent) {
    let web = web_url.trim_end_matches('/');
    let session = format!("{web}{}", paths::session_page(&bundle.session.hash));
    let artifacts: Vec<String> = bundle
        .targets
        .iter()
        .map(|digest| format!("{web}{}", paths::artifact_page(digest.as_str())))
        .collect();
    for (digest, reason) in &sent.withheld {
        let short = digest.short();
        context
            .ui
            .warning(&if bundle.listings.contains_key(digest) {
                format!("the list of members {short} was not sent ({reason}): they cannot be found")
            } else {
                format!(
                    "the kept content {short} was not sent ({reason}): the code cannot be re-made \
                 without it"
                )
            });
    }
    context.ui.note(if sent.was_there {
        "all of this was registered before"
    } else {
        "registered"
    });
    if args.private {
        context.ui.note("only you see this session on the server");
    } else if args.public {
        context
            .ui
            .note("everyone who can reach the server sees this session");
    }
    if args.json {
        let document = json!({
            "session": bundle.session.hash,
            "session_url": session,
            "artifact_urls": artifacts,
            "jobs": bundle.jobs.len(),
            "artifacts": bundle.artifacts.len(),
            "was_there": sent.was_there,
            "withheld": sent.withheld.iter().map(|(digest, reason)| json!({
                "digest": digest, "reason": reason,
            })).collect::<Vec<_>>(),
        });
        context.ui.data(&format!("{document:#}\n"));
        return;
    }
    context.ui.data(&format!("{session}\n"));
    for artifact in artifacts {
        context.ui.data(&format!("{artifact}\n"));
    }
    if let [target] = bundle.targets.as_slice() {
        context.ui.note(&format!(
            "anyone who may see it makes it again with: roar reproduce {target}"
        ));
    }
}

/// What has arrived, in the project's database.
struct Stored {
    server: String,
    store: Store,
}

impl Memory for Stored {
    fn has(&self, session: &str, part: &str) -> Result<bool, RegisterError> {
        Ok(self.store.has_arrived(&self.server, session, part)?)
    }

    fn add(&mut self, session: &str, part: &str) -> Result<(), RegisterError> {
        Ok(self.store.note_arrival(&self.server, session, part)?)
    }

    fn forget(&mut self, session: &str) -> Result<(), RegisterError> {
        Ok(self.store.forget_arrivals(&self.server, session)?)
    }
}

/// A rehearsal remembers nothing.
struct Nothing;

impl Memory for Nothing {
    fn has(&self, _session: &str, _part: &str) -> Result<bool, RegisterError> {
        Ok(false)
    }

    fn add(&mut self, _session: &str, _part: &str) -> Result<(), RegisterError> {
        Ok(())
    }

    fn forget(&mut self, _session: &str) -> Result<(), RegisterError> {
        Ok(())
    }
}
