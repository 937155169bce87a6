//! A reproduction as a shell script that needs no roar: to be read, changed, and run elsewhere.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::reproduce::Outlook;
use super::{inert, shell};
use crate::model::{Digest, JobKind, RawString};
use crate::reproduce::checkout::Code;
use crate::reproduce::inputs::Presence;
use crate::reproduce::places::{self, ENVIRONMENT};
use crate::reproduce::plan::Plan;
use crate::reproduce::problems::Weight;
use crate::reproduce::rebase::rebase;
use crate::reproduce::secrets::{HiddenArgument, has_mark};

/// Contents larger than this are not written into the script.
const LARGEST: usize = 8 << 20;

/// The word that stands for the folder while the script is made.
const FOLDER: &str = "/roar-reproduction";

/// The script; `blob` gives kept contents.
pub fn script(plan: &Plan, outlook: &Outlook, blob: &dyn Fn(&Digest) -> Option<Vec<u8>>) -> String {
    let mut text = String::from("#!/bin/sh\n");
    for target in &plan.lineage.targets {
        let hash = target.hash().map_or("", Digest::as_str);
        let _ = writeln!(text, "# Makes {} again ({hash}).", target.path);
    }
    for problem in &plan.problems {
        let weight = match problem.weight {
            Weight::Impossible => "IMPOSSIBLE",
            Weight::Doubtful => "doubtful",
        };
        let _ = writeln!(text, "# {weight}: {}", problem.text);
    }
    let name = plan
        .lineage
        .targets
        .first()
        .and_then(|target| target.hash());
    let folder = format!("reproduce-{}", name.map_or("artifact", Digest::short));
    let _ = writeln!(
        text,
        "set -eu\nROOT=${{1:-{folder}}}\nmkdir -p -- \"$ROOT\"\nROOT=$(cd -- \"$ROOT\" && pwd)\ncd -- \"$ROOT\""
    );
    if let Some(source) = &plan.source {
        let from = source
            .remote
            .clone()
            .unwrap_or_else(|| source.top.to_string());
        let _ = writeln!(
            text,
            "git init --quiet --template= .\ngit config core.hooksPath /dev/null\n\
             git remote add origin {}\ngit fetch --quiet --tags origin",
            shell::quote(from.as_bytes())
        );
        let _ = writeln!(
            text,
            "mkdir -p .git/info\nprintf '/.outside/\\n/{ENVIRONMENT}/\\n' >>.git/info/exclude"
        );
    }
    environment(&mut text, plan);
    inputs(&mut text, plan, outlook);
    let mut current = None;
    for step in 0..plan.steps.len() {
        let job = plan.job(step);
        let code = Code::of(job);
        if current.as_ref() != Some(&code) {
            write_code(&mut text, &code, blob);
            current = Some(code);
        }
        let rebase = rebase(plan, job, std::path::Path::new(FOLDER));
        let kind = match job.kind {
            JobKind::Run => "step",
            JobKind::Build => "build step",
        };
        let _ = writeln!(text, "\n# {kind} {}", step + 1);
        let cwd = places::folder_of(&job.cwd).unwrap_or_default();
        let cwd = shell::quote(RawString::from_path(&cwd).as_bytes());
        let mut words = vec![RawString::from("env")];
        for (name, value) in &job.conditions.environment {
            // A secret is taken as it is set where the script runs.
            if has_mark(value) {
                continue;
            }
            let value = rebase.apply(value);
            words.push(RawString::new(
                [name.as_bytes(), b"=", value.as_bytes()].concat(),
            ));
        }
        let quoted = |word: &RawString| in_root(&shell::quote(word.as_bytes()));
        let mut command: Vec<String> = words.iter().map(quoted).collect();
        for (index, word) in job.argv.iter().enumerate() {
            let mut hidden = plan.hidden.iter();
            command.push(
                match hidden.find(|hidden| (hidden.step, hidden.index) == (step, index)) {
                    Some(hidden) => variable(hidden, word),
                    None => quoted(&rebase.apply(word)),
                },
            );
        }
        let command = command.join(" ");
        let _ = writeln!(text, "(mkdir -p -- {cwd} && cd -- {cwd} && {command})");
    }
    check(&mut text, plan);
    text
}

/// Who runs the script gives what was a secret.
fn variable(hidden: &HiddenArgument, word: &RawString) -> String {
    let lead = hidden.lead_of(word).unwrap_or_default();
    let lead = match lead.as_slice() {
        [] => String::new(),
        lead => shell::quote(lead),
    };
    let name = format!("SECRET_{}_{}", hidden.step + 1, hidden.index);
    format!("{lead}\"${{{name}:?was a secret and is not recorded}}\"")
}

/// The place-holder, wherever it stands in a quoted word, becomes the shell's own variable.
fn in_root(quoted: &str) -> String {
    if !quoted.contains(FOLDER) {
        return quoted.to_owned();
    }
    if quoted.contains('\'') {
        quoted.replace(FOLDER, "'\"$ROOT\"'")
    } else {
        quoted.replace(FOLDER, "\"$ROOT\"")
    }
}

