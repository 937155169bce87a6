//! The command line of the server: serve, or look after keys.

use std::io::{Read as _, Write as _};
use std::process::ExitCode;

use clap::Parser as _;
use glaas_server::settings::{Action, Cli, KeyAction};
use glaas_server::store::{Database, users};
use glaas_server::{api, auth, in_read, in_write, serve, telemetry};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(run(cli)),
        Err(error) => Err(error.to_string()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(words) => {
            // Without a stderr there is nobody to tell.
            let _ = writeln!(std::io::stderr(), "glaas-server: {words}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> Result<(), String> {
    match cli.action {
        None => {
            telemetry::log_to_stderr(&cli.settings);
            serve::run(cli.settings, |url| print(&format!("glaas-server: {url}"))).await
        }
        Some(Action::Openapi) => {
            print(&api::openapi_text());
            Ok(())
        }
        Some(Action::Key(action)) => keys(&cli.settings.database, action).await,
    }
}

fn print(text: &str) {
    // A closed stdout is the caller's choice.
    let _ = writeln!(std::io::stdout(), "{text}");
}

async fn keys(database: &str, action: KeyAction) -> Result<(), String> {
    let database = Database::open(database)
        .await
        .map_err(|error| error.to_string())?;
    match action {
        KeyAction::Add { user, file } => {
            auth::keys::check_name(&user)?;
            let key = auth::keys::read(&read_file(&file)?)?;
            let added: Result<(), glaas_server::store::StoreError> = in_write!(database, tx => async {
                let owner = match users::named(tx, &user).await? {
                    Some(owner) => owner,
                    None => users::add(tx, &user).await?,
                };
                users::add_key(tx, &owner, &key.record, &key.text).await
            }.await);
            added.map_err(|error| error.to_string())?;
            print(&format!("{}  {user}", key.record.fingerprint));
        }
        KeyAction::List { user } => {
            let listed: Result<_, glaas_server::store::StoreError> = in_read!(database, tx => async {
                match users::named(tx, &user).await? {
                    Some(owner) => users::keys_of(tx, &owner).await.map(Some),
                    None => Ok(None),
                }
            }.await);
            let keys = listed.map_err(|error| error.to_string())?;
            for key in keys.ok_or_else(|| format!("there is no user '{user}'"))? {
                let revoked = if key.revoked_at.is_some() {
                    "  revoked"
                } else {
                    ""
                };
                print(&format!(
                    "{}  {}  {}{revoked}",
                    key.fingerprint, key.algorithm, key.comment
                ));
            }
        }
        KeyAction::Revoke { fingerprint } => {
            let revoked: Result<(), glaas_server::store::StoreError> =
                in_write!(database, tx => users::revoke(tx, &fingerprint, None).await);
            revoked.map_err(|error| format!("{fingerprint}: {error}"))?;
            print(&format!("{fingerprint}  revoked"));
        }
    }
    Ok(())
}

/// A file named by the operator, not by a request.
fn read_file(file: &str) -> Result<String, String> {
    if file == "-" {
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .map_err(|error| format!("cannot read stdin: {error}"))?;
        return Ok(text);
    }
    std::fs::read_to_string(file).map_err(|error| format!("cannot read {file}: {error}"))
}
