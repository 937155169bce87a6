//! Pages of one artifact, job or session, and of keys.

use askama::Template;
use axum::extract::{Form, Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use glaas_api::document::{COLLECTION, JobDocument};
use glaas_api::lineage::{ClosureJob, LinkedFile};
use glaas_api::sessions::Visibility;
use serde::Deserialize;

use super::picture::{Picture, picture};
use super::view::{
    FileRow, JobRow, cut, file_name, file_row, inert, job_row, result, short, size, step, time,
};
use super::{Failure, Page, page};
use crate::app::App;
use crate::auth::keys as public_keys;
use crate::error::ApiError;
use crate::in_read;
use crate::store::graph::{self, Bounds, Walk};
use crate::store::links::Role;
use crate::store::{NOBODY, StoreError, artifacts as contents, jobs as store, sessions};

/// How far back a picture goes at most.
pub(super) const MAX_DEPTH: u32 = 64;

/// Jobs in one picture.
const MAX_BOXES: usize = 120;

/// Jobs in a table beside it.
const MAX_ROWS: i64 = 20;

/// What may be asked of a page with a picture.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Shown {
    depth: Option<u32>,
}

impl Shown {
    fn bounds(&self) -> Bounds {
        Bounds {
            depth: self.depth.unwrap_or(4).clamp(1, MAX_DEPTH),
            jobs: MAX_BOXES,
        }
    }
}

type Fact = (String, String);

fn fact(name: &str, value: impl AsRef<str>) -> Option<Fact> {
    let value = inert(value.as_ref());
    (!value.is_empty()).then(|| (name.to_owned(), value))
}

#[derive(Template)]
#[template(path = "artifact.html")]
struct Artifact {
    name: String,
    size: String,
    external: bool,
    command: String,
    facts: Vec<Fact>,
    session: String,
    picture: Picture,
    jobs: Vec<JobRow>,
    readers: Vec<JobRow>,
}

pub(super) async fn artifact(
    State(app): State<App>,
    Path(prefix): Path<String>,
    Query(shown): Query<Shown>,
) -> Page {
    let (id, _) = crate::api::resolve_artifact(&app, NOBODY, &prefix).await?;
    let bounds = shown.bounds();
    let (artifact, walk, made, read) = in_read!(app.database, tx => async {
        let artifact = contents::record(tx, NOBODY, id).await?;
        let walk = graph::upstream(tx, NOBODY, id, bounds).await?;
        let mut tables = [Vec::new(), Vec::new()];
        for (table, role) in tables.iter_mut().zip([Role::Output, Role::Input]) {
            for (job, _) in graph::jobs_with(tx, NOBODY, id, role, MAX_ROWS).await? {
                table.push(graph::node(tx, NOBODY, job).await?.job.summary);
            }
        }
        let [made, read] = tables;
        Ok((artifact, walk, made, read))
    }.await)?;
    let mut facts: Vec<Fact> = artifact
        .hashes
        .iter()
        .filter_map(|hash| fact(&hash.algorithm, &hash.digest))
        .collect();
    facts.extend(fact("Path", artifact.path.as_deref().unwrap_or_default()));
    // As text: what a client calls a URL is not a link here.
    facts.extend(fact(
        "Source",
        artifact.source_url.as_deref().unwrap_or_default(),
    ));
    facts.extend(fact("Registered", time(artifact.created_at)));
    let chosen = made.first().map(|job| job.id);
    let name = artifact
        .path
        .as_deref()
        .map_or_else(|| short(&artifact.hash), |path| cut(file_name(path), 120));
    Ok(page(&Artifact {
        name,
        size: size(artifact.size),
        external: made.is_empty(),
        command: reproduce(&app, &artifact.hash),
        facts,
        session: artifact.session_hash.unwrap_or_default(),
        picture: picture(&walk, chosen, bounds.depth),
        jobs: made.iter().map(job_row).collect(),
        readers: read.iter().map(job_row).collect(),
    }))
}

/// The command that makes an artifact again.
fn reproduce(app: &App, hash: &str) -> String {
    format!("GLAAS_URL={} roar reproduce {hash} --run", app.base_url)
}

