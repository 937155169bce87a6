//! What each watched call will do to which file.
//!
//! Every function here looks, lets the call go on, and tells, in the order that its call
//! needs; a call that the kernel will refuse tells nothing.

use std::os::fd::{AsFd as _, OwnedFd};

use rustix::fs::ResolveFlags;
use rustix::io::Errno;

use super::decode::{self, At, Call, Intent, WriteIntent};
use super::folders::Seen;
use super::later::Opened;
use super::look::{self, Located, Looker};
use super::memory::Unread;
use super::pending::Effect;
use super::reach::{Task, descriptor, locate, may};
use super::supervisor::{Over, Supervisor, Work};
use super::verdict::{READ, WRITE};
use crate::event::{Access, FileState, NameChange};
use crate::model::GapKind;

impl Supervisor {
    /// Judges one call. Calls that are not released here are released by the caller.
    pub(super) fn judge(&mut self, work: &mut Work<'_>, call: Call) -> Result<(), Unread> {
        // What was opened before is told before it changes.
        if !matches!(call, Call::Open { .. } | Call::OpenHow { .. }) {
            self.catch_up();
        }
        match call {
            Call::Open { at, flags } => self.open(work, at, flags, ResolveFlags::empty()),
            Call::OpenHow { at, how } => {
                // struct open_how: flags, mode, resolve, eight bytes each.
                let flags = work.memory.word(how, 8)? as i32;
                let resolve = work.memory.word(how.wrapping_add(16), 8)?;
                self.open(work, at, flags, ResolveFlags::from_bits_retain(resolve))
            }
            Call::Exec { at, argv, flags } => self.exec(work, at, argv, flags),
            Call::Rename { from, to, flags } => self.rename(work, from, to, flags),
            Call::Link { from, to, flags } => self.link(work, from, to, flags),
            Call::Symlink { target, at } => {
                let target = work.memory.path(target)?;
                self.make(work, at, |entry| Effect::Symlinked(entry, target))
            }
            Call::Unlink { at } => self.unlink(work, at),
            Call::MakeDirectory { at } => self.make(work, at, Effect::DirectoryMade),
            Call::MakeNode { at, mode } => match mode & libc::S_IFMT {
                0 | libc::S_IFREG => self.make(work, at, |entry| Effect::Created {
                    entry,
                    mappable: false,
                }),
                _ => Ok(()),
            },
            Call::Truncate { at, length } => self.truncate(work, at, length),
            Call::OpenByHandle => {
                self.gap(
                    GapKind::UnresolvedPath,
                    "files opened by handle (open_by_handle_at)",
                );
                Ok(())
            }
            Call::Namespace => {
                // A file made before may be covered by a mount afterwards.
                self.confirm(Over::Thread(work.task.thread));
                self.roots_change = true;
                self.folders.forget();
                Ok(())
            }
            Call::ChangeDirectory => {
                self.folders.moves(&work.task);
                Ok(())
            }
            Call::Credentials => {
                self.credentials_change.push(work.task.thread);
                Ok(())
            }
            Call::IoUringSetup => {
                self.refuse_io_uring(work);
                Ok(())
            }
            Call::Contact {
                socket,
                address,
                connects,
            } => self.contact(work, socket, address, connects),
            Call::OwnFilter { program, listens } => {
                if listens {
                    // The kernel refuses it (EBUSY): one listener is all a process can have.
                    self.counts.refused_listeners += 1;
                } else if work.memory.traces(program, work.abi.pointer_bytes())? {
                    // Of two filters' answers the kernel takes the notification.
                    self.counts.blinded_tracers += 1;
                }
                Ok(())
            }
        }
    }

    fn open(
        &mut self,
        work: &mut Work<'_>,
        at: At,
        flags: i32,
        resolve: ResolveFlags,
    ) -> Result<(), Unread> {
        let intent = decode::intent(flags);
        if intent == Intent::None {
            return Ok(());
        }
        let path = work.memory.path(at.path)?;
        let follow = flags & libc::O_NOFOLLOW == 0;
        match intent {
            Intent::None => {}
            Intent::Read => self.open_read(work, at.dirfd, path, follow, resolve),
            Intent::Write(intent) => {
                self.catch_up();
                if let Ok(located) = locate(&work.task, at.dirfd, path) {
                    self.open_write(work, &located, intent, follow, resolve);
                }
            }
        }
        Ok(())
    }

