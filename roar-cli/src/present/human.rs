//! Sizes, durations and times as people read them.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// `0 B`, `1023 B`, `1.5 KiB`, `12 MiB`: two or three digits that matter.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    // 1023.95 and above would round to "1024".
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if value < 9.95 {
        format!("{value:.1} {}", UNITS[unit])
    } else {
        format!("{value:.0} {}", UNITS[unit])
    }
}

/// `850µs`, `12ms`, `1.2s`, `3m 04s`, `2h 05m`, `1d 03h`.
pub fn duration(duration_ns: u64) -> String {
    let seconds = duration_ns / 1_000_000_000;
    match duration_ns {
        0..1_000_000 => format!("{}µs", duration_ns / 1000),
        1_000_000..1_000_000_000 => format!("{}ms", duration_ns / 1_000_000),
        1_000_000_000..60_000_000_000 => {
            let tenths = duration_ns / 100_000_000;
            format!("{}.{}s", tenths / 10, tenths % 10)
        }
        _ if seconds < 3600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        _ if seconds < 86_400 => format!("{}h {:02}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d {:02}h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// `just now`, `12s ago`, `5m ago`, `3h ago`, `2d ago`; the date when older than 30 days or
/// when the clock was set back since.
pub fn ago(then_ns: i64, now_ns: i64) -> String {
    let seconds = (i128::from(now_ns) - i128::from(then_ns)).div_euclid(1_000_000_000);
    match seconds {
        -1..5 => "just now".to_owned(),
        5..60 => format!("{seconds}s ago"),
        60..3600 => format!("{}m ago", seconds / 60),
        3600..86_400 => format!("{}h ago", seconds / 3600),
        86_400..2_592_000 => format!("{}d ago", seconds / 86_400),
        _ => local_time(then_ns, "%Y-%m-%d"),
    }
}

/// The local time, to the second: `2026-11-23 23:57:57 +01:00`.
pub fn moment(at_ns: i64) -> String {
    local_time(at_ns, "%Y-%m-%d %H:%M:%S %:z")
}

/// The local time and how long ago that was, where that says more.
pub fn moment_and_age(then_ns: i64, now_ns: i64) -> String {
    let (moment, age) = (moment(then_ns), ago(then_ns, now_ns));
    if moment.starts_with(&age) {
        moment
    } else {
        format!("{moment} ({age})")
    }
}

/// The time as JSON carries it: RFC 3339 in UTC.
pub fn rfc3339(at_ns: i64) -> String {
    timestamp(at_ns).to_string()
}

/// Seconds as JSON carries them.
pub fn seconds(duration_ns: u64) -> f64 {
    SignedDuration::from_nanos(i64::try_from(duration_ns).unwrap_or(i64::MAX)).as_secs_f64()
}

/// A moment as seconds since the Unix epoch, as JSON carries it.
pub fn unix_seconds(at_ns: i64) -> f64 {
    SignedDuration::from_nanos(at_ns).as_secs_f64()
}

/// `1 step`, `2 steps`.
pub fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

fn local_time(at_ns: i64, format: &str) -> String {
    timestamp(at_ns)
        .to_zoned_datetime(TimeZone::system())
        .strftime(format)
        .to_string()
}

fn timestamp(at_ns: i64) -> Timestamp {
    Timestamp::from_nanosecond(i128::from(at_ns)).expect("64-bit nanoseconds are within range")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (bytes, expected) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (10_189, "10 KiB"),
            (10_188, "9.9 KiB"),
            (1_048_524, "1024 KiB"),
            (1_048_525, "1.0 MiB"),
            (1_048_576, "1.0 MiB"),
            (5_368_709_120, "5.0 GiB"),
            (u64::MAX, "16 EiB"),
        ] {
            assert_eq!(size(bytes), expected, "{bytes}");
        }
    }

    #[test]
    fn durations() {
        const SECOND: u64 = 1_000_000_000;
        for (ns, expected) in [
            (0, "0µs"),
            (850_999, "850µs"),
            (12_500_000, "12ms"),
            (999_999_999, "999ms"),
            (SECOND, "1.0s"),
            (59_990_000_000, "59.9s"),
            (60 * SECOND, "1m 00s"),
            (3599 * SECOND, "59m 59s"),
            (7500 * SECOND, "2h 05m"),
            (97_200 * SECOND, "1d 03h"),
        ] {
            assert_eq!(duration(ns), expected, "{ns}");
        }
    }

    #[test]
    fn relative_times() {
        const SECOND: i64 = 1_000_000_000;
        let now = 1_800_000_000 * SECOND;
        for (seconds, expected) in [
            (0, "just now"),
            (4, "just now"),
            (5, "5s ago"),
            (119, "1m ago"),
            (7200, "2h ago"),
            (86_400 * 29, "29d ago"),
        ] {
            assert_eq!(ago(now - seconds * SECOND, now), expected, "{seconds}");
        }
        // Older, and after a clock that went back: a date.
        for then in [
            now - 86_400 * 31 * SECOND,
            now + 3600 * SECOND,
            i64::MIN,
            i64::MAX,
        ] {
            let shown = ago(then, now);
            assert!(shown.contains('-') && !shown.contains("ago"), "{shown}");
        }
    }

    #[test]
    fn json_times() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(
            rfc3339(1_500_000_000_123_456_789),
            "2017-07-14T02:40:00.123456789Z"
        );
        assert!((seconds(1_500_000_000) - 1.5).abs() < f64::EPSILON);
    }
}
