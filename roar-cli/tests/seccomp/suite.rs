//! The runner: cases as every user that can be had.

use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use crate::record::User;
use crate::{cases, tracer};

/// Traces, or runs the tests.
pub(crate) fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, verb, log, command @ ..] = &arguments[..]
        && verb == "--trace"
        && !command.is_empty()
    {
        return status(tracer::run(log, command));
    }
    status(run_tests(&arguments))
}

fn status(code: i32) -> ExitCode {
    ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX))
}

/// Runs the cases whose name contains the first plain argument.
fn run_tests(arguments: &[String]) -> i32 {
    let filter = arguments.iter().skip(1).find(|word| !word.starts_with('-'));
    let mut out = std::io::stdout();
    if arguments.iter().any(|word| word == "--list") {
        // Test runners also ask for the ignored ones alone: there are none.
        if !arguments.iter().any(|word| word == "--ignored") {
            for (name, _) in cases::ALL {
                let _ = writeln!(out, "{name}: test");
            }
        }
        return 0;
    }
    let mut users = vec![User::Own];
    if rustix::process::geteuid().is_root() {
        users.push(User::Ordinary);
    }
    let mut failed = 0;
    for (name, case) in cases::ALL {
        if filter.is_some_and(|filter| !name.contains(filter.as_str())) {
            continue;
        }
        for user in &users {
            let outcome = catch_unwind(AssertUnwindSafe(|| case(*user)));
            let verdict = match &outcome {
                Ok(Ok(())) => "ok".to_owned(),
                Ok(Err(missing)) => format!("skipped: {missing}"),
                Err(_) => "FAILED".to_owned(),
            };
            failed += i32::from(outcome.is_err());
            let _ = writeln!(out, "test {name} ({user:?}) ... {verdict}");
        }
    }
    i32::from(failed > 0)
}
