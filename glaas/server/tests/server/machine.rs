//! A server of one's own, and users who sign with `ssh-keygen`.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use glaas_server::auth::hex;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

/// A running server; killed when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: String,
}

impl Server {
    pub(crate) fn start(database: &str, options: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_glaas-server"))
            .args([
                "--port",
                "0",
                "--log-level",
                "error",
                "--database",
                database,
            ])
            .args(options)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped"))
            .read_line(&mut line)
            .expect("the server says its address");
        let address = line
            .trim()
            .rsplit("//")
            .next()
            .filter(|address| !address.is_empty())
            .expect("an address")
            .to_owned();
        Self { child, address }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL, as a power cut would do it.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it is a child");
    }

    /// SIGTERM, as an operator ends it.
    pub(crate) fn terminate(&self) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(sent.expect("kill runs").success());
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> std::process::ExitStatus {
        self.child.wait().expect("it is a child")
    }

    /// What the server says when it cannot start.
    pub(crate) fn refusal(database: &str) -> String {
        let output = Command::new(env!("CARGO_BIN_EXE_glaas-server"))
            .args([
                "--port",
                "0",
                "--log-level",
                "error",
                "--database",
                database,
            ])
            .output()
            .expect("the server starts");
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    pub(crate) fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Option<Reply> {
        let mut stream = TcpStream::connect(&self.address).ok()?;
        let more: Vec<String> = headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {}\r\n",
            self.address,
            body.len()
        );
        let head = format!("{head}{}\r\n", more.concat());
        stream.write_all(head.as_bytes()).ok()?;
        // A server that has refused already need not read the rest.
        let _ = stream.write_all(body);
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let (head, body) = text.split_once("\r\n\r\n")?;
        Some(Reply {
            status: head.split(' ').nth(1)?.parse().ok()?,
            head: head.to_ascii_lowercase(),
            body: body.to_owned(),
        })
    }

    pub(crate) fn get(&self, path: &str) -> Reply {
        self.send("GET", path, &[], b"").expect("an answer")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    pub(crate) fn data(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        self.json()["data"].clone()
    }
}

/// A user with a key in a folder, who signs with `ssh-keygen -Y sign`.
pub(crate) struct User {
    folder: TempDir,
    pub(crate) fingerprint: String,
}

impl User {
    pub(crate) fn new(kind: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let key = folder.path().join("key");
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", kind, "-N", "", "-f"])
            .arg(&key)
            .status();
        assert!(made.expect("ssh-keygen runs").success());
        let listed = Command::new("ssh-keygen")
            .arg("-lf")
            .arg(key.with_extension("pub"))
            .output()
            .expect("ssh-keygen runs");
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        let fingerprint = listed.split(' ').nth(1).expect("a fingerprint").to_owned();
        Self {
            folder,
            fingerprint,
        }
    }

    /// Where the key is, for a program that reads one.
    pub(crate) fn key(&self) -> PathBuf {
        self.folder.path().join("key")
    }

    /// A home folder.
    pub(crate) fn home(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn public_key(&self) -> String {
        fs::read_to_string(self.folder.path().join("key.pub")).expect("the key")
    }

    pub(crate) fn signature(&self, text: &str) -> String {
        let mut child = Command::new("ssh-keygen")
            .args(["-Y", "sign", "-n", "glaas", "-f"])
            .arg(self.folder.path().join("key"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("ssh-keygen runs");
        let mut stdin = child.stdin.take().expect("piped");
        stdin.write_all(text.as_bytes()).expect("it reads");
        drop(stdin);
        let output = child.wait_with_output().expect("it ends");
        String::from_utf8_lossy(&output.stdout)
            .lines()
            .filter(|line| !line.starts_with("-----"))
            .collect()
    }

    /// The header of a request that is signed `ago` seconds ago.
    pub(crate) fn authorization(&self, method: &str, path: &str, body: &[u8], ago: i64) -> String {
        let seconds = unix_seconds() - ago;
        let digest = (!body.is_empty()).then(|| hex(&Sha256::digest(body)));
        let text = glaas_api::auth::signed_text(seconds, method, path, digest.as_deref());
        format!(
            "Signature keyid=\"{}\" ts=\"{seconds}\" sig=\"{}\"",
            self.fingerprint,
            self.signature(&text)
        )
    }

    /// Sends a request that is signed with a nonce: the same may be sent twice in a second.
    pub(crate) fn send(&self, server: &Server, method: &str, path: &str, body: &[u8]) -> Reply {
        static NONCES: AtomicU64 = AtomicU64::new(0);
        let number = NONCES.fetch_add(1, Ordering::Relaxed);
        let nonce = format!("{:08}-{number:012}", std::process::id());
        let seconds = unix_seconds();
        let digest = if body.is_empty() {
            String::new()
        } else {
            hex(&Sha256::digest(body))
        };
        let text = glaas_api::auth::signed_text_with_nonce(
            seconds,
            &nonce,
            method,
            &server.address,
            path,
            &digest,
        );
        let header = format!(
            "GlaasSignature keyid=\"{}\" ts=\"{seconds}\" nonce=\"{nonce}\" sig=\"{}\"",
            self.fingerprint,
            self.signature(&text)
        );
        server
            .send(method, path, &[("Authorization", &header)], body)
            .expect("an answer")
    }

    pub(crate) fn get(&self, server: &Server, path: &str) -> Reply {
        self.send(server, "GET", path, b"")
    }

    pub(crate) fn post(&self, server: &Server, path: &str, body: &Value) -> Reply {
        self.send(server, "POST", path, body.to_string().as_bytes())
    }

    /// Registers the key under a name.
    pub(crate) fn join(&self, server: &Server, name: &str) {
        let body = serde_json::json!({ "user": name, "public_key": self.public_key() });
        let reply = server.send("POST", "/api/v1/keys", &[], body.to_string().as_bytes());
        assert_eq!(
            reply.expect("an answer").data()["fingerprint"],
            *self.fingerprint
        );
    }
}

pub(crate) fn unix_seconds() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.expect("after 1970").as_secs() as i64
}

pub(crate) fn base64(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
