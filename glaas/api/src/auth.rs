//! Signed requests: the schemes of the `Authorization` header and the bytes that are signed.
//!
//! A signature is the binary SSHSIG blob in base64 on one line, with the namespace [`NAMESPACE`]
//! and SHA-512: what `ssh-keygen -Y sign -n glaas` prints without its armour.

/// The SSHSIG namespace.
pub const NAMESPACE: &str = "glaas";

/// How far the clocks of client and server may be apart, in seconds.
pub const MAX_SKEW_SECONDS: i64 = 300;

/// The scheme of published clients:
/// `Signature keyid="SHA256:…" ts="<unix seconds>" sig="<base64>"`.
pub const SCHEME: &str = "Signature";

/// The scheme with a nonce and the host, which binds a request to one server and makes every
/// request another: `GlaasSignature keyid="SHA256:…" ts="…" nonce="<16 to 64 of A-Z a-z 0-9 - _>" sig="…"`.
pub const NONCE_SCHEME: &str = "GlaasSignature";

/// The scheme of a registration session's token: `RegistrationSession <token>`.
pub const REGISTRATION_SCHEME: &str = "RegistrationSession";

/// The bytes signed under [`SCHEME`]. `body_sha256` is the digest of the body's exact bytes in
/// hexadecimal, and only there when a body is sent.
pub fn signed_text(
    unix_seconds: i64,
    method: &str,
    path_and_query: &str,
    body_sha256: Option<&str>,
) -> String {
    let mut text = format!("{unix_seconds}\n{method}\n{path_and_query}");
    if let Some(digest) = body_sha256 {
        text.push('\n');
        text.push_str(digest);
    }
    text
}

/// The bytes signed under [`NONCE_SCHEME`]. `host` is the `Host` header in lower case (with the
/// port, where the URL has one); `body_sha256` is empty without a body.
pub fn signed_text_with_nonce(
    unix_seconds: i64,
    nonce: &str,
    method: &str,
    host: &str,
    path_and_query: &str,
    body_sha256: &str,
) -> String {
    format!("glaas-2\n{unix_seconds}\n{nonce}\n{method}\n{host}\n{path_and_query}\n{body_sha256}")
}

/// What a key signs to be added to a user's account by another of the user's keys: proof that the
/// user holds it.
pub fn key_proof_text(user_name: &str, fingerprint: &str) -> String {
    format!("glaas-key\n{user_name}\n{fingerprint}")
}
