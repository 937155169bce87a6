//! Kept contents: `.roar/blobs/ab/cdef…`, each named by its BLAKE3 digest.
//!
//! Patches of dirty work trees and files that git does not track. A blob appears under its name
//! whole, is readable for its owner only, and is never changed: who writes the same content
//! again finds it there. One that no longer has its digest is not handed out.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::error::StoreError;
use super::place;
use crate::model::Digest;
use crate::project::Project;

/// The blobs of a project.
#[derive(Clone, Debug)]
pub struct Blobs {
    folder: PathBuf,
}

impl Blobs {
    /// Those of this project; there need not be any yet.
    ///
    /// # Errors
    /// `.roar` is missing, or is no folder of its own.
    pub fn of(project: &Project) -> Result<Self, StoreError> {
        let database = place::database_path(project, false)?;
        Ok(Self {
            folder: database.with_file_name("blobs"),
        })
    }

    /// Keeps a content and returns its digest.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn put(&self, content: &[u8]) -> Result<Digest, StoreError> {
        let digest = Digest::from_bytes(blake3::hash(content).as_bytes());
        let path = self.path(&digest);
        if fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_file()) {
            return Ok(digest);
        }
        let folder = path.parent().expect("a blob is in a folder");
        place::make_private_directory(&self.folder)?;
        place::make_private_directory(folder)?;
        let failed = |error| StoreError::from_io("keep a copy at", &path, error);
        let mut file = tempfile::Builder::new()
            .prefix(".new-")
            .tempfile_in(folder)
            .map_err(failed)?;
        file.write_all(content).map_err(failed)?;
        match file.persist_noclobber(&path) {
            Err(error) if error.error.kind() != io::ErrorKind::AlreadyExists => {
                Err(failed(error.error))
            }
            _ => Ok(digest),
        }
    }

    /// A kept content; none when there is none, or it was damaged.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn get(&self, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.path(digest);
        match fs::read(&path) {
            Ok(content) => {
                let found = Digest::from_bytes(blake3::hash(&content).as_bytes());
                Ok((found == *digest).then_some(content))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::from_io("read", &path, error)),
        }
    }

    /// Where a content is, if it is kept.
    pub fn path(&self, digest: &Digest) -> PathBuf {
        let (start, rest) = digest.as_str().split_at(2.min(digest.as_str().len()));
        self.folder.join(Path::new(start)).join(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_are_kept_once_and_checked() {
        let folder = tempfile::tempdir().expect("a folder");
        let project = Project {
            root: folder.path().to_path_buf(),
        };
        assert!(Blobs::of(&project).is_err());
        fs::create_dir(project.directory()).expect("made");
        let blobs = Blobs::of(&project).expect("a place");
        let large = vec![0xff; 100_000];
        for content in [&b""[..], b"a", &large] {
            let digest = blobs.put(content).expect("kept");
            assert_eq!(blobs.put(content).expect("kept"), digest);
            assert_eq!(blobs.get(&digest).expect("read").as_deref(), Some(content));
        }
        let digest = blobs.put(b"x").expect("kept");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = |path: &Path| path.metadata().expect("there").permissions().mode() & 0o777;
            let path = blobs.path(&digest);
            assert_eq!(mode(&path), 0o600);
            assert_eq!(mode(path.parent().expect("in a folder")), 0o700);
        }
        fs::write(blobs.path(&digest), b"y").expect("damaged");
        assert_eq!(blobs.get(&digest).expect("read"), None);
        fs::remove_file(blobs.path(&digest)).expect("removed");
        assert_eq!(blobs.get(&digest).expect("read"), None);
    }
}
