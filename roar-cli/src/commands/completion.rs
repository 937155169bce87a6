//! `roar completion` and `roar man`: what shells and man(1) want to know of the command line, made
//! from its own definition.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::CommandFactory as _;
use clap_complete::Shell;

use super::{Cli, Context};
use crate::error::CommandError;

/// Print the completion of commands and options for a shell.
///
/// bash: roar completion bash > ~/.local/share/bash-completion/completions/roar;
/// zsh: roar completion zsh > FOLDER/_roar, with FOLDER in $fpath;
/// fish: roar completion fish > ~/.config/fish/completions/roar.fish
#[derive(Debug, clap::Args)]
pub(super) struct CompletionArgs {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

/// Print the manual page of roar or of one of its commands.
///
/// To read it: roar man run | man -l -
#[derive(Debug, clap::Args)]
pub(super) struct ManArgs {
    /// The command; without one, roar itself.
    command: Vec<String>,
    /// Write all pages into this folder.
    #[arg(long, value_name = "FOLDER", conflicts_with = "command")]
    out: Option<PathBuf>,
}

/// # Errors
/// Never in practice: text that is not UTF-8.
pub(super) fn completion(
    context: &mut Context,
    args: &CompletionArgs,
) -> Result<ExitCode, CommandError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "roar", &mut script);
    context.ui.data(&text(script)?);
    Ok(ExitCode::SUCCESS)
}

/// # Errors
/// There is no such command, or a page cannot be written.
pub(super) fn man(context: &mut Context, args: &ManArgs) -> Result<ExitCode, CommandError> {
    let mut root = Cli::command();
    root.build();
    if let Some(folder) = &args.out {
        let failed = |error| {
            let folder = super::reading::shown(folder);
            CommandError::user(format!("cannot write pages to '{folder}': {error}"))
        };
        fs::create_dir_all(folder).map_err(failed)?;
        clap_mangen::generate_to(root, folder).map_err(failed)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut command = &root;
    for name in &args.command {
        command = command.find_subcommand(name).ok_or_else(|| {
            let shown = crate::present::inert(&args.command.join(" "));
            let hint = "the commands are listed by: roar --help";
            CommandError::user(format!("there is no command '{shown}'")).hint(hint)
        })?;
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone())
        .render(&mut page)
        .map_err(|error| CommandError::user(format!("cannot write the page: {error}")))?;
    context.ui.data(&text(page)?);
    Ok(ExitCode::SUCCESS)
}

fn text(bytes: Vec<u8>) -> Result<String, CommandError> {
    String::from_utf8(bytes).map_err(|error| CommandError::user(error.to_string()))
}
