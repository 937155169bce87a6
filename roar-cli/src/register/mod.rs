//! Sharing lineage with a GLaaS server: what is sent, how it is signed, how it gets there once and
//! only once, and how it is fetched again.
//!
//! - [`document`], [`bundle`], [`canonical`] (pure) make what is sent of a lineage, and give it a
//!   hash that is the same on every machine.
//! - `listing` (pure) has the members of collections in pages, apart from the job.
//! - [`scrub`] (pure) takes secrets out of bodies. Only what it has let through can be handed to
//!   the transport: every body passes there, and nowhere else.
//! - [`keys`] finds the SSH key and signs; [`client`] speaks HTTP, with [`patience`].
//! - [`send`] sends a bundle in an order in which it may be interrupted anywhere; [`fetch`] brings
//!   a lineage back; `published` reads what servers of the published protocol tell.

pub mod bundle;
pub mod canonical;
pub mod client;
pub mod contents;
pub mod document;
pub mod error;
pub mod fetch;
pub mod keys;
mod listing;
pub mod patience;
mod published;
pub mod reach;
pub mod scrub;
pub mod send;
mod ssh_keygen;

pub use error::RegisterError;
