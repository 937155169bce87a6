//! A job's record on the wire, and back.

use glaas_api::RawText;
use glaas_api::artifacts::ArtifactHash;
use glaas_api::document::{
    COLLECTION, CollectionDocument, CompletenessDocument, GitDocument, GpuDocument, HostDocument,
    InterpreterDocument, JobDocument, LaunchDocument, ProgramDocument, SoftwareDocument,
    SubmoduleDocument, UntrackedDocument, VERSION,
};
use glaas_api::lineage::{ClosureJob, LinkedFile};
use glaas_api::members::ListingPage;

use crate::lineage::portable::below;
use crate::model::{
    Conditions, Digest, GitCondition, GitState, Gpu, HashAlgorithm, Hashes, HostFacts, Interpreter,
    JobKind, Launch, Outcome, PortableCollection, PortableFile, PortableJob, Program, Rank,
    RawString, RedactedPlace, Redaction, Software, Submodule, UntrackedFile,
};

/// What stands in the place of a secret.
pub(super) const MARK: &str = "[redacted:";

/// A job's document, with the pages that list the members of each of its collections. Where its tree
/// was is told only when its command or its variables name it.
pub fn document(job: &PortableJob, sequence: i64, listings: Vec<Vec<ListingPage>>) -> JobDocument {
    let mut listings = listings.into_iter();
    let mut texts = job.argv.iter().chain(job.conditions.environment.values());
    let root = job.root.as_bytes();
    let names_root =
        !root.is_empty() && texts.any(|text| memchr::memmem::find(text.as_bytes(), root).is_some());
    let software = &job.conditions.software;
    JobDocument {
        version: VERSION,
        name: job.name.clone(),
        argv: job.argv.iter().map(to_wire).collect(),
        cwd: to_wire(&job.cwd),
        project: names_root.then(|| to_wire(&job.root)),
        started_at_ns: job.started_at_ns,
        duration_ns: job.duration_ns,
        signal: job.outcome.signal,
        interrupted: job.outcome.interrupted,
        environment: job
            .conditions
            .environment
            .iter()
            .map(|(name, value)| (name.clone(), to_wire(value)))
            .collect(),
        git: job.git.as_ref().map(git),
        host: host(&job.host),
        software: SoftwareDocument {
            pip: software.pip.clone(),
            origins: software.origins.clone(),
            dpkg: software.dpkg.clone(),
            rpm: software.rpm.clone(),
            apk: software.apk.clone(),
            conda: software.conda.clone(),
            interpreters: software
                .interpreters
                .iter()
                .map(|interpreter| InterpreterDocument {
                    implementation: interpreter.implementation.clone(),
                    version: interpreter.version.clone(),
                    executable: to_wire(&interpreter.executable),
                    environment: interpreter.environment.as_ref().map(to_wire),
                    ..InterpreterDocument::default()
                })
                .collect(),
            libraries: software.libraries.clone(),
            programs: software
                .programs
                .iter()
                .map(|program| ProgramDocument {
                    path: to_wire(&program.path),
                    package: program.package.clone(),
                })
                .collect(),
        },
        completeness: CompletenessDocument {
            complete: job.complete,
            ..CompletenessDocument::default()
        },
        redactions: job.conditions.redactions.iter().map(in_words).collect(),
        collections: job
            .collections
            .iter()
            .map(|collection| CollectionDocument {
                folder: to_wire(&collection.folder),
                produced: collection.produced,
                name: collection.name.clone(),
                hash: collection.hash.clone(),
                files: collection.files,
                size: collection.size_bytes,
                listing: listings.next().unwrap_or_default(),
            })
            .collect(),
        launch: job.conditions.launch.as_ref().map(|launch| LaunchDocument {
            kind: launch.kind.clone(),
            id: launch.id.clone(),
            world_size: launch.world_size,
            ranks: launch.ranks.iter().map(|rank| rank.rank).collect(),
        }),
        sequence,
    }
}

