//! Pages for people: templates over the same rows that clients get, as the visitor may see
//! them. Every page reads without JavaScript, and loads nothing from elsewhere.

mod details;
mod keys;
mod lists;
mod pages;
mod picture;
mod room;
mod signin;
mod view;
mod visibility;
mod visitor;

use askama::Template;
use axum::Router;
use axum::http::{StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};

use crate::app::App;
use crate::error::ApiError;

/// All pages.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/", get(lists::home))
        .route("/search", get(lists::search))
        .route("/jobs", get(lists::jobs))
        .route("/artifacts", get(lists::artifacts))
        .route("/sessions", get(lists::sessions))
        .route("/artifact/{hash}", get(pages::artifact))
        .route("/job/{session}/{uid}", get(pages::job))
        .route("/session/{hash}", get(pages::session))
        .route("/dag/{hash}", get(pages::session))
        .route("/session/{hash}/visibility", post(visibility::change))
        .route("/job/{session}/{uid}/record", get(pages::record))
        .route("/signin", get(signin::show).post(signin::take))
        .route("/signout", post(signin::leave))
        .route("/keys", get(keys::show).post(keys::register))
        .route(
            "/assets/style.css",
            get(|| async {
                asset(
                    "text/css; charset=utf-8",
                    include_str!("../../assets/style.css"),
                )
            }),
        )
        .route(
            "/assets/copy.js",
            get(|| async {
                asset(
                    "text/javascript; charset=utf-8",
                    include_str!("../../assets/copy.js"),
                )
            }),
        )
        .route(
            "/assets/icon.svg",
            get(|| async { asset("image/svg+xml", include_str!("../../assets/icon.svg")) }),
        )
}

fn asset(kind: &'static str, text: &'static str) -> impl IntoResponse {
    (
        [
            (header::CONTENT_TYPE, kind),
            (header::CACHE_CONTROL, "public, max-age=3600"),
        ],
        text,
    )
}

/// What is nowhere: in the protocol's form below its prefix, else a page.
pub async fn not_found(uri: Uri) -> Response {
    let error = ApiError::not_found();
    if uri.path().starts_with("/api/") {
        return error.into_response();
    }
    Failure(error).into_response()
}

/// A page that says what went wrong, or where a prefix may lead.
#[derive(Template)]
#[template(path = "message.html")]
struct Message {
    heading: String,
    text: String,
    links: Vec<(String, String)>,
}

/// An error as a page.
#[derive(Debug)]
pub struct Failure(ApiError);

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self(error)
    }
}

impl From<crate::store::StoreError> for Failure {
    fn from(error: crate::store::StoreError) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let Self(error) = self;
        let (heading, text) = match error.status {
            StatusCode::NOT_FOUND => (
                "Not found",
                "There is nothing of that name here, or nothing that you may see.".to_owned(),
            ),
            StatusCode::CONFLICT => ("Which one?", error.message),
            StatusCode::BAD_REQUEST => ("That is not a name of anything", error.message),
            _ => ("The server cannot answer", error.message),
        };
        let links = error
            .candidates
            .into_iter()
            .map(|hash| (format!("/artifact/{hash}"), hash))
            .collect();
        let message = Message {
            heading: heading.to_owned(),
            text,
            links,
        };
        (error.status, page(&message)).into_response()
    }
}

/// What a handler of a page returns.
type Page = Result<Response, Failure>;

/// A template as an answer.
fn page(template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => {
            if html.len() > room::MAX_PAGE {
                tracing::warn!(bytes = html.len(), "a page is too large");
            }
            Html(html).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "a page cannot be made");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