#[derive(Template)]
#[template(path = "job.html")]
struct JobPage {
    job: JobRow,
    complete: (String, &'static str),
    command: String,
    outputs: Vec<FileRow>,
    inputs: Vec<FileRow>,
    picture: Picture,
    groups: Vec<(String, Vec<Fact>)>,
    session: String,
}

pub(super) async fn job(
    State(app): State<App>,
    Path((session, uid)): Path<(String, String)>,
    Query(shown): Query<Shown>,
) -> Page {
    let session = crate::api::check_prefix(&session)?;
    crate::api::check_uid(&uid)?;
    let bounds = shown.bounds();
    let (id, node, walk) = in_read!(app.database, tx => async {
        let found = store::visible(tx, NOBODY, Some(&session), &uid).await?;
        let id = found.first().copied().ok_or(StoreError::NotFound)?;
        let mut walk = Walk::default();
        graph::climb(tx, NOBODY, &[id], bounds, &mut walk).await?;
        Ok((id, graph::node(tx, NOBODY, id).await?, walk))
    }.await)?;
    let summary = &node.job.summary;
    let mut row = job_row(summary);
    row.command = cut(&summary.command, 4000);
    row.step = step(summary);
    (row.result, row.tone) = result(summary);
    let complete = match summary.complete {
        Some(true) => ("record complete".to_owned(), "good"),
        Some(false) => ("record incomplete".to_owned(), "bad"),
        None => ("completeness not stated".to_owned(), ""),
    };
    let mut outputs = node.job.outputs.iter();
    let first = outputs.find(|file| file.basis.as_deref() != Some(COLLECTION));
    Ok(page(&JobPage {
        complete,
        command: first.map_or(String::new(), |file| reproduce(&app, &file.hash)),
        outputs: file_rows(&node.job, true),
        inputs: file_rows(&node.job, false),
        picture: picture(&walk, Some(id), bounds.depth),
        groups: groups(&node.job),
        session: summary.session_hash.clone(),
        job: row,
    }))
}

/// The files of a job. What is in a collection is not listed beside it: each member has a page of its
/// own, and the lineage has them all.
fn file_rows(job: &ClosureJob, produced: bool) -> Vec<FileRow> {
    let document = job.document.as_ref();
    let collections = document.map_or(&[][..], |document| &document.collections);
    let folders: Vec<String> = collections
        .iter()
        .filter(|collection| collection.produced == produced)
        .map(|collection| format!("{}/", collection.folder.shown()))
        .collect();
    let files = if produced { &job.outputs } else { &job.inputs };
    let is_listed = |file: &&LinkedFile| {
        file.basis.as_deref() == Some(COLLECTION)
            || !folders.iter().any(|folder| file.path.starts_with(folder))
    };
    files.iter().filter(is_listed).map(file_row).collect()
}

/// What is known of a job, by subject; groups without facts are left out.
fn groups(job: &ClosureJob) -> Vec<(String, Vec<Fact>)> {
    let summary = &job.summary;
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let mut groups = vec![
        (
            "Run",
            vec![
                fact("Job", &summary.job_uid),
                fact("Started", time(summary.timestamp)),
                fact("Took", super::view::duration(summary.duration_seconds)),
            ],
        ),
        (
            "Code",
            vec![
                fact("Repository", text(&summary.git_repo)),
                fact("Commit", text(&summary.git_commit)),
                fact("Branch", text(&summary.git_branch)),
            ],
        ),
        (
            "Machine",
            vec![
                fact("Host", text(&summary.host)),
                fact("GPU", text(&summary.gpu)),
            ],
        ),
    ];
    match &job.document {
        Some(document) => extend(&mut groups, document),
        None => {
            if let Some(metadata) = &job.metadata {
                let pretty = serde_json::to_string_pretty(metadata).unwrap_or_default();
                groups.push((
                    "As the client told it",
                    vec![fact("metadata", cut(&pretty, 20_000))],
                ));
            }
        }
    }
    groups
        .into_iter()
        .map(|(name, facts)| {
            (
                name.to_owned(),
                facts.into_iter().flatten().collect::<Vec<_>>(),
            )
        })
        .filter(|(_, facts)| !facts.is_empty())
        .collect()
}

fn extend(groups: &mut Vec<(&'static str, Vec<Option<Fact>>)>, document: &JobDocument) {
    groups[0].1.push(fact("Directory", document.cwd.shown()));
    if let Some(git) = &document.git {
        let dirty = if git.dirty {
            "changed since the commit"
        } else {
            "as committed"
        };
        groups[1].1.push(fact("Work tree", dirty));
        groups[1]
            .1
            .push(fact("Patch", git.patch.as_deref().unwrap_or_default()));
        groups[1]
            .1
            .push(fact("", git.patch_note.as_deref().unwrap_or_default()));
    }
    let host = &document.host;
    groups[2].1.extend([
        fact(
            "System",
            [&*host.os, &*host.kernel, &*host.arch].join(" ").trim(),
        ),
        fact("CPU", &host.cpu_model),
        fact(
            "Memory",
            if host.memory_bytes > 0 {
                size(Some(host.memory_bytes))
            } else {
                String::new()
            },
        ),
    ]);
    let completeness = &document.completeness;
    let lost: u64 = completeness.lost_events.values().sum();
    let mut record = vec![fact("Observed by", &completeness.backend)];
    if lost > 0 {
        record.push(fact("Events lost", lost.to_string()));
    }
    record.extend(completeness.gaps.iter().map(|gap| fact("Gap", gap)));
    record.extend(completeness.notes.iter().map(|note| fact("Note", note)));
    groups.push(("Completeness", record));
    groups.push((
        "Environment",
        document
            .environment
            .iter()
            .map(|(name, value)| fact(name, value.shown()))
            .collect(),
    ));
    let software = &document.software;
    let mut used: Vec<Option<Fact>> = software
        .interpreters
        .iter()
        .map(|python| fact(&python.implementation, &python.version))
        .collect();
    for (name, list) in [
        ("pip", &software.pip),
        ("dpkg", &software.dpkg),
        ("rpm", &software.rpm),
        ("apk", &software.apk),
        ("conda", &software.conda),
    ] {
        let all: Vec<String> = list
            .iter()
            .map(|(package, version)| format!("{package}=={version}"))
            .collect();
        used.push(fact(name, cut(&all.join("  "), 20_000)));
    }
    groups.push(("Packages", used));
}

#[derive(Template)]
#[template(path = "session.html")]
struct Session {
    short: String,
    count: usize,
    visibility: &'static str,
    owner: String,
    facts: Vec<Fact>,
    picture: Picture,
    jobs: Vec<JobRow>,
}

pub(super) async fn session(
    State(app): State<App>,
    Path(prefix): Path<String>,
    Query(shown): Query<Shown>,
) -> Page {
    let hash = crate::api::resolve_session(&app, NOBODY, &prefix).await?;
    let bounds = shown.bounds();
    let (session, walk) = in_read!(app.database, tx => async {
        let session = sessions::visible(tx, NOBODY, &hash).await?;
        let jobs: Vec<i64> = session.jobs.iter().map(|job| job.id).collect();
        let mut walk = Walk::default();
        graph::climb(tx, NOBODY, &jobs, bounds, &mut walk).await?;
        Ok((session, walk))
    }.await)?;
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let facts = [
        fact("Hash", &session.hash),
        fact("Repository", text(&session.git_repo)),
        fact("Commit", text(&session.git_commit)),
        fact("Branch", text(&session.git_branch)),
        fact("Registered", time(session.created_at)),
    ];
    Ok(page(&Session {
        short: short(&session.hash),
        count: session.jobs.len(),
        visibility: match session.visibility {
            Some(Visibility::Private) => "private",
            _ => "public",
        },
        owner: text(&session.owner),
        facts: facts.into_iter().flatten().collect(),
        picture: picture(&walk, None, bounds.depth),
        jobs: session.jobs.iter().map(job_row).collect(),
    }))
}

#[derive(Default, Template)]
#[template(path = "keys.html")]
struct Keys {
    closed: bool,
    error: String,
    done: String,
    user: String,
    public_key: String,
}

pub(super) async fn keys(State(app): State<App>) -> Page {
    Ok(page(&Keys {
        closed: app.settings.closed,
        ..Keys::default()
    }))
}

/// What the form sends.
#[derive(Debug, Deserialize)]
pub(super) struct Registration {
    user: String,
    public_key: String,
}

/// A form of another site is not taken: browsers say where it comes from.
fn from_here(app: &App, headers: &HeaderMap) -> Result<(), Failure> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let refused = || ApiError::forbidden("this form was sent from another site").into();
    match text("sec-fetch-site") {
        None | Some("same-origin" | "none") => {}
        Some(_) => return Err(refused()),
    }
    if let Some(origin) = text("origin") {
        let host = origin.split_once("://").map_or("", |(_, host)| host);
        if text("host") != Some(host) && app.public_host() != Some(host) {
            return Err(refused());
        }
    }
    Ok(())
}

pub(super) async fn register_key(
    State(app): State<App>,
    headers: HeaderMap,
    Form(form): Form<Registration>,
) -> Page {
    from_here(&app, &headers)?;
    let registered = match public_keys::read(&form.public_key) {
        Ok(key) => crate::api::register_user(&app, form.user.trim(), &key)
            .await
            .map(|_| key.record.fingerprint),
        Err(words) => Err(ApiError::invalid(words)),
    };
    let (status, keys) = match registered {
        Ok(fingerprint) => (
            StatusCode::OK,
            Keys {
                done: format!(
                    "{fingerprint} belongs to {} now. Try: roar auth test",
                    form.user.trim()
                ),
                ..Keys::default()
            },
        ),
        Err(error) => (
            error.status,
            Keys {
                closed: app.settings.closed,
                error: error.message,
                user: form.user,
                // A private key is not sent back.
                public_key: if form.public_key.contains("PRIVATE") {
                    String::new()
                } else {
                    form.public_key
                },
                ..Keys::default()
            },
        ),
    };
    Ok((status, page(&keys)).into_response())
}
