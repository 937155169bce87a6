//! Running the steps: each under `roar run`, in the folder of the reproduction, in its recorded
//! folder and environment.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::checkout::{Checkout, Code};
use super::error::ReproduceError;
use super::inputs::{self, Presence, content_of};
use super::patience;
use super::places::{self, ENVIRONMENT, OUTSIDE};
use super::plan::Plan;
use super::python;
use super::rebase::{Rebase, rebase};
use super::secrets::has_mark;
use super::state::{State, StepState};
use crate::capture::environment;
use crate::lineage::identity::normalise_digits;
use crate::lineage::portable::{below, portable};
use crate::model::{Digest, JobKind, PortableFile, PortableJob, RawString};
use crate::project::Project;
use crate::settings::variables::{self, Variables};
use crate::store::{Blobs, JobQuery, Store};

/// A reproduction in its folder.
pub struct Reproduction<'a> {
    /// What is done.
    pub plan: &'a Plan,
    /// The folder: a project of its own.
    pub project: &'a Project,
    /// The kept contents, in the folder.
    pub blobs: &'a Blobs,
    /// The program `roar`.
    pub roar: PathBuf,
    /// How long a step may take.
    pub timeout: Option<Duration>,
    /// Whether another version of a package may stand in.
    pub pip_any_version: bool,
    /// Where the code may be fetched from, best first.
    pub sources: Vec<String>,
    /// Told what is about to happen.
    pub tell: &'a dyn Fn(Progress<'_>),
    /// Looks for inputs that no step makes.
    pub look: &'a dyn Fn() -> Vec<Presence>,
}

/// What is about to happen.
#[derive(Clone, Copy, Debug)]
pub enum Progress<'a> {
    /// The code is fetched.
    Code,
    /// The environment is made.
    Environment,
    /// Something that the user should know.
    Note(&'a str),
    /// A step runs.
    Step(usize),
    /// A step is done already.
    Done(usize),
    /// What an interrupted step left cannot be gone on from.
    Anew,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Every step ended as it did when it was recorded.
    Complete,
    /// A step ended otherwise: with this status.
    Failed {
        /// The position of the step.
        step: usize,
        /// Its status as a shell would show it.
        status: i32,
    },
    /// A step took too long.
    TimedOut {
        /// The position of the step.
        step: usize,
    },
}

