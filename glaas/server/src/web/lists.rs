//! Home, search and browsers.

use askama::Template;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Redirect};
use glaas_api::search::{ArtifactQuery, JobQuery, Page as Results};
use glaas_api::sessions::Visibility;
use serde::{Deserialize, Serialize};

use super::view::{FileRow, JobRow, artifact_row, cut, job_row, short, time};
use super::visitor::Visitor;
use super::{Page, page};
use crate::app::App;
use crate::in_read;
use crate::store::{StoreError, artifacts as contents, search as find, sessions as store};

/// Beyond this, home says "+" instead of counting on.
const COUNTED: i64 = 10_000;

/// Rows of a page.
const MAX_ROWS: u32 = 50;

#[derive(Template)]
#[template(path = "home.html")]
struct Home {
    who: String,
    numbers: Vec<(String, &'static str)>,
    jobs: Vec<JobRow>,
}

pub(super) async fn home(State(app): State<App>, visitor: Visitor) -> Page {
    let viewer = visitor.viewer();
    let latest = JobQuery {
        limit: Some(10),
        ..JobQuery::default()
    };
    let (counts, jobs) = in_read!(app.database, tx => async {
        let counts = contents::counts(tx, COUNTED).await?;
        Ok((counts, find::jobs(tx, viewer, &latest).await?))
    }.await)?;
    let numbers = counts
        .into_iter()
        .zip(["artifacts", "jobs", "sessions"])
        .map(|(count, name)| {
            let more = if count >= COUNTED { "+" } else { "" };
            (format!("{count}{more}"), name)
        })
        .collect();
    Ok(page(&Home {
        who: visitor.name(),
        numbers,
        jobs: jobs.items.iter().map(job_row).collect(),
    }))
}

/// What the box on the home page takes.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    q: String,
}

/// A hash leads to its page, words to the jobs.
pub(super) async fn search(
    State(app): State<App>,
    visitor: Visitor,
    Query(asked): Query<Asked>,
) -> Page {
    let viewer = visitor.viewer();
    let q = asked.q.trim();
    let is_hash = (8..=128).contains(&q.len()) && q.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hash {
        if let Ok(hash) = crate::api::resolve_artifact(&app, viewer, q).await {
            return Ok(Redirect::to(&format!("/artifact/{hash}")).into_response());
        }
        if let Ok(hash) = crate::api::resolve_session(&app, viewer, q).await {
            return Ok(Redirect::to(&format!("/dag/{hash}")).into_response());
        }
    }
    let query = JobQuery {
        q: Some(q.to_owned()),
        ..JobQuery::default()
    };
    list_jobs(&app, &visitor, query).await
}

