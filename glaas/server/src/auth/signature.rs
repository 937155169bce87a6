//! The `Authorization` header of signed requests, and whether its signature holds (SSHSIG).

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use glaas_api::auth::NAMESPACE;
use sha2::{Digest as _, Sha256};
use ssh_key::{PublicKey, SshSig};

/// Longer headers are no signatures (a 16,384-bit RSA key's is 4,500 bytes).
const MAX_HEADER: usize = 16 * 1024;

/// A header that was read.
#[derive(Clone, Debug)]
pub struct Signed {
    /// `SHA256:…` of the key.
    pub fingerprint: String,
    /// When it was signed, by the client's clock.
    pub unix_seconds: i64,
    /// Only under the scheme that has one.
    pub nonce: Option<String>,
    /// Of the signature: what a replay is known by.
    pub digest: String,
    signature: SshSig,
}

impl Signed {
    /// Reads `keyid="…" ts="…" [nonce="…"] sig="…"`.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn parse(text: &str, with_nonce: bool) -> Result<Self, String> {
        if text.len() > MAX_HEADER {
            return Err("the Authorization header is too long".to_owned());
        }
        let field = |name: &str| {
            let start = format!("{name}=\"");
            text.split([' ', ','])
                .find_map(|part| part.strip_prefix(start.as_str())?.strip_suffix('"'))
                .ok_or_else(|| format!("the Authorization header has no {name}=\"…\""))
        };
        let fingerprint = field("keyid")?;
        let is_fingerprint = fingerprint.strip_prefix("SHA256:").is_some_and(|digest| {
            STANDARD_NO_PAD
                .decode(digest)
                .is_ok_and(|bytes| bytes.len() == 32)
        });
        if !is_fingerprint {
            return Err("keyid is not a fingerprint like SHA256:…".to_owned());
        }
        let seconds = field("ts")?;
        let unix_seconds = seconds
            .parse()
            .ok()
            .filter(|seconds: &i64| (0..1 << 40).contains(seconds))
            .ok_or("ts is not a time in seconds")?;
        let nonce = with_nonce.then(|| field("nonce")).transpose()?;
        let is_nonce = |text: &str| {
            (16..=64).contains(&text.len())
                && text
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        };
        if nonce.is_some_and(|nonce| !is_nonce(nonce)) {
            return Err("nonce is not 16 to 64 letters, digits, '-', '_'".to_owned());
        }
        let blob = STANDARD
            .decode(field("sig")?)
            .map_err(|_| "sig is not base64".to_owned())?;
        let signature = ssh_signature(&blob)?;
        // Under the older scheme the signature alone tells; it covers time, path and body. ECDSA
        // signatures can be changed into other valid ones, so what was signed counts, too.
        let digest = super::hex(&Sha256::digest(match nonce {
            Some(nonce) => format!("{fingerprint} {nonce}").into_bytes(),
            None => blob,
        }));
        Ok(Self {
            fingerprint: fingerprint.to_owned(),
            unix_seconds,
            nonce: nonce.map(str::to_owned),
            digest,
            signature,
        })
    }

    /// Whether the key made the signature over the text.
    pub fn verifies(&self, public_key: &str, text: &str) -> bool {
        verifies(public_key, text, &self.signature)
    }
}

/// A binary SSHSIG blob; the library reads the armoured form.
pub(super) fn ssh_signature(blob: &[u8]) -> Result<SshSig, String> {
    let mut armoured = String::from("-----BEGIN SSH SIGNATURE-----\n");
    let text = STANDARD.encode(blob);
    let mut rest = text.as_str();
    while !rest.is_empty() {
        // ssh-keygen's line length, and the only one that the library takes.
        let (line, after) = rest.split_at(rest.len().min(70));
        armoured.push_str(line);
        armoured.push('\n');
        rest = after;
    }
    armoured.push_str("-----END SSH SIGNATURE-----\n");
    SshSig::from_pem(armoured).map_err(|_| "sig is no SSH signature".to_owned())
}

/// Whether the key made the signature over the text, for our namespace.
pub(super) fn verifies(public_key: &str, text: &str, signature: &SshSig) -> bool {
    PublicKey::from_openssh(public_key)
        .is_ok_and(|key| key.verify(NAMESPACE, text.as_bytes(), signature).is_ok())
}
