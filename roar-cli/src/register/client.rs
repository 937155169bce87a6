//! HTTP with a server: signed, patient, and the one place through which bodies leave.
//!
//! A request is tried again when the connection broke or the server was busy; everything that is
//! sent may be sent twice. Redirects are not followed: what is signed is for one server.

use std::cell::RefCell;
use std::io::Read as _;
use std::time::Duration;

use glaas_api::auth;
use glaas_api::registration::{Features, Health};
use glaas_api::{Envelope, paths};
use reqwest::blocking::Client as Http;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HOST, LOCATION, RETRY_AFTER};
use reqwest::{Method, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::error::RegisterError;
use super::keys::Key;
use super::patience::Patience;
use super::scrub::{Body, Removed};
use crate::clock;
use crate::model::{Digest, RawString};
use crate::redact::Redactor;

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How long the server may take to say that it lives.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The largest JSON answer that is taken.
const ANSWER_BYTES: u64 = 256 << 20;
/// The largest content that is taken.
const CONTENT_BYTES: u64 = 64 << 20;

/// A server, and who talks to it.
#[derive(Debug)]
pub struct Client {
    http: Http,
    /// Without a slash at its end.
    base: String,
    host: String,
    key: Option<Key>,
    redactor: Redactor,
    patience: Patience,
    features: RefCell<Option<Features>>,
    /// Nothing is sent; what would be is kept here.
    rehearsal: Option<RefCell<Vec<Outgoing>>>,
}

/// A request that would be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// `POST`, `PUT`, `PATCH`.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// The body, to the byte.
    pub body: Vec<u8>,
    /// What was taken out of it.
    pub removed: Vec<Removed>,
}