/// Name, label, value and hint of a field.
type Field = (&'static str, &'static str, String, &'static str);

#[derive(Template)]
#[template(path = "jobs.html")]
struct JobsPage {
    who: String,
    q: String,
    fields: Vec<Field>,
    error: String,
    heading: String,
    jobs: Vec<JobRow>,
    next: String,
}

/// The link to the next page of a query.
fn next_link(path: &str, query: &impl Serialize, cursor: Option<String>) -> String {
    let Some(cursor) = cursor else {
        return String::new();
    };
    let Ok(serde_json::Value::Object(members)) = serde_json::to_value(query) else {
        return String::new();
    };
    let mut pairs: Vec<String> = members
        .iter()
        .filter(|(name, _)| *name != "cursor")
        .filter_map(|(name, value)| {
            let text = match value {
                serde_json::Value::String(text) if !text.is_empty() => text.clone(),
                serde_json::Value::Number(number) => number.to_string(),
                _ => return None,
            };
            Some(format!("{name}={}", escaped(&text)))
        })
        .collect();
    pairs.push(format!("cursor={cursor}"));
    format!("{path}?{}", pairs.join("&"))
}

/// How many there are on a page.
fn counted(count: usize, name: &str) -> String {
    let end = if count == 1 { "" } else { "s" };
    format!("{count} {name}{end} on this page")
}

/// Percent-encodes all but letters and digits.
fn escaped(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() {
            out.push(char::from(byte));
        } else {
            // A String takes everything.
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

/// The results, and what was wrong with the fields.
fn or_words<T>(found: Result<Results<T>, StoreError>) -> Result<(Results<T>, String), StoreError> {
    match found {
        Ok(results) => Ok((results, String::new())),
        Err(StoreError::Refused(words)) => Ok((
            Results {
                items: Vec::new(),
                next: None,
            },
            words,
        )),
        Err(error) => Err(error),
    }
}

pub(super) async fn jobs(
    State(app): State<App>,
    visitor: Visitor,
    Query(query): Query<JobQuery>,
) -> Page {
    list_jobs(&app, &visitor, query).await
}

async fn list_jobs(app: &App, visitor: &Visitor, mut query: JobQuery) -> Page {
    let viewer = visitor.viewer();
    query.limit = Some(query.limit.unwrap_or(MAX_ROWS).min(MAX_ROWS));
    let found = in_read!(app.database, tx => find::jobs(tx, viewer, &query).await);
    let (found, error) = or_words(found)?;
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let fields = vec![
        ("command", "Command", text(&query.command), "python train"),
        ("gpu", "GPU", text(&query.gpu), "H100"),
        ("host", "Host", text(&query.host), "node7"),
        (
            "repo",
            "Repository",
            text(&query.repo),
            "github.com/you/project",
        ),
        ("commit", "Commit", text(&query.commit), "beginning"),
        ("exit", "Exit status", text(&query.exit), "0, 1, failed"),
        ("since", "Since (UTC)", text(&query.since), "2026-11-25"),
        ("until", "Until (UTC)", text(&query.until), "2026-11-26"),
    ];
    let next = next_link("/jobs", &query, found.next);
    Ok(page(&JobsPage {
        who: visitor.name(),
        q: text(&query.q),
        fields,
        error,
        heading: counted(found.items.len(), "job"),
        jobs: found.items.iter().map(job_row).collect(),
        next,
    }))
}

#[derive(Template)]
#[template(path = "artifacts.html")]
struct Artifacts {
    who: String,
    q: String,
    fields: Vec<Field>,
    error: String,
    heading: String,
    files: Vec<FileRow>,
    next: String,
}

pub(super) async fn artifacts(
    State(app): State<App>,
    visitor: Visitor,
    Query(mut query): Query<ArtifactQuery>,
) -> Page {
    let viewer = visitor.viewer();
    query.limit = Some(query.limit.unwrap_or(MAX_ROWS).min(MAX_ROWS));
    let found = in_read!(app.database, tx => find::artifacts(tx, viewer, &query).await);
    let (found, error) = or_words(found)?;
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let fields = vec![
        ("name", "File name", text(&query.name), "model.pt, ckpt_*"),
        ("type", "Type", text(&query.kind), "csv"),
        ("hash", "Hash", text(&query.hash), "beginning"),
        ("min_size", "At least", text(&query.min_size), "20k"),
        ("max_size", "At most", text(&query.max_size), "1.5G"),
        ("since", "Since (UTC)", text(&query.since), "2026-11-25"),
        ("until", "Until (UTC)", text(&query.until), "2026-11-26"),
    ];
    let next = next_link("/artifacts", &query, found.next);
    Ok(page(&Artifacts {
        who: visitor.name(),
        q: text(&query.q),
        fields,
        error,
        heading: counted(found.items.len(), "artifact"),
        files: found.items.iter().map(artifact_row).collect(),
        next,
    }))
}

struct SessionRow {
    private: bool,
    hash: String,
    short: String,
    repo: String,
    commit: String,
    owner: String,
    jobs: u64,
    registered: String,
}

#[derive(Template)]
#[template(path = "sessions.html")]
struct Sessions {
    who: String,
    rows: Vec<SessionRow>,
    next: String,
}

/// Where a listing goes on.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Onward {
    cursor: Option<i64>,
}

pub(super) async fn sessions(
    State(app): State<App>,
    visitor: Visitor,
    Query(onward): Query<Onward>,
) -> Page {
    let viewer = visitor.viewer();
    let before = onward.cursor.unwrap_or(i64::MAX);
    let found = in_read!(app.database, tx => store::page(tx, viewer, before, 51).await)?;
    let next = found
        .get(49)
        .filter(|_| found.len() > 50)
        .map_or(String::new(), |(id, _)| format!("/sessions?cursor={id}"));
    let rows = found
        .into_iter()
        .take(50)
        .map(|(_, session)| SessionRow {
            private: session.visibility == Some(Visibility::Private),
            short: short(&session.hash),
            hash: session.hash,
            repo: cut(session.git_repo.as_deref().unwrap_or("—"), 120),
            commit: cut(session.git_commit.as_deref().unwrap_or("—"), 12),
            owner: session.owner.unwrap_or_default(),
            jobs: session.job_count,
            registered: time(session.created_at),
        })
        .collect();
    Ok(page(&Sessions {
        who: visitor.name(),
        rows,
        next,
    }))
}
