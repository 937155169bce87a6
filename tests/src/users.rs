//! Two users of a lineage server: one has a project, the other nothing but a home.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::project::Project;
use crate::require::{Need, met};
use crate::server::Server;
use crate::transcript::Transcript;

/// User A's project, with a bare remote, and user B's home beside it.
#[derive(Debug)]
pub struct Users {
    /// User A's project.
    pub project: Project,
    /// The server that knows the keys of both.
    pub server: Server,
}

impl Default for Users {
    fn default() -> Self {
        Self::new()
    }
}

impl Users {
    /// On a server with a database of its own in a file.
    pub fn new() -> Self {
        let project = Project::new();
        let server = Server::start(&project.base());
        Self::at(project, server)
    }

    /// On a server with this database.
    pub fn on(database: &str) -> Self {
        let project = Project::new();
        let server = Server::start_on(database, &project.base());
        Self::at(project, server)
    }

    fn at(project: Project, server: Server) -> Self {
        let users = Self { project, server };
        for home in [users.project.home(), users.other_home()] {
            let folder = home.join(".ssh");
            fs::create_dir_all(&folder).expect("made");
            users.project.run(
                "ssh-keygen",
                ["-q", "-t", "ed25519", "-N", "", "-f"]
                    .map(Into::into)
                    .into_iter()
                    .chain([folder.join("id_ed25519").into_os_string()]),
            );
        }
        users.server.add_key("a", &users.project.home());
        users.server.add_key("b", &users.other_home());
        users
    }

    /// User B's home.
    pub fn other_home(&self) -> PathBuf {
        self.project.base().join("other-home")
    }

    /// roar as user A.
    pub fn a(&self, arguments: &[&str]) -> Command {
        let mut command = self.project.roar_command();
        command.env("GLAAS_URL", self.server.url()).args(arguments);
        command
    }

    /// roar as user B: another home, another folder, no record.
    pub fn b(&self, arguments: &[&str]) -> Command {
        let folder = self.project.base().join("elsewhere");
        fs::create_dir_all(&folder).expect("made");
        let mut command = self.project.roar_command();
        command
            .current_dir(folder)
            .env("HOME", self.other_home())
            .env("GLAAS_URL", self.server.url())
            .args(arguments);
        command
    }

    /// Commits everything and pushes it to a bare remote, which is made the first time.
    pub fn push(&self) {
        let remote = self.project.base().join("remote.git");
        self.project.commit_all();
        if remote.exists() {
            self.project
                .run("git", ["push", "--quiet", "origin", "main"]);
        } else {
            let remote = remote.to_str().expect("text");
            self.project
                .run("git", ["clone", "--quiet", "--bare", ".", remote]);
            self.project.run("git", ["remote", "add", "origin", remote]);
        }
        self.project.run("git", ["fetch", "--quiet", "origin"]);
    }

    /// A pipeline of two steps whose result is `model.bin`; its hash.
    pub fn pipeline(&self) -> String {
        for script in ["prepare.sh", "train.sh"] {
            Transcript::of(&mut self.a(&["run", "-q", "sh", script])).succeeds();
        }
        self.hash()
    }

    /// The hash of `model.bin`.
    pub fn hash(&self) -> String {
        blake3::hash(&self.project.read("model.bin"))
            .to_hex()
            .to_string()
    }

    /// Writes the scripts of a pipeline of two steps.
    pub fn write_pipeline(&self) {
        let project = &self.project;
        project.write(".gitignore", ".roar/\ndata/\nmodel.bin\n");
        project.write("raw.txt", "c\na\nb\n");
        project.write(
            "prepare.sh",
            "mkdir -p data; sort raw.txt >data/sorted.txt\n",
        );
        project.write(
            "train.sh",
            "{ cat settings; cat data/sorted.txt; } >model.bin\n",
        );
        project.write("settings", "rate 0.1\n");
    }

    /// User A registers `model.bin`.
    pub fn register(&self) -> Transcript {
        Transcript::of(&mut self.a(&["register", "model.bin", "-y", "--json"]))
    }

    /// User B reproduces a hash into a folder `out`; what roar says of it.
    pub fn reproduce(&self, hash: &str, out: &str, status: i32) -> Value {
        let arguments = ["reproduce", hash, "--run", "-y", "--json", "--out", out];
        Transcript::of(&mut self.b(&arguments)).exits(status).json()
    }
}

/// Whether there can be such users here.
pub fn can_run() -> bool {
    met(&[
        Need::Bpf,
        Need::Program("git"),
        Need::Program("ssh-keygen"),
        Need::Program("curl"),
    ])
}
