//! Waiting for a child, with a limit of time where one is set.

use std::path::Path;
use std::process::Child;
use std::time::Duration;

use super::error::ReproduceError;
use crate::clock;

/// How often is looked whether something has come to its end.
pub(super) const PAUSE: Duration = Duration::from_millis(50);

/// The variable by which processes of a reproduction are known, from their start on, whatever
/// becomes of the roar that started them. Its value is the folder.
pub(super) const AT_WORK: &str = "ROAR_REPRODUCTION";

/// Whether another process works in a reproduction.
#[cfg(target_os = "linux")]
pub(super) fn is_anyone_at_work(root: &Path) -> bool {
    let mark = [
        AT_WORK.as_bytes(),
        b"=",
        root.as_os_str().as_encoded_bytes(),
    ]
    .concat();
    let own = std::process::id();
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|process| *process != own)
        .any(|process| {
            // One that ended meanwhile, or is another user's, has none to read.
            let environment = std::fs::read(format!("/proc/{process}/environ"));
            environment.is_ok_and(|text| text.split(|byte| *byte == 0).any(|one| one == mark))
        })
}

/// Where processes cannot be looked at, nobody is waited for.
#[cfg(not(target_os = "linux"))]
pub(super) fn is_anyone_at_work(_root: &Path) -> bool {
    false
}

/// How long a command has to end after it was asked to.
const GRACE: Duration = Duration::from_secs(10);

/// The status of the child as a shell would show it; none when it took longer than `timeout` and was
/// ended.
///
/// # Errors
/// It cannot be waited for.
pub(super) fn wait(
    child: &mut Child,
    timeout: Option<Duration>,
) -> Result<Option<i32>, ReproduceError> {
    let failed = |error| ReproduceError::io("wait for", "roar run")(error);
    let Some(timeout) = timeout else {
        return child.wait().map(shell_status).map(Some).map_err(failed);
    };
    let end_ns = deadline(timeout);
    while clock::now_ns() < end_ns {
        if let Some(status) = child.try_wait().map_err(failed)? {
            return Ok(Some(shell_status(status)));
        }
        std::thread::sleep(PAUSE);
    }
    // roar hands it on to the command, and records what the command did.
    ask_to_end(child);
    let end_ns = deadline(GRACE);
    while clock::now_ns() < end_ns {
        if child.try_wait().map_err(failed)?.is_some() {
            return Ok(None);
        }
        std::thread::sleep(PAUSE);
    }
    child.kill().map_err(failed)?;
    child.wait().map_err(failed)?;
    Ok(None)
}

fn deadline(patience: Duration) -> i64 {
    let patience = i64::try_from(patience.as_nanos()).unwrap_or(i64::MAX);
    clock::now_ns().saturating_add(patience)
}

#[cfg(unix)]
fn ask_to_end(child: &Child) {
    let process = i32::try_from(child.id()).ok();
    if let Some(process) = process.and_then(rustix::process::Pid::from_raw) {
        // One that has just ended needs no asking.
        let _ = rustix::process::kill_process(process, rustix::process::Signal::TERM);
    }
}

#[cfg(not(unix))]
fn ask_to_end(_child: &Child) {}

fn shell_status(status: std::process::ExitStatus) -> i32 {
    #[cfg(unix)]
    {
        use std::os::unix::process::ExitStatusExt as _;
        status
            .code()
            .or(status.signal().map(|signal| 128 + signal))
            .unwrap_or(1)
    }
    #[cfg(not(unix))]
    status.code().unwrap_or(1)
}
