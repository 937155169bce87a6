//! What roar signs, judged by OpenSSH's own `ssh-keygen -Y verify`.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use roar_cli::register::RegisterError;
use roar_cli::register::keys::{Key, armoured};
use roar_tests::require::{Need, met};

fn can_run() -> bool {
    met(&[Need::Program("ssh-keygen")])
}

fn make_key(folder: &Path, kind: &[&str], passphrase: &str) -> PathBuf {
    let path = folder.join(format!("key-{}{}", kind.join("-"), passphrase.len()));
    let made = Command::new("ssh-keygen")
        .args(["-q", "-C", "a tester", "-N", passphrase, "-t"])
        .args(kind)
        .arg("-f")
        .arg(&path)
        .status()
        .expect("ssh-keygen can be started");
    assert!(made.success());
    path
}

/// Whether ssh-keygen takes the signature for one of this key over the text.
fn verifies(folder: &Path, key: &Path, signature: &str, text: &[u8]) -> bool {
    let public = fs::read_to_string(key.with_file_name(format!(
        "{}.pub",
        key.file_name().expect("a name").to_string_lossy()
    )))
    .expect("the public half");
    let signers = folder.join("signers");
    fs::write(&signers, format!("tester {public}")).expect("written");
    let file = folder.join("signature");
    fs::write(&file, armoured(signature).expect("base64")).expect("written");
    let mut child = Command::new("ssh-keygen")
        .args(["-Y", "verify", "-n", "glaas", "-I", "tester", "-f"])
        .arg(&signers)
        .arg("-s")
        .arg(&file)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("ssh-keygen can be started");
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(text).expect("written");
    drop(stdin);
    child.wait().expect("waited for").success()
}

const KINDS: &[&[&str]] = &[
    &["ed25519"],
    &["rsa", "-b", "2048"],
    &["rsa", "-b", "3072"],
    &["ecdsa", "-b", "256"],
    &["ecdsa", "-b", "384"],
    &["ecdsa", "-b", "521"],
];

#[test]
fn signatures_of_every_kind_of_key() {
    if !can_run() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let texts: [&[u8]; 3] = [
        b"1700000000\nGET\n/api/v1/artifacts/00000000",
        b"",
        b"\xff\n",
    ];
    for kind in KINDS {
        let path = make_key(folder.path(), kind, "");
        let key = Key::read(&path).expect("readable");
        let shown = Command::new("ssh-keygen")
            .arg("-lf")
            .arg(&path)
            .output()
            .expect("ssh-keygen can be started");
        let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
        assert!(shown.contains(&key.fingerprint()), "{shown}");
        for text in texts {
            let signature = key.sign(text).expect("signed");
            assert!(!signature.contains('\n'));
            assert!(verifies(folder.path(), &path, &signature, text), "{kind:?}");
            assert!(!verifies(folder.path(), &path, &signature, b"another"));
        }
    }
}

/// ssh-key 0.6 cannot read an ECDSA key whose private number is shorter than its curve's order (half
/// of all P-521 ones), nor older formats: OpenSSH's own program signs with them.
#[test]
fn keys_that_only_ssh_keygen_reads_sign() {
    if !can_run() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let short = (0..60)
        .find_map(|_| {
            let path = make_key(folder.path(), &["ecdsa", "-b", "521"], "");
            let text = fs::read(&path).expect("a key");
            if ssh_key::PrivateKey::from_openssh(&text).is_err() {
                return Some(path);
            }
            fs::remove_file(&path).expect("removed");
            None
        })
        .expect("every second one is short");
    let old = make_key(folder.path(), &["rsa", "-m", "PEM"], "");
    for path in [short, old] {
        let key = Key::read(&path).expect("readable");
        assert!(!key.is_in_agent());
        let signature = key.sign(b"a text").expect("signed");
        assert!(verifies(folder.path(), &path, &signature, b"a text"));
        assert!(!verifies(folder.path(), &path, &signature, b"another"));
        // The public half need not lie beside it.
        fs::remove_file(path.with_extension("pub")).expect("removed");
        let alone = Key::read(&path).expect("readable");
        assert_eq!(alone.fingerprint(), key.fingerprint());
    }
    let locked = make_key(folder.path(), &["rsa", "-m", "PEM"], "secret");
    match Key::read(&locked) {
        Err(RegisterError::BadKey { reason, .. }) => {
            assert!(
                reason.contains("passphrase") && reason.contains("ssh-add"),
                "{reason}"
            );
        }
        other => panic!("{other:?}"),
    }
}

/// An agent of its own, gone when the test ends.
struct Agent {
    child: std::process::Child,
    socket: PathBuf,
}