fn environment(text: &mut String, plan: &Plan) {
    let Some(python) = &plan.python else {
        return;
    };
    let site = if python.isolated {
        ""
    } else {
        " --system-site-packages"
    };
    let minor: Vec<&str> = python.version.splitn(3, '.').take(2).collect();
    let _ = writeln!(
        text,
        "\n# Python {version}\nif command -v uv >/dev/null; then\n  \
         uv venv --quiet --seed --python {version}{site} {ENVIRONMENT}\nelse\n  \
         python{minor} -m venv{site} {ENVIRONMENT}\nfi\nPATH=$ROOT/{ENVIRONMENT}/bin:$PATH\nexport PATH",
        version = python.version,
        minor = minor.join("."),
    );
    let packages: Vec<String> = python
        .distributions
        .iter()
        .filter(|(name, _)| !python.origins.contains_key(*name))
        .map(|(name, version)| shell::quote(format!("{name}=={version}").as_bytes()))
        .collect();
    if !packages.is_empty() {
        let _ = writeln!(
            text,
            "{ENVIRONMENT}/bin/python -m pip install --quiet --no-deps -- {}",
            packages.join(" ")
        );
    }
    for (name, origin) in &python.origins {
        let _ = writeln!(
            text,
            "# {} was installed from {}",
            inert(name),
            inert(origin)
        );
    }
}

fn inputs(text: &mut String, plan: &Plan, outlook: &Outlook) {
    for (input, presence) in plan.inputs.iter().zip(&outlook.presences) {
        let Ok(place) = places::place_of(&input.file.path) else {
            continue;
        };
        let to = shell::quote(RawString::from_path(&place).as_bytes());
        match presence {
            Presence::At(path) | Presence::Changed(path) | Presence::Unknown(Some(path)) => {
                let from = shell::quote(RawString::from_path(path).as_bytes());
                let _ = writeln!(
                    text,
                    "mkdir -p -- \"$(dirname -- {to})\" && cp -- {from} {to}"
                );
            }
            Presence::Missing | Presence::Unknown(None) => {
                let hash = input.file.hash().map_or("not hashed", Digest::as_str);
                let _ = writeln!(text, "# To be put at {to} by hand: the input {hash}");
            }
            Presence::Kept | Presence::InCommit | Presence::Unseen | Presence::Redacted => {}
        }
    }
}

fn write_code(text: &mut String, code: &Code, blob: &dyn Fn(&Digest) -> Option<Vec<u8>>) {
    if let Some(commit) = &code.commit {
        let _ = writeln!(text, "\ngit checkout --quiet --force --detach {commit}");
        for module in &code.submodules {
            let path = shell::quote(module.path.as_bytes());
            let _ = writeln!(
                text,
                "git submodule --quiet update --init --checkout -- {path}"
            );
        }
    }
    if let Some(patch) = &code.patch {
        match blob(patch).filter(|content| content.len() <= LARGEST) {
            Some(content) => {
                let _ = writeln!(
                    text,
                    "base64 -d <<'END' | git apply --whitespace=nowarn -\n{}END",
                    wrapped(&content)
                );
            }
            None => {
                let _ = writeln!(text, "# IMPOSSIBLE: the patch {patch} is not to be had");
            }
        }
    }
    for file in &code.untracked {
        let (Some(digest), Ok(place)) = (&file.blob, places::place_of(&file.path)) else {
            continue;
        };
        let to = shell::quote(RawString::from_path(&place).as_bytes());
        let content = blob(&Digest::from_hex(digest.as_str()));
        match content.filter(|content| content.len() <= LARGEST) {
            Some(content) => {
                let _ = writeln!(
                    text,
                    "mkdir -p -- \"$(dirname -- {to})\"\nbase64 -d >{to} <<'END'\n{}END",
                    wrapped(&content)
                );
                if file.executable {
                    let _ = writeln!(text, "chmod +x -- {to}");
                }
            }
            None => {
                let _ = writeln!(text, "# To be put at {to} by hand: the file {digest}");
            }
        }
    }
}

fn wrapped(content: &[u8]) -> String {
    let encoded = BASE64.encode(content);
    let mut lines = String::with_capacity(encoded.len() + encoded.len() / 76 + 1);
    for line in encoded.as_bytes().chunks(76) {
        lines.push_str(&String::from_utf8_lossy(line));
        lines.push('\n');
    }
    lines
}

fn check(text: &mut String, plan: &Plan) {
    text.push_str(
        "\n# Is it the same? (b3sum comes with BLAKE3)\n\
         command -v b3sum >/dev/null || { echo 'not comparable: there is no b3sum here'; exit 1; }\n",
    );
    for target in &plan.lineage.targets {
        let (Some(hash), Ok(place)) = (target.hash(), places::place_of(&target.path)) else {
            continue;
        };
        let place = shell::quote(RawString::from_path(&place).as_bytes());
        let _ = writeln!(
            text,
            "if [ \"$(b3sum --no-names -- {place})\" = {hash} ]; then echo 'bit-identical'; \
             else echo 'differs'; exit 3; fi"
        );
    }
}
