//! What a job ran under, in lines for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::dag::reference;
use super::{human, inert};
use crate::model::{
    Endpoint, GitState, GpuUse, HostFacts, HubSource, JobKind, Launch, Network, RawString,
    RedactedPlace, Redaction, Software, TrackedRun,
};
use crate::store::JobSummary;

/// Commit, branch, remote, and whether more than the commit ran.
pub(super) fn git_line(git: &GitState) -> String {
    let commit = git
        .commit
        .as_deref()
        .map_or("no commit yet", |commit| commit.get(..12).unwrap_or(commit));
    let mut line = inert(commit);
    if let Some(branch) = &git.branch {
        let _ = write!(line, " on {}", inert(branch));
    }
    if git.dirty {
        line.push_str(match (&git.patch_hash, git.patch_redacted) {
            (Some(_), false) => ", with uncommitted changes (kept)",
            (Some(_), true) => ", with uncommitted changes (kept without secrets)",
            (None, _) => ", with uncommitted changes (not kept)",
        });
    }
    if let Some(note) = &git.patch_note {
        let _ = write!(line, "; {}", inert(note));
    }
    if let Some(remote) = &git.remote {
        let _ = write!(line, ", {}", inert(remote));
    }
    line
}

/// Untracked files that were read: how many, and which of them have no true copy.
pub(super) fn untracked_line(git: &GitState) -> String {
    let kept = git.untracked.iter().filter(|file| file.blob.is_some());
    let mut line = format!(
        "{} read, {} kept",
        human::count(git.untracked.len(), "untracked file"),
        kept.count()
    );
    for file in &git.untracked {
        if let Some(note) = &file.note {
            let _ = write!(line, "; {}: {}", file.path, inert(note));
        } else if file.redacted {
            let _ = write!(line, "; {}: kept without secrets", file.path);
        }
    }
    line
}

/// Interpreters, distributions and counts; the whole lists are in the JSON form.
pub(super) fn software_lines(software: &Software) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    let pythons: Vec<String> = software
        .interpreters
        .iter()
        .map(|python| {
            let place = python.environment.as_ref().unwrap_or(&python.executable);
            format!(
                "{} {} ({place})",
                inert(&python.implementation),
                inert(&python.version)
            )
        })
        .collect();
    if !pythons.is_empty() {
        lines.push(("python", pythons.join(", ")));
    }
    let mut packages: Vec<String> = software
        .pip
        .iter()
        .map(|(name, version)| inert(&format!("{name} {version}")))
        .collect();
    for (count, manager) in [
        (software.dpkg.len(), "dpkg"),
        (software.rpm.len(), "rpm"),
        (software.apk.len(), "apk"),
        (software.conda.len(), "conda"),
    ] {
        if count > 0 {
            packages.push(format!("{} of {manager}", human::count(count, "package")));
        }
    }
    for database in &software.unread {
        packages.push(format!("of the system unknown, {database} cannot be read"));
    }
    if !packages.is_empty() {
        lines.push(("packages", packages.join(", ")));
    }
    let libraries: Vec<String> = software
        .libraries
        .iter()
        .map(|(name, version)| inert(&format!("{name} {version}")))
        .collect();
    if !libraries.is_empty() {
        lines.push(("libraries", libraries.join(", ")));
    }
    lines
}

/// One variable a line.
pub(super) fn variables_line(environment: &BTreeMap<String, RawString>) -> String {
    let lines: Vec<String> = environment
        .iter()
        .map(|(name, value)| format!("{}={value}", inert(name)))
        .collect();
    lines.join("\n             ")
}

/// Where secrets were taken out, each place once.
pub(super) fn redactions_line(redactions: &[Redaction]) -> String {
    let mut places: Vec<String> = Vec::new();
    for Redaction { place, detector: _ } in redactions {
        let place = match place {
            RedactedPlace::Argument {
                option: Some(option),
                ..
            } => format!("the argument of {}", inert(option)),
            RedactedPlace::Argument { index, .. } => format!("argument {index}"),
            RedactedPlace::Variable { name } => inert(name),
            RedactedPlace::Name => "the name".to_owned(),
            RedactedPlace::Folder => "the folder".to_owned(),
            RedactedPlace::Git => "git".to_owned(),
            RedactedPlace::Patch => "the patch".to_owned(),
            RedactedPlace::Untracked { path } => format!("the copy of {path}"),
            RedactedPlace::Files => "paths".to_owned(),
            RedactedPlace::Packages => "origins of packages".to_owned(),
            RedactedPlace::Trackers => "runs of trackers".to_owned(),
            RedactedPlace::Network => "names of machines".to_owned(),
            RedactedPlace::Launch => "the launch".to_owned(),
            RedactedPlace::Gaps => "gaps".to_owned(),
        };
        if !places.contains(&place) {
            places.push(place);
        }
    }
    places.join(", ")
}

