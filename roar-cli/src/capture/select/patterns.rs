//! The user's path patterns (`filters.ignore_paths`).
//!
//! As in `.gitignore`: a pattern without a slash matches a file or folder of that name anywhere; one
//! with a slash is relative to the project; a folder that matches stands for all below it. Beyond
//! that, `/…` is absolute and `~/…` is in the home folder.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::places::below;
use crate::model::RawString;

/// Patterns, ready to match.
pub(super) struct Patterns {
    /// Matched against the path below the project or, outside it, below the root.
    names: GlobSet,
    /// Matched against the path below the project.
    relative: GlobSet,
    /// Matched against the whole path.
    absolute: GlobSet,
}

impl Patterns {
    /// Settings are checked when they are read; a pattern that is none matches nothing.
    pub(super) fn new(patterns: &[String], home: Option<&RawString>) -> Self {
        let [mut names, mut relative, mut absolute] = [const { Vec::new() }; 3];
        for pattern in patterns {
            let text = pattern.trim_end_matches('/');
            if let Some(rest) = text.strip_prefix("~/") {
                if let Some(home) = home.and_then(RawString::as_str) {
                    absolute.push(format!("{}/{rest}", globset::escape(home)));
                }
            } else if text.starts_with('/') {
                absolute.push(text.to_owned());
            } else if text.contains('/') {
                relative.push(text.trim_start_matches("./").to_owned());
            } else if !text.is_empty() {
                names.push(format!("**/{text}"));
            }
        }
        Self {
            names: build(&names),
            relative: build(&relative),
            absolute: build(&absolute),
        }
    }

    pub(super) fn matches(&self, path: &RawString, project_root: &RawString) -> bool {
        let inside = below(path.as_bytes(), project_root.as_bytes());
        if self.names.is_empty() && self.relative.is_empty() && self.absolute.is_empty() {
            return false;
        }
        let tail = inside.unwrap_or_else(|| path.as_bytes().trim_prefix_slash());
        let matches = |set: &GlobSet, bytes: &[u8]| {
            !set.is_empty() && set.is_match(RawString::new(bytes).to_path_buf())
        };
        matches(&self.names, tail)
            || inside.is_some_and(|tail| matches(&self.relative, tail))
            || matches(&self.absolute, path.as_bytes())
    }
}

trait TrimSlash {
    fn trim_prefix_slash(&self) -> &[u8];
}

impl TrimSlash for [u8] {
    fn trim_prefix_slash(&self) -> &[u8] {
        self.strip_prefix(b"/").unwrap_or(self)
    }
}

fn build(patterns: &[String]) -> GlobSet {
    let mut builder = GlobSetBuilder::new();
    for pattern in patterns {
        for pattern in [pattern.clone(), format!("{pattern}/**")] {
            if let Ok(glob) = GlobBuilder::new(&pattern).literal_separator(true).build() {
                builder.add(glob);
            }
        }
    }
    builder.build().unwrap_or_else(|_| GlobSet::empty())
}
