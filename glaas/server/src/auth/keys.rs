//! Public keys as users paste them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use glaas_api::keys::KeyRecord;
use ssh_key::{Algorithm, HashAlg, PublicKey};

use super::signature;

/// The least RSA modulus in bits.
const MIN_RSA_BITS: usize = 2048;

/// A key that may be registered.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// What is recorded of it.
    pub record: KeyRecord,
    /// As in `id_ed25519.pub`, without the comment.
    pub text: String,
}

/// Reads a public key.
///
/// # Errors
/// What is wrong with it, for the one who pasted it.
pub fn read(text: &str) -> Result<NewKey, String> {
    let text = text.trim();
    if text.contains("PRIVATE KEY") {
        return Err(
            "this is a PRIVATE key: never paste it anywhere. The public one is in the file that ends in .pub"
                .to_owned(),
        );
    }
    if text.len() > 16 * 1024 || text.lines().count() != 1 {
        return Err(
            "paste one public key, a single line like 'ssh-ed25519 AAAA… you@host'".to_owned(),
        );
    }
    let key = PublicKey::from_openssh(text)
        .map_err(|_| "this is no public key like 'ssh-ed25519 AAAA… you@host'".to_owned())?;
    match key.algorithm() {
        Algorithm::Ed25519 | Algorithm::Ecdsa { .. } => {}
        Algorithm::Rsa { .. } => {
            let bits = key
                .key_data()
                .rsa()
                .and_then(|rsa| rsa.n.as_positive_bytes())
                .map_or(0, |modulus| modulus.len() * 8);
            if bits < MIN_RSA_BITS {
                return Err(format!(
                    "an RSA key of {bits} bits is too short: {MIN_RSA_BITS} or more"
                ));
            }
        }
        other => {
            return Err(format!(
                "keys of the kind {other} are not taken: use ed25519, ecdsa or rsa"
            ));
        }
    }
    let comment: String = key
        .comment()
        .chars()
        .filter(|c| !c.is_control())
        .take(100)
        .collect();
    let mut bare = key.clone();
    bare.set_comment("");
    Ok(NewKey {
        record: KeyRecord {
            fingerprint: key.fingerprint(HashAlg::Sha256).to_string(),
            algorithm: key.algorithm().to_string(),
            comment,
            ..KeyRecord::default()
        },
        text: bare.to_openssh().map_err(|error| error.to_string())?,
    })
}

/// Whether a user's name may be one.
///
/// # Errors
/// Why not.
pub fn check_name(name: &str) -> Result<(), String> {
    let fits = (1..=39).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
        && name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if !fits || name == "anonymous" {
        return Err(
            "a user's name is 1 to 39 letters, digits, '.', '_', '-', and begins with a letter or digit"
                .to_owned(),
        );
    }
    Ok(())
}

/// Whether a key signed that it belongs to a user.
///
/// # Errors
/// What is wrong, in words.
pub fn check_proof(key: &NewKey, user: &str, proof: &str) -> Result<(), String> {
    let blob = STANDARD
        .decode(proof)
        .map_err(|_| "proof is not base64".to_owned())?;
    let made = signature::ssh_signature(&blob)?;
    let text = glaas_api::auth::key_proof_text(user, &key.record.fingerprint);
    if signature::verifies(&key.text, &text, &made) {
        Ok(())
    } else {
        Err("proof: the new key did not sign that it belongs to this user".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_public_key_is_refused_with_advice() {
        fn check(text: &str, advice: &str) {
            let error = read(text).expect_err("no key");
            assert!(error.contains(advice), "{error}");
        }
        check("", "single line");
        check("-----BEGIN OPENSSH PRIVATE KEY-----", "never paste");
        check("hello", "no public key");
        check("ssh-ed25519 AAAA", "no public key");
    }

    #[test]
    fn names_are_plain() {
        for good in ["a", "ann.b-c_d", "0x"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "a b", "a/b", "é", "anonymous", &"a".repeat(40)] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }
}
