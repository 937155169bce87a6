//! `roar env`: variables that every `run` and `build` of the project gets.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Subcommand;

use super::Context;
use crate::error::CommandError;
use crate::model::RawString;
use crate::present;
use crate::project::Project;
use crate::redact::Redactor;
use crate::settings::variables;

/// Manage variables that `roar run` and `roar build` give to their commands.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Set a variable for every command to come.
    Set {
        /// Its name.
        name: String,
        /// Its value.
        #[arg(allow_hyphen_values = true)]
        value: OsString,
    },
    /// Print the value of a variable.
    Get {
        /// Its name.
        name: String,
    },
    /// List all variables.
    List {
        /// Machine-readable output.
        #[arg(long)]
        json: bool,
    },
    /// Remove a variable.
    Unset {
        /// Its name.
        name: String,
    },
}

/// # Errors
/// There is no project, no such variable, the name cannot be one, or the file cannot be used.
pub(super) fn run(context: &mut Context, args: Args) -> Result<ExitCode, CommandError> {
    let project = Project::find(&context.cwd)?;
    let mut variables = variables::read(&project)?;
    match args.action {
        Action::Set { name, value } => {
            if name.is_empty() || name.contains(['=', '\0']) {
                let name = RawString::from(name);
                return Err(
                    CommandError::user(format!("'{name}' cannot name a variable"))
                        .hint("the value is an argument of its own: roar env set NAME VALUE"),
                );
            }
            let value = RawString::from_os(&value);
            if Redactor::default()
                .variable(&name, value.as_bytes())
                .is_some()
            {
                context.ui.note(&format!(
                    "{name} looks like a secret: it is kept as it is in .roar/env.json, which \
                     only you can read, and records have it redacted"
                ));
            }
            variables.insert(name, value);
            variables::write(&project, variables)?;
        }
        Action::Get { name } => {
            let value = variables.get(&name).ok_or_else(|| missing(&name))?;
            // As it is, for scripts; bytes that are no text have an escaped form only.
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            context.ui.data(&format!("{text}\n"));
        }
        Action::List { json: true } => context.ui.data(&present::json(&variables)),
        Action::List { json: false } => {
            for (name, value) in &variables {
                let name = RawString::from(name.as_str());
                context.ui.data(&format!("{name}={value}\n"));
            }
        }
        Action::Unset { name } => {
            variables.remove(&name).ok_or_else(|| missing(&name))?;
            variables::write(&project, variables)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn missing(name: &str) -> CommandError {
    let name = RawString::from(name);
    CommandError::user(format!("no variable '{name}' is set")).hint("see all: roar env list")
}
