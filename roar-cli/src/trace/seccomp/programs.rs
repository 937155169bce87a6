//! Which program an exec will run: through `#!` lines to the image, and its loader.

use std::collections::HashMap;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, Statx};

use super::decode::{AT_FDCWD, At};
use super::folders::Seen;
use super::image::{self, Format};
use super::look::{self, Looker};
use super::memory::Unread;
use super::reach::{self, Task};
use super::supervisor::{Over, Supervisor, Work};
use super::verdict::EXECUTE;
use crate::event::{Access, EventKind, FileId, FileState};
use crate::model::{GapKind, RawString};

/// How many program files are remembered.
const MAX_PROGRAMS: usize = 4096;

/// What was read from program files, by identity and times.
#[derive(Debug, Default)]
pub(super) struct Programs {
    known: HashMap<(FileId, i64, i64), Facts>,
}

/// What a program file says.
#[derive(Clone, Debug)]
struct Facts {
    start: Start,
    /// Its file would give it privileges.
    privileged: bool,
}

/// How it is started.
#[derive(Clone, Debug)]
enum Start {
    Script {
        interpreter: Vec<u8>,
        argument: Option<Vec<u8>>,
    },
    Image {
        loader: Option<Vec<u8>>,
        machine: u16,
    },
    /// Not at all.
    Refused,
}

/// A program that will run.
struct Image {
    state: FileState,
    argv: Vec<Vec<u8>>,
    /// Its path.
    loader: Option<Vec<u8>>,
    machine: u16,
    privileged: bool,
}

impl Supervisor {
    /// An exec: looked up before it goes on, for afterwards directory and root may be others.
    pub(super) fn exec(
        &mut self,
        work: &mut Work<'_>,
        at: At,
        argv: u64,
        flags: i32,
    ) -> Result<(), Unread> {
        let path = work.memory.path_of_exec(at.path)?;
        let (arguments, cut) = work.memory.arguments(argv, work.abi.pointer_bytes());
        self.settle_folders(work.task.thread);
        self.confirm(Over::Thread(work.task.thread));
        let task = work.task.clone();
        let found = if path.is_empty() && flags & libc::AT_EMPTY_PATH != 0 {
            reach::descriptor(&task, at.dirfd)
                .ok()
                .and_then(|file| self.found(&task, file))
        } else {
            self.find(
                &task,
                at.dirfd,
                &path,
                flags & libc::AT_SYMLINK_NOFOLLOW == 0,
            )
        };
        let image = found.and_then(|found| self.image(&task, found, &path, arguments, 0));
        let Some(image) = image else { return Ok(()) };
        let Image {
            state,
            argv,
            loader,
            machine,
            privileged,
        } = image;
        let loses_privileges = privileged && loses_privileges(&task);
        let find_loader = |supervisor: &mut Self| {
            let found = supervisor.find(&task, AT_FDCWD, loader.as_deref()?, true)?;
            Some(found.0)
        };
        // Another root may end with the process: what is below it is looked at first.
        let mut found = None;
        if task.foreign_root {
            found = find_loader(self);
        }
        if !self.release(work) {
            return Ok(());
        }
        if !task.foreign_root {
            found = find_loader(self);
        }
        let name = state.path.clone();
        self.emit(
            task.process,
            EventKind::Executed {
                image: Some(state),
                argv: argv.into_iter().map(RawString::new).collect(),
                argv_truncated: cut,
            },
        );
        if let Some(loader) = found {
            self.touched(task.process, loader, Access::Executed);
        }
        if loses_privileges {
            let detail = format!(
                "{name} ran without the privileges of its file, which seccomp takes away: \
                 use `sudo roar run …`"
            );
            self.gap(GapKind::Privileged, &detail);
        }
        if !is_covered(machine) {
            let detail = format!("{name}: its system-call interface is not covered");
            self.gap(GapKind::ForeignAbi, &detail);
        }
        Ok(())
    }

    /// Follows `#!` lines to the program that will run.
    fn image(
        &mut self,
        task: &Task,
        (state, status, file): Found,
        name: &[u8],
        argv: Vec<Vec<u8>>,
        depth: usize,
    ) -> Option<Image> {
        if !look::is_regular(&status) {
            return None;
        }
        let open = || match file {
            Some(file) => Some(file),
            None => reopen(&state, &status),
        };
        let key = (state.id?, state.mtime_ns, state.ctime_ns);
        let for_all = task.credentials.is_none() && u32::from(status.stx_mode) & 0o111 == 0o111;
        let facts = match self.programs.known.get(&key) {
            Some(facts) if for_all => facts.clone(),
            _ => {
                let file = open()?;
                if !reach::may(task, &file, &status, EXECUTE) {
                    return None;
                }
                let facts = facts(&file, &status);
                if self.programs.known.len() >= MAX_PROGRAMS {
                    self.programs.known.clear();
                }
                self.programs.known.insert(key, facts.clone());
                facts
            }
        };
        match facts.start {
            Start::Refused => None,
            Start::Script {
                interpreter,
                argument,
            } => {
                if depth >= image::SCRIPT_DEPTH {
                    return None;
                }
                let next = self.find(task, AT_FDCWD, &interpreter, true)?;
                let argv = image::script_arguments(&interpreter, argument.as_deref(), name, &argv);
                self.image(task, next, &interpreter, argv, depth + 1)
            }
            Start::Image { loader, machine } => Some(Image {
                state,
                argv,
                loader,
                machine,
                privileged: facts.privileged,
            }),
        }
    }