    fn open_read(
        &mut self,
        work: &mut Work<'_>,
        dirfd: i32,
        path: Vec<u8>,
        follow: bool,
        resolve: ResolveFlags,
    ) {
        let thread = work.task.thread;
        self.settle_folders(thread);
        if resolve.is_empty() {
            let (task, now_ns) = (&work.task, self.now_ns);
            let near = self
                .folders
                .near(&mut self.looker, task, dirfd, &path, follow, now_ns);
            if let Some(near) = near {
                let opened = Opened {
                    at_ns: now_ns,
                    task: task.clone(),
                    near,
                    path,
                    follow,
                };
                let looks = self.later.looks(&opened);
                let mut seen = (looks && self.turns.gathers()).then(|| opened.near.look());
                if self.release(work) {
                    self.confirm(Over::Thread(thread));
                    if looks && seen.is_none() {
                        seen = Some(opened.near.look());
                    }
                    self.look_after(opened, seen);
                }
                return;
            }
        }
        let Ok(located) = locate(&work.task, dirfd, path) else {
            return;
        };
        if work.task.foreign_root {
            // A mount namespace, and with it the way from its paths to roar's, may end with
            // this very process: what is in another one is looked at first.
            let state = self.read_state(&work.task, located.open(follow, resolve));
            if self.release(work) {
                self.confirm(Over::Thread(thread));
                if let Some(state) = state {
                    self.touched(work.task.process, state, Access::OpenedRead);
                }
            }
        } else if self.release(work) {
            self.confirm(Over::Thread(thread));
            self.tell_read(&work.task, located.open(follow, resolve));
        }
    }

    /// Tells of a file that was looked at; another is looked at while the command goes on.
    /// Nothing of the thread itself is needed any more: it may have ended by now.
    fn look_after(&mut self, opened: Opened, seen: Option<Seen>) {
        self.tell_appeared();
        if opened.near.may_block() {
            self.look_closely(&opened);
        } else if self.later.take(opened, seen) {
            self.catch_up();
        }
    }

    /// Tells of everything that was put off.
    pub(super) fn catch_up(&mut self) {
        for opened in self.later.catch_up() {
            self.look_closely(&opened);
        }
    }

    fn look_closely(&mut self, opened: &Opened) {
        let found = self.tell_read(&opened.task, opened.near.open(opened.follow));
        if let Some(state) = found.filter(|_| opened.follow) {
            let now_ns = self.now_ns;
            self.folders
                .leads_to(&opened.task, &opened.path, &state, now_ns);
        }
    }

    fn tell_read(&mut self, task: &Task, file: Result<OwnedFd, Errno>) -> Option<FileState> {
        let state = self.read_state(task, file)?;
        self.touched(task.process, state.clone(), Access::OpenedRead);
        Some(state)
    }

    /// The state of a regular file that the process may read.
    fn read_state(&mut self, task: &Task, file: Result<OwnedFd, Errno>) -> Option<FileState> {
        let looked = file.and_then(|file| Ok((Looker::status(file.as_fd())?, file)));
        let (status, file) = match looked {
            Ok(looked) => looked,
            Err(errno) => {
                if went_away(errno) {
                    let detail = "files of a file system that was gone before they were looked at";
                    self.gap(GapKind::UnresolvedPath, detail);
                }
                return None;
            }
        };
        let opens = look::is_regular(&status) && may(task, &file, &status, READ);
        opens.then(|| self.looker.state(file.as_fd(), &status, task.process))
    }