fn git(git: &GitState) -> GitDocument {
    GitDocument {
        remote: git.remote.clone(),
        commit: git.commit.clone(),
        branch: git.branch.clone(),
        dirty: git.dirty,
        top: None,
        patch: git.patch_hash.clone(),
        patch_redacted: git.patch_redacted,
        patch_note: git.patch_note.clone(),
        conditions: git
            .conditions
            .iter()
            .filter_map(|condition| serde_json::to_value(condition).ok())
            .filter_map(|value| value.as_str().map(str::to_owned))
            .collect(),
        submodules: git
            .submodules
            .iter()
            .map(|module| SubmoduleDocument {
                path: to_wire(&module.path),
                commit: module.commit.clone(),
                checked_out: module.checked_out.clone(),
            })
            .collect(),
        untracked: git
            .untracked
            .iter()
            .map(|file| UntrackedDocument {
                path: to_wire(&file.path),
                blob: file.blob.clone(),
                executable: file.executable,
                redacted: file.redacted,
                note: file.note.clone(),
            })
            .collect(),
    }
}

fn host(host: &HostFacts) -> HostDocument {
    HostDocument {
        hostname: host.hostname.clone(),
        os: host.os.clone(),
        kernel: host.kernel.clone(),
        arch: host.arch.clone(),
        cpu_model: host.cpu_model.clone(),
        cpu_count: host.cpu_count,
        memory_bytes: host.memory_bytes,
        user: host.user.clone(),
        gpus: host
            .gpus
            .iter()
            .map(|gpu| GpuDocument {
                name: gpu.name.clone(),
                memory_bytes: Some(gpu.memory_bytes),
                driver: host.nvidia_driver.clone(),
                cuda: host.cuda.clone(),
            })
            .collect(),
    }
}

fn in_words(redaction: &Redaction) -> String {
    let place = match &redaction.place {
        RedactedPlace::Argument { index, option } => match option {
            Some(option) => format!("argument {index} ({option})"),
            None => format!("argument {index}"),
        },
        RedactedPlace::Variable { name } => format!("variable {name}"),
        RedactedPlace::Untracked { path } => format!("untracked file {path}"),
        RedactedPlace::Name => "name".to_owned(),
        RedactedPlace::Folder => "folder".to_owned(),
        RedactedPlace::Git => "git".to_owned(),
        RedactedPlace::Patch => "patch".to_owned(),
        RedactedPlace::Files => "files".to_owned(),
        RedactedPlace::Packages => "packages".to_owned(),
        RedactedPlace::Launch => "launch".to_owned(),
        RedactedPlace::Gaps => "gaps".to_owned(),
        RedactedPlace::Network => "network".to_owned(),
        RedactedPlace::Trackers => "trackers".to_owned(),
    };
    format!("{place}: {}", redaction.detector)
}

/// A job that a server gave.
///
/// # Errors
/// It has no document that this roar can read: then its command is not known in full.
pub fn portable(job: &ClosureJob) -> Result<PortableJob, String> {
    let summary = &job.summary;
    let shown = || format!("job {}", RawString::from(summary.job_uid.as_str()));
    let Some(document) = &job.document else {
        return Err(format!(
            "{} was registered by a client that does not send what is needed to run it again",
            shown()
        ));
    };
    if document.version > VERSION {
        return Err(format!("{} was registered by a newer roar", shown()));
    }
    let root = document.project.as_ref().map(from_wire).unwrap_or_default();
    let argv: Vec<RawString> = document.argv.iter().map(from_wire).collect();
    let environment = document
        .environment
        .iter()
        .map(|(name, value)| (name.clone(), from_wire(value)))
        .collect();
    let mut conditions = Conditions {
        redactions: redactions(&argv, &environment),
        environment,
        software: software(&document.software),
        launch: document.launch.as_ref().map(launch),
        ..Conditions::default()
    };
    conditions.redactions.sort();
    Ok(PortableJob {
        uid: summary.job_uid.clone(),
        kind: if summary.job_type == "build" {
            JobKind::Build
        } else {
            JobKind::Run
        },
        step_number: summary
            .step_number
            .and_then(|number| u32::try_from(number).ok())
            .unwrap_or(0),
        name: document.name.clone(),
        argv,
        cwd: from_wire(&document.cwd),
        started_at_ns: document.started_at_ns,
        duration_ns: document.duration_ns,
        outcome: Outcome {
            exit_code: summary.exit_code.and_then(|code| i32::try_from(code).ok()),
            signal: document.signal,
            interrupted: document.interrupted,
        },
        complete: document.completeness.complete,
        inputs: portable_files(&job.inputs, &root),
        outputs: portable_files(&job.outputs, &root),
        collections: document.collections.iter().map(collection).collect(),
        git: document.git.as_ref().map(git_state),
        host: HostFacts {
            hostname: document.host.hostname.clone(),
            os: document.host.os.clone(),
            kernel: document.host.kernel.clone(),
            arch: document.host.arch.clone(),
            cpu_model: document.host.cpu_model.clone(),
            cpu_count: document.host.cpu_count,
            memory_bytes: document.host.memory_bytes,
            user: document.host.user.clone(),
            gpus: document
                .host
                .gpus
                .iter()
                .map(|gpu| Gpu {
                    name: gpu.name.clone(),
                    uuid: String::new(),
                    memory_bytes: gpu.memory_bytes.unwrap_or(0),
                })
                .collect(),
            nvidia_driver: document.host.gpus.iter().find_map(|gpu| gpu.driver.clone()),
            cuda: document.host.gpus.iter().find_map(|gpu| gpu.cuda.clone()),
            ..HostFacts::default()
        },
        conditions,
        root,
    })
}

