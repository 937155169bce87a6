//! The one place that asks what time it is.

use std::time::{SystemTime, UNIX_EPOCH};

/// Wall clock, nanoseconds since the Unix epoch (negative before it).
pub fn now_ns() -> i64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_nanos()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |ns| -ns),
    }
}

/// The monotonic clock, nanoseconds since an arbitrary moment; the same for every process.
#[cfg(target_os = "linux")]
pub fn monotonic_ns() -> u64 {
    nanoseconds(rustix::time::ClockId::Monotonic)
}

/// Processor time that this process has used, nanoseconds; without its children.
#[cfg(target_os = "linux")]
pub fn processor_ns() -> u64 {
    nanoseconds(rustix::time::ClockId::ProcessCPUTime)
}

#[cfg(target_os = "linux")]
fn nanoseconds(clock: rustix::time::ClockId) -> u64 {
    let time = rustix::time::clock_gettime(clock);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
