//! The SSH key that a server knows the user by, and signatures with it.
//!
//! `ROAR_SSH_KEY`, else `glaas.key`, else the first of `~/.ssh/id_ed25519`, `id_rsa`, `id_ecdsa`. An
//! encrypted key is never decrypted here: the ssh-agent signs with it. So it does where only the
//! public half of a key is on disk.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use glaas_api::auth::NAMESPACE;
use rsa::signature::{SignatureEncoding as _, Signer as _};
use ssh_key::private::{KeypairData, RsaKeypair};
use ssh_key::{Algorithm, HashAlg, LineEnding, Mpint, PrivateKey, PublicKey, Signature, SshSig};

use super::error::RegisterError;
use super::ssh_keygen;

/// Names of keys in `~/.ssh`, best first.
const NAMES: &[&str] = &["id_ed25519", "id_rsa", "id_ecdsa"];

/// The agent's flag for RSA with SHA-512 (draft-miller-ssh-agent, 3.6.1).
const RSA_SHA2_512: u32 = 4;

/// A key that can sign.
#[derive(Debug)]
pub struct Key {
    /// Its file.
    pub path: PathBuf,
    /// Its public half.
    pub public: PublicKey,
    signer: Signer,
}

#[derive(Debug)]
enum Signer {
    File(Box<PrivateKey>),
    Agent,
    /// `ssh-keygen`, for what cannot be read here.
    Program,
}

impl Key {
    /// Finds the key: that of the settings, else one of the usual ones.
    ///
    /// # Errors
    /// There is none, it is of no known kind, or it is encrypted and no agent has it.
    pub fn find(setting: &str, home: Option<&Path>) -> Result<Self, RegisterError> {
        if !setting.is_empty() {
            let path = match (setting.strip_prefix("~/"), home) {
                (Some(rest), Some(home)) => home.join(rest),
                _ => PathBuf::from(setting),
            };
            if !path.exists() {
                return Err(RegisterError::NoKey { looked: vec![path] });
            }
            return Self::read(&path);
        }
        let folder = home.map(|home| home.join(".ssh"));
        let mut looked = Vec::new();
        for name in NAMES {
            let Some(path) = folder.as_ref().map(|folder| folder.join(name)) else {
                break;
            };
            if path.is_file() || with_extension(&path).is_file() {
                return Self::read(&path);
            }
            looked.push(path);
        }
        Err(RegisterError::NoKey { looked })
    }

