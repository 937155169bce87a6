//! Hubs that inputs were downloaded from, told by the places where hubs' libraries keep what they
//! download. Whatever was put elsewhere has lost its source.

use std::collections::BTreeMap;
use std::path::Path;

use crate::model::{HubSource, RawString};

/// The sources of these inputs, each once.
pub fn of<'a>(inputs: impl IntoIterator<Item = &'a RawString>) -> Vec<HubSource> {
    let mut found: BTreeMap<HubSource, u64> = BTreeMap::new();
    for path in inputs {
        let text = path.as_bytes();
        let is_candidate = [&b"--"[..], b"/kagglehub/", b"/torch/hub/"]
            .iter()
            .any(|sign| memchr::memmem::find(text, sign).is_some());
        if is_candidate && let Some(source) = source(&path.to_path_buf()) {
            *found.entry(source).or_default() += 1;
        }
    }
    let counted = found.into_iter();
    counted
        .map(|(source, files)| HubSource { files, ..source })
        .collect()
}

fn source(path: &Path) -> Option<HubSource> {
    let parts: Vec<&str> = path
        .iter()
        .map(|part| part.to_str())
        .collect::<Option<_>>()?;
    let after = |folders: &[&str]| {
        let mut windows = parts.windows(folders.len());
        let at = windows.position(|window| window == folders)?;
        Some(&parts[at + folders.len()..])
    };
    let of = |hub: &str, name: String, revision: Option<String>| HubSource {
        hub: hub.to_owned(),
        name,
        revision,
        files: 0,
    };
    // KIND/OWNER/NAME/…/versions/NUMBER/…
    if let Some([kind, owner, name, rest @ ..]) = after(&["kagglehub"])
        && ["datasets", "models", "competitions"].contains(kind)
    {
        let at = rest.iter().position(|part| *part == "versions");
        let version = at.and_then(|at| rest.get(at + 1));
        let mut full = format!("{kind}/{owner}/{name}");
        for part in &rest[..at.unwrap_or(0)] {
            full.push('/');
            full.push_str(part);
        }
        let version = version.map(|version| (*version).to_owned());
        return Some(of("kaggle", full, version));
    }
    match after(&["torch", "hub"]) {
        Some(["checkpoints", file]) => return Some(of("torch", (*file).to_owned(), None)),
        // OWNER_REPOSITORY_REFERENCE: which underscore is which, nobody can tell.
        Some([repository, _, ..]) => return Some(of("torch", (*repository).to_owned(), None)),
        _ => {}
    }
    // KIND--ORGANISATION--NAME/snapshots/REVISION/… are links to KIND--ORGANISATION--NAME/blobs/…
    let at = parts.windows(2).position(|pair| {
        let kinds = ["models--", "datasets--", "spaces--"];
        kinds.iter().any(|kind| pair[0].starts_with(kind))
            && ["snapshots", "blobs"].contains(&pair[1])
    })?;
    let name = parts[at].replace("--", "/");
    let name = name.strip_prefix("models/").unwrap_or(&name).to_owned();
    let revision = if parts[at + 1] == "snapshots" {
        parts.get(at + 2).map(|revision| (*revision).to_owned())
    } else {
        let repository: std::path::PathBuf = parts[..=at].iter().collect();
        only_snapshot(&repository)
    };
    Some(of("huggingface", name, revision))
}

/// The revision of a repository of which one alone was downloaded.
fn only_snapshot(repository: &Path) -> Option<String> {
    let mut entries = std::fs::read_dir(repository.join("snapshots"))
        .ok()?
        .flatten();
    let only = entries.next()?;
    match entries.next() {
        None => only.file_name().into_string().ok(),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(paths: &[&str]) -> Vec<String> {
        let paths: Vec<RawString> = paths.iter().map(|path| RawString::from(*path)).collect();
        of(&paths)
            .into_iter()
            .map(|s| {
                let revision = s.revision.unwrap_or_else(|| "?".to_owned());
                format!("{} {}@{revision} {}", s.hub, s.name, s.files)
            })
            .collect()
    }

    #[test]
    fn caches_of_hubs() {
        let hub = "/home/ann/.cache/huggingface/hub";
        assert_eq!(
            shown(&[
                &format!("{hub}/models--org--net--v2/snapshots/0a1b/config.json"),
                &format!("{hub}/models--org--net--v2/snapshots/0a1b/model.safetensors"),
                &format!("{hub}/datasets--squad/blobs/ffff"),
                "/home/ann/.cache/kagglehub/datasets/ann/flowers/versions/3/a/b.jpg",
                "/home/ann/.cache/kagglehub/models/google/gemma/pyTorch/2b/versions/1/x.pt",
                "/home/ann/.cache/torch/hub/checkpoints/resnet18-f37072fd.pth",
                "/home/ann/.cache/torch/hub/pytorch_vision_v0.10.0/hubconf.py",
                "/home/ann/p/run--1/data",
                "/home/ann/p/data.csv",
            ]),
            [
                "huggingface datasets/squad@? 1",
                "huggingface org/net/v2@0a1b 2",
                "kaggle datasets/ann/flowers@3 1",
                "kaggle models/google/gemma/pyTorch/2b@1 1",
                "torch pytorch_vision_v0.10.0@? 1",
                "torch resnet18-f37072fd.pth@? 1",
            ]
        );
    }

    #[test]
    fn the_only_revision_of_a_blob() {
        let folder = tempfile::tempdir().expect("a folder");
        let repository = folder.path().join("models--org--net");
        let blob = repository.join("blobs/abc");
        let blob = blob.to_str().expect("text");
        let snapshot = |name: &str| {
            std::fs::create_dir_all(repository.join("snapshots").join(name)).expect("makes it");
        };
        snapshot("0a1b");
        assert_eq!(shown(&[blob]), ["huggingface org/net@0a1b 1"]);
        snapshot("2c3d");
        assert_eq!(shown(&[blob]), ["huggingface org/net@? 1"]);
    }
}
