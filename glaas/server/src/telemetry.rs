//! Counters in Prometheus' text form, and the log.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::http::Method;

use crate::settings::Settings;

/// Upper bounds of the latency histogram, in seconds.
const BOUNDS: [f64; 9] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5];

/// What is counted.
#[derive(Debug, Default)]
pub struct Metrics {
    requests: Mutex<BTreeMap<(String, String, u16), u64>>,
    buckets: [AtomicU64; BOUNDS.len()],
    slower: AtomicU64,
    total_us: AtomicU64,
    /// Connections that are open.
    pub connections: AtomicU64,
}

impl Metrics {
    /// Counts an answer. Routes are patterns, so that their number is bounded.
    pub fn answered(&self, method: &Method, route: &str, status: u16, took: Duration) {
        if let Ok(mut requests) = self.requests.lock() {
            let method = match *method {
                Method::GET
                | Method::HEAD
                | Method::POST
                | Method::PUT
                | Method::PATCH
                | Method::DELETE => method.as_str(),
                _ => "other",
            };
            *requests
                .entry((method.to_owned(), route.to_owned(), status))
                .or_default() += 1;
        }
        let seconds = took.as_secs_f64();
        match BOUNDS.iter().position(|bound| seconds <= *bound) {
            Some(index) => self.buckets[index].fetch_add(1, Ordering::Relaxed),
            None => self.slower.fetch_add(1, Ordering::Relaxed),
        };
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.total_us.fetch_add(micros, Ordering::Relaxed);
    }

    /// The text that `/metrics` answers.
    pub fn text(&self, repeats: u64) -> String {
        let mut text = String::from(
            "# HELP glaas_requests_total Requests answered.\n# TYPE glaas_requests_total counter\n",
        );
        if let Ok(requests) = self.requests.lock() {
            for ((method, route, status), count) in requests.iter() {
                // A String takes everything.
                let _ = writeln!(
                    text,
                    "glaas_requests_total{{method=\"{method}\",route=\"{route}\",status=\"{status}\"}} {count}"
                );
            }
        }
        text.push_str(
            "# HELP glaas_request_seconds How long answers took.\n# TYPE glaas_request_seconds histogram\n",
        );
        let mut count = 0;
        for (bound, bucket) in BOUNDS.iter().zip(&self.buckets) {
            count += bucket.load(Ordering::Relaxed);
            let _ = writeln!(
                text,
                "glaas_request_seconds_bucket{{le=\"{bound}\"}} {count}"
            );
        }
        count += self.slower.load(Ordering::Relaxed);
        let sum = self.total_us.load(Ordering::Relaxed) as f64 / 1e6;
        let connections = self.connections.load(Ordering::Relaxed);
        let _ = write!(
            text,
            "glaas_request_seconds_bucket{{le=\"+Inf\"}} {count}\n\
             glaas_request_seconds_sum {sum}\nglaas_request_seconds_count {count}\n\
             # HELP glaas_connections Connections open.\n# TYPE glaas_connections gauge\n\
             glaas_connections {connections}\n\
             # HELP glaas_transaction_repeats_total Transactions begun anew because another was in the way, or the database gone.\n\
             # TYPE glaas_transaction_repeats_total counter\n\
             glaas_transaction_repeats_total {repeats}\n"
        );
        text
    }
}

/// Sends log lines to stderr.
pub fn log_to_stderr(settings: &Settings) {
    let lines = tracing_subscriber::fmt()
        .with_max_level(settings.log_level)
        .with_target(false)
        .with_ansi(false)
        .with_writer(std::io::stderr);
    if settings.log_json {
        lines.json().init();
    } else {
        lines.init();
    }
}
