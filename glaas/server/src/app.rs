//! What all requests share, and the way from a path to its handler.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::middleware;
use tokio::sync::Semaphore;

use crate::limits::Limiter;
use crate::settings::{DefaultVisibility, Settings};
use crate::store::Database;
use crate::telemetry::Metrics;
use crate::{api, body, gate, web};

/// Large bodies that are worked on at once: what bounds the memory that they take.
const LARGE_BODIES: usize = 4;

/// What all requests share.
#[derive(Debug)]
pub struct Shared {
    /// The database.
    pub database: Database,
    /// How to serve.
    pub settings: Settings,
    /// Counters.
    pub metrics: Metrics,
    /// Buckets by address.
    pub by_address: Limiter<IpAddr>,
    /// Buckets by user.
    pub by_user: Limiter<i64>,
    /// Permits for large bodies.
    pub large_bodies: Semaphore,
    /// Memory for all bodies.
    pub bodies: body::Room,
    /// What links to this server begin with; without a `/` at the end.
    pub base_url: String,
}

/// Handed to every handler.
pub type App = Arc<Shared>;

impl Shared {
    /// Puts together what requests share; `port` is the one that is listened on.
    pub fn new(database: Database, settings: Settings, port: u16) -> App {
        let base_url = settings.public_url.clone().map_or_else(
            || match settings.host {
                IpAddr::V6(host) => format!("http://[{host}]:{port}"),
                IpAddr::V4(host) => format!("http://{host}:{port}"),
            },
            |url| url.trim_end_matches('/').to_owned(),
        );
        Arc::new(Self {
            database,
            metrics: Metrics::default(),
            by_address: Limiter::new(settings.rate, settings.burst),
            by_user: Limiter::new(settings.rate, settings.burst),
            large_bodies: Semaphore::new(LARGE_BODIES),
            bodies: body::Room::default(),
            base_url,
            settings,
        })
    }

    /// The host of links to this server.
    pub fn public_host(&self) -> Option<&str> {
        let (_, rest) = self.base_url.split_once("://")?;
        rest.split('/').next()
    }

    /// Whether new sessions that do not say are for everyone.
    pub fn public_by_default(&self) -> bool {
        self.settings.default_visibility == DefaultVisibility::Public
    }
}

/// Every route of the server.
pub fn router(app: &App) -> Router {
    Router::new()
        .merge(api::routes())
        .merge(web::routes())
        .fallback(web::not_found)
        .layer(middleware::from_fn_with_state(Arc::clone(app), gate::pass))
        .with_state(Arc::clone(app))
}