/// A file that a server gave.
pub fn portable_file(file: &LinkedFile, root: &RawString) -> PortableFile {
    let path = match &file.raw_path {
        Some(raw) => from_wire(raw),
        None => file.path.as_str().into(),
    };
    PortableFile {
        path: below(&path, root).unwrap_or(path),
        hashes: hashes(&file.hash, &file.hashes),
        size_bytes: file.size,
        note: file.note.clone(),
    }
}

/// The digests of an artifact that a server gave.
pub fn hashes(identity: &str, all: &[ArtifactHash]) -> Hashes {
    let is_digest = |text: &str| {
        text.len().is_multiple_of(2)
            && (32..=128).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_hexdigit())
    };
    let mut hashes: Hashes = all
        .iter()
        .filter(|hash| is_digest(&hash.digest))
        .filter_map(|hash| {
            let algorithm: HashAlgorithm = hash.algorithm.parse().ok()?;
            Some((
                algorithm,
                Digest::from_hex(hash.digest.to_ascii_lowercase()),
            ))
        })
        .collect();
    if all.is_empty() && identity.len() == 64 && is_digest(identity) {
        let digest = Digest::from_hex(identity.to_ascii_lowercase());
        hashes.insert(HashAlgorithm::Blake3, digest);
    }
    hashes
}

fn git_state(git: &GitDocument) -> GitState {
    GitState {
        commit: git.commit.clone(),
        branch: git.branch.clone(),
        remote: git.remote.clone(),
        dirty: git.dirty,
        top: git.top.as_ref().map(from_wire),
        patch_hash: git.patch.clone(),
        patch_redacted: git.patch_redacted,
        patch_note: git.patch_note.clone(),
        conditions: git
            .conditions
            .iter()
            .filter_map(|name| serde_json::from_value::<GitCondition>(name.as_str().into()).ok())
            .collect(),
        submodules: git
            .submodules
            .iter()
            .map(|module| Submodule {
                path: from_wire(&module.path),
                commit: module.commit.clone(),
                checked_out: module.checked_out.clone(),
            })
            .collect(),
        untracked: git
            .untracked
            .iter()
            .map(|file| UntrackedFile {
                path: from_wire(&file.path),
                blob: file.blob.clone(),
                executable: file.executable,
                redacted: file.redacted,
                note: file.note.clone(),
            })
            .collect(),
    }
}

fn software(software: &SoftwareDocument) -> Software {
    Software {
        pip: software.pip.clone(),
        origins: software.origins.clone(),
        dpkg: software.dpkg.clone(),
        rpm: software.rpm.clone(),
        apk: software.apk.clone(),
        conda: software.conda.clone(),
        // Whoever makes it again has databases of their own.
        unread: Vec::new(),
        interpreters: software
            .interpreters
            .iter()
            .map(|interpreter| Interpreter {
                implementation: interpreter.implementation.clone(),
                version: interpreter.version.clone(),
                executable: from_wire(&interpreter.executable),
                environment: interpreter.environment.as_ref().map(from_wire),
                conda: None,
            })
            .collect(),
        libraries: software.libraries.clone(),
        programs: software
            .programs
            .iter()
            .map(|program| Program {
                path: from_wire(&program.path),
                package: program.package.clone(),
            })
            .collect(),
    }
}

/// Without the links that stand for collections.
fn portable_files(files: &[LinkedFile], root: &RawString) -> Vec<PortableFile> {
    let files = files
        .iter()
        .filter(|file| file.basis.as_deref() != Some(COLLECTION));
    files.map(|file| portable_file(file, root)).collect()
}

