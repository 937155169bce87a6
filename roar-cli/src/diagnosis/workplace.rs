//! The project around a folder: settings, database, the file system under it, git.

use std::path::Path;

use serde_json::{Value, json};

use super::{Check, State};
use crate::capture::git;
use crate::error::CommandError;
use crate::project::Project;
use crate::settings::{self, TracerChoice};
use crate::store::{Place, Store, StoreError};

/// The tracer that the settings ask for, and every check.
pub(super) fn around(folder: &Path) -> (TracerChoice, Vec<Check>) {
    let project = Project::find(folder);
    let (wanted, settings) = settings_of(project.as_ref().ok());
    let mut checks = match &project {
        Ok(project) => {
            let root = project.root.to_string_lossy();
            let place = Place::of(project);
            vec![
                Check::ok("project", root.clone(), json!(root)),
                database(project, &place),
                file_system(&place),
            ]
        }
        Err(error) => vec![missing("project", error)],
    };
    checks.push(settings);
    checks.push(repository(folder));
    (wanted, checks)
}

/// A check that failed as a command would.
fn missing(name: &'static str, error: &CommandError) -> Check {
    let check = Check::new(name, State::Missing, error.to_string(), Value::Null);
    match error.hints.as_slice() {
        [] => check,
        hints => check.mended_by(hints.join("; ")),
    }
}

fn settings_of(project: Option<&Project>) -> (TracerChoice, Check) {
    match settings::load(project, &[]) {
        Ok(resolved) => {
            let said = match &resolved.hidden {
                None => "in order".to_owned(),
                Some(hidden) => {
                    format!("in order; '{hidden}' is not used, its folder is closed to this user")
                }
            };
            let check = Check::ok("settings", said, json!(true));
            (resolved.settings.tracer.default, check)
        }
        Err(error) => {
            let error = CommandError::user("cannot be used").because(error);
            (TracerChoice::Auto, missing("settings", &error))
        }
    }
}

fn database(project: &Project, place: &Place) -> Check {
    const NAME: &str = "database";
    let unwritable = || {
        Check::new(NAME, State::Missing, "cannot be written", Value::Null).mended_by(format!(
            "sudo chown -R \"$(id -un)\" {}",
            project.directory().display()
        ))
    };
    if !place.takes_markers {
        return unwritable();
    }
    let opened = Store::open_read_only(project);
    match opened.and_then(|store| store.refuse_newer().map(|()| store)) {
        // Of this roar's own schema: to open it for writing changes nothing.
        Ok(store) => match Store::open(project) {
            Ok(_) => {
                let version = store.schema_version();
                Check::ok(
                    NAME,
                    format!("schema version {version}"),
                    json!({"schema_version": version}),
                )
            }
            Err(error) => missing(NAME, &error.into()),
        },
        Err(StoreError::Missing { .. } | StoreError::Outdated { .. }) if !place.is_writable => {
            unwritable()
        }
        Err(StoreError::Missing { .. }) => {
            Check::ok(NAME, "to be made by the next run", Value::Null)
        }
        Err(StoreError::Outdated { found, .. }) => Check::ok(
            NAME,
            format!("schema version {found}, to be migrated by the next run"),
            json!({"schema_version": found}),
        ),
        Err(error) => missing(NAME, &error.into()),
    }
}

fn file_system(place: &Place) -> Check {
    let kind = place.file_system.as_deref().unwrap_or("unknown");
    let (found, journal) = if place.is_network {
        let found =
            format!("{kind}, shared or served: the database does without a write-ahead log");
        (found, "truncate")
    } else {
        (kind.to_owned(), "wal")
    };
    Check::ok(
        "file system",
        found,
        json!({"type": place.file_system, "network": place.is_network, "journal": journal}),
    )
}

fn repository(folder: &Path) -> Check {
    const NAME: &str = "repository";
    match git::state(folder) {
        Ok(Some(state)) => {
            let commit = state.commit.unwrap_or_else(|| "no commit yet".to_owned());
            let dirty = if state.dirty { ", changed since" } else { "" };
            Check::ok(
                NAME,
                format!("{commit}{dirty}"),
                json!({"commit": commit, "dirty": state.dirty}),
            )
        }
        Ok(None) => Check::new(
            NAME,
            State::Note,
            "outside git: jobs have no commit",
            Value::Null,
        )
        .mended_by("git init"),
        Err(error) => Check::new(NAME, State::Note, error.to_string(), Value::Null),
    }
}
