//! Paths as they are shown: short where that is unambiguous, always inert.

use std::path::Path;

use crate::model::RawString;

/// The path relative to `cwd` when it lies below it, else the whole path.
pub fn shown(path: &RawString, cwd: &Path) -> String {
    let base = cwd.as_os_str().as_encoded_bytes();
    let separators: &[u8] = if cfg!(windows) { b"/\\" } else { b"/" };
    path.as_bytes()
        .strip_prefix(base)
        .filter(|rest| rest.first().is_some_and(|b| separators.contains(b)) || base.ends_with(b"/"))
        .map(|rest| rest.strip_prefix(b"/").unwrap_or(rest))
        .filter(|rest| !rest.is_empty())
        .map_or_else(|| path.to_string(), |rest| RawString::new(rest).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_below_the_folder() {
        for (path, cwd, expected) in [
            ("/p/a/b", "/p", "a/b"),
            ("/p", "/p", "/p"),
            ("/pa/b", "/p", "/pa/b"),
            ("/q/b", "/p", "/q/b"),
            ("/q/b", "/", "q/b"),
            ("/p/x\ny", "/p", "x\\ny"),
        ] {
            assert_eq!(shown(&path.into(), Path::new(cwd)), expected);
        }
    }
}
