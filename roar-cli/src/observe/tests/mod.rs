//! The fold, from events to the accesses they mean.

mod cases;
mod notation;
mod properties;
