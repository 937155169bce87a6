//! The seccomp-unotify back-end: tracing for users without CAP_BPF.
//!
//! The command is started under a filter that sends every call which opens, executes or
//! names a file to a supervisor thread in roar. The supervisor looks at the path and the
//! file, lets the kernel go on with the call ([CONTINUE]), and tells what it saw as
//! [`TraceEvent`](crate::event::TraceEvent)s. It never answers in the kernel's place (but
//! for io_uring, which it could not see) and never opens a file of the command for access.
//!
//! Faithful: which files were opened, and how; executed programs with their interpreters;
//! names made, changed and removed; the process tree as far as its members made such calls.
//! Best effort: that a file which was opened for writing was written (inferred from its
//! state before and after), and that one opened for reading was read. Out of sight: files
//! opened outside the process tree and descriptors that came over sockets. It is a
//! record, not a security log: a hostile program can change a path after it was read here.
//!
//! Needs Linux 5.5; from 5.19 on signals cannot interrupt a call that is being looked at.
//!
//! ```text
//! filter, calls, decode, image,
//! mounts, verdict                         pure: what to watch, what it means, what follows
//! look, reach, folders, memory            how files are looked at
//! tasks, turns, load, pending, writes     what is known of threads and changes
//! supervisor, judge, programs, tell       one notification: look, let go on, tell
//! later                                   reads, looked at while the command goes on
//! closing                                 what remains to be said at the end
//! session, serve, guard, probe, sys       threads, processes, system calls
//! ```
//!
//! [CONTINUE]: https://man7.org/linux/man-pages/man2/seccomp_unotify.2.html

mod calls;
mod closing;
mod contact;
mod decode;
mod filter;
mod folders;
mod guard;
mod image;
mod judge;
mod later;
mod load;
mod look;
mod memory;
mod mounts;
mod pending;
mod probe;
mod programs;
mod reach;
mod serve;
mod session;
mod supervisor;
mod sys;
mod tasks;
mod tell;
mod turns;
mod verdict;
mod writes;

pub use probe::{Features, Unavailable, probe};
pub use session::{Prepared, Session, StartError, Summary, prepare};
