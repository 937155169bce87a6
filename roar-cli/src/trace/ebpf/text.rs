//! Paths as bytes.

/// A path without the slashes at its end.
pub(super) fn trimmed(path: &[u8]) -> &[u8] {
    let end = path.iter().rposition(|byte| *byte != b'/');
    &path[..end.map_or(0, |at| at + 1)]
}

/// The last part of a path.
pub(super) fn leaf(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}

/// The directory of an absolute path; of the root, itself.
pub(super) fn parent(path: &[u8]) -> &[u8] {
    match path.iter().rposition(|byte| *byte == b'/') {
        None => b"",
        Some(0) => b"/",
        Some(at) => &path[..at],
    }
}

pub(super) fn joined(directory: &[u8], rest: &[u8]) -> Vec<u8> {
    let rest = &rest[rest.iter().position(|b| *b != b'/').unwrap_or(rest.len())..];
    let mut path = directory.strip_suffix(b"/").unwrap_or(directory).to_vec();
    path.push(b'/');
    path.extend_from_slice(rest);
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_paths() {
        assert_eq!(
            [parent(b"/a/b"), parent(b"/a"), parent(b"/"), parent(b"a")],
            [&b"/a"[..], b"/", b"/", b""]
        );
        assert_eq!([leaf(b"/a/b"), leaf(b"b")], [b"b", b"b"]);
        assert_eq!(joined(b"/", b"x"), b"/x");
        assert_eq!(joined(b"/a", b"//x/y"), b"/a/x/y");
        assert_eq!(trimmed(b"a//"), b"a");
        assert_eq!(trimmed(b"/"), b"");
    }
}
