//! Runs of experiment trackers, told by what was written: the places name the runs, and small files
//! beside them the projects. No tracker is asked and none is imported.
//!
//! A run that is kept by a server alone leaves nothing here; of that the endpoint tells
//! (`model::Network`).

mod mlflow_database;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::model::{RawString, TrackedRun};

/// So much of a tracker's file is looked at.
const LIMIT_BYTES: u64 = 64 * 1024;

/// Where W&B's runs are shown, unless a server of one's own is set.
const WANDB: &str = "https://wandb.ai";
/// What the same server is called where programs talk to it.
const WANDB_API: &str = "https://api.wandb.ai";

/// What a path says of a run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Wandb { id: String, is_offline: bool },
    Mlflow { id: String, experiment: String },
    TensorBoard,
    Neptune { id: String },
}

/// The runs that files were written for by a job that was started then (nanoseconds since the Unix
/// epoch). `wandb_server` is W&B's address where it is not the public one.
pub fn runs<'a>(
    written: impl IntoIterator<Item = &'a RawString>,
    started_at_ns: i64,
    wandb_server: Option<&str>,
) -> Vec<TrackedRun> {
    let mut databases: BTreeSet<&RawString> = BTreeSet::new();
    let mut found: BTreeMap<PathBuf, Place> = BTreeMap::new();
    for path in written {
        // Most files of most jobs are none of these.
        if is_candidate(path.as_bytes())
            && let Some((folder, place)) = place(&path.to_path_buf())
        {
            found.entry(folder).or_insert(place);
        } else if mlflow_database::may_be(path.as_bytes()) {
            databases.insert(path);
        }
    }
    let of_database =
        |path: &&RawString| mlflow_database::runs(&path.to_path_buf(), started_at_ns / 1_000_000);
    let in_databases: Vec<TrackedRun> = databases.iter().flat_map(of_database).collect();
    let run = |(folder, place): (PathBuf, Place)| describe(&folder, place, wandb_server);
    let mut runs: Vec<TrackedRun> = found.into_iter().map(run).collect();
    // Beside a database there are the artifacts only.
    runs.retain(|run| !in_databases.iter().any(|known| known.id == run.id));
    runs.extend(in_databases);
    runs.sort();
    runs
}

fn is_candidate(path: &[u8]) -> bool {
    let has = |text: &[u8]| memchr::memmem::find(path, text).is_some();
    has(b"/wandb/")
        || has(b".tfevents.")
        || has(b"/.neptune/")
        || has(b"/meta.yaml")
        || has(b"/metrics/")
        || has(b"/params/")
        || has(b"/tags/")
        || has(b"/artifacts/")
}

/// The run that a file belongs to, with the run's folder.
fn place(path: &Path) -> Option<(PathBuf, Place)> {
    let name = |path: &Path| path.file_name().and_then(|n| n.to_str()).map(str::to_owned);
    if name(path)?.contains(".tfevents.") {
        return Some((path.parent()?.to_path_buf(), Place::TensorBoard));
    }
    let mut below = name(path)?;
    for folder in path.ancestors().skip(1) {
        let own = name(folder)?;
        let parent = folder.parent()?;
        let above = name(parent).unwrap_or_default();
        let grand = parent.parent().and_then(name).unwrap_or_default();
        let place = if above == "wandb" {
            let online = own.strip_prefix("offline-");
            let mut parts = online.unwrap_or(&own).splitn(3, '-');
            let is_run = parts.next() == Some("run") && parts.next().is_some();
            parts.next().filter(|_| is_run).map(|id| Place::Wandb {
                id: id.to_owned(),
                is_offline: online.is_some(),
            })
        } else if grand == ".neptune" {
            let mut parts = own.split("__");
            let is_run = parts.next() == Some("run");
            parts
                .next()
                .filter(|_| is_run)
                .map(|id| Place::Neptune { id: id.to_owned() })
        } else {
            let is_run = own.len() == 32 && own.bytes().all(|b| b.is_ascii_hexdigit());
            let is_part = ["meta.yaml", "metrics", "params", "tags", "artifacts"];
            (is_run && is_part.contains(&below.as_str())).then(|| Place::Mlflow {
                id: own.clone(),
                experiment: above,
            })
        };
        if let Some(place) = place {
            return Some((folder.to_path_buf(), place));
        }
        below = own;
    }
    None
}

fn describe(folder: &Path, place: Place, wandb_server: Option<&str>) -> TrackedRun {
    let mut run = TrackedRun {
        folder: RawString::from_path(folder),
        ..TrackedRun::default()
    };
    match place {
        Place::Wandb { id, is_offline } => {
            let log = head(&folder.join(format!("run-{id}.wandb")));
            if let Some((entity, project)) = wandb_project(&log, &id) {
                if !is_offline && !entity.is_empty() {
                    let server = wandb_server.unwrap_or(WANDB).trim_end_matches('/');
                    let server = if server == WANDB_API { WANDB } else { server };
                    run.url = Some(format!("{server}/{entity}/{project}/runs/{id}"));
                }
                run.project = Some(if entity.is_empty() {
                    project
                } else {
                    format!("{entity}/{project}")
                });
            }
            "wandb".clone_into(&mut run.tracker);
            run.id = id;
        }
        Place::Mlflow { id, experiment } => {
            run.name = yaml_value(&head(&folder.join("meta.yaml")), "run_name");
            let description = folder.parent().map(|parent| parent.join("meta.yaml"));
            let title = description.and_then(|path| yaml_value(&head(&path), "name"));
            run.project = Some(title.unwrap_or(experiment));
            "mlflow".clone_into(&mut run.tracker);
            run.id = id;
        }
        Place::TensorBoard => {
            "tensorboard".clone_into(&mut run.tracker);
            run.id = RawString::new(run.folder.file_name()).to_string();
        }
        Place::Neptune { id } => {
            "neptune".clone_into(&mut run.tracker);
            run.id = id;
        }
    }
    run
}

