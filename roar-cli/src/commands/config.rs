//! `roar config`: what is in force and why, and changing it.

use std::process::ExitCode;

use clap::Subcommand;

use super::Context;
use crate::error::CommandError;
use crate::present;
use crate::project::Project;
use crate::settings::{self, Entry, Origin, SettingsError};

/// View or set configuration options.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Every option with its value, where the value comes from, and its default.
    List {
        /// Machine-readable output.
        #[arg(long)]
        json: bool,
    },
    /// The value of one option.
    Get {
        /// As `roar config list` shows it, e.g. `output.quiet`.
        key: String,
        /// Machine-readable output, with source, default and description.
        #[arg(long)]
        json: bool,
    },
    /// Change an option in this project's `.roar/config.toml`.
    Set {
        /// As `roar config list` shows it, e.g. `output.quiet`.
        key: String,
        /// The new value; for a list, words separated by commas or a TOML array.
        #[arg(allow_hyphen_values = true)]
        value: String,
        /// Machine-readable output: the option as it is now.
        #[arg(long)]
        json: bool,
    },
}

/// # Errors
/// The key or the value is not known, a settings file is damaged, or there is no project to set
/// an option in.
pub(super) fn run(context: &mut Context, args: Args) -> Result<ExitCode, CommandError> {
    match args.action {
        Action::List { json } => {
            let entries = settings::load(project(context).as_ref(), &[])?.entries;
            context.ui.data(&if json {
                present::config::list_json(&entries)
            } else {
                present::config::list(&entries)
            });
        }
        Action::Get { key, json } => {
            let entry = entry(project(context).as_ref(), &key)?;
            context.ui.data(&if json {
                present::config::entry_json(&entry)
            } else {
                format!("{}\n", entry.value)
            });
        }
        Action::Set { key, value, json } => {
            let project = Project::find(&context.cwd)?;
            let file = project.config_file();
            let (key, value) = settings::set(&file, &key, &value)?;
            let entry = entry(Some(&project), key.name)?;
            if entry.value != value {
                context.ui.warning(&format!(
                    "{} is {} in {}, but {} sets it to {}",
                    key.name,
                    value,
                    file.display(),
                    entry.source,
                    entry.value
                ));
            }
            if json {
                context.ui.data(&present::config::entry_json(&entry));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Outside a project the user's own settings still can be looked at.
fn project(context: &Context) -> Option<Project> {
    Project::find(&context.cwd).ok()
}

fn entry(project: Option<&Project>, name: &str) -> Result<Entry, CommandError> {
    let key = settings::find(name, Origin::CommandLine)?;
    let entries = settings::load(project, &[])?.entries;
    let entry = entries.into_iter().find(|entry| entry.key == key);
    Ok(entry.expect("every key of the table has an entry"))
}

impl From<SettingsError> for CommandError {
    fn from(error: SettingsError) -> Self {
        let unknown = matches!(error, SettingsError::UnknownKey { .. });
        let mut message = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            message = format!("{message}: {cause}");
            source = cause.source();
        }
        let failure = Self::user(message);
        if unknown {
            failure.hint("see every option with: roar config list")
        } else {
            failure
        }
    }
}
