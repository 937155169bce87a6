//! The last thing that happens to a record before it is written down: its secrets go.

use crate::model::{FileRecord, GitState, JobRecord, RawString, RedactedPlace, Redaction};
use crate::redact::Redactor;

/// Takes the secrets out of every part of a record and notes where they were.
///
/// Patches and kept files are not part of a record; who keeps them has them redacted.
pub fn hide_secrets(record: &mut JobRecord, redactor: &Redactor) {
    let mut found = Vec::new();
    let JobRecord {
        uid: _,
        kind: _,
        state: _,
        name,
        argv,
        cwd,
        started_at_ns: _,
        duration_ns: _,
        outcome: _,
        inputs,
        outputs,
        filtered,
        completeness,
        git,
        host: _,
        conditions,
    } = record;
    let (shown, hidden) = redactor.arguments(argv);
    *argv = shown;
    found.extend(hidden.into_iter().map(|hidden| Redaction {
        place: RedactedPlace::Argument {
            index: hidden.index,
            option: hidden.option,
        },
        detector: hidden.detector.to_owned(),
    }));
    let mut texts = Texts { redactor, found };
    if let Some(name) = name {
        texts.string(name, &RedactedPlace::Name);
    }
    texts.raw(cwd, &RedactedPlace::Folder);
    if let Some(git) = git {
        texts.git(git);
    }
    for FileRecord { path, note, .. } in inputs.iter_mut().chain(outputs) {
        texts.raw(path, &RedactedPlace::Files);
        if let Some(note) = note {
            texts.string(note, &RedactedPlace::Files);
        }
    }
    for file in filtered {
        texts.raw(&mut file.path, &RedactedPlace::Files);
    }
    for gap in &mut completeness.gaps {
        texts.string(&mut gap.detail, &RedactedPlace::Gaps);
    }
    for (name, value) in &mut conditions.environment {
        if let Some(redacted) = redactor.variable(name, value.as_bytes()) {
            *value = RawString::new(redacted.text);
            let name = name.clone();
            texts.note(&redacted.detectors, &RedactedPlace::Variable { name });
        }
    }
    if let Some(id) = conditions
        .launch
        .as_mut()
        .and_then(|launch| launch.id.as_mut())
    {
        texts.string(id, &RedactedPlace::Launch);
    }
    for end in &mut conditions.network.endpoints {
        for name in &mut end.names {
            texts.string(name, &RedactedPlace::Network);
        }
    }
    for source in &mut conditions.sources {
        texts.string(&mut source.name, &RedactedPlace::Files);
    }
    for run in &mut conditions.trackers {
        texts.raw(&mut run.folder, &RedactedPlace::Trackers);
        texts.string(&mut run.id, &RedactedPlace::Trackers);
        let others = [&mut run.name, &mut run.project, &mut run.url];
        for text in others.into_iter().flatten() {
            texts.string(text, &RedactedPlace::Trackers);
        }
    }
    for origin in conditions.software.origins.values_mut() {
        texts.string(origin, &RedactedPlace::Packages);
    }
    for redaction in &mut conditions.redactions {
        if let RedactedPlace::Untracked { path } = &mut redaction.place {
            texts.raw(path, &RedactedPlace::Files);
        }
    }
    conditions.redactions.append(&mut texts.found);
    conditions.redactions.sort();
    conditions.redactions.dedup();
}

/// Takes the secrets out of what is shown of a repository.
pub fn hide_secrets_of_git(git: &mut GitState, redactor: &Redactor) {
    let found = Vec::new();
    Texts { redactor, found }.git(git);
}

struct Texts<'a> {
    redactor: &'a Redactor,
    found: Vec<Redaction>,
}

impl Texts<'_> {
    fn git(&mut self, git: &mut GitState) {
        for text in [&mut git.branch, &mut git.remote].into_iter().flatten() {
            self.string(text, &RedactedPlace::Git);
        }
        if let Some(top) = &mut git.top {
            self.raw(top, &RedactedPlace::Git);
        }
        if let Some(note) = &mut git.patch_note {
            self.string(note, &RedactedPlace::Git);
        }
        for module in &mut git.submodules {
            self.raw(&mut module.path, &RedactedPlace::Git);
        }
        for file in &mut git.untracked {
            self.raw(&mut file.path, &RedactedPlace::Files);
        }
    }

    fn raw(&mut self, text: &mut RawString, place: &RedactedPlace) {
        if let Some(redacted) = self.redactor.text(text.as_bytes()) {
            *text = RawString::new(redacted.text);
            self.note(&redacted.detectors, place);
        }
    }

    fn string(&mut self, text: &mut String, place: &RedactedPlace) {
        if let Some(redacted) = self.redactor.text(text.as_bytes()) {
            *text = String::from_utf8_lossy(&redacted.text).into_owned();
            self.note(&redacted.detectors, place);
        }
    }

    fn note(&mut self, detectors: &[&'static str], place: &RedactedPlace) {
        self.found
            .extend(detectors.iter().map(|detector| Redaction {
                place: place.clone(),
                detector: (*detector).to_owned(),
            }));
    }
}
