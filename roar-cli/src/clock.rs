//! The one place that asks what time it is.

use std::time::{SystemTime, UNIX_EPOCH};

/// Wall clock, nanoseconds since the Unix epoch (negative before it).
pub fn now_ns() -> i64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_nanos()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |ns| -ns),
    }
}
