//! Pages of one artifact, job or session.

use askama::Template;
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::response::IntoResponse;
use glaas_api::document::COLLECTION;
use glaas_api::lineage::{ClosureJob, JobSummary, LinkedFile};
use glaas_api::members::Members;
use glaas_api::sessions::Visibility;
use serde::Deserialize;

use super::details::{Fact, Group, fact, fitted, groups};
use super::picture::{Picture, picture};
use super::room::Room;
use super::view::{
    FileRow, JobRow, cut, file_name, file_row, job_row, member_row, result, short, size, step, time,
};
use super::visitor::Visitor;
use super::{Page, page};
use crate::app::App;
use crate::in_read;
use crate::store::graph::{self, Bounds, Node, Walk};
use crate::store::links::Role;
use crate::store::{
    StoreError, Transaction, Viewer, artifacts as contents, jobs as store, listings, sessions,
};

/// How far back a picture goes at most.
pub(super) const MAX_DEPTH: u32 = 64;

/// Jobs in one picture.
const MAX_BOXES: usize = 100;

/// Jobs in a table beside it.
const MAX_ROWS: usize = 20;

/// Bytes for each list of files, for the facts, and for a session's jobs.
const FILES_ROOM: usize = 25_000;
const FACTS_ROOM: usize = 35_000;
const JOBS_ROOM: usize = 80_000;

/// What may be asked of a page: how far back its picture goes, and where its lists begin.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Shown {
    depth: Option<u32>,
    inputs: usize,
    outputs: usize,
    jobs: usize,
    members: usize,
}

impl Shown {
    fn bounds(&self) -> Bounds {
        Bounds {
            depth: self.depth.unwrap_or(4).clamp(1, MAX_DEPTH),
            jobs: MAX_BOXES,
        }
    }
}

/// A part of a list, and the way to what follows.
struct Part<T> {
    rows: Vec<T>,
    /// `1–60 of 1203`, unless all is there.
    range: String,
    next: String,
}

impl<T> Part<T> {
    /// Rows of a list of `all`, from `start` on.
    fn of(rows: Vec<T>, start: usize, all: usize, name: &str) -> Self {
        let end = start.saturating_add(rows.len());
        let mut part = Self {
            rows,
            range: String::new(),
            next: String::new(),
        };
        if start > 0 || end < all {
            part.range = format!("{}–{end} of {all}", (start.saturating_add(1)).min(end));
        }
        if end < all {
            part.next = format!("?{name}={end}#{name}");
        }
        part
    }
}

/// The rows from `start` on that there is room for.
fn part<S, T>(
    all: &[S],
    start: usize,
    name: &str,
    room: usize,
    row: impl Fn(&S) -> T,
    bytes: impl Fn(&T) -> usize,
) -> Part<T> {
    let start = start.min(all.len());
    // Rows of less than a hundred bytes there are none.
    let wanted = all[start..].iter().take(room / 100).map(row).collect();
    Part::of(Room::new(room).fit(wanted, bytes), start, all.len(), name)
}

/// The files of a job. What is in a collection is not listed beside it: each member has a page of its
/// own, and the lineage has them all.
fn files(job: &ClosureJob, produced: bool, start: usize) -> Part<FileRow> {
    let document = job.document.as_ref();
    let collections = document.map_or(&[][..], |document| &document.collections);
    let folders: Vec<String> = collections
        .iter()
        .filter(|collection| collection.produced == produced)
        .map(|collection| format!("{}/", collection.folder.shown()))
        .collect();
    let (files, name) = if produced {
        (&job.outputs, "outputs")
    } else {
        (&job.inputs, "inputs")
    };
    let is_listed = |file: &&LinkedFile| {
        file.basis.as_deref() == Some(COLLECTION)
            || !folders.iter().any(|folder| file.path.starts_with(folder))
    };
    let listed: Vec<&LinkedFile> = files.iter().filter(is_listed).collect();
    let row = |file: &&LinkedFile| file_row(file);
    part(&listed, start, name, FILES_ROOM, row, FileRow::bytes)
}

#[derive(Template)]
#[template(path = "artifact.html")]
struct Artifact {
    who: String,
    name: String,
    size: String,
    external: bool,
    command: String,
    facts: Vec<Fact>,
    session: String,
    members: Part<FileRow>,
    picture: Picture,
    made: Vec<JobRow>,
    more_made: bool,
    read: Vec<JobRow>,
    more_read: bool,
}

