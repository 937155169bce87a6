//! The few colours, by meaning. `ui` strips them where colour is not wanted.

use owo_colors::OwoColorize as _;

/// What a piece of text means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// Ordinary text.
    #[default]
    Plain,
    /// A heading.
    Heading,
    /// Something to refer to: a step, a uid, a hash.
    Reference,
    /// Less important.
    Dim,
    /// In order.
    Good,
    /// Needs attention.
    Warning,
    /// Failed.
    Bad,
}

impl Style {
    /// The text with the terminal's codes around it.
    pub fn paint(self, text: &str) -> String {
        if text.is_empty() {
            return String::new();
        }
        match self {
            Self::Plain => text.to_owned(),
            Self::Heading => text.bold().to_string(),
            Self::Reference => text.cyan().to_string(),
            Self::Dim => text.dimmed().to_string(),
            Self::Good => text.green().to_string(),
            Self::Warning => text.yellow().to_string(),
            Self::Bad => text.red().to_string(),
        }
    }
}

/// The text without any codes, for `--no-color`.
pub fn without_colour(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}
