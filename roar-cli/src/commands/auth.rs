//! `roar auth`: the key that a lineage server knows the user by.

use std::fmt::Write as _;
use std::process::ExitCode;

use serde_json::json;

use super::{Context, connection};
use crate::error::CommandError;
use crate::model::RawString;

/// Manage authentication with the lineage server (GLaaS).
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: AuthCommand,
}

#[derive(Debug, clap::Subcommand)]
enum AuthCommand {
    /// Show the public key, and where to register it.
    Register,
    /// Ask the server whether it knows the key.
    Test,
    /// Show server and key, without asking the server.
    Status {
        /// Machine-readable output.
        #[arg(long)]
        json: bool,
    },
}

/// # Errors
/// There is no key, or the server does not know it.
pub(super) fn run(context: &mut Context, args: &Args) -> Result<ExitCode, CommandError> {
    match args.command {
        AuthCommand::Register => register(context),
        AuthCommand::Test => test(context),
        AuthCommand::Status { json } => status(context, json),
    }
}

fn register(context: &mut Context) -> Result<ExitCode, CommandError> {
    let settings = connection::settings(context)?;
    let key = connection::key(&settings)?;
    context.ui.note(&format!(
        "this is the public key {} ({})",
        RawString::from_path(&key.path),
        key.fingerprint()
    ));
    context.ui.data(&format!("{}\n", key.public_line()?));
    context.ui.note(&format!(
        "paste it at {}/keys to register it, then run: roar auth test",
        RawString::from(settings.glaas.web_url.trim_end_matches('/'))
    ));
    Ok(ExitCode::SUCCESS)
}

fn test(context: &mut Context) -> Result<ExitCode, CommandError> {
    let settings = connection::settings(context)?;
    // Without a key there is nothing to test.
    let key = connection::key(&settings)?;
    let fingerprint = key.fingerprint();
    let client = connection::client(&settings)?;
    context.ui.note(&format!("asking {}", client.server()));
    client.test()?;
    context
        .ui
        .note(&format!("{} knows the key {fingerprint}", client.server()));
    Ok(ExitCode::SUCCESS)
}

fn status(context: &mut Context, as_json: bool) -> Result<ExitCode, CommandError> {
    let settings = connection::settings(context)?;
    let key = connection::key(&settings);
    let glaas = &settings.glaas;
    if as_json {
        let (key, problem) = match &key {
            Ok(key) => (
                Some(json!({
                    "path": RawString::from_path(&key.path),
                    "fingerprint": key.fingerprint(),
                    "algorithm": key.public.algorithm().as_str(),
                    "agent": key.is_in_agent(),
                })),
                None,
            ),
            Err(error) => (None, Some(error.to_string())),
        };
        let document = json!({
            "url": glaas.url, "web_url": glaas.web_url, "key": key, "problem": problem,
        });
        context.ui.data(&format!("{document:#}\n"));
        return Ok(ExitCode::SUCCESS);
    }
    let url = RawString::from(glaas.url.as_str());
    let web = RawString::from(glaas.web_url.as_str());
    let mut text = format!("server  {url}\npages   {web}\n");
    match key {
        Ok(key) => {
            let signer = if key.is_in_agent() {
                " (the ssh-agent signs)"
            } else {
                ""
            };
            let _ = writeln!(
                text,
                "key     {}{signer}\n        {} {}",
                RawString::from_path(&key.path),
                key.public.algorithm(),
                key.fingerprint()
            );
            context.ui.data(&text);
            context
                .ui
                .note("whether the server knows it is told by: roar auth test");
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            text.push_str("key     none\n");
            context.ui.data(&text);
            let error = CommandError::from(error);
            context.ui.warning(&error.to_string());
            for hint in &error.hints {
                context.ui.note(hint);
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}
