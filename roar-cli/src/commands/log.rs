//! `roar log`: recent jobs.

use std::process::ExitCode;

use jiff::Timestamp;
use jiff::civil;
use jiff::tz::TimeZone;

use super::{Context, reading};
use crate::clock;
use crate::error::CommandError;
use crate::present::{self, Terminal};
use crate::store::JobQuery;

/// Display recent job execution history.
///
/// The jobs of the active session, newest first; `--all` lists those of every session.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// List at most so many jobs (without it: the newest 20, or with --json all of them).
    #[arg(short = 'n', long = "max-count", value_name = "COUNT")]
    count: Option<u32>,
    /// Only jobs that did not succeed.
    #[arg(long)]
    failed: bool,
    /// Only jobs started since: an age (30m, 2h, 3d, 1w) or a time (2026-01-31, 2026-01-31T12:00).
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
    /// Only jobs whose name or command contains this text; upper and lower case are the same.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    grep: Option<String>,
    /// The jobs of every session.
    #[arg(long, conflicts_with = "session")]
    all: bool,
    /// The jobs of this session.
    #[arg(long, value_name = "ID")]
    session: Option<i64>,
    /// Machine-readable output.
    #[arg(long)]
    json: bool,
}

/// How many jobs people are shown unless they ask.
const DEFAULT_COUNT: u32 = 20;

/// # Errors
/// There is no such session, or `--since` is no time.
pub(super) fn run(context: &mut Context, args: Args) -> Result<ExitCode, CommandError> {
    let now_ns = clock::now_ns();
    let since_ns = args
        .since
        .as_deref()
        .map(|when| since_ns(when, now_ns, &TimeZone::system()))
        .transpose()?;
    let (_, store) = reading::open(context)?;
    let session = if args.all {
        None
    } else {
        reading::session(&store, args.session)?.map(|session| session.id)
    };
    let default = if args.json { u32::MAX } else { DEFAULT_COUNT };
    let count = args.count.unwrap_or(default);
    let mut jobs = store.job_summaries(&JobQuery {
        session,
        step: None,
        launch: None,
        failed_only: args.failed,
        since_ns,
        grep: args.grep,
        limit: Some(count.saturating_add(1)),
    })?;
    let more = jobs.len() > count as usize;
    jobs.truncate(count as usize);
    if args.json {
        context.ui.data(&present::log::json(&jobs));
        return Ok(ExitCode::SUCCESS);
    }
    if jobs.is_empty() {
        context.ui.note("no jobs to list");
    } else {
        let terminal = Terminal::from_environment();
        context
            .ui
            .data(&present::log::text(&jobs, now_ns, terminal));
    }
    if more && args.count.is_none() {
        context.ui.note(&format!(
            "these are the newest {count} jobs; list more with: roar log -n COUNT"
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// The time that `when` means: an age before now, or a date or time in `zone`.
fn since_ns(when: &str, now_ns: i64, zone: &TimeZone) -> Result<i64, CommandError> {
    let when = when.trim();
    if let Some(age_ns) = age_ns(when) {
        return Ok(now_ns.saturating_sub(age_ns));
    }
    let civil: Option<civil::DateTime> = when
        .parse()
        .ok()
        .or_else(|| when.parse::<civil::Date>().ok().map(|d| d.at(0, 0, 0, 0)));
    let timestamp = when.parse::<Timestamp>().ok().or_else(|| {
        let zoned = zone.to_ambiguous_zoned_datetime(civil?).compatible().ok()?;
        Some(zoned.timestamp())
    });
    timestamp
        .and_then(|at| i64::try_from(at.as_nanosecond()).ok())
        .ok_or_else(|| {
            CommandError::user(format!("'{}' is no time", present::inert(when)))
                .hint("give an age like 30m, 2h, 3d or 1w, or a time like 2026-01-31")
        })
}

/// `90s`, `30m`, `2h`, `3d`, `1w` in nanoseconds.
fn age_ns(text: &str) -> Option<i64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let seconds = match unit.trim() {
        "s" | "sec" => 1,
        "m" | "min" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 604_800,
        _ => return None,
    };
    number
        .parse::<i64>()
        .ok()?
        .checked_mul(seconds)?
        .checked_mul(1_000_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_and_times() {
        const SECOND: i64 = 1_000_000_000;
        let now = 1_800_000_000 * SECOND;
        let berlin = TimeZone::fixed(jiff::tz::offset(1));
        for (when, expected) in [
            ("90s", now - 90 * SECOND),
            ("30m", now - 1800 * SECOND),
            ("2h", now - 7200 * SECOND),
            ("3d", now - 3 * 86_400 * SECOND),
            ("1w", now - 7 * 86_400 * SECOND),
            ("2027-01-15", 1_799_967_600 * SECOND),
            ("2027-01-15T01:00", 1_799_971_200 * SECOND),
            ("2027-01-15 01:00:00", 1_799_971_200 * SECOND),
            ("2027-01-15T00:00:00Z", 1_799_971_200 * SECOND),
        ] {
            assert_eq!(since_ns(when, now, &berlin).ok(), Some(expected), "{when}");
        }
        for bad in [
            "",
            "2",
            "h",
            "2x",
            "yesterday",
            "99999999999999w",
            "2027-13-01",
        ] {
            assert!(since_ns(bad, now, &berlin).is_err(), "{bad}");
        }
    }
}
