//! Keys that are read and used by OpenSSH's own `ssh-keygen`: ECDSA keys whose private number is
//! shorter than its curve's order, and older formats.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use glaas_api::auth::NAMESPACE;
use ssh_key::PublicKey;

/// The public half of a key that needs no passphrase.
pub(super) fn public(path: &Path) -> Result<PublicKey, String> {
    let mut command = Command::new("ssh-keygen");
    command.args(["-y", "-P", "", "-f"]).arg(path);
    let text = output(command, &[])?;
    PublicKey::from_openssh(text.trim_end()).map_err(|error| error.to_string())
}

/// The signature of a text in its armour.
pub(super) fn sign(path: &Path, text: &[u8]) -> Result<String, String> {
    let mut command = Command::new("ssh-keygen");
    command
        .args(["-Y", "sign", "-q", "-n", NAMESPACE, "-f"])
        .arg(path);
    output(command, text)
}

fn output(mut command: Command, input: &[u8]) -> Result<String, String> {
    let cannot = |error: std::io::Error| format!("ssh-keygen cannot be used: {error}");
    let mut child = command
        .env("SSH_ASKPASS_REQUIRE", "never")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(cannot)?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that refuses the key reads nothing: it says why.
        let _ = stdin.write_all(input);
    }
    let Output {
        status,
        stdout,
        stderr,
    } = child.wait_with_output().map_err(cannot)?;
    if !status.success() {
        let said = String::from_utf8_lossy(&stderr);
        let said: Vec<&str> = said.lines().map(str::trim).collect();
        return Err(format!("ssh-keygen says: {}", said.join(" ")));
    }
    String::from_utf8(stdout).map_err(|error| error.to_string())
}
