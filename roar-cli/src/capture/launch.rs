//! Which processes of a job are the ranks of a distributed launch.
//!
//! A launcher tells each rank its number through the environment. That is looked at (in
//! `/proc/PID/environ`) when the rank's program has been executed; a process that has ended by
//! then is counted as not seen. Nothing is looked at as long as no launcher was started.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;

use crate::event::{EventKind, ProcessId, TraceEvent};
use crate::model::{FileRecord, Launch, Rank, RawString};
use crate::observe::{Observation, ProcessIndex};

/// Programs that start ranks, and Python modules that do.
const LAUNCHERS: &[(&str, &str)] = &[
    ("torchrun", "torchrun"),
    ("torch.distributed.run", "torchrun"),
    ("torch.distributed.launch", "torchrun"),
    ("accelerate", "accelerate"),
    ("accelerate.commands.launch", "accelerate"),
    ("deepspeed", "deepspeed"),
    ("horovodrun", "horovodrun"),
    ("mpirun", "mpirun"),
    ("mpiexec", "mpirun"),
    ("mpirun.openmpi", "mpirun"),
    ("mpiexec.openmpi", "mpirun"),
    ("mpiexec.hydra", "mpirun"),
    ("orterun", "mpirun"),
    ("prterun", "mpirun"),
    ("srun", "srun"),
];

/// The variables of a rank, by launcher, best first: rank, local rank, number of ranks.
const RANKS: &[[&str; 3]] = &[
    ["RANK", "LOCAL_RANK", "WORLD_SIZE"],
    [
        "OMPI_COMM_WORLD_RANK",
        "OMPI_COMM_WORLD_LOCAL_RANK",
        "OMPI_COMM_WORLD_SIZE",
    ],
    ["PMI_RANK", "MPI_LOCALRANKID", "PMI_SIZE"],
    ["SLURM_PROCID", "SLURM_LOCALID", "SLURM_NTASKS"],
];

/// Other variables that are looked at.
const OTHERS: &[&str] = &[
    "TORCHELASTIC_RUN_ID",
    "SLURM_JOB_ID",
    "SLURM_STEP_ID",
    "MASTER_ADDR",
    "MASTER_PORT",
];

type Variables = HashMap<&'static str, String>;

/// Watches the events of a job for ranks.
#[derive(Debug, Default)]
pub struct LaunchWatch {
    kind: Option<&'static str>,
    ranks: BTreeMap<ProcessId, Variables>,
    unseen: u32,
}

impl LaunchWatch {
    /// Takes the next event.
    pub fn see(&mut self, event: &TraceEvent) {
        let EventKind::Executed { argv, .. } = &event.kind else {
            return;
        };
        if self.kind.is_none() {
            self.kind = launcher(argv);
        }
        if self.kind.is_none() {
            return;
        }
        match std::fs::read(format!("/proc/{}/environ", event.process.0)) {
            // A process that has ended, but was not waited for, has none.
            Ok(text) if !text.is_empty() => {
                let variables = variables_of(&text);
                if rank(&variables).is_some() {
                    self.ranks.insert(event.process, variables);
                }
            }
            _ => self.unseen += 1,
        }
    }

    /// The launch, when the job was one or ran within one. `join` is the user's own key for it.
    pub fn conclude(
        self,
        join: Option<&str>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        observation: &Observation,
        inputs: &[FileRecord],
        outputs: &[FileRecord],
    ) -> Option<Launch> {
        let own: Variables = environment
            .into_iter()
            .filter_map(|(name, value)| known(name.to_str()?, value.to_str()?))
            .collect();
        let is_rank = rank(&own).is_some();
        let kind = match self.kind {
            Some(kind) => kind,
            None if is_rank || join.is_some() => "environment",
            None => return None,
        };
        let sample = self.ranks.values().next().unwrap_or(&own);
        let mut launch = Launch {
            kind: kind.to_owned(),
            id: join.map_or_else(|| launch_id(sample), |key| Some(format!("join:{key}"))),
            world_size: rank(sample).and_then(|rank| rank.world_size),
            ranks: Vec::new(),
            unseen: self.unseen,
        };
        let mut number_of: HashMap<ProcessIndex, usize> = HashMap::new();
        for (index, process) in observation.processes.iter().enumerate() {
            let index = ProcessIndex(index as u32);
            // A rank's children belong to it, unless they are ranks themselves.
            let inherited = process
                .parent
                .and_then(|parent| number_of.get(&parent).copied());
            let own_rank = self.ranks.get(&process.id).and_then(rank);
            let number = match own_rank {
                Some(found) if inherited.is_none_or(|n| launch.ranks[n].rank != found.rank) => {
                    launch.ranks.push(Rank {
                        process: Some(process.id.0),
                        ..found.as_rank()
                    });
                    Some(launch.ranks.len() - 1)
                }
                _ => inherited,
            };
            if let Some(number) = number {
                number_of.insert(index, number);
            }
        }
        if launch.ranks.is_empty()
            && let Some(found) = rank(&own)
        {
            launch.ranks.push(found.as_rank());
        } else {
            assign(&mut launch, &number_of, observation, inputs, outputs);
        }
        launch.ranks.sort_by_key(|rank| (rank.rank, rank.process));
        Some(launch)
    }
}

