//! A lineage server of a test's own, on a free port, gone when the test ends.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::binary;
use crate::project::Project;

/// A running `glaas-server` with a database of its own.
#[derive(Debug)]
pub struct Server {
    child: Child,
    port: u16,
    database: String,
}

impl Server {
    /// Starts one whose database is in a folder.
    pub fn start(folder: &Path) -> Self {
        Self::start_on(
            &format!("sqlite:{}", folder.join("glaas.db").display()),
            folder,
        )
    }

    /// Starts one on a database, and waits until it answers.
    pub fn start_on(database: &str, folder: &Path) -> Self {
        let log = folder.join("glaas-server.log");
        let file = fs::File::create(&log).expect("a test's folder can be written");
        let mut child = Command::new(binary::glaas_server())
            .args(["--port", "0", "--rate", "0", "--database", database])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(file)
            .spawn()
            .expect("the server can be started");
        let stdout = child.stdout.take().expect("stdout is piped");
        let port = BufReader::new(stdout)
            .lines()
            .map_while(Result::ok)
            .find_map(|line| port_in(&line))
            .unwrap_or_else(|| {
                let said = fs::read_to_string(&log).unwrap_or_default();
                panic!("the server did not say where it listens:\n{said}")
            });
        Self {
            child,
            port,
            database: database.to_owned(),
        }
    }

    /// Its port on the loopback device.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Registers the key of a home folder for a user.
    pub fn add_key(&self, user: &str, home: &Path) {
        let key: PathBuf = home.join(".ssh/id_ed25519.pub");
        let added = Command::new(binary::glaas_server())
            .args(["--database", &self.database, "key", "add", "--user", user])
            .arg(key)
            .output()
            .expect("the server can be started");
        let said = String::from_utf8_lossy(&added.stderr);
        assert!(added.status.success(), "{said}");
    }

    /// Makes a key in a project's home, and a user who has it.
    pub fn admit(&self, user: &str, project: &Project) {
        let folder = project.home().join(".ssh");
        fs::create_dir_all(&folder).expect("a test's home can be filled");
        let key = folder.join("id_ed25519");
        let key = key.to_str().expect("a test's paths are text");
        project.run("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", key]);
        self.add_key(user, &project.home());
    }

    /// What it answers to anyone, as JSON.
    pub fn get(&self, path: &str) -> Value {
        let page = self.page(path);
        serde_json::from_slice(&page).unwrap_or_else(|error| {
            let said = String::from_utf8_lossy(&page);
            panic!("{path}: {error}: {said}")
        })
    }

    /// What it answers to anyone, to the byte.
    pub fn page(&self, path: &str) -> Vec<u8> {
        let output = Command::new("curl")
            .args(["--silent", "--show-error", "--noproxy", "*"])
            .arg(format!("{}{path}", self.url()))
            .output()
            .expect("curl can be started");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{path}: {said}");
        output.stdout
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `… http://127.0.0.1:PORT …`
fn port_in(line: &str) -> Option<u16> {
    let (_, rest) = line.split_once("http://127.0.0.1:")?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}
