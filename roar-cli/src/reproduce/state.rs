//! How far a reproduction got: `.roar/reproduction.json` in its folder, replaced as a whole at
//! every step, so that it can go on after an interruption at any point.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::ReproduceError;
use crate::model::{Digest, PortableLineage, RawString};

/// The version written; another one is refused.
const VERSION: u32 = 1;

/// What was done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    version: u32,
    /// What is re-made; see [`super::plan::Plan::digest`].
    pub plan: String,
    /// The lineage itself, as it was agreed to.
    pub lineage: PortableLineage,
    /// The code was fetched and everything that no step makes is in its place.
    pub prepared: bool,
    /// Inputs that are not what was recorded, by path: what is there instead.
    pub changed: BTreeMap<String, Option<Digest>>,
    /// By step, in their order.
    pub steps: Vec<StepState>,
}

/// One step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StepState {
    /// Its command was started.
    pub started: bool,
    /// Its command ended as it did when it was recorded.
    pub done: bool,
    /// The uid of its job in the project of the reproduction.
    pub job: Option<String>,
    /// What it made, by path as the record has it: the digest, none where there is no file.
    pub made: Vec<(RawString, Option<Digest>)>,
    /// Before it started: what its inputs were.
    pub read: Vec<(RawString, Option<Digest>)>,
}

impl State {
    /// A fresh one.
    pub fn new(plan: &super::plan::Plan) -> Self {
        Self {
            version: VERSION,
            plan: plan.digest().to_string(),
            lineage: plan.lineage.clone(),
            steps: vec![StepState::default(); plan.steps.len()],
            ..Self::default()
        }
    }

    /// That of a folder; none when there is none.
    ///
    /// # Errors
    /// It cannot be read, or is of another version.
    pub fn read(root: &Path) -> Result<Option<Self>, ReproduceError> {
        let path = path(root);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(ReproduceError::io("read", &path)(error)),
        };
        match serde_json::from_slice::<Self>(&text) {
            Ok(state) if state.version == VERSION => Ok(Some(state)),
            _ => Err(ReproduceError::Occupied {
                path: root.to_path_buf(),
                reason: "holds a reproduction of another roar".to_owned(),
            }),
        }
    }

    /// Puts it in place, whole.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, root: &Path) -> Result<(), ReproduceError> {
        let path = path(root);
        let text = serde_json::to_vec(self)
            .map_err(|error| ReproduceError::io("write", &path)(error.into()))?;
        let failed = |error| ReproduceError::io("write", &path)(error);
        let folder = path.parent().unwrap_or(root);
        let mut file = tempfile::Builder::new()
            .prefix("reproduction.new-")
            .tempfile_in(folder)
            .map_err(failed)?;
        file.write_all(&text)
            .and_then(|()| file.as_file().sync_all())
            .map_err(|error| ReproduceError::io("write", &path)(error))?;
        file.persist(&path)
            .map(drop)
            .map_err(|error| ReproduceError::io("write", &path)(error.error))
    }
}

fn path(root: &Path) -> PathBuf {
    root.join(".roar/reproduction.json")
}