/// The machine's graphics processors, and what the job used of them.
pub(super) fn gpu_lines(host: &HostFacts, used: &[GpuUse]) -> Vec<(&'static str, String)> {
    if host.gpus.is_empty() {
        return Vec::new();
    }
    let mut parts: Vec<String> = host
        .gpus
        .iter()
        .map(|gpu| format!("{} ({})", inert(&gpu.name), human::size(gpu.memory_bytes)))
        .collect();
    let versions = [(&host.nvidia_driver, "driver"), (&host.cuda, "CUDA")];
    parts.extend(
        versions
            .into_iter()
            .filter_map(|(version, what)| Some(format!("{what} {}", inert(version.as_deref()?)))),
    );
    let mut lines = vec![("gpus", parts.join(", "))];
    let used: Vec<String> = used
        .iter()
        .map(|used| {
            format!(
                "process {} on GPU {}: peak {}, busy {}",
                used.process,
                used.gpu,
                human::size(used.peak_memory_bytes),
                human::duration(used.busy_ns)
            )
        })
        .collect();
    if !used.is_empty() {
        lines.push(("gpu use", used.join("\n             ")));
    }
    lines
}

/// A line for each repository of a hub that inputs came from.
pub(super) fn source_lines(sources: &[HubSource]) -> Vec<String> {
    let line = |source: &HubSource| {
        let mut line = inert(&format!("{} {}", source.hub, source.name));
        if let Some(revision) = &source.revision {
            let _ = write!(line, " at {}", inert(revision));
        }
        let _ = write!(line, ", {}", human::count(source.files as usize, "file"));
        line
    };
    sources.iter().map(line).collect()
}

/// A line for each run of a tracker.
pub(super) fn tracker_lines(runs: &[TrackedRun]) -> Vec<String> {
    let line = |run: &TrackedRun| {
        let mut line = inert(&format!("{} {}", run.tracker, run.id));
        let names = [&run.project, &run.name];
        let names: Vec<&str> = names.into_iter().flatten().map(String::as_str).collect();
        if !names.is_empty() {
            let _ = write!(line, " ({})", inert(&names.join(", ")));
        }
        if let Some(url) = &run.url {
            let _ = write!(line, " {}", inert(url));
        }
        line
    };
    runs.iter().map(line).collect()
}

/// Lines of endpoints: the remote ones, then this machine's own. The whole list is in the JSON form.
pub(super) fn network_lines(network: &Network) -> Vec<String> {
    let mut lines: Vec<String> = network.endpoints.iter().map(endpoint).collect();
    let hidden = lines.len().saturating_sub(SHOWN_ENDPOINTS);
    lines.truncate(SHOWN_ENDPOINTS);
    let more = hidden as u64 + network.unlisted;
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    lines
}

/// So many endpoints are shown to people.
const SHOWN_ENDPOINTS: usize = 12;

fn endpoint(end: &Endpoint) -> String {
    let mut line = end.to_string();
    if end.is_local() {
        line.push_str(" (this machine)");
    } else if end.names.is_empty() {
        line.push_str(" (name unknown)");
    } else {
        let _ = write!(line, " ({})", inert(&end.names.join(", ")));
    }
    line
}

/// So many ranks, and other parts of a launch, are listed.
const PARTS_SHOWN: usize = 16;

/// What launched the ranks, how many were seen, what each did, and which other jobs are parts of
/// the same launch.
pub(super) fn launch_lines(launch: &Launch, parts: &[JobSummary]) -> Vec<String> {
    let mut lines = vec![launch_line(launch)];
    for rank in launch.ranks.iter().take(PARTS_SHOWN) {
        // A job that is a rank itself has its files as its own.
        if rank.process.is_some() {
            lines.push(format!(
                "rank {}: {} in, {} out",
                rank.rank,
                rank.reads.len(),
                rank.writes.len()
            ));
        }
    }
    for part in parts.iter().take(PARTS_SHOWN) {
        let step = reference(part.step_number, part.kind == JobKind::Build);
        lines.push(format!("also a part: {step}, job {}", part.uid));
    }
    for unlisted in [launch.ranks.len(), parts.len()] {
        if unlisted > PARTS_SHOWN {
            lines.push(format!("and {} more (--json)", unlisted - PARTS_SHOWN));
        }
    }
    lines
}

fn launch_line(launch: &Launch) -> String {
    let mut line = inert(&launch.kind);
    let _ = write!(line, ", {} here", human::count(launch.ranks.len(), "rank"));
    if let Some(size) = launch.world_size {
        let _ = write!(line, " of {size}");
    }
    if let Some(id) = &launch.id {
        let _ = write!(line, ", {}", inert(id));
    }
    line
}
