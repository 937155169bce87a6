//! Settings: one table of keys, layered; each value knows where it came from.
//!
//! Layers, weakest first: the default · the user's `~/.config/roar/config.toml` · the committed
//! `.roarconfig` beside `.roar/` · `.roar/config.toml` · the environment (`ROAR_SECTION__KEY`) ·
//! a command-line option. A key or a type that the table does not know is an error that names the
//! file and line: a misspelt filter must not silently record the wrong files.
//!
//! `roar init` writes every key with its default into `.roar/config.toml`, ready to be edited.
//! For that reason a line there that merely repeats the default leaves the choice to the layers
//! below it; `roar config set` marks the line (`# set`) when the default itself is meant.
//!
//! Consumers take the plain [`Settings`]; `roar config` takes the [`Entry`] list.

mod error;
mod file;
mod keys;
mod layers;
mod typed;
mod value;
pub mod variables;

#[cfg(test)]
mod tests;

pub use error::{Origin, SettingsError};
pub use file::{default_config, set};
pub use keys::{KEYS, Key, find};
pub use layers::{Entry, Layers, Resolved, Source, load};
pub use typed::{
    CollectionSettings, FilterSettings, GitSettings, GlaasSettings, HashSettings, LogLevel,
    LoggingSettings, OnLoss, OutputSettings, RecordSettings, RegistrationSettings, Settings,
    TracerChoice, TracerSettings,
};
pub use value::{Kind, Value};
