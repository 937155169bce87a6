//! `roar setup`: full tracing for ordinary users, through a loader with file capabilities.

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::Context;
use crate::error::CommandError;
use crate::installation::{self, InstallError};
use crate::model::RawString;
use crate::present::shell;
use crate::privilege::{self, Invoker, PrivilegeError};
use crate::trace::ebpf::{EbpfTracer, Sizes, loader};
use crate::trace::with_causes;

/// Let ordinary users trace with eBPF: install the loader (as root, once).
///
/// A small program, roar-bpf, is copied to /usr/local/lib/roar with the capabilities CAP_BPF
/// and CAP_PERFMON. `roar run` starts it to attach the tracer; roar itself and the command get
/// no capability. It traces the processes of its caller only. The result is tried as the
/// invoking user.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Remove the loader.
    #[arg(long)]
    remove: bool,

    /// Only members of this group may use the loader.
    #[arg(long, value_name = "NAME", conflicts_with = "remove")]
    group: Option<String>,

    /// Do not try the loader out: for images, which are run elsewhere.
    #[arg(long, conflicts_with = "remove")]
    no_trial: bool,

    /// Install into another folder; ROAR_LOADER then names the loader to `roar run`.
    #[arg(long, value_name = "FOLDER")]
    to: Option<PathBuf>,
}

/// # Errors
/// Not root, the loader cannot be installed, or it does not work when it is tried.
pub(super) fn run(context: &mut Context, args: &Args) -> Result<ExitCode, CommandError> {
    if !rustix::process::geteuid().is_root() {
        return Err(
            CommandError::user("only root can install or remove the loader").hint(as_root()),
        );
    }
    let standard = Path::new(loader::INSTALLED);
    let folder = match &args.to {
        // Whoever uses it is elsewhere.
        Some(folder) => context.cwd.join(folder),
        None => standard.parent().unwrap_or(standard).to_path_buf(),
    };
    if args.remove {
        let was_there = installation::remove(&folder)
            .map_err(|error| failed("the loader cannot be removed", error))?;
        let place = folder.join(installation::NAME);
        context.ui.note(&if was_there {
            format!("removed {}", place.display())
        } else {
            format!("nothing to remove at {}", place.display())
        });
        return Ok(ExitCode::SUCCESS);
    }
    let group = args.group.as_deref().map(group_id).transpose()?;
    let roar = std::env::current_exe()
        .map_err(|error| CommandError::user("cannot find roar's own file").because(error))?;
    let beside = roar.with_file_name(installation::NAME);
    let place = installation::install(&beside, &folder, group)
        .map_err(|error| failed("the loader cannot be installed", error))?;
    let trial = if args.no_trial {
        "not tried".to_owned()
    } else {
        format!("tried as {}: eBPF works", try_out(&place, group)?)
    };
    context.ui.note(&format!(
        "installed {} (cap_bpf, cap_perfmon); {trial}",
        place.display()
    ));
    if place != standard {
        let name = shell::quote(place.as_os_str().as_bytes());
        context.ui.note(&format!(
            "for roar to find it there: export ROAR_LOADER={name}"
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// This very command, through sudo.
fn as_root() -> String {
    let roar = std::env::current_exe().unwrap_or_else(|_| "roar".into());
    let arguments = std::env::args_os().skip(1);
    let words: Vec<RawString> = std::iter::once(roar.into_os_string())
        .chain(arguments)
        .map(|word| RawString::from_os(&word))
        .collect();
    format!("sudo {}", shell::join(&words))
}

fn failed(what: &str, error: InstallError) -> CommandError {
    let mend = error.mend();
    CommandError::user(what).because(error).hint(mend)
}

fn group_id(name: &str) -> Result<u32, CommandError> {
    let group = uzers::get_group_by_name(name);
    group.map(|group| group.gid()).ok_or_else(|| {
        CommandError::user(format!("there is no group '{name}'"))
            .hint(format!("sudo groupadd {name}"))
    })
}

/// Attaches the tracer once through the loader, as the user who invoked sudo or as nobody,
/// and returns that user's name. From here on this process has no rights.
fn try_out(place: &Path, group: Option<u32>) -> Result<String, CommandError> {
    let cannot = |error: PrivilegeError| {
        CommandError::user("the loader is installed, but it could not be tried").because(error)
    };
    let user = privilege::invoker()
        .map_err(cannot)?
        .unwrap_or_else(Invoker::nobody)
        .with_group(group);
    user.become_for_good().map_err(cannot)?;
    match EbpfTracer::attach_through(place, Sizes::default()) {
        Ok(_) => Ok(user.name()),
        Err(error) => {
            let message = format!(
                "the loader is installed, but it does not work: {}",
                with_causes(&error)
            );
            let mut failure = CommandError::user(message);
            failure.hints = error.hints();
            Err(failure)
        }
    }
}