impl Agent {
    fn start(folder: &Path) -> Self {
        let socket = folder.join("agent");
        let child = Command::new("ssh-agent")
            .arg("-D")
            .arg("-a")
            .arg(&socket)
            .stdout(Stdio::null())
            .spawn()
            .expect("ssh-agent can be started");
        while !socket.exists() {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        Self { child, socket }
    }

    /// Adds a key whose passphrase is `secret`.
    fn add(&self, folder: &Path, key: &Path) {
        let ask = folder.join("ask");
        fs::write(&ask, "#!/bin/sh\necho secret\n").expect("written");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(&ask, mode).expect("set");
        let added = Command::new("ssh-add")
            .arg(key)
            .env("SSH_AUTH_SOCK", &self.socket)
            .env("SSH_ASKPASS", &ask)
            .env("SSH_ASKPASS_REQUIRE", "force")
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .expect("ssh-add can be started");
        assert!(added.success());
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The agent is told by a variable of this process: one test for all of it.
#[test]
fn encrypted_keys_sign_through_the_agent() {
    if !can_run() || !met(&[Need::Program("ssh-agent")]) {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let agent = Agent::start(folder.path());
    let roar = roar_tests::binary::roar();
    for kind in KINDS {
        let path = make_key(folder.path(), kind, "secret");
        assert!(matches!(
            Key::read(&path),
            Err(RegisterError::Encrypted { .. } | RegisterError::Signing { .. })
        ));
        let status = |socket: &Path| {
            let output = Command::new(roar)
                .args(["auth", "status", "--json"])
                .current_dir(folder.path())
                .env("HOME", folder.path())
                .env("ROAR_SSH_KEY", &path)
                .env("SSH_AUTH_SOCK", socket)
                .output()
                .expect("roar can be started");
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            serde_json::from_str::<serde_json::Value>(&text).expect("JSON")
        };
        let before = status(&agent.socket);
        assert!(
            before["problem"]
                .as_str()
                .expect("a text")
                .contains("ssh-add"),
            "{before}"
        );
        let nobody = status(&folder.path().join("nobody"));
        assert!(nobody["key"].is_null(), "{nobody}");
        agent.add(folder.path(), &path);
        let after = status(&agent.socket);
        assert_eq!(after["key"]["agent"], true, "{after}");
        // What the agent signed, judged by OpenSSH.
        let server = Ear::start();
        let told = Command::new(roar)
            .args(["auth", "test"])
            .current_dir(folder.path())
            .env("HOME", folder.path())
            .env("ROAR_SSH_KEY", &path)
            .env("SSH_AUTH_SOCK", &agent.socket)
            .env("GLAAS_URL", format!("http://127.0.0.1:{}", server.port))
            .status()
            .expect("roar can be started");
        assert!(told.success());
        let request = server.heard();
        let field = |name: &str| {
            let (_, rest) = request.split_once(&format!("{name}=\"")).expect("a field");
            rest.split('"').next().expect("a value").to_owned()
        };
        let text = format!("{}\nGET\n/api/v1/artifacts/00000000", field("ts"));
        let signature = field("sig");
        assert!(
            verifies(folder.path(), &path, &signature, text.as_bytes()),
            "{kind:?}"
        );
        assert!(!verifies(folder.path(), &path, &signature, b"another"));
    }
}

/// A server that knows nothing, and remembers what it was asked.
struct Ear {
    port: u16,
    requests: Receiver<String>,
}

impl Ear {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let (tell, requests) = channel();
        std::thread::spawn(move || {
            for mut client in listener.incoming().flatten() {
                let mut request = Vec::new();
                let mut buffer = [0; 4096];
                while !request.ends_with(b"\r\n\r\n") {
                    match client.read(&mut buffer) {
                        Ok(count @ 1..) => request.extend_from_slice(&buffer[..count]),
                        _ => break,
                    }
                }
                let text = String::from_utf8_lossy(&request).into_owned();
                let status = if text.contains("/health ") {
                    "200 OK"
                } else {
                    "404 Not Found"
                };
                let answer = format!(
                    "HTTP/1.1 {status}\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}"
                );
                let _ = client.write_all(answer.as_bytes());
                let _ = tell.send(text);
            }
        });
        Self { port, requests }
    }

    /// The first signed request.
    fn heard(&self) -> String {
        let mut requests = self.requests.iter();
        requests
            .find(|request| request.contains("sig=\""))
            .expect("a signed request")
    }
}

#[test]
fn keys_that_do_not_serve_are_told_apart() {
    if !can_run() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let home = folder.path();
    match Key::find("", Some(home)) {
        Err(RegisterError::NoKey { looked }) => assert_eq!(looked.len(), 3),
        other => panic!("{other:?}"),
    }
    fs::create_dir(home.join(".ssh")).expect("made");
    let ecdsa = make_key(home, &["ecdsa"], "");
    fs::rename(&ecdsa, home.join(".ssh/id_ecdsa")).expect("moved");
    let found = Key::find("", Some(home)).expect("found");
    assert!(found.path.ends_with("id_ecdsa"));
    let ed25519 = make_key(home, &["ed25519"], "");
    fs::rename(&ed25519, home.join(".ssh/id_ed25519")).expect("moved");
    let found = Key::find("", Some(home)).expect("found");
    assert!(found.path.ends_with("id_ed25519"));
    let named = Key::find("~/.ssh/id_ecdsa", Some(home)).expect("found");
    assert!(named.path.ends_with("id_ecdsa"));
    assert!(matches!(
        Key::find("/no/such/key", Some(home)),
        Err(RegisterError::NoKey { .. })
    ));
    fs::write(home.join("junk"), "not a key").expect("written");
    assert!(matches!(
        Key::read(&home.join("junk")),
        Err(RegisterError::BadKey { .. })
    ));
}
