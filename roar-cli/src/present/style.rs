//! The few colours, by meaning. `ui` strips them where colour is not wanted.

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
        let (on, off) = match self {
            Self::Plain => return text.to_owned(),
            Self::Heading => ("\x1b[1m", "\x1b[0m"),
            Self::Reference => ("\x1b[36m", "\x1b[39m"),
            Self::Dim => ("\x1b[2m", "\x1b[0m"),
            Self::Good => ("\x1b[32m", "\x1b[39m"),
            Self::Warning => ("\x1b[33m", "\x1b[39m"),
            Self::Bad => ("\x1b[31m", "\x1b[39m"),
        };
        // Put together, not formatted: listings have ten thousand lines.
        [on, text, off].concat()
    }
}

/// The text without the codes of [`Style::paint`]; what else is printed is inert and has none.
pub fn without_colour(text: &str) -> String {
    let mut parts = text.split('\x1b');
    let mut plain = String::with_capacity(text.len());
    plain.push_str(parts.next().unwrap_or_default());
    for part in parts {
        plain.push_str(part.split_once('m').map_or(part, |(_, rest)| rest));
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_put_on_and_taken_off() {
        for style in [
            Style::Plain,
            Style::Heading,
            Style::Reference,
            Style::Dim,
            Style::Good,
            Style::Warning,
            Style::Bad,
        ] {
            for text in ["", "a", "made more", "[1m", "表 é"] {
                let painted = format!("{text}{}m", style.paint(text));
                let plain = format!("{text}{text}m");
                assert_eq!(without_colour(&painted), plain);
                // As a program judges it that knows every terminal's codes.
                assert_eq!(anstream::adapter::strip_str(&painted).to_string(), plain);
            }
        }
    }
}