    fn find(&mut self, task: &Task, dirfd: i32, path: &[u8], follow: bool) -> Option<Found> {
        let near = self
            .folders
            .near(&mut self.looker, task, dirfd, path, follow, self.now_ns);
        match near.map(|near| near.look()) {
            Some(Seen::File(state, status)) => return Some((state, status, None)),
            Some(Seen::NoFile) => return None,
            Some(Seen::Unclear) | None => {}
        }
        let located = reach::locate(task, dirfd, path.to_vec()).ok()?;
        let file = located.open(follow, ResolveFlags::empty()).ok()?;
        let found = self.found(task, file)?;
        if follow && dirfd == AT_FDCWD && look::is_regular(&found.1) {
            self.folders.leads_to(task, path, &found.0, self.now_ns);
        }
        Some(found)
    }

    fn found(&mut self, task: &Task, file: OwnedFd) -> Option<Found> {
        let status = Looker::status(file.as_fd()).ok()?;
        let state = self.looker.state(file.as_fd(), &status, task.process);
        Some((state, status, Some(file)))
    }
}

/// A file that was found, open where that was needed to find it.
type Found = (FileState, Statx, Option<OwnedFd>);

/// Opens, for looking, a file that was found without opening it.
fn reopen(state: &FileState, status: &Statx) -> Option<OwnedFd> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(CWD, state.path.as_bytes(), flags, Mode::empty()).ok()?;
    let again = Looker::status(file.as_fd()).ok()?;
    look::same_file(&again, status).then_some(file)
}

fn facts(file: &OwnedFd, status: &Statx) -> Facts {
    let head = look::read_part(file.as_fd(), 0, image::HEAD_BYTES);
    let start = match head.as_deref().map(image::parse) {
        // An execute-only program can run and not be read.
        None => Start::Image {
            loader: None,
            machine: 0,
        },
        Some(Format::Other) => Start::Refused,
        Some(Format::Script {
            interpreter,
            argument,
        }) => Start::Script {
            interpreter,
            argument,
        },
        Some(Format::Elf { loader, machine }) => {
            let loader = loader.and_then(|(offset, length)| {
                let path = part(file, head.as_deref(), offset, length)?;
                path.split(|byte| *byte == 0).next().map(<[u8]>::to_vec)
            });
            Start::Image { loader, machine }
        }
    };
    Facts {
        start,
        privileged: is_privileged(file, status),
    }
}

/// Set-user-ID, set-group-ID, or file capabilities.
fn is_privileged(file: &OwnedFd, status: &Statx) -> bool {
    let mode = u32::from(status.stx_mode);
    let set_group = mode & libc::S_ISGID != 0 && mode & libc::S_IXGRP != 0;
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    mode & libc::S_ISUID != 0
        || set_group
        || rustix::fs::getxattr(path, "security.capability", &mut [0u8; 64][..]).is_ok()
}

/// Whether the privileges of files are without effect for a process, and would not be
/// without roar. Only while the thread waits for its answer.
fn loses_privileges(task: &Task) -> bool {
    let roars_own = rustix::thread::no_new_privs().unwrap_or(false);
    let status = std::fs::read_to_string(format!("/proc/{}/status", task.thread));
    !roars_own && status.is_ok_and(|status| status.contains("\nNoNewPrivs:\t1"))
}

fn part(file: &OwnedFd, head: Option<&[u8]>, offset: u64, length: usize) -> Option<Vec<u8>> {
    let at = usize::try_from(offset).ok()?;
    let known = head.and_then(|head| head.get(at..at.checked_add(length)?));
    known
        .map(<[u8]>::to_vec)
        .or_else(|| look::read_part(file.as_fd(), offset, length))
}

/// Whether the filter knows the system calls of a machine's programs; 0: not known which.
fn is_covered(machine: u16) -> bool {
    #[cfg(target_arch = "x86_64")]
    let covered = [libc::EM_X86_64, libc::EM_386];
    #[cfg(target_arch = "aarch64")]
    let covered = [libc::EM_AARCH64];
    #[cfg(target_arch = "riscv64")]
    let covered = [libc::EM_RISCV];
    machine == 0 || covered.contains(&machine)
}
