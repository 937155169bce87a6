//! What may be believed of a lineage that a stranger gave, before a program is told of it.

/// Whether a text is a whole commit hash.
pub fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Whether git may be given the URL: it names no helper program, and no option.
pub fn is_cloneable(url: &str) -> bool {
    let plain = !url.is_empty()
        && !url.starts_with('-')
        && !url.contains("::")
        && !url.bytes().any(|b| b.is_ascii_control());
    let known = match url.split_once("://") {
        Some((scheme, rest)) => {
            matches!(scheme, "https" | "http" | "ssh" | "git" | "file") && !rest.starts_with('-')
        }
        // `user@host:path`, or a folder of this machine.
        None => url.starts_with('/') || (url.contains(':') && !url.starts_with(':')),
    };
    plain && known
}

/// Whether a name is one that a Python package may have (PEP 508).
pub fn is_distribution(name: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    edge(name.chars().next())
        && edge(name.chars().last())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

/// Whether a text is a version and cannot be taken for anything else.
pub fn is_version(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b".!+_-".contains(&b))
}

/// Whether a name and version are those of a system package (Debian's policy, 5.6).
pub fn is_system_package(name: &str, version: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+-.:".contains(&b))
        && version.starts_with(|c: char| c.is_ascii_alphanumeric())
        && version
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b".+-:~".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_stranger_may_say() {
        for (url, expected) in [
            ("https://example.org/a.git", true),
            ("ssh://git@example.org/a.git", true),
            ("git@example.org:a/b.git", true),
            ("/srv/git/a.git", true),
            ("file:///srv/git/a.git", true),
            ("ext::sh -c 'touch x'", false),
            ("--upload-pack=touch x", false),
            ("ssh://-oProxyCommand=touch/x", false),
            ("fd::17", false),
            ("javascript://x", false),
            ("https://example.org/\n", false),
            ("relative/path", false),
            ("", false),
        ] {
            assert_eq!(is_cloneable(url), expected, "{url}");
        }
        for (name, version, expected) in [
            ("numpy", "1.26.4", true),
            ("ruamel.yaml", "0.18", true),
            ("torch", "2.1.0+cu121", true),
            ("--index-url=http://evil", "1", false),
            ("numpy", "1; touch x", false),
            ("numpy", "-1", false),
            ("a b", "1", false),
        ] {
            let found = is_distribution(name) && is_version(version);
            assert_eq!(found, expected, "{name} {version}");
        }
        assert!(is_system_package("libstdc++6:amd64", "12.2.0-14+deb12u1"));
        assert!(!is_system_package("-o", "1"));
        assert!(!is_system_package("a", "1 b"));
        assert!(is_commit("0123456789abcdef0123456789abcdef01234567"));
        assert!(!is_commit("HEAD"));
    }
}
