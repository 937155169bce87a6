//! What a server of the published protocol tells of an artifact's pipeline (`/dag`), as a lineage that
//! can be made again as far as that goes.
//!
//! The published client registers a job with its command line, and with packages, interpreter, machine
//! and commit in its metadata. It sends neither patches nor untracked files, nor does it tell where the
//! work tree was or which variables were set; what is missing is said in words. Servers write the
//! answer in their own ways, so that everything in it may be absent.

use glaas_api::artifacts::ArtifactHash;
use glaas_api::lineage::{ClosureJob, JobSummary, LinkedFile};
use serde_json::Value;

use super::document::{hashes, portable, portable_file};
use super::fetch::Fetched;
use crate::model::{
    GitState, HostFacts, Interpreter, JobKind, Outcome, PORTABLE_VERSION, PortableFile,
    PortableJob, PortableLineage, RawString,
};

const NS: f64 = 1e9;

/// The lineage in the answer of `server`, for the artifact that was asked for.
pub(super) fn lineage(server: &str, artifact: &Value, dag: &Value) -> Fetched {
    let mut gaps = Vec::new();
    let mut doubts = Vec::new();
    let mut jobs = Vec::new();
    for told in dag["jobs"].as_array().into_iter().flatten() {
        match job(told, dag) {
            Ok(job) => jobs.push(job),
            Err(gap) => gaps.push(gap),
        }
    }
    // Build steps have numbers of their own; they come first.
    jobs.sort_by_key(|job: &PortableJob| (job.kind != JobKind::Build, job.step_number));
    if jobs.is_empty() && gaps.is_empty() {
        gaps.push(format!("{server} knows no job that made it"));
    }
    let files = || {
        jobs.iter()
            .flat_map(|job| job.inputs.iter().chain(&job.outputs))
    };
    if files().next().is_none() {
        doubts.push(format!(
            "{server} does not tell what the jobs read and wrote: all of them run, in the order of their steps"
        ));
    } else if files().any(PortableFile::is_outside)
        && jobs.iter().all(|job| job.root.as_bytes().is_empty())
    {
        doubts.push(
            "where the work tree was is not told: every file counts as lying outside of it"
                .to_owned(),
        );
    }
    if !jobs.is_empty() {
        doubts.push(doubt(server));
    }
    let all: Result<Vec<ArtifactHash>, _> = serde_json::from_value(artifact["hashes"].clone());
    let hash = hashes(
        artifact["hash"].as_str().unwrap_or_default(),
        &all.unwrap_or_default(),
    );
    let outputs = jobs.iter().rev().flat_map(|job| &job.outputs);
    let made = outputs
        .into_iter()
        .find(|output| output.hash().is_some() && output.hash() == hash.values().next());
    let path = made.map(|made| made.path.clone());
    Fetched {
        lineage: PortableLineage {
            version: PORTABLE_VERSION,
            targets: vec![PortableFile {
                path: path.unwrap_or_else(|| artifact["path"].as_str().unwrap_or_default().into()),
                hashes: hash,
                size_bytes: artifact["size"].as_u64(),
                note: None,
            }],
            jobs,
            foreign: true,
        },
        gaps,
        doubts,
    }
}

/// A job of a server of this project, which the published client registered there.
pub(super) fn job_of_closure(told: &ClosureJob) -> Result<PortableJob, String> {
    let told = serde_json::to_value(told).unwrap_or_default();
    job(&told, &Value::Null)
}

/// What is not known for sure of jobs that the published client registered.
pub(super) fn doubt(server: &str) -> String {
    format!(
        "{server} gives what the published client recorded: no uncommitted code, few variables, \
         and packages as that client lists them"
    )
}