impl Reproduction<'_> {
    fn root(&self) -> &Path {
        &self.project.root
    }

    fn checkout(&self) -> Checkout<'_> {
        Checkout {
            root: &self.project.root,
            blobs: self.blobs,
        }
    }

    /// Runs what is left to run.
    ///
    /// # Errors
    /// The code, an input or a package is not to be had, or roar cannot run a step.
    pub fn run(&self, state: &mut State) -> Result<Ending, ReproduceError> {
        self.wait_for_leftovers();
        self.checkout().unlock()?;
        let mut current = None;
        let mut again = false;
        if !state.prepared {
            self.prepare(state)?;
        }
        if let Some(python) = &self.plan.python {
            (self.tell)(Progress::Environment);
            for note in python::make(self.root(), python, self.pip_any_version)?.notes {
                (self.tell)(Progress::Note(&note));
            }
        }
        let mut step = 0;
        while step < self.plan.steps.len() {
            if state.steps[step].done {
                (self.tell)(Progress::Done(step));
                step += 1;
                continue;
            }
            let job = self.plan.job(step);
            let code = Code::of(job);
            if current.as_ref() != Some(&code) {
                self.checkout().bring_to(&code, &self.products(step)?)?;
                current = Some(code);
            }
            if state.steps[step].started && !self.put_right(state, step)? {
                if again {
                    let text = "the inputs of a step changed while it was interrupted";
                    return Err(ReproduceError::Impossible(text.to_owned()));
                }
                (self.tell)(Progress::Anew);
                self.start_over(state)?;
                (again, current, step) = (true, None, 0);
                continue;
            }
            (self.tell)(Progress::Step(step));
            match self.run_step(state, step)? {
                Ending::Complete => step += 1,
                other => return Ok(other),
            }
        }
        Ok(Ending::Complete)
    }

    /// A step of an interrupted reproduction may still be at work.
    fn wait_for_leftovers(&self) {
        let mut told = false;
        while patience::is_anyone_at_work(self.root()) {
            if !told {
                (self.tell)(Progress::Note(
                    "a step of the interrupted reproduction is still running; waiting for its end",
                ));
                told = true;
            }
            std::thread::sleep(patience::PAUSE);
        }
    }

    /// Fetches the code and puts what no step makes into its place.
    fn prepare(&self, state: &mut State) -> Result<(), ReproduceError> {
        let codes: Vec<Code> = (0..self.plan.steps.len())
            .map(|step| Code::of(self.plan.job(step)))
            .collect();
        let commits: BTreeSet<String> = codes.iter().filter_map(|c| c.commit.clone()).collect();
        (self.tell)(Progress::Code);
        self.checkout().fetch(&self.sources, &commits)?;
        let tracked = self.inputs_of_codes(&codes)?;
        let presences = (self.look)();
        state.changed.clear();
        let mut obstacles = Vec::new();
        for ((input, presence), tracked) in self.plan.inputs.iter().zip(presences).zip(tracked) {
            if tracked {
                continue;
            }
            let place = places::place_of(&input.file.path)?;
            match &presence {
                Presence::Kept => {
                    let content = input.kept.as_ref().map(|blob| self.blobs.get(blob));
                    match content {
                        Some(Ok(Some(content))) => {
                            let executable = is_executable_copy(self.plan, input);
                            places::write(self.root(), &place, &content, executable)?;
                        }
                        _ => obstacles.push(format!("the copy of '{}' is gone", input.file.path)),
                    }
                }
                Presence::At(path) => places::copy(self.root(), &place, path)?,
                Presence::Changed(path) | Presence::Unknown(Some(path)) => {
                    places::copy(self.root(), &place, path)?;
                    if matches!(presence, Presence::Changed(_)) {
                        let here = content_of(&self.root().join(&place));
                        state.changed.insert(input.file.path.to_string(), here);
                    }
                }
                Presence::Redacted => {
                    let here = content_of(&self.root().join(&place));
                    state.changed.insert(input.file.path.to_string(), here);
                }
                Presence::InCommit | Presence::Unseen | Presence::Missing => {
                    obstacles.extend(inputs::obstacle(input, &Presence::Missing));
                }
                Presence::Unknown(None) => obstacles.extend(inputs::obstacle(input, &presence)),
            }
        }
        if !obstacles.is_empty() {
            return Err(ReproduceError::Impossible(obstacles.join("; ")));
        }
        state.prepared = true;
        state.write(self.root())
    }

    /// Which inputs the code itself brings along, for every step that reads them.
    fn inputs_of_codes(&self, codes: &[Code]) -> Result<Vec<bool>, ReproduceError> {
        let mut brought = vec![true; self.plan.inputs.len()];
        let mut current: Option<&Code> = None;
        for (step, code) in codes.iter().enumerate() {
            if current != Some(code) {
                self.checkout().bring_to(code, &[])?;
                current = Some(code);
            }
            for (input, brought) in self.plan.inputs.iter().zip(&mut brought) {
                if input.steps.contains(&step) {
                    let place = places::place_of(&input.file.path)?;
                    let path = self.root().join(place);
                    *brought = *brought
                        && match input.file.hash() {
                            Some(_) => inputs::has_content(&path, &input.file),
                            None => path.is_file(),
                        };
                }
            }
        }
        Ok(brought)
    }

    /// The places of what the steps before this one made.
    fn products(&self, step: usize) -> Result<Vec<PathBuf>, ReproduceError> {
        let mut products = BTreeSet::new();
        for earlier in 0..step {
            for output in &self.plan.job(earlier).outputs {
                products.insert(places::place_of(&output.path)?);
            }
        }
        Ok(products.into_iter().collect())
    }

    /// After an interrupted step: what it made goes. False when it changed what it reads.
    fn put_right(&self, state: &State, step: usize) -> Result<bool, ReproduceError> {
        let job = self.plan.job(step);
        let kept: BTreeSet<PathBuf> = self.products(step)?.into_iter().collect();
        let inputs: BTreeSet<_> = job.inputs.iter().map(|input| &input.path).collect();
        for output in &job.outputs {
            let place = places::place_of(&output.path)?;
            if !inputs.contains(&output.path) && !kept.contains(&place) {
                places::remove(self.root(), &place)?;
            }
        }
        Ok(self.contents(&job.inputs)? == state.steps[step].read)
    }

    fn start_over(&self, state: &mut State) -> Result<(), ReproduceError> {
        for place in self.products(self.plan.steps.len())? {
            places::remove(self.root(), &place)?;
        }
        for step in &mut state.steps {
            *step = StepState::default();
        }
        state.prepared = false;
        state.write(self.root())?;
        self.prepare(state)
    }

    fn contents(
        &self,
        files: &[PortableFile],
    ) -> Result<Vec<(RawString, Option<Digest>)>, ReproduceError> {
        files
            .iter()
            .map(|file| {
                let path = self.root().join(places::place_of(&file.path)?);
                Ok((file.path.clone(), content_of(&path)))
            })
            .collect()
    }

    fn run_step(&self, state: &mut State, step: usize) -> Result<Ending, ReproduceError> {
        let job = self.plan.job(step);
        let folder = places::make_folder(self.root(), &places::folder_of(&job.cwd)?)?;
        for output in &job.outputs {
            // A program that writes there expects the folder, as it was.
            if let Some(parent) = places::place_of(&output.path)?.parent()
                && output.is_outside()
            {
                places::make_folder(self.root(), parent)?;
            }
        }
        state.steps[step] = StepState {
            started: true,
            read: self.contents(&job.inputs)?,
            ..StepState::default()
        };
        state.write(self.root())?;
        let before = self.newest_job()?.map(|job| job.id);
        let mut command = self.command(step, &folder)?;
        let mut child = command
            .spawn()
            .map_err(|source| ReproduceError::NoProgram {
                program: self.roar.display().to_string(),
                source,
            })?;
        let Some(status) = patience::wait(&mut child, self.timeout)? else {
            return Ok(Ending::TimedOut { step });
        };
        let newest = self.newest_job()?;
        let recorded = newest.filter(|job| before.is_none_or(|before| job.id > before));
        let Some(recorded) = recorded else {
            return Err(ReproduceError::Failed {
                command: "roar run".to_owned(),
                said: "  the step was not recorded; see what roar said above".to_owned(),
            });
        };
        let expected = job.outcome.shell_status().unwrap_or(0);
        if status != expected {
            return Ok(Ending::Failed { step, status });
        }
        let now = self.made_job(recorded.id)?;
        let done = &mut state.steps[step];
        done.job = Some(recorded.uid.to_string());
        done.made = self.made(job, now.as_ref())?;
        done.done = true;
        state.write(self.root())?;
        Ok(Ending::Complete)
    }

    /// What a step made, by the recorded paths. A path with another number in it is looked for
    /// among what was seen to be written.
    fn made(
        &self,
        job: &PortableJob,
        now: Option<&PortableJob>,
    ) -> Result<Vec<(RawString, Option<Digest>)>, ReproduceError> {
        let mut made = self.contents(&job.outputs)?;
        for (path, hash) in &mut made {
            if hash.is_some() {
                continue;
            }
            let normal = normalise_digits(path.as_bytes());
            let outputs = now.map_or(&[][..], |now| now.outputs.as_slice());
            let mut alike = outputs.iter().filter(|other| {
                normalise_digits(other.path.as_bytes()) == normal
                    && !job.outputs.iter().any(|output| output.path == other.path)
            });
            if let (Some(one), None) = (alike.next(), alike.next()) {
                *hash = one.hash().cloned();
            }
        }
        Ok(made)
    }

    fn newest_job(&self) -> Result<Option<crate::store::JobSummary>, ReproduceError> {
        let query = JobQuery {
            limit: Some(1),
            ..JobQuery::default()
        };
        let store = self.store()?;
        let jobs = store
            .job_summaries(&query)
            .map_err(|error| ReproduceError::Impossible(error.to_string()))?;
        Ok(jobs.into_iter().next())
    }

    fn store(&self) -> Result<Store, ReproduceError> {
        Store::open(self.project).map_err(|error| ReproduceError::Impossible(error.to_string()))
    }

    fn made_job(&self, id: i64) -> Result<Option<PortableJob>, ReproduceError> {
        let stored = self
            .store()?
            .job(id)
            .map_err(|error| ReproduceError::Impossible(error.to_string()))?;
        Ok(stored.map(|stored| {
            as_recorded(portable(
                &stored.record,
                stored.step_number,
                self.root(),
                Some(self.root()),
            ))
        }))
    }

    /// The jobs as they ran here, by step.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn made_jobs(&self, state: &State) -> Result<Vec<Option<PortableJob>>, ReproduceError> {
        let store = self.store()?;
        state
            .steps
            .iter()
            .map(|step| {
                let Some(uid) = &step.job else {
                    return Ok(None);
                };
                let found = store
                    .job_by_uid_prefix(uid)
                    .map_err(|error| ReproduceError::Impossible(error.to_string()))?;
                match found.first() {
                    Some(job) => self.made_job(job.id),
                    None => Ok(None),
                }
            })
            .collect()
    }

    /// Where the places of a job are here.
    pub fn rebase(&self, job: &PortableJob) -> Rebase {
        rebase(self.plan, job, self.root())
    }

    fn command(&self, step: usize, folder: &Path) -> Result<Command, ReproduceError> {
        let job = self.plan.job(step);
        let rebase = self.rebase(job);
        let mut command = Command::new(&self.roar);
        command
            .arg(match job.kind {
                JobKind::Run => "run",
                JobKind::Build => "build",
            })
            .arg("--quiet");
        if let Some(name) = &job.name {
            command.arg(format!("--name={name}"));
        }
        command
            .arg("--")
            .args(
                self.plan
                    .argv(step)
                    .iter()
                    .map(|word| rebase.apply(word).to_os_string()),
            )
            .current_dir(folder)
            .env("PWD", folder)
            .env(patience::AT_WORK, self.root())
            .stdin(Stdio::null());
        // The commands' output is no data of roar's.
        #[cfg(unix)]
        if let Ok(stderr) = rustix::io::dup(rustix::stdio::stderr()) {
            command.stdout(Stdio::from(stderr));
        }
        let mut given = Variables::new();
        for (name, value) in &job.conditions.environment {
            // A secret is taken as it is set here.
            if !has_mark(value) {
                given.insert(name.clone(), rebase.apply(value));
            }
        }
        for name in environment::recorded(std::env::vars_os(), &[]).keys() {
            if !job.conditions.environment.contains_key(name) {
                command.env_remove(name);
            }
        }
        command.env_remove("ROAR_EVENT_LOG");
        if self.plan.python.is_some() {
            let programs = self.root().join(ENVIRONMENT).join("bin");
            let path = std::env::var_os("PATH").unwrap_or_default();
            let folders = std::iter::once(programs).chain(std::env::split_paths(&path));
            if let Ok(path) = std::env::join_paths(folders) {
                command.env("PATH", path);
            }
        }
        variables::write(self.project, given)
            .map_err(|error| ReproduceError::Impossible(error.to_string()))?;
        Ok(command)
    }
}

/// Paths as the record has them: what was elsewhere is there again.
fn as_recorded(mut job: PortableJob) -> PortableJob {
    let outside = RawString::from(OUTSIDE);
    for file in job.inputs.iter_mut().chain(&mut job.outputs) {
        if let Some(rest) = below(&file.path, &outside) {
            file.path = RawString::new([b"/", rest.as_bytes()].concat());
        }
    }
    job
}

fn is_executable_copy(plan: &Plan, input: &super::plan::NeededInput) -> bool {
    input.steps.iter().any(|step| {
        let git = plan.job(*step).git.as_ref();
        git.is_some_and(|git| {
            git.untracked
                .iter()
                .any(|file| file.path == input.file.path && file.executable)
        })
    })
}
