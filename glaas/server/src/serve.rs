//! Listening: connections with their limits, and an end that lets answers finish.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::extract::ConnectInfo;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tower::ServiceExt as _;

use crate::app::{App, Shared, router};
use crate::descriptors::connections;
use crate::settings::Settings;
use crate::store::{Database, replay, web_sessions};
use crate::stream::Patient;
use crate::{clock, in_write};

/// How long the headers of a request may take to arrive, a connection without a request included.
const HEADER_PATIENCE: Duration = Duration::from_secs(15);

/// How long answers may take to finish when the server ends.
const END_PATIENCE: Duration = Duration::from_secs(20);

/// The most bytes of a request's headers.
const MAX_HEADERS: usize = 64 * 1024;

/// How often what is over is removed.
const CLEANING: Duration = Duration::from_secs(300);

/// Serves until SIGINT or SIGTERM; `ready` is told the address.
///
/// # Errors
/// The database or the address cannot be used; the words are for the operator.
pub async fn run(settings: Settings, ready: impl FnOnce(&str)) -> Result<(), String> {
    let database = Database::open(&settings.database)
        .await
        .map_err(|error| format!("cannot open the database: {error}"))?;
    let address = SocketAddr::new(settings.host, settings.port);
    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| format!("cannot listen on {address}: {error}"))?;
    let port = listener
        .local_addr()
        .map_err(|error| error.to_string())?
        .port();
    let app = Shared::new(database, settings, port);
    tracing::info!(
        address = %SocketAddr::new(app.settings.host, port),
        database = app.database.engine(),
        "serving"
    );
    ready(&app.base_url);
    let cleaning = tokio::spawn(clean(Arc::clone(&app)));
    accept(&app, listener, ended()).await;
    cleaning.abort();
    Ok(())
}

/// Takes connections until `end`; from then on callers are refused.
pub async fn accept(app: &App, listener: TcpListener, end: impl Future<Output = ()>) {
    let routes = router(app);
    let places = Arc::new(Semaphore::new(connections(app.settings.max_connections)));
    let graceful = GracefulShutdown::new();
    let mut end = pin!(end);
    loop {
        let permit = tokio::select! {
            permit = Arc::clone(&places).acquire_owned() => permit,
            () = &mut end => break,
        };
        let Ok(permit) = permit else { break };
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of descriptors, say: others end soon.
                    tracing::warn!(%error, "cannot accept");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
            () = &mut end => break,
        };
        let service =
            routes
                .clone()
                .map_request(move |request: hyper::Request<hyper::body::Incoming>| {
                    let mut request = request.map(axum::body::Body::new);
                    request.extensions_mut().insert(ConnectInfo(peer));
                    request
                });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_PATIENCE)
            .max_buf_size(MAX_HEADERS)
            .serve_connection(
                TokioIo::new(Patient::new(stream)),
                TowerToHyperService::new(service),
            );
        let connection = graceful.watch(connection);
        let app = Arc::clone(app);
        tokio::spawn(async move {
            app.metrics.connections.fetch_add(1, Ordering::Relaxed);
            if let Err(error) = connection.await {
                tracing::debug!(%error, client = %peer, "connection");
            }
            app.metrics.connections.fetch_sub(1, Ordering::Relaxed);
            drop(permit);
        });
    }
    drop(listener);
    tracing::info!("ending: waiting for answers to finish");
    if tokio::time::timeout(END_PATIENCE, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("some answers did not finish");
    }
}

/// SIGINT or SIGTERM.
async fn ended() {
    let terminate = async {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            match signal(SignalKind::terminate()) {
                Ok(mut signal) => {
                    signal.recv().await;
                }
                Err(_) => std::future::pending().await,
            }
        }
        #[cfg(not(unix))]
        std::future::pending::<()>().await
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminate => {}
    }
}

/// Removes signatures and sign-ins whose time is over.
async fn clean(app: App) {
    loop {
        tokio::time::sleep(CLEANING).await;
        let now = clock::now_ms();
        let forgotten: Result<u64, crate::store::StoreError> = in_write!(app.database, tx => async {
                Ok(replay::forget(tx, now).await? + web_sessions::forget(tx, now).await?)
            }.await);
        match forgotten {
            Ok(count) => tracing::debug!(count, "old signatures and sign-ins forgotten"),
            Err(error) => tracing::warn!(%error, "cannot forget old signatures and sign-ins"),
        }
    }
}
