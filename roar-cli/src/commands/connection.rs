//! The way to the lineage server: settings, key, and what to say when something is missing.

use std::time::Duration;

use super::Context;
use crate::error::CommandError;
use crate::present::ui::Ui;
use crate::project::Project;
use crate::redact::{Redactor, Rules};
use crate::register::RegisterError;
use crate::register::client::Client;
use crate::register::keys::Key;
use crate::register::patience::Patience;
use crate::settings::{self, Settings};

/// The settings in force around the working directory, in a project or not.
///
/// # Errors
/// They cannot be used.
pub(super) fn settings(context: &Context) -> Result<Settings, CommandError> {
    let project = Project::find(&context.cwd).ok();
    let resolved = settings::load(project.as_ref(), &[])
        .map_err(|error| CommandError::user("the settings cannot be used").because(error))?;
    Ok(resolved.settings)
}

/// The user's key.
///
/// # Errors
/// There is none, or it cannot be used.
pub(super) fn key(settings: &Settings) -> Result<Key, RegisterError> {
    Key::find(&settings.glaas.key, std::env::home_dir().as_deref())
}

/// How long the server is waited for when something is sent. Every wait is told; `around` makes room
/// for the telling.
pub(super) fn patience(settings: &Settings, around: impl Fn(&dyn Fn()) + 'static) -> Patience {
    let ui = Ui::from_environment();
    Patience::sending(
        settings.glaas.retries,
        Duration::from_millis(settings.glaas.retry_wait_ms),
        move |text| around(&|| ui.note(text)),
    )
}

/// A connection for questions, which signs where there is a key. Without one, a server that lets
/// anyone read still answers.
///
/// # Errors
/// The server's address is none, or the key cannot be used.
pub(super) fn client(settings: &Settings) -> Result<Client, CommandError> {
    let key = match key(settings) {
        Ok(key) => Some(key),
        Err(RegisterError::NoKey { .. }) if settings.glaas.key.is_empty() => None,
        Err(error) => return Err(error.into()),
    };
    let patience = patience(settings, |say| say()).for_questions();
    Ok(Client::new(
        &settings.glaas.url,
        key,
        redactor(settings)?,
        patience,
    )?)
}

/// What takes secrets out of everything that is sent.
///
/// # Errors
/// A rule of the user's is no regular expression.
pub(super) fn redactor(settings: &Settings) -> Result<Redactor, CommandError> {
    let omit = &settings.registration;
    if !omit.omit {
        return Ok(Redactor::off());
    }
    Redactor::new(&Rules {
        values: omit.omit_values.clone(),
        variables: omit.omit_variables.clone(),
        patterns: omit.omit_patterns.clone(),
        allowed: omit.allowed_patterns.clone(),
    })
    .map_err(|error| {
        CommandError::user("the settings below registration.omit cannot be used").because(error)
    })
}

impl From<RegisterError> for CommandError {
    fn from(error: RegisterError) -> Self {
        let hints = hints(&error);
        let mut failure = match &error {
            RegisterError::Unreachable { .. }
            | RegisterError::BrokeOff { .. }
            | RegisterError::Store(_) => {
                Self::user("the lineage server could not be used").because(error)
            }
            other => Self::user(other.to_string()),
        };
        failure.hints = hints;
        failure
    }
}

fn hints(error: &RegisterError) -> Vec<String> {
    use glaas_api::envelope::codes;
    let hint = |text: &str| vec![text.to_owned()];
    match error {
        RegisterError::Address(_) => hint("set it with: roar config set glaas.url https://…"),
        RegisterError::Unreachable { .. } => vec![
            "is it running, and is this its address? roar config get glaas.url".to_owned(),
            "what was sent is not lost: the same command goes on where it stopped".to_owned(),
        ],
        RegisterError::Redirected { to, .. } => {
            vec![format!(
                "if that is the server: roar config set glaas.url {to}"
            )]
        }
        RegisterError::NoKey { looked } => {
            let looked: Vec<String> = looked
                .iter()
                .map(|path| path.display().to_string())
                .collect();
            vec![
                format!("looked for: {}", looked.join(", ")),
                "make one with: ssh-keygen -t ed25519".to_owned(),
                "or name one with: roar config set glaas.key FILE, or ROAR_SSH_KEY".to_owned(),
            ]
        }
        RegisterError::Encrypted { path, .. } => vec![format!(
            "let the ssh-agent sign with it: eval \"$(ssh-agent)\"; ssh-add {}",
            path.display()
        )],
        RegisterError::Refused {
            status,
            code,
            candidates,
            ..
        } => match (status, code.as_deref()) {
            (_, Some(codes::UNKNOWN_KEY)) => hint("register it there; see: roar auth register"),
            (_, Some(codes::REVOKED_KEY)) => hint("register another one; see: roar auth register"),
            (_, Some(codes::CLOCK_SKEW)) => {
                hint("set this machine's clock, e.g. with: sudo timedatectl set-ntp true")
            }
            (401 | 403, _) => hint("see whether the server knows the key: roar auth test"),
            (409, _) if !candidates.is_empty() => candidates.clone(),
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}