fn job(told: &Value, dag: &Value) -> Result<PortableJob, String> {
    let text = |names: [&str; 2]| first(told, names).and_then(Value::as_str);
    let command = text(["command", "command"]).unwrap_or_default();
    let metadata = match &told["metadata"] {
        Value::String(text) => serde_json::from_str(text).unwrap_or(Value::Null),
        other => other.clone(),
    };
    let files = |side: &str| -> Vec<LinkedFile> {
        let all = told[side].as_array().into_iter().flatten();
        all.filter_map(|file| serde_json::from_value(file.clone()).ok())
            .collect()
    };
    let summary = JobSummary {
        job_uid: text(["jobUid", "job_uid"]).unwrap_or_default().to_owned(),
        job_type: text(["jobType", "job_type"]).unwrap_or("run").to_owned(),
        step_number: first(told, ["stepNumber", "step_number"]).and_then(Value::as_i64),
        exit_code: first(told, ["exitCode", "exit_code"]).and_then(Value::as_i64),
        command: command.to_owned(),
        ..JobSummary::default()
    };
    let ours = metadata.get(glaas_api::document::KEY);
    let known = ClosureJob {
        summary,
        document: ours.and_then(|document| serde_json::from_value(document.clone()).ok()),
        inputs: files("inputs"),
        outputs: files("outputs"),
        ..ClosureJob::default()
    };
    if known.document.is_some() {
        // Registered by a roar of this project: everything is there but the kept contents.
        return portable(&known);
    }
    let runtime = &metadata["runtime"];
    let argv = argv(runtime, command).ok_or_else(|| {
        let command = RawString::from(command);
        format!("the command '{command}' cannot be read as a shell would")
    })?;
    let root = root(runtime);
    let (inputs, outputs) = (&known.inputs, &known.outputs);
    let sides = [inputs, outputs].map(|files| -> Vec<PortableFile> {
        files
            .iter()
            .map(|file| portable_file(file, &root))
            .collect()
    });
    let [inputs, outputs] = sides;
    let number = |names| first(told, names).and_then(Value::as_f64);
    let duration = number(["durationSeconds", "duration_seconds"]).unwrap_or_default();
    let mut job = PortableJob {
        uid: known.summary.job_uid,
        kind: if known.summary.job_type == "build" {
            JobKind::Build
        } else {
            JobKind::Run
        },
        step_number: known
            .summary
            .step_number
            .and_then(|number| u32::try_from(number).ok())
            .unwrap_or_default(),
        cwd: match metadata["cwd"].as_str() {
            None | Some("") => ".".into(),
            Some(cwd) => cwd.into(),
        },
        started_at_ns: (number(["timestamp", "timestamp"]).unwrap_or_default() * NS) as i64,
        duration_ns: Some((duration.max(0.0) * NS) as u64),
        outcome: Outcome {
            // Published servers need not tell it; what failed is seldom registered.
            exit_code: Some(
                known
                    .summary
                    .exit_code
                    .and_then(|code| i32::try_from(code).ok())
                    .unwrap_or_default(),
            ),
            ..Outcome::default()
        },
        inputs,
        outputs,
        git: Some(git(told, dag, &metadata["git"])),
        host: host(runtime),
        root,
        argv,
        ..PortableJob::default()
    };
    let software = &mut job.conditions.software;
    for (list, names) in [
        (&mut software.pip, ["build_pip", "pip"]),
        (&mut software.dpkg, ["build_dpkg", "dpkg"]),
    ] {
        for name in names {
            let packages = metadata["packages"][name].as_object();
            for (package, version) in packages.into_iter().flatten() {
                if let Some(version) = version.as_str() {
                    list.insert(package.clone(), version.to_owned());
                }
            }
        }
    }
    // It watched; it was not used.
    software.pip.remove("roar-cli");
    let used = !software.pip.is_empty();
    software
        .interpreters
        .extend(interpreter(runtime, &job.argv, used));
    Ok(job)
}

/// A member under either name.
fn first<'a>(value: &'a Value, names: [&str; 2]) -> Option<&'a Value> {
    names
        .iter()
        .find_map(|name| value.get(name))
        .filter(|value| !value.is_null())
}

/// The command as the client was given it, else as a shell reads what it is shown as.
fn argv(runtime: &Value, command: &str) -> Option<Vec<RawString>> {
    let told = runtime["command"].as_array().into_iter().flatten();
    let told: Option<Vec<RawString>> = told
        .map(|word| word.as_str().map(RawString::from))
        .collect();
    if let Some(told) = told.filter(|told| !told.is_empty()) {
        return Some(told);
    }
    let words = shlex::split(command)?;
    Some(words.into_iter().map(RawString::from).collect())
}

/// Where the work tree was: the client tells its own jobs where to write what they load.
fn root(runtime: &Value) -> RawString {
    let log = runtime["env_vars"]["ROAR_LOG_FILE"]
        .as_str()
        .unwrap_or_default();
    log.rsplit_once("/.roar/")
        .map(|(root, _)| root.into())
        .unwrap_or_default()
}

fn git(told: &Value, dag: &Value, metadata: &Value) -> GitState {
    let text = |own: &str, names: [&str; 2], of_all: &str| {
        let found = metadata[own]
            .as_str()
            .or_else(|| first(told, names)?.as_str());
        found.or_else(|| dag[of_all].as_str()).map(str::to_owned)
    };
    let dirty = metadata["clean"].as_bool() == Some(false);
    GitState {
        remote: text("remote_url", ["gitRepo", "git_repo"], "gitRepo"),
        commit: text("commit", ["gitCommit", "git_commit"], "gitCommit"),
        branch: text("branch", ["gitBranch", "git_branch"], "gitBranch"),
        dirty,
        patch_note: dirty.then(|| "the published client does not send them".to_owned()),
        ..GitState::default()
    }
}

fn host(runtime: &Value) -> HostFacts {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    HostFacts {
        hostname: text(&runtime["hostname"]),
        kernel: text(&runtime["os"]["release"]),
        arch: text(&runtime["os"]["machine"]),
        cpu_model: text(&runtime["cpu"]["model"]),
        cpu_count: runtime["cpu"]["count"]
            .as_u64()
            .and_then(|count| u32::try_from(count).ok())
            .unwrap_or_default(),
        ..HostFacts::default()
    }
}

/// The Python of a command that is one's, or whose packages were used. It ran in an environment where
/// its program lies in one: not in a folder of the system's.
fn interpreter(runtime: &Value, argv: &[RawString], used: bool) -> Option<Interpreter> {
    let python = &runtime["python"];
    let version = python["version"].as_str()?;
    let program = argv.first()?.as_str()?;
    let (folder, name) = program.rsplit_once('/').unwrap_or(("", program));
    let is_python = name.starts_with("python") || name.starts_with("pypy");
    if !is_python && !used {
        return None;
    }
    let prefix = folder.strip_suffix("/bin").unwrap_or_default();
    let is_system = !is_python || matches!(prefix, "" | "/usr" | "/usr/local");
    Some(Interpreter {
        implementation: python["implementation"]
            .as_str()
            .unwrap_or("cpython")
            .to_lowercase(),
        version: version.to_owned(),
        executable: program.into(),
        environment: (!is_system).then(|| prefix.into()),
        conda: None,
    })
}