    /// Reads a key from its file.
    ///
    /// # Errors
    /// As [`Key::find`].
    pub fn read(path: &Path) -> Result<Self, RegisterError> {
        let bad = |reason: String| RegisterError::BadKey {
            path: path.to_path_buf(),
            reason,
        };
        let text = match std::fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Self::of_agent(path, public_half(path)?);
            }
            Err(error) => return Err(bad(error.to_string())),
        };
        if text.starts_with(b"ssh-") || text.starts_with(b"ecdsa-") {
            let public = PublicKey::from_openssh(&String::from_utf8_lossy(&text));
            return Self::of_agent(path, public.map_err(|error| bad(error.to_string()))?);
        }
        let private = match PrivateKey::from_openssh(&text) {
            Ok(private) => private,
            Err(_) if text.starts_with(b"-----BEGIN ") => return Self::of_program(path),
            Err(error) => return Err(bad(error.to_string())),
        };
        let public = private.public_key().clone();
        refuse_unknown(path, &public)?;
        if private.is_encrypted() {
            return Self::of_agent(path, public);
        }
        Ok(Self {
            path: path.to_path_buf(),
            public,
            signer: Signer::File(Box::new(private)),
        })
    }

    /// A key that cannot be read here: the agent signs with it, or `ssh-keygen` does.
    fn of_program(path: &Path) -> Result<Self, RegisterError> {
        if let Ok(public) = public_half(path)
            && agent::knows(&public).is_ok()
        {
            return Self::of_agent(path, public);
        }
        let public = ssh_keygen::public(path).map_err(|reason| RegisterError::BadKey {
            path: path.to_path_buf(),
            reason: format!("{reason} (with a passphrase: add it to the ssh-agent by ssh-add)"),
        })?;
        refuse_unknown(path, &public)?;
        Ok(Self {
            path: path.to_path_buf(),
            public,
            signer: Signer::Program,
        })
    }

    fn of_agent(path: &Path, public: PublicKey) -> Result<Self, RegisterError> {
        agent::knows(&public).map_err(|reason| RegisterError::Encrypted {
            path: path.to_path_buf(),
            reason,
        })?;
        Ok(Self {
            path: path.to_path_buf(),
            public,
            signer: Signer::Agent,
        })
    }

    /// `SHA256:…`, as `ssh-keygen -l` shows it.
    pub fn fingerprint(&self) -> String {
        self.public.fingerprint(HashAlg::Sha256).to_string()
    }

    /// The line of an `id_*.pub` file.
    ///
    /// # Errors
    /// The key cannot be written as text.
    pub fn public_line(&self) -> Result<String, RegisterError> {
        self.public
            .to_openssh()
            .map_err(|error| RegisterError::BadKey {
                path: self.path.clone(),
                reason: error.to_string(),
            })
    }

    /// Whether the agent signs.
    pub fn is_in_agent(&self) -> bool {
        matches!(self.signer, Signer::Agent)
    }

    /// The SSHSIG signature of a text, binary in base64: what `ssh-keygen -Y sign -n glaas` makes,
    /// without its armour.
    ///
    /// # Errors
    /// The key or the agent refuses.
    pub fn sign(&self, text: &[u8]) -> Result<String, RegisterError> {
        let failed = |reason: String| RegisterError::Signing {
            fingerprint: self.fingerprint(),
            reason,
        };
        let data = SshSig::signed_data(NAMESPACE, HashAlg::Sha512, text)
            .map_err(|error| failed(error.to_string()))?;
        let raw = match &self.signer {
            Signer::File(private) => match private.key_data() {
                KeypairData::Rsa(pair) => sign_rsa(pair, &data).map_err(failed)?,
                other => other
                    .try_sign(&data)
                    .map_err(|error| failed(error.to_string()))?,
            },
            Signer::Program => {
                let armoured = ssh_keygen::sign(&self.path, text).map_err(failed)?;
                return Ok(unarmoured(&armoured));
            }
            Signer::Agent => {
                let flags = match self.public.algorithm() {
                    Algorithm::Rsa { .. } => RSA_SHA2_512,
                    _ => 0,
                };
                agent::sign(&self.public, data, flags).map_err(failed)?
            }
        };
        let signature = SshSig::new(
            self.public.key_data().clone(),
            NAMESPACE,
            HashAlg::Sha512,
            raw,
        )
        .map_err(|error| failed(error.to_string()))?;
        let armoured = signature
            .to_pem(LineEnding::LF)
            .map_err(|error| failed(error.to_string()))?;
        Ok(unarmoured(&armoured))
    }
}

fn unarmoured(armoured: &str) -> String {
    let lines = armoured.lines().map(str::trim_end);
    lines.filter(|line| !line.starts_with("-----")).collect()
}

/// By hand: ssh-key 0.6 puts the first prime in the place of the second one.
fn sign_rsa(pair: &RsaKeypair, data: &[u8]) -> Result<Signature, String> {
    let number = |number: &Mpint| {
        let bytes = number.as_positive_bytes().unwrap_or_default();
        rsa::BigUint::from_bytes_be(bytes)
    };
    let primes = vec![number(&pair.private.p), number(&pair.private.q)];
    let private = rsa::RsaPrivateKey::from_components(
        number(&pair.public.n),
        number(&pair.public.e),
        number(&pair.private.d),
        primes,
    )
    .map_err(|error| error.to_string())?;
    let signature = rsa::pkcs1v15::SigningKey::<rsa::sha2::Sha512>::new(private)
        .try_sign(data)
        .map_err(|error| error.to_string())?;
    let algorithm = Algorithm::Rsa {
        hash: Some(HashAlg::Sha512),
    };
    Signature::new(algorithm, signature.to_vec()).map_err(|error| error.to_string())
}

