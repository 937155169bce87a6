//! SSH keys of users.

use serde::{Deserialize, Serialize};

/// Registers a key.
///
/// Unsigned, it makes a new user with this key (where the operator lets anyone register). Signed by
/// a key of a user, it adds the key to that user, and `proof` must show that the user holds it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KeyRequest {
    /// The public key as in `id_ed25519.pub`.
    pub public_key: String,
    /// The new user's name: 1 to 39 letters, digits, `.`, `_`, `-`. Ignored when signed.
    pub user: Option<String>,
    /// The key's signature over [`crate::auth::key_proof_text`], in base64. Only when signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proof: Option<String>,
}

/// A key as the server has it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KeyRecord {
    /// `SHA256:…`.
    pub fingerprint: String,
    /// `ssh-ed25519`, …
    pub algorithm: String,
    /// Its comment.
    pub comment: String,
    /// The user it belongs to.
    pub user: String,
    /// When it was registered, in seconds since the Unix epoch.
    pub created_at: f64,
    /// When it was revoked.
    pub revoked_at: Option<f64>,
}

/// A user's keys.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KeyList {
    /// The user.
    pub user: String,
    /// The keys, revoked ones too.
    pub keys: Vec<KeyRecord>,
}