/// The start of a file; nothing where it cannot be read.
fn head(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    if path.is_file()
        && let Ok(file) = File::open(path)
        && file.take(LIMIT_BYTES).read_to_end(&mut bytes).is_err()
    {
        bytes.clear();
    }
    bytes
}

/// Entity (empty where the log has none) and project from W&B's log: its record of the run begins
/// with the fields 1 (id), 2 (entity) and 3 (project) in the encoding of protocol buffers.
fn wandb_project(log: &[u8], id: &str) -> Option<(String, String)> {
    let field = |number: u8, bytes: &[u8]| -> Option<(String, usize)> {
        let [tag, length, rest @ ..] = bytes else {
            return None;
        };
        let length = usize::from(*length);
        // One byte holds lengths up to 127.
        let text = rest.get(..length).filter(|_| length < 128)?;
        (*tag == number << 3 | 2)
            .then(|| Some((String::from_utf8(text.to_vec()).ok()?, length + 2)))
            .flatten()
    };
    let mut own = vec![1 << 3 | 2, u8::try_from(id.len()).ok()?];
    own.extend_from_slice(id.as_bytes());
    memchr::memmem::find_iter(log, &own).find_map(|at| {
        let rest = &log[at + own.len()..];
        let (entity, length) = field(2, rest).unwrap_or_default();
        let (project, _) = field(3, &rest[length..])?;
        Some((entity, project))
    })
}

/// A plain value at the top of a YAML document, as MLflow writes them.
fn yaml_value(document: &[u8], key: &str) -> Option<String> {
    let text = String::from_utf8_lossy(document);
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?
        .trim();
    let quoted = value.strip_prefix('\'').and_then(|v| v.strip_suffix('\''));
    let value = quoted.map_or_else(|| value.to_owned(), |value| value.replace("''", "'"));
    (!value.is_empty() && value != "null").then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_runs() {
        let id = "8d60cb2e601b497987ba1c7b5d33ccc4";
        let mlflow = |experiment: &str| {
            Some(Place::Mlflow {
                id: id.to_owned(),
                experiment: experiment.to_owned(),
            })
        };
        let wandb = |id: &str, is_offline| {
            Some(Place::Wandb {
                id: id.to_owned(),
                is_offline,
            })
        };
        for (path, expected) in [
            (
                "/p/wandb/offline-run-20261126_074031-zrc0nq08/files/x/y.txt",
                wandb("zrc0nq08", true),
            ),
            (
                "/p/wandb/run-20261126_074031-my-own/logs/debug.log",
                wandb("my-own", false),
            ),
            ("/p/wandb/settings", None),
            ("/p/wandb/sweep-x/config.yaml", None),
            (&format!("/p/mlruns/62/{id}/metrics/a"), mlflow("62")),
            (&format!("/p/mlruns/0/{id}/meta.yaml"), mlflow("0")),
            (&format!("/p/cache/{id}/data"), None),
            ("/p/mlruns/62/meta.yaml", None),
            (
                "/p/runs/exp1/events.out.tfevents.1795678853.vm",
                Some(Place::TensorBoard),
            ),
            (
                "/p/.neptune/offline/run__8d756dfb-8384__4569__o907/data-1.log",
                Some(Place::Neptune {
                    id: "8d756dfb-8384".to_owned(),
                }),
            ),
            ("/p/.neptune/offline/project__x/data-1.log", None),
            ("/p/model.pt", None),
        ] {
            let found = place(Path::new(path));
            assert_eq!(found.map(|(_, place)| place), expected, "{path}");
        }
    }

    #[test]
    fn projects() {
        let log = b":W&B\xc2\x0c\x0a\x0a\x08zrc0nq08\xaa\x01\x8a\x01_\x0a\x08zrc0nq08\x12\x04team\x1a\x04proj\"";
        let pair = |entity: &str, project: &str| Some((entity.to_owned(), project.to_owned()));
        assert_eq!(wandb_project(log, "zrc0nq08"), pair("team", "proj"));
        assert_eq!(wandb_project(log, "other"), None);
        assert_eq!(
            wandb_project(b"\x0a\x02id\x1a\x04proj", "id"),
            pair("", "proj")
        );
        for cut in 0..log.len() {
            let _ = wandb_project(&log[..cut], "zrc0nq08");
        }
        let yaml = b"experiment_id: '62'\nname: exp-one\nrun_name: 'it''s'\nuser:\n";
        assert_eq!(yaml_value(yaml, "name").as_deref(), Some("exp-one"));
        assert_eq!(yaml_value(yaml, "run_name").as_deref(), Some("it's"));
        assert_eq!(yaml_value(yaml, "user"), None);
    }
}