impl Client {
    /// One for the server at `url`.
    ///
    /// # Errors
    /// The address is none, or TLS cannot be set up.
    pub fn new(
        url: &str,
        key: Option<Key>,
        redactor: Redactor,
        patience: Patience,
    ) -> Result<Self, RegisterError> {
        let address = || RegisterError::Address(RawString::from(url).to_string());
        let parsed = Url::parse(url).map_err(|_| address())?;
        let is_http = matches!(parsed.scheme(), "http" | "https");
        let name = parsed.host_str().filter(|_| is_http).ok_or_else(address)?;
        let host = match parsed.port() {
            Some(port) => format!("{name}:{port}"),
            None => name.to_owned(),
        };
        // Another one may have been installed before: any serves.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = Http::builder()
            .timeout(TIMEOUT)
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("roar/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|source| RegisterError::Unreachable {
                server: url.to_owned(),
                source,
            })?;
        Ok(Self {
            http,
            base: format!(
                "{}://{host}{}",
                parsed.scheme(),
                parsed.path().trim_end_matches('/')
            ),
            host: host.to_lowercase(),
            key,
            redactor,
            patience,
            features: RefCell::default(),
            rehearsal: None,
        })
    }

    /// One that sends nothing and keeps what it would send.
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn rehearsing(
        url: &str,
        key: Option<Key>,
        redactor: Redactor,
    ) -> Result<Self, RegisterError> {
        let mut client = Self::new(url, key, redactor, Patience::default())?;
        client.rehearsal = Some(RefCell::default());
        client.features.replace(Some(Features {
            reproduction: true,
            members: true,
            max_blob_bytes: glaas_api::blobs::MAX_BYTES,
            ..Features::default()
        }));
        Ok(client)
    }

    /// What would have been sent so far.
    pub fn rehearsed(&self) -> Vec<Outgoing> {
        self.rehearsal
            .as_ref()
            .map(|kept| kept.borrow().clone())
            .unwrap_or_default()
    }

    /// The server's address.
    pub fn server(&self) -> &str {
        &self.base
    }

    /// The key that signs.
    pub fn key(&self) -> Option<&Key> {
        self.key.as_ref()
    }

    /// What takes secrets out of what is sent.
    pub fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    /// What the server can do; asked once.
    ///
    /// # Errors
    /// It does not answer.
    pub fn features(&self) -> Result<Features, RegisterError> {
        if let Some(features) = self.features.borrow().clone() {
            return Ok(features);
        }
        let answer = self.persist(
            &Method::GET,
            paths::HEALTH,
            None,
            Signing::None,
            ANSWER_BYTES,
        )?;
        // A published server may say something else, or nothing: then it can do nothing more.
        let health: Health = read(&answer).unwrap_or_default();
        self.features.replace(Some(health.features.clone()));
        Ok(health.features)
    }

    /// Asks for a document; none when there is none, or none that the caller may see.
    ///
    /// # Errors
    /// The server does not answer or refuses, or its answer makes no sense.
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, RegisterError> {
        let signing = self.signing()?;
        match self.persist(&Method::GET, path, None, signing, ANSWER_BYTES) {
            Ok(answer) => self.understood(path, &answer).map(Some),
            Err(RegisterError::Refused { status: 404, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Asks for a content by its digest, which it must have; none when there is none.
    ///
    /// # Errors
    /// As [`Client::get`], or the content is another one.
    pub fn content(&self, digest: &Digest) -> Result<Option<Vec<u8>>, RegisterError> {
        let path = paths::blob(digest.as_str());
        let signing = self.signing()?;
        match self.persist(&Method::GET, &path, None, signing, CONTENT_BYTES) {
            Ok(content) => {
                let found = Digest::from_bytes(blake3::hash(&content).as_bytes());
                if found == *digest {
                    return Ok(Some(content));
                }
                Err(RegisterError::OtherContent {
                    server: self.base.clone(),
                    digest: digest.to_string(),
                })
            }
            Err(RegisterError::Refused { status: 404, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sends a document. In a rehearsal the answer is `T`'s default.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        document: &impl Serialize,
        rehearsed: T,
    ) -> Result<T, RegisterError> {
        let body = Body::json(document, &self.redactor);
        match self.send(&Method::POST, path, body)? {
            Some(answer) => self.understood(path, &answer),
            None => Ok(rehearsed),
        }
    }

    /// Changes what a document says.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub fn patch(&self, path: &str, document: &impl Serialize) -> Result<(), RegisterError> {
        let body = Body::json(document, &self.redactor);
        self.send(&Method::PATCH, path, body).map(drop)
    }

    /// Sends a content.
    ///
    /// # Errors
    /// As [`Client::get`], or it holds secrets.
    pub fn put(&self, digest: &Digest, content: Vec<u8>) -> Result<(), RegisterError> {
        let body = Body::content(digest, content, &self.redactor)?;
        self.send(&Method::PUT, &paths::blob(digest.as_str()), body)
            .map(drop)
    }

    /// Whether the key is known: asks for an artifact that cannot be there.
    ///
    /// # Errors
    /// The server does not answer, or does not know the key.
    pub fn test(&self) -> Result<(), RegisterError> {
        let path = paths::artifact("00000000");
        let signing = self.signing()?;
        match self.attempt(&Method::GET, &path, None, signing, ANSWER_BYTES) {
            Err(RegisterError::Refused { status: 404, .. }) => Ok(()),
            other => other.map(drop),
        }
    }

    fn send(
        &self,
        method: &Method,
        path: &str,
        body: Body,
    ) -> Result<Option<Vec<u8>>, RegisterError> {
        if let Some(kept) = &self.rehearsal {
            kept.borrow_mut().push(Outgoing {
                method: method.as_str().to_owned(),
                path: path.to_owned(),
                body: body.bytes().to_vec(),
                removed: body.removed,
            });
            return Ok(None);
        }
        let signing = self.signing()?;
        self.persist(method, path, Some(&body), signing, ANSWER_BYTES)
            .map(Some)
    }

    /// How this server wants to be signed to.
    fn signing(&self) -> Result<Signing, RegisterError> {
        Ok(match (&self.key, self.features()?.reproduction) {
            (None, _) => Signing::None,
            (Some(_), false) => Signing::Published,
            (Some(_), true) => Signing::Nonce,
        })
    }

    /// Tries until it succeeds, is refused for good, or patience ends.
    fn persist(
        &self,
        method: &Method,
        path: &str,
        body: Option<&Body>,
        signing: Signing,
        limit_bytes: u64,
    ) -> Result<Vec<u8>, RegisterError> {
        let mut attempt = 1;
        loop {
            match self.attempt(method, path, body, signing, limit_bytes) {
                Ok(answer) => return Ok(answer),
                Err(error) => self.patience.wait(attempt, random_share(), error)?,
            }
            attempt += 1;
        }
    }

    /// The only place where anything is sent.
    fn attempt(
        &self,
        method: &Method,
        path: &str,
        body: Option<&Body>,
        signing: Signing,
        limit_bytes: u64,
    ) -> Result<Vec<u8>, RegisterError> {
        let unreachable = |source: reqwest::Error| RegisterError::Unreachable {
            server: self.base.clone(),
            source: source.without_url(),
        };
        let mut request = self
            .http
            .request(method.clone(), format!("{}{path}", self.base))
            .header(HOST, &self.host)
            .header("X-Roar-Version", env!("CARGO_PKG_VERSION"));
        if path == paths::HEALTH {
            request = request.timeout(HEALTH_TIMEOUT);
        }
        if let Some(signature) = self.signature(method, path, body, signing)? {
            request = request.header(AUTHORIZATION, signature);
        }
        if let Some(body) = body {
            request = request
                .header(CONTENT_TYPE, body.content_type())
                .body(body.bytes().to_vec());
        }
        let answer = request.send().map_err(unreachable)?;
        let status = answer.status();
        let header = |name| {
            let value = answer.headers().get(name)?;
            value.to_str().ok().map(str::to_owned)
        };
        if status.is_redirection() {
            return Err(RegisterError::Redirected {
                server: self.base.clone(),
                to: RawString::from(header(LOCATION).unwrap_or_default()).to_string(),
            });
        }
        let retry_after = header(RETRY_AFTER).and_then(|text| text.trim().parse().ok());
        let mut content = Vec::new();
        let mut taken = answer.take(limit_bytes + 1);
        taken
            .read_to_end(&mut content)
            .map_err(|source| RegisterError::BrokeOff {
                server: self.base.clone(),
                source,
            })?;
        if content.len() as u64 > limit_bytes {
            return Err(RegisterError::TooLarge {
                server: self.base.clone(),
                path: path.to_owned(),
                limit_bytes,
            });
        }
        if status.is_success() {
            return Ok(content);
        }
        Err(refusal(&self.base, status, &content, retry_after))
    }

    fn signature(
        &self,
        method: &Method,
        path: &str,
        body: Option<&Body>,
        signing: Signing,
    ) -> Result<Option<String>, RegisterError> {
        let Some(key) = &self.key else {
            return Ok(None);
        };
        let now = clock::now_ns().div_euclid(1_000_000_000);
        // An empty body is none: the other side cannot tell them apart.
        let body = body.filter(|body| !body.bytes().is_empty());
        let digest = body.map(|body| Digest::from_bytes(&Sha256::digest(body.bytes())).to_string());
        // Behind a prefix, the server sees the whole path.
        let prefix = Url::parse(&self.base).map(|url| url.path().trim_end_matches('/').to_owned());
        let path = format!("{}{path}", prefix.unwrap_or_default());
        let fingerprint = key.fingerprint();
        Ok(match signing {
            Signing::None => None,
            Signing::Published => {
                let text = auth::signed_text(now, method.as_str(), &path, digest.as_deref());
                let signature = key.sign(text.as_bytes())?;
                Some(format!(
                    "{} keyid=\"{fingerprint}\" ts=\"{now}\" sig=\"{signature}\"",
                    auth::SCHEME
                ))
            }
            Signing::Nonce => {
                let nonce = nonce();
                let digest = digest.unwrap_or_default();
                let text = auth::signed_text_with_nonce(
                    now,
                    &nonce,
                    method.as_str(),
                    &self.host,
                    &path,
                    &digest,
                );
                let signature = key.sign(text.as_bytes())?;
                Some(format!(
                    "{} keyid=\"{fingerprint}\" ts=\"{now}\" nonce=\"{nonce}\" sig=\"{signature}\"",
                    auth::NONCE_SCHEME
                ))
            }
        })
    }

    fn understood<T: DeserializeOwned>(
        &self,
        path: &str,
        answer: &[u8],
    ) -> Result<T, RegisterError> {
        read(answer).map_err(|source| RegisterError::Answer {
            server: self.base.clone(),
            path: path.to_owned(),
            source,
        })
    }
}

#[derive(Clone, Copy, Debug)]
enum Signing {
    None,
    Published,
    Nonce,
}

/// The data of an answer: in its envelope, or bare.
fn read<T: DeserializeOwned>(answer: &[u8]) -> Result<T, serde_json::Error> {
    serde_json::from_slice::<Envelope<T>>(answer)
        .map(|envelope| envelope.data)
        .or_else(|_| serde_json::from_slice(answer))
}

/// The words of a refusal are where some server put them.
fn refusal(
    server: &str,
    status: StatusCode,
    content: &[u8],
    retry_after: Option<u64>,
) -> RegisterError {
    let value: Value = serde_json::from_slice(content).unwrap_or(Value::Null);
    let message = ["/detail", "/message", "/error/detail", "/error/message"]
        .iter()
        .find_map(|place| value.pointer(place)?.as_str())
        .or_else(|| status.canonical_reason())
        .unwrap_or("nothing");
    let candidates = value.pointer("/error/candidates").and_then(Value::as_array);
    let shown = |text: &str| RawString::from(text).to_string();
    RegisterError::Refused {
        server: server.to_owned(),
        status: status.as_u16(),
        code: value
            .pointer("/error/code")
            .and_then(Value::as_str)
            .map(str::to_owned),
        message: shown(message),
        candidates: candidates
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(shown)
            .collect(),
        retry_after,
    }
}

/// From 0 to 1.
fn random_share() -> f64 {
    random_bits() as f64 / u64::MAX as f64
}

fn nonce() -> String {
    format!("{:016x}{:016x}", random_bits(), random_bits())
}

/// The standard library seeds its hash maps from the system's random numbers.
fn random_bits() -> u64 {
    use std::hash::{BuildHasher as _, Hasher as _};
    let mut hasher = std::collections::hash_map::RandomState::new().build_hasher();
    hasher.write_i64(clock::now_ns());
    hasher.finish()
}
