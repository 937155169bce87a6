//! The loader: the small program `roar-bpf` that has the capabilities which roar has not.
//!
//! `sudo roar setup` installs it with the file capabilities CAP_BPF and CAP_PERFMON. An
//! ordinary user's roar starts it with a socket for its standard input and sends one request;
//! it loads and attaches the programs, answers with their descriptors and ends. It reads no
//! configuration, no environment, no argument and no file but the kernel's type information.
//!
//! What its caller can and cannot do with it. The real user id, which nobody chooses, goes
//! into the programs' frozen settings: they register only a process of that user, whatever
//! cookie was asked for, and stop at a program with rights of its own (set-user-ID and the
//! like), so that nothing is told that ptrace(2) would not tell. The caller gets the ring, the
//! counters of loss, the programs, their links and a frozen table of programs; not the table of
//! processes nor any other map that decides what is reported. When those descriptors are closed,
//! all is detached.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use roar_common::Config;
use rustix::net::{AddressFamily, SocketFlags, SocketType};

use super::Sizes;
use super::attached::{Loaded, Parts};
use super::load::{self, LoadError};
use super::refusal;
use crate::trace::descriptors;

/// Where `roar setup` puts the loader.
pub const INSTALLED: &str = "/usr/local/lib/roar/roar-bpf";

/// The extended attribute that holds file capabilities.
pub const CAPABILITIES: &str = "security.capability";

/// The form of the conversation: the first bytes of a request.
const MAGIC: [u8; 8] = *b"roarbpf1";

/// Magic, digest of the programs, cookie, bytes of the ring.
const REQUEST_LEN: usize = 8 + 32 + 8 + 4;

/// The first byte of an answer.
const DONE: u8 = 0;
const FAILED: u8 = 1;
const REFUSED: u8 = 2;
const OTHER_VERSION: u8 = 3;

/// The most bytes of an answer.
const ANSWER_MAX: usize = 4096;

/// The largest ring that a caller may ask for; it is the caller's memory.
const RING_MAX: u32 = 1 << 28;

/// How long the loader is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why the loader did not do it.
#[derive(Debug, thiserror::Error)]
pub enum LoaderError {
    /// Anybody could have put it there.
    #[error("{} is not to be trusted: {why}", path.display())]
    Untrusted {
        /// The loader.
        path: PathBuf,
        /// What is wrong.
        why: &'static str,
    },
    /// This user may not execute it.
    #[error("{} may not be used by this user (it is for a group)", path.display())]
    Forbidden {
        /// The loader.
        path: PathBuf,
    },
    /// It has no capabilities when it runs here.
    #[error("{} has no capabilities here: {why}", path.display())]
    Powerless {
        /// The loader.
        path: PathBuf,
        /// What took them.
        why: &'static str,
        /// What gives them back.
        mend: &'static str,
    },
    /// It was installed by another version of roar.
    #[error("{} is of another version of roar", path.display())]
    OtherVersion {
        /// The loader.
        path: PathBuf,
    },
    /// It ran, and could not.
    #[error("{}: {why}", path.display())]
    Failed {
        /// The loader.
        path: PathBuf,
        /// What it said.
        why: String,
    },
}

impl LoaderError {
    /// What would mend it, in one line.
    pub fn mend(&self) -> &'static str {
        match self {
            Self::Untrusted { .. } | Self::OtherVersion { .. } => {
                "install it again: `sudo roar setup`"
            }
            Self::Forbidden { .. } => {
                "be added to its group, or let root run `roar setup` without --group"
            }
            Self::Powerless { mend, .. } => mend,
            Self::Failed { .. } => "`sudo roar run …` attaches without the loader",
        }
    }
}

/// The installed loader; none when there is none. `ROAR_LOADER` names another one, but never
/// to root: whoever runs with more rights than its caller must not start what that one names.
pub fn installed() -> Option<PathBuf> {
    let user = rustix::process::getuid();
    let named = std::env::var_os("ROAR_LOADER")
        .filter(|_| !user.is_root() && user == rustix::process::geteuid());
    let path = named.map_or_else(|| PathBuf::from(INSTALLED), PathBuf::from);
    path.symlink_metadata().is_ok().then_some(path)
}

