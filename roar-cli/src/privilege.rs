//! `sudo roar run`: the command, the record and everything after the attachment of the tracer
//! belong to the user who typed it.
//!
//! sudo tells in SUDO_UID who that is. The variable is believed only when the real user is
//! root, it is parsed strictly, and it can only lower rights: groups and home come from the
//! user database, not from the environment.
#![expect(
    unsafe_code,
    reason = "setgroups, setresgid, setresuid and setenv have no safe form"
)]

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use uzers::os::unix::UserExt as _;

/// The user to become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invoker {
    uid: u32,
    gid: u32,
    groups: Vec<u32>,
    name: OsString,
    home: PathBuf,
}

/// Why the rights cannot be lowered.
#[derive(Debug, thiserror::Error)]
pub enum PrivilegeError {
    /// The environment names no user.
    #[error("SUDO_UID is '{}', which is no user id", .0.to_string_lossy())]
    NotAUser(OsString),
    /// The user database does not know the user.
    #[error("SUDO_UID is {0}, but there is no such user")]
    Unknown(u32),
    /// The kernel refused.
    #[error("cannot {operation} to become the user {uid}")]
    Refused {
        /// The call.
        operation: &'static str,
        /// The user.
        uid: u32,
        /// The kernel's answer.
        source: io::Error,
    },
    /// Root's rights could be had back.
    #[error("the rights of root could not be given up for good")]
    Reversible,
}

/// The user who invoked sudo; none when roar was not started through it, or by root.
///
/// # Errors
/// The environment names a user that there is not.
pub fn invoker() -> Result<Option<Invoker>, PrivilegeError> {
    if !rustix::process::getuid().is_root() || !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let Some(text) = std::env::var_os("SUDO_UID") else {
        return Ok(None);
    };
    let uid = parse_id(text.as_bytes()).ok_or(PrivilegeError::NotAUser(text))?;
    if uid == 0 {
        return Ok(None);
    }
    let user = uzers::get_user_by_uid(uid).ok_or(PrivilegeError::Unknown(uid))?;
    let gid = user.primary_group_id();
    let mut groups: Vec<u32> = user
        .groups()
        .unwrap_or_default()
        .iter()
        .map(uzers::Group::gid)
        .collect();
    if !groups.contains(&gid) {
        groups.push(gid);
    }
    Ok(Some(Invoker {
        uid,
        gid,
        groups,
        name: user.name().to_owned(),
        home: user.home_dir().to_owned(),
    }))
}

impl Invoker {
    /// The user who owns nothing, for trying out what an ordinary user can do.
    pub fn nobody() -> Self {
        const NOBODY: u32 = 65_534;
        Self {
            uid: NOBODY,
            gid: NOBODY,
            groups: vec![NOBODY],
            name: "nobody".into(),
            home: "/".into(),
        }
    }

    /// The same user as a member of one more group.
    #[must_use]
    pub fn with_group(mut self, group: Option<u32>) -> Self {
        self.groups.extend(group);
        self
    }

    /// The login name.
    pub fn name(&self) -> String {
        self.name.to_string_lossy().into_owned()
    }

    /// Becomes this user for good, in every thread, and takes on the user's HOME, USER and
    /// LOGNAME. To be called while the process has one thread.
    ///
    /// # Errors
    /// The kernel refuses, or root could be had back.
    pub fn become_for_good(&self) -> Result<(), PrivilegeError> {
        let refused = |operation| PrivilegeError::Refused {
            operation,
            uid: self.uid,
            source: io::Error::last_os_error(),
        };
        // Order matters: groups while still root, the user last.
        // SAFETY: the pointer and the length are those of the vector.
        if unsafe { libc::setgroups(self.groups.len(), self.groups.as_ptr()) } != 0 {
            return Err(refused("setgroups"));
        }
        // SAFETY: no memory is involved.
        if unsafe { libc::setresgid(self.gid, self.gid, self.gid) } != 0 {
            return Err(refused("setresgid"));
        }
        // SAFETY: no memory is involved.
        if unsafe { libc::setresuid(self.uid, self.uid, self.uid) } != 0 {
            return Err(refused("setresuid"));
        }
        // SAFETY: no memory is involved.
        if unsafe { libc::setresuid(0, 0, 0) } == 0 {
            return Err(PrivilegeError::Reversible);
        }
        let restored = [
            ("HOME", self.home.as_os_str()),
            ("USER", &self.name),
            ("LOGNAME", &self.name),
        ];
        for (variable, value) in restored {
            // SAFETY: the caller sees to it that no other thread reads the environment.
            unsafe { std::env::set_var(variable, value) };
        }
        for variable in ["SUDO_UID", "SUDO_GID", "SUDO_USER", "SUDO_COMMAND"] {
            // SAFETY: as above.
            unsafe { std::env::remove_var(variable) };
        }
        Ok(())
    }
}

/// Decimal digits only, and not the value that means "unchanged" to the kernel.
fn parse_id(text: &[u8]) -> Option<u32> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let id = digits
        .then(|| std::str::from_utf8(text).ok()?.parse().ok())
        .flatten()?;
    (id != u32::MAX).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_parsed_strictly() {
        let cases: [(&str, Option<u32>); 10] = [
            ("1000", Some(1000)),
            ("0", Some(0)),
            ("", None),
            ("-1", None),
            ("+5", None),
            ("1000x", None),
            (" 1000", None),
            ("4294967295", None),
            ("4294967296", None),
            ("1e3", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_id(text.as_bytes()), expected, "{text:?}");
        }
    }
}
