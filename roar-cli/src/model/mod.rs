//! The nouns of roar, as plain data: no I/O, no clock, no environment.
//!
//! Everything that is stored, folded, drawn or sent is built from these types.
//! Row types live in `store`, wire types in `glaas/api`; neither leaks in here.

mod artifact;
mod cache;
mod collection;
mod completeness;
mod conditions;
mod git;
mod gpu;
mod hashes;
mod ids;
mod job;
mod launch;
mod network;
mod packages;
mod portable;
mod raw;
mod session;
mod source;
mod tracker;

pub use artifact::{Digest, FileRecord, FilteredRecord, HashAlgorithm};
pub use cache::{CacheKey, CachedHash};
pub use collection::Collection;
pub use completeness::{Completeness, Gap, GapKind, LostEvents};
pub use conditions::{Conditions, RedactedPlace, Redaction};
pub use git::{GitCondition, GitState, Submodule, UntrackedFile};
pub use gpu::{Gpu, GpuUse};
pub use hashes::Hashes;
pub use ids::{HashPrefix, IdError, JobUid, StepRef};
pub use job::{Basis, FileAccess, HostFacts, JobKind, JobRecord, JobState, Outcome, StoredJob};
pub use launch::{Launch, Rank};
pub use network::{Endpoint, Network, Protocol};
pub use packages::{Interpreter, Program, Software};
pub use portable::{
    PORTABLE_VERSION, PortableCollection, PortableFile, PortableJob, PortableLineage,
};
pub use raw::RawString;
pub use session::{Session, StepIdentity};
pub use source::HubSource;
pub use tracker::TrackedRun;
