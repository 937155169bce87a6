//! The smallest `roar run`: traces one command through seccomp and writes what was told
//! as JSON lines, with the summary last.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use roar_cli::trace::seccomp;

/// Exit status of a tracer that could not start, as `roar run` has it.
const BEFORE_COMMAND: i32 = 125;

/// Runs `command`; the events go to `log`, unless it is `-`. Returns the exit status.
#[expect(unsafe_code, reason = "CommandExt::pre_exec is unsafe")]
pub(crate) fn run(log: &str, command: &[String]) -> i32 {
    let features = match seccomp::probe() {
        Ok(features) => features,
        Err(reason) => {
            let _ = writeln!(
                std::io::stderr(),
                "unavailable: {reason}\n{}",
                reason.mend()
            );
            return BEFORE_COMMAND;
        }
    };
    let prepared = seccomp::prepare(features).expect("a socket pair");
    let mut child = Command::new(&command[0]);
    child.args(&command[1..]);
    // SAFETY: the hook is made to run after a fork.
    unsafe { child.pre_exec(prepared.child_hook()) };
    let writer = (log != "-").then(|| BufWriter::new(File::create(log).expect("creates the log")));
    let writer = Arc::new(Mutex::new(writer));
    let sink = Arc::clone(&writer);
    let session = prepared
        .start(move |event| {
            if let Some(writer) = sink.lock().expect("not poisoned").as_mut() {
                serde_json::to_writer(&mut *writer, &event).expect("serialises");
                writer.write_all(b"\n").expect("writes");
            }
            true
        })
        .expect("starts");
    let spawned = child.spawn();
    let status = match spawned {
        Ok(mut child) => child.wait().expect("waits"),
        Err(error) => {
            session.finish(Duration::ZERO);
            let _ = writeln!(std::io::stderr(), "cannot start: {error}");
            return 127;
        }
    };
    let late = std::env::var("LATE_MS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(1000);
    let summary = session.finish(Duration::from_millis(late));
    if let Some(writer) = writer.lock().expect("not poisoned").as_mut() {
        let line = serde_json::json!({
            "gaps": summary.gaps, "lost": summary.lost, "notes": summary.notes,
        });
        writeln!(writer, "{line}").expect("writes");
        writer.flush().expect("writes");
    }
    status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}
