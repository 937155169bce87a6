//! The one place that asks what time it is.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds since the Unix epoch.
pub fn now_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
        })
}

/// A moment to measure from; it never jumps.
pub fn monotonic() -> Instant {
    Instant::now()
}

/// Milliseconds as seconds, the unit of the wire.
pub fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}

/// `2026-11-25 14:03 UTC`; a dash for times that no calendar has.
pub fn shown(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(
        |_| "—".to_owned(),
        |time| time.strftime("%Y-%m-%d %H:%M UTC").to_string(),
    )
}

/// The first millisecond of a day (`2026-11-25`, UTC); none for anything else.
pub fn day_start_ms(day: &str) -> Option<i64> {
    let date: jiff::civil::Date = day.parse().ok()?;
    let midnight = jiff::tz::TimeZone::UTC
        .to_timestamp(date.at(0, 0, 0, 0))
        .ok()?;
    Some(midnight.as_millisecond())
}