/// The bytes of a signature that [`Key::sign`] made, in the armour of `ssh-keygen -Y`.
pub fn armoured(signature: &str) -> Option<String> {
    BASE64.decode(signature).ok()?;
    let mut text = String::from("-----BEGIN SSH SIGNATURE-----\n");
    for line in signature.as_bytes().chunks(70) {
        text.push_str(&String::from_utf8_lossy(line));
        text.push('\n');
    }
    text.push_str("-----END SSH SIGNATURE-----\n");
    Some(text)
}

fn refuse_unknown(path: &Path, public: &PublicKey) -> Result<(), RegisterError> {
    match public.algorithm() {
        Algorithm::Ed25519 | Algorithm::Rsa { .. } | Algorithm::Ecdsa { .. } => Ok(()),
        kind => Err(RegisterError::BadKey {
            path: path.to_path_buf(),
            reason: format!("keys of the kind {kind} are not supported"),
        }),
    }
}

fn with_extension(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".pub");
    PathBuf::from(name)
}

fn public_half(path: &Path) -> Result<PublicKey, RegisterError> {
    let path = with_extension(path);
    PublicKey::read_openssh_file(&path).map_err(|error| RegisterError::BadKey {
        reason: error.to_string(),
        path,
    })
}

#[cfg(unix)]
mod agent {
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    use ssh_agent_lib::blocking::Client;
    use ssh_agent_lib::proto::{PublicCredential, SignRequest};
    use ssh_key::{PublicKey, Signature};

    /// A key may ask its owner for a touch or a confirmation.
    const PATIENCE: Duration = Duration::from_secs(120);

    fn client() -> Result<Client<UnixStream>, String> {
        let socket = std::env::var_os("SSH_AUTH_SOCK")
            .filter(|socket| !socket.is_empty())
            .ok_or("no ssh-agent is running (SSH_AUTH_SOCK is not set)")?;
        let stream = UnixStream::connect(&socket)
            .map_err(|error| format!("the ssh-agent does not answer: {error}"))?;
        let patience = Some(PATIENCE);
        stream
            .set_read_timeout(patience)
            .and_then(|()| stream.set_write_timeout(patience))
            .map_err(|error| error.to_string())?;
        Ok(Client::new(stream))
    }

    /// Why the agent cannot sign with a key.
    pub(super) fn knows(public: &PublicKey) -> Result<(), String> {
        let identities = client()?
            .request_identities()
            .map_err(|error| format!("the ssh-agent does not answer: {error}"))?;
        let known = identities
            .iter()
            .any(|identity| matches!(&identity.credential, PublicCredential::Key(key) if key == public.key_data()));
        if known {
            Ok(())
        } else {
            Err("the ssh-agent does not have it; add it with: ssh-add FILE".to_owned())
        }
    }

    pub(super) fn sign(public: &PublicKey, data: Vec<u8>, flags: u32) -> Result<Signature, String> {
        client()?
            .sign(SignRequest {
                credential: PublicCredential::Key(public.key_data().clone()),
                data,
                flags,
            })
            .map_err(|error| format!("the ssh-agent refused: {error}"))
    }
}

#[cfg(not(unix))]
mod agent {
    use ssh_key::{PublicKey, Signature};

    pub(super) fn knows(_public: &PublicKey) -> Result<(), String> {
        Err("the ssh-agent is not asked on this system".to_owned())
    }

    pub(super) fn sign(_: &PublicKey, _: Vec<u8>, _: u32) -> Result<Signature, String> {
        Err("the ssh-agent is not asked on this system".to_owned())
    }
}