    fn open_write(
        &mut self,
        work: &mut Work<'_>,
        located: &Located,
        intent: WriteIntent,
        follow: bool,
        resolve: ResolveFlags,
    ) {
        self.confirm(Over::Thread(work.task.thread));
        let process = work.task.process;
        let file = match located.open(follow, resolve) {
            Ok(file) => file,
            Err(Errno::NOENT) if intent.creates => {
                if let Ok(entry) = located.entry()
                    && !located.path.ends_with(b"/")
                {
                    let entry = self.named(entry, &work.task);
                    if self.release(work) {
                        let mappable = intent.reads && intent.writes;
                        self.expect(&work.task, Effect::Created { entry, mappable });
                    }
                }
                return;
            }
            Err(_) => return,
        };
        let Ok(status) = Looker::status(file.as_fd()) else {
            return;
        };
        // O_RDONLY | O_CREAT on a file that exists is a read.
        let want = match (intent.reads, intent.writes) {
            (true, true) => READ | WRITE,
            (false, _) => WRITE,
            (true, false) => READ,
        };
        let opens =
            look::is_regular(&status) && !intent.exclusive && may(&work.task, &file, &status, want);
        if !opens {
            return;
        }
        let state = self.looker.state(file.as_fd(), &status, process);
        if intent.empties {
            let was_read = state.id.is_some_and(|id| self.later.was_just_read(id));
            let looker = &mut self.looker;
            let content =
                self.writes
                    .taken(looker, process, file.as_fd(), &status, &state, was_read);
            self.tell_findings(content.into_iter().collect());
            if self.release(work) {
                self.writes.mark_written(state.id);
                let emptied = FileState {
                    size_bytes: 0,
                    ..state
                };
                self.touched(process, emptied.clone(), Access::Truncated);
                if intent.reads && intent.writes {
                    self.touched(process, emptied, Access::Mappable);
                }
            }
            return;
        }
        if intent.writes {
            self.opened_for_writing(process, file.as_fd(), &status, &state, intent.reads);
        }
        if self.release(work) {
            if intent.reads {
                self.touched(process, state.clone(), Access::OpenedRead);
            }
            if intent.writes {
                self.touched(process, state.clone(), Access::OpenedWrite);
            }
            if intent.reads && intent.writes {
                self.touched(process, state, Access::Mappable);
            }
        }
    }

    fn truncate(&mut self, work: &mut Work<'_>, at: At, length: u64) -> Result<(), Unread> {
        self.confirm(Over::Thread(work.task.thread));
        let path = work.memory.path(at.path)?;
        let Ok(located) = locate(&work.task, at.dirfd, path) else {
            return Ok(());
        };
        let Ok(file) = located.open(true, ResolveFlags::empty()) else {
            return Ok(());
        };
        let Ok(status) = Looker::status(file.as_fd()) else {
            return Ok(());
        };
        if look::is_regular(&status) && may(&work.task, &file, &status, WRITE) {
            let state = self.looker.state(file.as_fd(), &status, work.task.process);
            let state = FileState {
                size_bytes: length,
                ..state
            };
            if self.release(work) {
                self.touched(work.task.process, state, Access::Truncated);
            }
        }
        Ok(())
    }

    fn make(
        &mut self,
        work: &mut Work<'_>,
        at: At,
        effect: impl FnOnce(look::Entry) -> Effect,
    ) -> Result<(), Unread> {
        self.confirm(Over::Thread(work.task.thread));
        let path = work.memory.path(at.path)?;
        let Ok(located) = locate(&work.task, at.dirfd, path) else {
            return Ok(());
        };
        let Ok(entry) = located.entry() else {
            return Ok(());
        };
        // What is there already was not made by this call.
        if matches!(entry.status(), Err(Errno::NOENT)) {
            let entry = self.named(entry, &work.task);
            if self.release(work) {
                self.expect(&work.task, effect(entry));
            }
        }
        Ok(())
    }

    /// Takes the path of an entry now where it may be out of reach later.
    fn named(&mut self, entry: look::Entry, task: &Task) -> look::Entry {
        let shown = task
            .foreign_root
            .then(|| self.looker.shown(&entry, task.process));
        look::Entry {
            shown: shown.flatten(),
            ..entry
        }
    }