/// The loader's own path, links resolved; none when there is none that roar would start.
pub(super) fn trusted_place() -> Option<PathBuf> {
    let path = installed()?;
    trusted(&path).ok()?;
    path.canonicalize().ok()
}

/// Has the loader attach the programs.
pub(super) fn ask(path: &Path, cookie: u64, ring_bytes: u32) -> Result<Loaded, LoadError> {
    trusted(path).map_err(|error| {
        // There root's files are nobody's, and no capability is of use.
        if refusal::is_user_namespace() {
            powerless(path)
        } else {
            error
        }
    })?;
    let failed = |error: io::Error| LoaderError::Failed {
        path: path.to_owned(),
        why: error.to_string(),
    };
    let (ours, theirs) = rustix::net::socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )
    .map_err(|errno| failed(errno.into()))?;
    rustix::net::sockopt::set_socket_timeout(
        &ours,
        rustix::net::sockopt::Timeout::Recv,
        Some(PATIENCE),
    )
    .map_err(|errno| failed(errno.into()))?;
    let mut request = Vec::with_capacity(REQUEST_LEN);
    request.extend_from_slice(&MAGIC);
    request.extend_from_slice(load::object_digest().as_bytes());
    request.extend_from_slice(&cookie.to_ne_bytes());
    request.extend_from_slice(&ring_bytes.to_ne_bytes());
    descriptors::send(ours.as_fd(), &request, &[]).map_err(failed)?;

    let mut loader = Command::new(path)
        .env_clear()
        .current_dir("/")
        .stdin(theirs)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| not_started(path, &error))?;
    let mut answer = [0; ANSWER_MAX];
    let received = descriptors::receive(ours.as_fd(), &mut answer);
    // After its answer it ends by itself; one that has not answered is stopped.
    if received.is_err() {
        // It may have ended meanwhile.
        let _ = loader.kill();
    }
    loader.wait().map_err(failed)?;
    let (length, descriptors) = received.map_err(failed)?;
    let said = |text: &[u8]| String::from_utf8_lossy(text).into_owned();
    match answer[..length].split_first() {
        Some((&DONE, [follows_uring])) => {
            let parts = Parts::from_descriptors(descriptors, *follows_uring != 0)?;
            Loaded::from_parts(parts, ring_bytes, None)
        }
        Some((&OTHER_VERSION, _)) => Err(LoaderError::OtherVersion {
            path: path.to_owned(),
        }
        .into()),
        Some((&REFUSED, _)) => Err(powerless(path).into()),
        Some((&FAILED, text)) => Err(failed(io::Error::other(said(text))).into()),
        _ => Err(failed(io::Error::other("it ended without an answer")).into()),
    }
}

/// That only root can have put the file there.
fn trusted(path: &Path) -> Result<(), LoaderError> {
    let why = match path.symlink_metadata() {
        Ok(metadata) if !metadata.is_file() => "it is not a regular file",
        Ok(metadata) if metadata.uid() != 0 => "it does not belong to root",
        Ok(metadata) if metadata.mode() & 0o022 != 0 => "others than root may write it",
        Ok(_) => return Ok(()),
        Err(_) => "it cannot be looked at",
    };
    Err(LoaderError::Untrusted {
        path: path.to_owned(),
        why,
    })
}

fn not_started(path: &Path, error: &io::Error) -> LoaderError {
    let path = path.to_owned();
    match error.raw_os_error() {
        Some(libc::EACCES) => LoaderError::Forbidden { path },
        // The kernel refuses a program whose file capabilities cannot all be given.
        Some(libc::EPERM) => LoaderError::Powerless {
            path,
            why: "this process may never gain them (capability bounding set)",
            mend: "in a container: start it with --cap-add BPF --cap-add PERFMON",
        },
        _ => LoaderError::Failed {
            path,
            why: error.to_string(),
        },
    }
}

