//! How wide the terminal is and what it can draw.

use terminal_size::{Width, terminal_size};

/// What is known of the place that text is laid out for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terminal {
    /// Columns; 80 when unknown.
    pub width: usize,
    /// Whether lines and arrows may be drawn with more than ASCII.
    pub unicode: bool,
}

impl Default for Terminal {
    fn default() -> Self {
        Self {
            width: 80,
            unicode: true,
        }
    }
}

impl Terminal {
    /// The terminal's own width, else `COLUMNS`, else 80; Unicode as the locale says.
    pub fn from_environment() -> Self {
        let asked = std::env::var("COLUMNS")
            .ok()
            .and_then(|columns| columns.parse().ok())
            .filter(|columns| *columns > 0);
        let width = terminal_size()
            .map(|(Width(columns), _)| usize::from(columns))
            .filter(|columns| *columns > 0)
            .or(asked)
            .unwrap_or(80);
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
            .iter()
            .filter_map(|name| std::env::var(name).ok())
            .find(|value| !value.is_empty());
        Self {
            width,
            unicode: locale.is_none_or(|name| speaks_unicode(&name)),
        }
    }
}

/// Whether a locale's characters are Unicode. The `C` locale's are not, strictly; `C.UTF-8`'s are.
fn speaks_unicode(locale: &str) -> bool {
    let lower = locale.to_ascii_lowercase();
    lower.contains("utf-8") || lower.contains("utf8") || !cfg!(unix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locales() {
        for (locale, expected) in [
            ("C.UTF-8", true),
            ("de_DE.utf8", true),
            ("C", !cfg!(unix)),
            ("POSIX", !cfg!(unix)),
            ("de_DE.ISO-8859-1", !cfg!(unix)),
        ] {
            assert_eq!(speaks_unicode(locale), expected, "{locale}");
        }
    }
}