    fn unlink(&mut self, work: &mut Work<'_>, at: At) -> Result<(), Unread> {
        self.confirm(Over::Thread(work.task.thread));
        let path = work.memory.path(at.path)?;
        let Ok(located) = locate(&work.task, at.dirfd, path) else {
            return Ok(());
        };
        let Ok(entry) = located.entry() else {
            return Ok(());
        };
        let Ok(was) = entry.status() else {
            return Ok(());
        };
        self.compare_before_change(&entry, &was, work.task.process);
        self.take_before_removal(&entry, &was, work.task.process);
        if let Some(path) = self.looker.entry_path(&entry, work.task.process)
            && self.release(work)
        {
            self.expect(&work.task, Effect::Removed { entry, path, was });
        }
        Ok(())
    }

    fn rename(&mut self, work: &mut Work<'_>, from: At, to: At, flags: u32) -> Result<(), Unread> {
        self.confirm(Over::Thread(work.task.thread));
        let from_path = work.memory.path(from.path)?;
        let to_path = work.memory.path(to.path)?;
        let process = work.task.process;
        let looked = || -> Option<Effect> {
            let from = locate(&work.task, from.dirfd, from_path)
                .ok()?
                .entry()
                .ok()?;
            let to = locate(&work.task, to.dirfd, to_path).ok()?.entry().ok()?;
            let moved = from.status().ok()?;
            let there = to.status().ok();
            if there.is_some_and(|there| look::same_file(&there, &moved)) {
                // Two names of one file: rename(2) does nothing.
                return None;
            }
            let exchange = flags & libc::RENAME_EXCHANGE != 0;
            if there.is_some() && flags & libc::RENAME_NOREPLACE != 0 {
                return None;
            }
            self.compare_before_change(&from, &moved, process);
            if exchange {
                self.compare_before_change(&to, &there?, process);
            } else if let Some(there) = there {
                self.take_before_removal(&to, &there, process);
            }
            Some(Effect::Renamed {
                from_path: self.looker.entry_path(&from, process)?,
                to_path: self.looker.entry_path(&to, process)?,
                from,
                to,
                moved,
                change: if exchange {
                    NameChange::Exchange
                } else {
                    NameChange::Rename
                },
            })
        };
        if let Some(effect) = looked()
            && self.release(work)
        {
            self.expect(&work.task, effect);
        }
        Ok(())
    }

    fn link(&mut self, work: &mut Work<'_>, from: At, to: At, flags: i32) -> Result<(), Unread> {
        self.confirm(Over::Thread(work.task.thread));
        let from_path = work.memory.path(from.path)?;
        let to_path = work.memory.path(to.path)?;
        let process = work.task.process;
        let looked = || -> Option<Effect> {
            let to = locate(&work.task, to.dirfd, to_path).ok()?.entry().ok()?;
            if to.status().is_ok() {
                return None;
            }
            let follow = flags & libc::AT_SYMLINK_FOLLOW != 0;
            let source = if from_path.is_empty() && flags & libc::AT_EMPTY_PATH != 0 {
                descriptor(&work.task, from.dirfd).ok()?
            } else {
                let located = locate(&work.task, from.dirfd, from_path).ok()?;
                located.open(follow, ResolveFlags::empty()).ok()?
            };
            let moved = Looker::status(source.as_fd()).ok()?;
            let to = self.named(to, &work.task);
            if moved.stx_nlink == 0 {
                return Some(Effect::Named { to, file: moved });
            }
            Some(Effect::Renamed {
                from_path: self.looker.path(source.as_fd(), &moved, process).0,
                to_path: self.looker.entry_path(&to, process)?,
                from: look::Entry {
                    folder: source,
                    name: Vec::new(),
                    shown: None,
                },
                to,
                moved,
                change: NameChange::Link,
            })
        };
        if let Some(effect) = looked()
            && self.release(work)
        {
            self.expect(&work.task, effect);
        }
        Ok(())
    }
}

/// Whether a look failed because its file system is gone or does not answer any more; everything else
/// the call will have met, too.
fn went_away(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::NOTCONN | Errno::STALE | Errno::NODEV | Errno::IO
    )
}
