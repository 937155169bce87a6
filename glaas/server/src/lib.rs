//! The lineage server: a registry where an artifact's hash leads to how it was made, and to the
//! command that makes it again.
//!
//! `serve` listens and `gate` lets requests in; `api` answers clients and `web` people, both from
//! `store`, which alone knows the database. `auth` knows keys and signatures, `facts` reads what
//! clients say of a job, `clock` is asked for the time. Nothing here opens a file that a request
//! names, or asks another server.

pub mod api;
pub mod app;
pub mod auth;
pub mod body;
pub mod canonical;
pub mod clock;
mod descriptors;
pub mod error;
pub mod facts;
pub mod gate;
pub mod limits;
pub mod serve;
pub mod settings;
pub mod store;
mod stream;
pub mod telemetry;
pub mod web;