/// Why a loader that runs has no capabilities.
fn powerless(path: &Path) -> LoaderError {
    use rustix::fs::StatVfsMountFlags;
    let nosuid = rustix::fs::statvfs(path)
        .is_ok_and(|state| state.f_flag.contains(StatVfsMountFlags::NOSUID));
    let no_new_privileges = rustix::thread::no_new_privs().unwrap_or(false);
    let has_attribute = CString::new(path.as_os_str().as_bytes())
        .is_ok_and(|path| rustix::fs::getxattr(&path, CAPABILITIES, &mut [0_u8; 64]).is_ok());
    let (why, mend) = if refusal::is_user_namespace() {
        (
            "this is a user namespace",
            "run roar outside of it (rootless container, unshare -U)",
        )
    } else if no_new_privileges {
        (
            "no_new_privs is set for this process",
            "start roar without no_new_privs",
        )
    } else if nosuid {
        (
            "its file system is mounted with nosuid",
            "mount it without nosuid",
        )
    } else if !has_attribute {
        (
            "its file capabilities are gone, or its file system keeps none",
            "install it again: `sudo roar setup`",
        )
    } else {
        (
            "a seccomp profile or a security module refuses bpf(2)",
            "in a container: start it with --security-opt seccomp=unconfined",
        )
    };
    LoaderError::Powerless {
        path: path.to_owned(),
        why,
        mend,
    }
}

/// The loader's whole work: one request on standard input, one answer.
pub fn serve() -> ExitCode {
    let input = io::stdin();
    let socket = input.as_fd();
    let mut request = [0; REQUEST_LEN + 1];
    // What is no request of a roar deserves no answer.
    let Ok((length, _)) = descriptors::receive(socket, &mut request) else {
        return ExitCode::FAILURE;
    };
    let answered = match loaded_for(&request[..length]) {
        Ok(parts) => {
            let descriptors: Vec<BorrowedFd<'_>> =
                parts.descriptors().map(OwnedFd::as_fd).collect();
            let answer = [DONE, u8::from(parts.follows_uring)];
            descriptors::send(socket, &answer, &descriptors)
        }
        Err((status, why)) => {
            let mut answer = vec![status];
            answer.extend(why.bytes().take(ANSWER_MAX - 1));
            descriptors::send(socket, &answer, &[])
        }
    };
    match answered {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// What a request asks for, or the status and the words of a refusal.
fn loaded_for(request: &[u8]) -> Result<Parts, (u8, String)> {
    let other_version = || (OTHER_VERSION, String::new());
    let rest = request.strip_prefix(&MAGIC).ok_or_else(other_version)?;
    let digest = load::object_digest();
    let rest = rest
        .strip_prefix(digest.as_bytes())
        .ok_or_else(other_version)?;
    let (cookie, rest) = rest.split_first_chunk().ok_or_else(other_version)?;
    let ring_bytes = u32::from_ne_bytes(rest.try_into().map_err(|_| other_version())?);
    let failed = |why: &str| (FAILED, why.to_owned());
    // Installed by hand as set-user-ID, it would trace for whoever starts it.
    let user = rustix::process::getuid();
    if user != rustix::process::geteuid() {
        return Err(failed("the loader must not be set-user-ID"));
    }
    if !ring_bytes.is_power_of_two() || ring_bytes > RING_MAX {
        return Err(failed("the ring's size is not one that is given"));
    }
    let config = Config {
        owner: user.as_raw().into(),
        ..super::config(u64::from_ne_bytes(*cookie), ring_bytes)
    };
    let sizes = Sizes {
        ring_bytes,
        processes: None,
    };
    load::load(&config, sizes, false).map_err(|error| {
        let status = if error.refusal().is_some() {
            REFUSED
        } else {
            FAILED
        };
        (status, crate::trace::with_causes(&error))
    })
}
