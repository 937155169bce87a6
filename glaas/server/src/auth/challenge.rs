//! Signing in on the pages: the server makes up a line, `ssh-keygen` signs it, and what it printed is
//! pasted back. The line names the server, so that another one has no use for the signature, and
//! counts once.

use glaas_api::auth::NAMESPACE;
use ssh_key::{HashAlg, PublicKey, SshSig};

/// How long a line may be signed.
const VALID_MS: i64 = 10 * 60 * 1000;

/// What the line begins with. No other text that is signed here does.
const START: &str = "glaas-sign-in";

/// A line that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    host: String,
    made_ms: i64,
    nonce: String,
}

impl Challenge {
    /// A new line for a host.
    pub fn new(host: &str, now_ms: i64, nonce: &str) -> Self {
        Self {
            host: host.to_owned(),
            made_ms: now_ms,
            nonce: nonce.to_owned(),
        }
    }

    /// Reads a line as it came back.
    ///
    /// # Errors
    /// It is none of this server's, or its time is over.
    pub fn parse(text: &str, hosts: &[&str], now_ms: i64) -> Result<Self, String> {
        let stale = || "this line's time is over: sign the one below".to_owned();
        let parts: Vec<&str> = text.trim().split(' ').collect();
        let [START, host, made, nonce] = parts.as_slice() else {
            return Err(stale());
        };
        let is_nonce = nonce.len() == 64 && nonce.bytes().all(|byte| byte.is_ascii_hexdigit());
        let made_ms: i64 = made.parse().map_err(|_| stale())?;
        let age = now_ms.checked_sub(made_ms).ok_or_else(stale)?;
        if !is_nonce || !hosts.contains(host) || !(0..=VALID_MS).contains(&age) {
            return Err(stale());
        }
        Ok(Self::new(host, made_ms, nonce))
    }

    /// The line.
    pub fn text(&self) -> String {
        format!("{START} {} {} {}", self.host, self.made_ms, self.nonce)
    }

    /// What it is known by, once it was used.
    pub fn digest(&self) -> String {
        super::token_digest(&self.text())
    }

    /// The fingerprint of the key that signed the line.
    ///
    /// # Errors
    /// The text is no signature of it.
    pub fn signer(&self, armoured: &str) -> Result<String, String> {
        let wrong = || {
            "this is not what ssh-keygen printed: paste all of it, from -----BEGIN to SIGNATURE-----"
                .to_owned()
        };
        // Lines may have been broken anew on the way.
        let body: String = armoured
            .split("-----")
            .nth(2)
            .ok_or_else(wrong)?
            .split_whitespace()
            .collect();
        let blob = super::from_base64(&body).map_err(|_| wrong())?;
        let signature: SshSig = super::signature::ssh_signature(&blob).map_err(|_| wrong())?;
        let key = PublicKey::from(signature.public_key().clone());
        key.verify(NAMESPACE, self.text().as_bytes(), &signature)
            .map_err(|_| "the signature is not of this line: sign the one below".to_owned())?;
        Ok(key.fingerprint(HashAlg::Sha256).to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_good_for_one_server_and_ten_minutes() {
        let nonce = "ab".repeat(32);
        let made = Challenge::new("h:1", 1_000, &nonce);
        let read = |hosts: &[&str], now| Challenge::parse(&made.text(), hosts, now);
        assert_eq!(read(&["h:1"], 1_000), Ok(made.clone()));
        assert_eq!(read(&["x", "h:1"], 1_000 + VALID_MS), Ok(made.clone()));
        assert!(read(&["h:1"], 1_001 + VALID_MS).is_err());
        assert!(read(&["h:1"], 999).is_err());
        assert!(read(&["x"], 1_000).is_err());
        for bad in [
            "",
            "glaas-sign-in",
            "glaas-sign-in h:1 -9223372036854775808 x",
        ] {
            assert!(Challenge::parse(bad, &["h:1"], 1_000).is_err(), "{bad}");
        }
        assert!(made.signer("-----BEGIN SSH SIGNATURE-----").is_err());
    }
}
