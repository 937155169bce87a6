//! Kept contents on their way out: without secrets, and under the digest that they then have.

use std::collections::BTreeMap;

use crate::model::{Digest, PortableLineage};
use crate::redact::Redactor;

/// Contents by digest.
pub type Contents = BTreeMap<Digest, Vec<u8>>;

/// Reads a kept content; none when it is gone.
pub type Read<'a, E> = dyn Fn(&Digest) -> Result<Option<Vec<u8>>, E> + 'a;

/// Reads the patches and untracked files of a lineage. What holds a secret is replaced by what is
/// left without it, and the jobs say so. A content that is gone is no longer named by any job.
///
/// # Errors
/// A content cannot be read.
pub fn without_secrets<E>(
    lineage: &mut PortableLineage,
    redactor: &Redactor,
    read: &Read<'_, E>,
) -> Result<Contents, E> {
    let mut contents = Contents::new();
    let mut known: BTreeMap<String, Option<(String, bool)>> = BTreeMap::new();
    let mut look = |name: &str| -> Result<Option<(String, bool)>, E> {
        if let Some(known) = known.get(name) {
            return Ok(known.clone());
        }
        let found = read(&Digest::from_hex(name))?.map(|content| {
            let clean = redactor.text(&content).map(|redacted| redacted.text);
            let is_other = clean.is_some();
            let content = clean.unwrap_or(content);
            let digest = Digest::from_bytes(blake3::hash(&content).as_bytes());
            let name = digest.to_string();
            contents.insert(digest, content);
            (name, is_other)
        });
        known.insert(name.to_owned(), found.clone());
        Ok(found)
    };
    for git in lineage.jobs.iter_mut().filter_map(|job| job.git.as_mut()) {
        if let Some(patch) = &git.patch_hash {
            if let Some((name, redacted)) = look(patch)? {
                git.patch_redacted |= redacted;
                git.patch_hash = Some(name);
            } else {
                git.patch_hash = None;
                git.patch_note = Some("the kept patch is gone".to_owned());
            }
        }
        for file in &mut git.untracked {
            if let Some(blob) = &file.blob {
                if let Some((name, redacted)) = look(blob)? {
                    file.redacted |= redacted;
                    file.blob = Some(name);
                } else {
                    file.blob = None;
                    file.note = Some("the kept copy is gone".to_owned());
                }
            }
        }
    }
    Ok(contents)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use crate::model::{GitState, PortableJob, UntrackedFile};

    #[test]
    fn a_content_with_a_secret_goes_without_it() {
        const TOKEN: &str = "ghp_abcdefghijklmnopqrstuvwxyz0123456789";
        let name = |content: &str| blake3::hash(content.as_bytes()).to_hex().to_string();
        let patch = format!("+key = '{TOKEN}'\n");
        let file = |content: &str| UntrackedFile {
            blob: Some(name(content)),
            ..UntrackedFile::default()
        };
        let mut lineage = PortableLineage {
            jobs: vec![PortableJob {
                git: Some(GitState {
                    patch_hash: Some(name(&patch)),
                    untracked: vec![file("plain"), file("gone")],
                    ..GitState::default()
                }),
                ..PortableJob::default()
            }],
            ..PortableLineage::default()
        };
        let read = |digest: &Digest| -> Result<Option<Vec<u8>>, Infallible> {
            let known = [patch.as_str(), "plain"];
            let found = known.into_iter().find(|text| name(text) == digest.as_str());
            Ok(found.map(|text| text.as_bytes().to_vec()))
        };
        let Ok(contents) = without_secrets(&mut lineage, &Redactor::default(), &read);
        let git = lineage.jobs[0].git.as_ref().expect("git");
        assert!(git.patch_redacted);
        assert_ne!(git.patch_hash, Some(name(&patch)));
        assert_eq!(git.untracked[0].blob, Some(name("plain")));
        assert!(!git.untracked[0].redacted);
        assert_eq!(git.untracked[1].blob, None);
        assert!(git.untracked[1].note.is_some());
        assert_eq!(contents.len(), 2);
        for (digest, content) in contents {
            assert_eq!(blake3::hash(&content).to_hex().as_str(), digest.as_str());
            assert!(!String::from_utf8_lossy(&content).contains(TOKEN));
        }
    }
}