/// Jobs that wrote or read a content, the newest, and whether there are more.
async fn jobs_with(
    tx: &mut Transaction,
    viewer: Viewer,
    hash: &str,
    role: Role,
) -> Result<(Vec<JobSummary>, bool), StoreError> {
    let found = graph::jobs_with(tx, viewer, hash, role, MAX_ROWS as i64 + 1).await?;
    let mut jobs = Vec::new();
    for (job, _) in found.iter().take(MAX_ROWS) {
        jobs.push(store::seen(tx, viewer, *job).await?);
    }
    Ok((jobs, found.len() > MAX_ROWS))
}

pub(super) async fn artifact(
    State(app): State<App>,
    visitor: Visitor,
    Path(prefix): Path<String>,
    Query(shown): Query<Shown>,
) -> Page {
    let viewer = visitor.viewer();
    let hash = crate::api::resolve_artifact(&app, viewer, &prefix).await?;
    let bounds = shown.bounds();
    let (artifact, walk, made, read, members) = in_read!(app.database, tx => async {
        let artifact = contents::record(tx, viewer, &hash).await?;
        let walk = graph::upstream(tx, viewer, &hash, bounds).await?;
        let made = jobs_with(tx, viewer, &hash, Role::Output).await?;
        let read = jobs_with(tx, viewer, &hash, Role::Input).await?;
        let members = members(tx, viewer, &hash, shown.members).await?;
        Ok((artifact, walk, made, read, members))
    }.await)?;
    let mut facts: Vec<Fact> = artifact
        .hashes
        .iter()
        .filter_map(|hash| fact(&hash.algorithm, &hash.digest))
        .collect();
    let text = |value: &Option<String>| cut(value.as_deref().unwrap_or_default(), 1000);
    facts.extend(fact("Path", text(&artifact.path)));
    // As text: what a client calls a URL is not a link here.
    facts.extend(fact("Source", text(&artifact.source_url)));
    facts.extend(fact("Registered", time(artifact.created_at)));
    let chosen = made.0.first().map(|job| job.id);
    let name = artifact
        .path
        .as_deref()
        .map_or_else(|| short(&artifact.hash), |path| cut(file_name(path), 120));
    Ok(page(&Artifact {
        who: visitor.name(),
        name,
        size: size(artifact.size),
        external: made.0.is_empty(),
        command: reproduce(&app, &artifact.hash),
        facts,
        session: artifact.session_hash.unwrap_or_default(),
        members,
        picture: picture(&walk, chosen, bounds.depth),
        made: made.0.iter().map(job_row).collect(),
        more_made: made.1,
        read: read.0.iter().map(job_row).collect(),
        more_read: read.1,
    }))
}

/// The members of a collection from `start` on that there is room for; none of what is no collection.
async fn members(
    tx: &mut Transaction,
    viewer: Viewer,
    hash: &str,
    start: usize,
) -> Result<Part<FileRow>, StoreError> {
    // Rows of less than a hundred bytes there are none.
    let wanted = (FILES_ROOM / 100) as u64;
    let found = match listings::part(tx, viewer, hash, start as u64, wanted).await {
        Err(StoreError::NotFound) => Members::default(),
        found => found?,
    };
    let rows = found.members.iter().map(member_row).collect();
    let rows = Room::new(FILES_ROOM).fit(rows, FileRow::bytes);
    let all = usize::try_from(found.files).unwrap_or(usize::MAX);
    Ok(Part::of(rows, start.min(all), all, "members"))
}

/// The command that makes an artifact again.
fn reproduce(app: &App, hash: &str) -> String {
    format!("GLAAS_URL={} roar reproduce {hash} --run", app.base_url)
}

#[derive(Template)]
#[template(path = "job.html")]
struct JobPage {
    who: String,
    job: JobRow,
    title: String,
    complete: (&'static str, &'static str),
    command: String,
    outputs: Part<FileRow>,
    inputs: Part<FileRow>,
    picture: Picture,
    groups: Vec<Group>,
    hidden: usize,
    session: String,
    uid: String,
}

/// A job's row.
async fn find(
    tx: &mut Transaction,
    viewer: Viewer,
    session: &str,
    uid: &str,
) -> Result<i64, StoreError> {
    let found = store::visible(tx, viewer, Some(session), uid).await?;
    found.first().copied().ok_or(StoreError::NotFound)
}

