//! The remote's URL, without what only its owner should know.

/// The URL of `origin`, or of the only remote there is, without secrets.
pub(super) fn url(repository: &git2::Repository) -> Result<Option<String>, git2::Error> {
    let names = repository.remotes()?;
    let mut names = names.iter().filter_map(Result::ok).flatten();
    let only = (names.next(), names.next());
    let remote = match repository.find_remote("origin") {
        Ok(remote) => remote,
        Err(_) => match only {
            (Some(name), None) => repository.find_remote(name)?,
            _ => return Ok(None),
        },
    };
    let url = String::from_utf8_lossy(remote.url_bytes()).into_owned();
    Ok((!url.is_empty()).then(|| without_secrets(&url)))
}

/// A remote's URL without user info, query and fragment.
///
/// The plain login name of ssh (`git@host:path`, `ssh://git@host/path`) stays: it is no secret, and
/// without it the URL could not be cloned. A name that does not look like one (a token), and
/// whatever stands with a password, goes.
pub fn without_secrets(url: &str) -> String {
    // `transport::address` hands the address to a helper program.
    if let Some((transport, address)) = url.split_once("::")
        && transport
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !transport.is_empty()
    {
        return format!("{transport}::{}", without_secrets(address));
    }
    if let Some((scheme, rest)) = url.split_once("://") {
        if scheme.eq_ignore_ascii_case("file") {
            return url.to_owned();
        }
        let (login, rest) = split_user_info(rest);
        let rest = rest.split(['?', '#']).next().unwrap_or_default();
        let ssh = scheme.to_ascii_lowercase().contains("ssh");
        let login = login.filter(|login| ssh && is_login(login));
        return match login {
            Some(login) => format!("{scheme}://{login}@{rest}"),
            None => format!("{scheme}://{rest}"),
        };
    }
    // `user@host:path`; a path has a slash before any colon.
    let end = url.find('/').unwrap_or(url.len());
    match url[..end].rsplit_once('@') {
        Some((login, _)) if is_login(login) => url.to_owned(),
        Some((login, _)) if url.contains(':') => url[login.len() + 1..].to_owned(),
        _ => url.to_owned(),
    }
}

/// User info and what follows. A password may hold `@`, and badly written ones even `/`: then what
/// stands before the last `@` is not a host with a port.
fn split_user_info(rest: &str) -> (Option<&str>, &str) {
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let authority = &rest[..end];
    let at = authority.rfind('@').or_else(|| {
        let (_, port) = authority.rsplit_once(':')?;
        let is_host = authority.ends_with(']') || port.bytes().all(|b| b.is_ascii_digit());
        if is_host { None } else { rest.rfind('@') }
    });
    match at {
        Some(at) => (Some(&rest[..at]), &rest[at + 1..]),
        None => (None, rest),
    }
}

fn is_login(name: &str) -> bool {
    name.len() <= 32
        && name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b))
}
