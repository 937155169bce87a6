//! Running programs as an ordinary user, from a test that is run by root.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::binary;
use crate::project::Project;

/// A user id without an account: nothing on the machine belongs to it.
pub const ORDINARY_USER: u32 = 64_123;

/// An ordinary user who owns a project. Needs root ([`crate::require::Need::Root`]) and `setpriv`.
#[derive(Debug)]
pub struct OrdinaryUser<'a> {
    project: &'a Project,
    may_gain_rights: bool,
}

impl<'a> OrdinaryUser<'a> {
    /// Gives a project, its home and temporary folder included, to the user.
    pub fn of(project: &'a Project) -> Self {
        give(&project.base());
        Self {
            project,
            may_gain_rights: false,
        }
    }

    /// The same user, for whom set-user-ID programs and file capabilities work.
    #[must_use]
    pub fn who_may_gain_rights(mut self) -> Self {
        self.may_gain_rights = true;
        self
    }

    /// A command of the project that runs as the user, without any capability or further group,
    /// and, unless the user may gain rights, without a way to them.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let options: &[&str] = if self.may_gain_rights {
            &[]
        } else {
            &["--no-new-privs"]
        };
        self.command_with(options, program)
    }

    /// As [`Self::command`], with options of `setpriv` in place of `--no-new-privs`.
    pub fn command_with(&self, options: &[&str], program: impl AsRef<OsStr>) -> Command {
        let mut command = self.project.command("setpriv");
        let id = ORDINARY_USER.to_string();
        command
            .args(["--reuid", &id, "--regid", &id, "--clear-groups"])
            .arg("--inh-caps=-all")
            .args(options)
            .arg("--")
            .arg(program);
        command
    }

    /// `roar` as a command of the user.
    pub fn roar_command(&self) -> Command {
        self.command(self.within_reach(binary::roar()))
    }

    /// A program where the user gets at it: the target folder may be in root's home.
    pub fn within_reach(&self, program: &Path) -> PathBuf {
        let name = program.file_name().expect("a program has a name");
        let copy = self.project.base().join(name);
        if !copy.exists() && fs::hard_link(program, &copy).is_err() {
            fs::copy(program, &copy).expect("a program can be copied");
        }
        copy
    }
}

fn give(path: &Path) {
    chown(path, Some(ORDINARY_USER), Some(ORDINARY_USER)).expect("root can give files away");
    if path.is_dir() && !path.is_symlink() {
        for entry in fs::read_dir(path).expect("root can list folders") {
            give(&entry.expect("root can list folders").path());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;
    use crate::require::{Need, met};
    use crate::transcript::Transcript;

    #[test]
    fn has_no_rights_and_owns_the_project() {
        if !met(&[Need::Root, Need::Program("setpriv")]) {
            return;
        }
        let project = Project::empty();
        let user = OrdinaryUser::of(&project);
        let script = "id -u; id -G; grep -c 'CapEff:.*0000000000000000' /proc/self/status; touch made; \
                      ! cat /etc/shadow 2>/dev/null";
        let told = Transcript::of(user.command("sh").args(["-c", script]));
        assert_eq!(told.succeeds().stdout_text(), "64123\n64123\n1\n");
        let made = project.path("made").metadata().expect("it was made");
        assert_eq!(made.uid(), ORDINARY_USER);
    }
}