pub(super) async fn job(
    State(app): State<App>,
    visitor: Visitor,
    Path((session, uid)): Path<(String, String)>,
    Query(shown): Query<Shown>,
) -> Page {
    let session = crate::api::check_prefix(&session)?;
    crate::api::check_uid(&uid)?;
    let (viewer, bounds) = (visitor.viewer(), shown.bounds());
    let (id, node, walk) = in_read!(app.database, tx => async {
        let id = find(tx, viewer, &session, &uid).await?;
        let mut walk = Walk::default();
        graph::climb(tx, viewer, &[id], bounds, &mut walk).await?;
        Ok((id, graph::node(tx, viewer, id).await?, walk))
    }.await)?;
    let summary = &node.job.summary;
    let mut row = job_row(summary);
    row.command = cut(&summary.command, 1200);
    row.step = step(summary);
    (row.result, row.tone) = result(summary);
    let complete = match summary.complete {
        Some(true) => ("record complete", "good"),
        Some(false) => ("record incomplete", "bad"),
        None => ("completeness not stated", ""),
    };
    let mut outputs = node.job.outputs.iter();
    let first = outputs.find(|file| file.basis.as_deref() != Some(COLLECTION));
    let (groups, hidden) = fitted(groups(&node.job), &mut Room::new(FACTS_ROOM));
    Ok(page(&JobPage {
        who: visitor.name(),
        title: cut(&summary.command, 120),
        complete,
        command: first.map_or(String::new(), |file| reproduce(&app, &file.hash)),
        outputs: files(&node.job, true, shown.outputs),
        inputs: files(&node.job, false, shown.inputs),
        picture: picture(&walk, Some(id), bounds.depth),
        groups,
        hidden,
        session: summary.session_hash.clone(),
        uid,
        job: row,
    }))
}

/// All that is known of a job, as clients get it, for one who may have signed in.
pub(super) async fn record(
    State(app): State<App>,
    visitor: Visitor,
    Path((session, uid)): Path<(String, String)>,
) -> Page {
    let session = crate::api::check_prefix(&session)?;
    crate::api::check_uid(&uid)?;
    let viewer = visitor.viewer();
    let node: Node = in_read!(app.database, tx => async {
        let id = find(tx, viewer, &session, &uid).await?;
        graph::node(tx, viewer, id).await
    }.await)?;
    Ok(Json(node.job).into_response())
}

#[derive(Template)]
#[template(path = "session.html")]
struct Session {
    who: String,
    short: String,
    count: usize,
    hash: String,
    private: bool,
    owner: String,
    /// Whether it is the visitor's own.
    own: bool,
    facts: Vec<Fact>,
    picture: Picture,
    jobs: Part<JobRow>,
}

pub(super) async fn session(
    State(app): State<App>,
    visitor: Visitor,
    Path(prefix): Path<String>,
    Query(shown): Query<Shown>,
) -> Page {
    let (viewer, bounds) = (visitor.viewer(), shown.bounds());
    let hash = crate::api::resolve_session(&app, viewer, &prefix).await?;
    let (session, walk) = in_read!(app.database, tx => async {
        let session = sessions::visible(tx, viewer, &hash).await?;
        let jobs: Vec<i64> = session.jobs.iter().map(|job| job.id).collect();
        let mut walk = Walk::default();
        graph::climb(tx, viewer, &jobs, bounds, &mut walk).await?;
        Ok((session, walk))
    }.await)?;
    let text = |value: &Option<String>| cut(value.as_deref().unwrap_or_default(), 1000);
    let facts = [
        fact("Hash", &session.hash),
        fact("Repository", text(&session.git_repo)),
        fact("Commit", text(&session.git_commit)),
        fact("Branch", text(&session.git_branch)),
        fact("Registered", time(session.created_at)),
    ];
    let owner = text(&session.owner);
    Ok(page(&Session {
        who: visitor.name(),
        short: short(&session.hash),
        count: session.jobs.len(),
        private: session.visibility == Some(Visibility::Private),
        own: session.owner.is_some_and(|owner| owner == visitor.name()),
        hash: session.hash,
        owner,
        facts: facts.into_iter().flatten().collect(),
        picture: picture(&walk, None, bounds.depth),
        jobs: part(
            &session.jobs,
            shown.jobs,
            "jobs",
            JOBS_ROOM,
            job_row,
            JobRow::bytes,
        ),
    }))
}
