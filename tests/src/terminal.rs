//! A pseudo-terminal for programs that want one.

use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, OptionalActions, Winsize, tcgetattr, tcsetattr, tcsetwinsize};

/// How long a program may show nothing while a test waits for it.
const PATIENCE: Timespec = Timespec {
    tv_sec: 60,
    tv_nsec: 0,
};

/// A program that has a pseudo-terminal for stdin, stdout, stderr and controlling terminal.
#[derive(Debug)]
pub struct Terminal {
    child: Child,
    screen: File,
    shown: Vec<u8>,
    /// Up to where [`Self::wait_for`] has looked.
    found: usize,
}

impl Terminal {
    /// Starts a command under a new terminal of 24 lines and 80 columns. `setsid --ctty`
    /// makes it the controlling one, which a safe program cannot do for its child.
    pub fn start(command: &Command) -> Self {
        let screen = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)
            .expect("a pseudo-terminal can be had");
        grantpt(&screen).expect("one's own terminal can be granted");
        unlockpt(&screen).expect("one's own terminal can be unlocked");
        let name = ptsname(&screen, Vec::new()).expect("a terminal has a name");
        let line = rustix::fs::open(
            &name,
            OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .expect("the terminal's other side can be opened");
        let line = File::from(line);
        set_size(&line, 24, 80);
        // A key that signals flushes the terminal only after the signal was sent, and with it
        // what a quick program has printed since: no text for a test to wait for.
        let mut modes = tcgetattr(&line).expect("a terminal has modes");
        modes.local_modes |= LocalModes::NOFLSH;
        tcsetattr(&line, OptionalActions::Now, &modes).expect("its modes can be set");
        let mut wrapped = Command::new("setsid");
        wrapped
            .args(["--ctty", "--wait"])
            .arg(command.get_program())
            .args(command.get_args())
            .env_clear()
            .current_dir(
                command
                    .get_current_dir()
                    .map_or_else(|| PathBuf::from("/"), Into::into),
            );
        for (name, value) in command.get_envs() {
            if let Some(value) = value {
                wrapped.env(name, value);
            }
        }
        let side =
            |file: &File| Stdio::from(file.try_clone().expect("a descriptor can be doubled"));
        wrapped
            .stdin(side(&line))
            .stdout(side(&line))
            .stderr(side(&line));
        let child = wrapped.spawn().expect("setsid can be started");
        Self {
            child,
            screen: File::from(screen),
            shown: Vec::new(),
            found: 0,
        }
    }

    /// Types something.
    pub fn type_in(&mut self, keys: &str) {
        self.screen
            .write_all(keys.as_bytes())
            .expect("a terminal takes input");
    }

    /// Gives the terminal another size, as when its window is drawn larger.
    pub fn resize(&self, lines: u16, columns: u16) {
        set_size(&self.screen, lines, columns);
    }

    /// Closes the terminal, as when its window is closed or its connection breaks; tells how
    /// the program ended.
    pub fn hang_up(mut self) -> ExitStatus {
        drop(self.screen);
        self.child.wait().expect("a child can be waited for")
    }

    /// Reads until the text has been shown, after what was waited for before.
    ///
    /// # Panics
    /// The program ended before.
    #[track_caller]
    pub fn wait_for(&mut self, text: &str) {
        loop {
            let new = &self.shown[self.found..];
            let at = new
                .windows(text.len())
                .position(|part| part == text.as_bytes());
            if let Some(at) = at {
                self.found += at + text.len();
                return;
            }
            assert!(
                self.read_more(),
                "'{text}' was never shown, only: {}",
                String::from_utf8_lossy(&self.shown)
            );
        }
    }

    /// Waits for the end; tells the status and all that was shown.
    pub fn finish(mut self) -> (ExitStatus, String) {
        while self.read_more() {}
        let status = self.child.wait().expect("a child can be waited for");
        (status, String::from_utf8_lossy(&self.shown).into_owned())
    }

    /// Whether there was more before the last process closed the terminal.
    fn read_more(&mut self) -> bool {
        let mut bytes = [0; 4096];
        let mut screen = [PollFd::new(&self.screen, PollFlags::IN)];
        let ready = poll(&mut screen, Some(&PATIENCE));
        assert!(
            ready.is_ok_and(|count| count > 0),
            "nothing came any more after: {:?}",
            String::from_utf8_lossy(&self.shown)
        );
        match self.screen.read(&mut bytes) {
            Ok(0) => false,
            Ok(count) => {
                self.shown.extend_from_slice(&bytes[..count]);
                true
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => true,
            // EIO: nobody holds the other side any more.
            Err(_) => false,
        }
    }
}

fn set_size(terminal: &File, lines: u16, columns: u16) {
    let size = Winsize {
        ws_row: lines,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(terminal, size).expect("a terminal has a size");
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;
    use crate::project::Project;

    #[test]
    fn is_the_controlling_terminal() {
        let project = Project::empty();
        let mut command = project.command("sh");
        command.args([
            "-c",
            "stty size; read -r line < /dev/tty; echo \"got $line\"; exit 5",
        ]);
        let mut terminal = Terminal::start(&command);
        terminal.wait_for("24 80");
        terminal.type_in("hello\n");
        let (status, shown) = terminal.finish();
        assert!(shown.contains("got hello"), "{shown}");
        assert_eq!(status.code(), Some(5));
    }

    #[test]
    fn control_c_interrupts() {
        let project = Project::empty();
        let mut command = project.command("sh");
        command.args(["-c", "echo ready; exec cat"]);
        let mut terminal = Terminal::start(&command);
        terminal.wait_for("ready");
        terminal.type_in("\u{3}");
        let (status, _) = terminal.finish();
        assert_eq!(status.signal(), Some(2));
    }
}