/// Notes which of the job's files each rank read and wrote.
fn assign(
    launch: &mut Launch,
    number_of: &HashMap<ProcessIndex, usize>,
    observation: &Observation,
    inputs: &[FileRecord],
    outputs: &[FileRecord],
) {
    let places = |files: &[FileRecord]| -> HashMap<RawString, u32> {
        let paths = files.iter().map(|file| file.path.clone());
        paths.zip(0..).collect()
    };
    let (inputs, outputs) = (places(inputs), places(outputs));
    for file in &observation.files {
        let read = file
            .input
            .as_ref()
            .and_then(|input| inputs.get(&input.path));
        let written = file
            .output
            .as_ref()
            .and_then(|output| outputs.get(&output.path));
        if let Some(place) = read {
            for reader in &file.readers {
                if let Some(number) = number_of.get(reader) {
                    launch.ranks[*number].reads.push(*place);
                }
            }
        }
        if let Some(place) = written {
            for writer in &file.writers {
                if let Some(number) = number_of.get(writer) {
                    launch.ranks[*number].writes.push(*place);
                }
            }
        }
    }
    for rank in &mut launch.ranks {
        for places in [&mut rank.reads, &mut rank.writes] {
            places.sort_unstable();
            places.dedup();
        }
    }
}

/// What starts ranks, when a command line is such a program: by itself, as a script of an
/// interpreter, or as a module of one.
fn launcher(argv: &[RawString]) -> Option<&'static str> {
    argv.iter().take(4).find_map(|argument| {
        let name = argument.file_name();
        let found = LAUNCHERS
            .iter()
            .find(|(program, _)| program.as_bytes() == name);
        found.map(|(_, kind)| *kind)
    })
}

/// What the variables say of a rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Found {
    rank: u32,
    local_rank: Option<u32>,
    world_size: Option<u32>,
}

impl Found {
    fn as_rank(self) -> Rank {
        Rank {
            rank: self.rank,
            local_rank: self.local_rank,
            ..Rank::default()
        }
    }
}

fn rank(variables: &Variables) -> Option<Found> {
    RANKS.iter().find_map(|[rank, local_rank, world_size]| {
        let number = |name: &str| variables.get(name)?.parse().ok();
        Some(Found {
            rank: number(rank)?,
            local_rank: number(local_rank),
            world_size: number(world_size),
        })
    })
}

/// What joins the jobs of a launch on several machines.
fn launch_id(variables: &Variables) -> Option<String> {
    let get = |name: &str| variables.get(name).map(String::as_str);
    if let Some(id) = get("TORCHELASTIC_RUN_ID").filter(|id| *id != "none") {
        return Some(format!("torchelastic:{id}"));
    }
    if let (Some(job), Some(step)) = (get("SLURM_JOB_ID"), get("SLURM_STEP_ID")) {
        return Some(format!("slurm:{job}.{step}"));
    }
    let address = get("MASTER_ADDR").filter(|address| {
        !matches!(*address, "localhost" | "::1") && !address.starts_with("127.")
    })?;
    Some(format!("master:{address}:{}", get("MASTER_PORT")?))
}

fn variables_of(environ: &[u8]) -> Variables {
    environ
        .split(|byte| *byte == 0)
        .filter_map(|entry| std::str::from_utf8(entry).ok()?.split_once('='))
        .filter_map(|(name, value)| known(name, value))
        .collect()
}

fn known(name: &str, value: &str) -> Option<(&'static str, String)> {
    let mut names = RANKS.iter().flatten().chain(OTHERS);
    let name = names.find(|known| **known == name)?;
    Some((name, value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn launchers() {
        for (command, expected) in [
            ("torchrun --nproc_per_node=4 train.py", Some("torchrun")),
            (
                "/usr/bin/python3 /usr/bin/torchrun train.py",
                Some("torchrun"),
            ),
            ("python -m torch.distributed.run train.py", Some("torchrun")),
            ("/usr/bin/mpirun -n 2 x", Some("mpirun")),
            ("python train.py", None),
            ("sh -c torchrun-like", None),
        ] {
            let argv: Vec<RawString> = command.split(' ').map(RawString::from).collect();
            assert_eq!(launcher(&argv), expected, "{command}");
        }
    }

    #[test]
    fn ids_and_ranks() {
        for (environ, expected_rank, expected_id) in [
            (
                "RANK=3\0LOCAL_RANK=1\0WORLD_SIZE=4\0TORCHELASTIC_RUN_ID=none\0",
                Some(3),
                None,
            ),
            (
                "RANK=0\0TORCHELASTIC_RUN_ID=abc\0",
                Some(0),
                Some("torchelastic:abc"),
            ),
            ("OMPI_COMM_WORLD_RANK=2\0", Some(2), None),
            (
                "SLURM_PROCID=5\0SLURM_JOB_ID=7\0SLURM_STEP_ID=0\0",
                Some(5),
                Some("slurm:7.0"),
            ),
            (
                "RANK=1\0MASTER_ADDR=10.0.0.1\0MASTER_PORT=29500\0",
                Some(1),
                Some("master:10.0.0.1:29500"),
            ),
            (
                "RANK=1\0MASTER_ADDR=127.0.0.1\0MASTER_PORT=29500\0",
                Some(1),
                None,
            ),
            ("RANK=x\0HOME=/\0", None, None),
        ] {
            let variables = variables_of(environ.as_bytes());
            assert_eq!(
                rank(&variables).map(|found| found.rank),
                expected_rank,
                "{environ}"
            );
            assert_eq!(launch_id(&variables).as_deref(), expected_id, "{environ}");
        }
    }
}