fn collection(collection: &CollectionDocument) -> PortableCollection {
    PortableCollection {
        folder: from_wire(&collection.folder),
        produced: collection.produced,
        name: collection.name.clone(),
        hash: collection.hash.clone(),
        files: collection.files,
        size_bytes: collection.size,
    }
}

fn launch(launch: &LaunchDocument) -> Launch {
    Launch {
        kind: launch.kind.clone(),
        id: launch.id.clone(),
        world_size: launch.world_size,
        ranks: launch
            .ranks
            .iter()
            .map(|rank| Rank {
                rank: *rank,
                ..Rank::default()
            })
            .collect(),
        unseen: 0,
    }
}

/// Where secrets are missing: the marks that stand in their places tell.
fn redactions(
    argv: &[RawString],
    environment: &std::collections::BTreeMap<String, RawString>,
) -> Vec<Redaction> {
    let detector = |text: &RawString| -> Option<String> {
        let text = text.to_string();
        let (_, rest) = text.split_once(MARK)?;
        Some(rest.split(']').next().unwrap_or_default().to_owned())
    };
    let arguments = argv.iter().enumerate().filter_map(|(index, argument)| {
        Some(Redaction {
            place: RedactedPlace::Argument {
                index,
                option: None,
            },
            detector: detector(argument)?,
        })
    });
    let variables = environment.iter().filter_map(|(name, value)| {
        Some(Redaction {
            place: RedactedPlace::Variable { name: name.clone() },
            detector: detector(value)?,
        })
    });
    arguments.chain(variables).collect()
}

/// Bytes on the wire.
pub fn to_wire(raw: &RawString) -> RawText {
    match raw.as_str() {
        Some(text) => RawText::Text(text.to_owned()),
        None => serde_json::to_value(raw)
            .and_then(serde_json::from_value)
            .unwrap_or_default(),
    }
}

/// Bytes from the wire; the escaped form where they make no sense.
pub fn from_wire(raw: &RawText) -> RawString {
    serde_json::to_value(raw)
        .and_then(serde_json::from_value)
        .unwrap_or_else(|_| raw.shown().into())
}

#[cfg(test)]
mod tests {
    use glaas_api::lineage::JobSummary;

    use super::*;

    #[test]
    fn a_job_comes_back_as_it_went() {
        let mut job = PortableJob {
            uid: "0badcafe".to_owned(),
            kind: JobKind::Build,
            step_number: 3,
            name: Some("make".to_owned()),
            argv: vec![
                "make".into(),
                RawString::new(&b"\xff"[..]),
                "/home/a/p/x".into(),
            ],
            cwd: "sub".into(),
            root: "/home/a/p".into(),
            started_at_ns: 5,
            duration_ns: Some(7),
            outcome: Outcome {
                exit_code: Some(2),
                ..Outcome::default()
            },
            git: Some(GitState {
                commit: Some("c".repeat(40)),
                dirty: true,
                patch_hash: Some("d".repeat(64)),
                conditions: vec![GitCondition::Detached],
                untracked: vec![UntrackedFile {
                    path: RawString::new(&b"a\xfe"[..]),
                    blob: Some("e".repeat(64)),
                    executable: true,
                    ..UntrackedFile::default()
                }],
                ..GitState::default()
            }),
            ..PortableJob::default()
        };
        job.conditions
            .environment
            .insert("SEED".to_owned(), "1".into());
        job.conditions
            .environment
            .insert("API_KEY".to_owned(), "[redacted:named-secret]".into());
        job.conditions
            .software
            .pip
            .insert("numpy".to_owned(), "1".to_owned());
        let sent = document(&job, 1, Vec::new());
        let text = serde_json::to_string(&sent).expect("it serialises");
        let wire = ClosureJob {
            summary: JobSummary {
                job_uid: job.uid.clone(),
                job_type: "build".to_owned(),
                step_number: Some(3),
                exit_code: Some(2),
                ..JobSummary::default()
            },
            document: Some(serde_json::from_str(&text).expect("it parses")),
            ..ClosureJob::default()
        };
        let mut back = portable(&wire).expect("readable");
        // Told by the marks, not by the record.
        assert_eq!(back.conditions.redactions.len(), 1);
        back.conditions.redactions.clear();
        assert_eq!(back, job);
        // A root that nothing names stays at home.
        job.argv.truncate(2);
        assert_eq!(document(&job, 1, Vec::new()).project, None);
    }
}
