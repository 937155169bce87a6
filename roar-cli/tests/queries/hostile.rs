//! Names that would drive a terminal, break a table or are not text at all.

use base64::Engine as _;
use roar_cli::model::RawString;

use crate::project::{TestProject, roar_in};

const NAMES: [&[u8]; 9] = [
    b"new\nline",
    b"tab\there",
    b"\x1b]52;c;aGk=\x07",
    b"\x1b[2J",
    "rtl\u{202e}gpj.exe".as_bytes(),
    b"not \xff utf-8",
    b"-rf",
    b"%s 'quotes\" $(id) `id`",
    "\u{1f600} e\u{301}".as_bytes(),
];

fn project() -> TestProject {
    let mut project = TestProject::new();
    project.write("in", "in");
    for name in NAMES {
        let path = [b"/p/", name].concat();
        project.job_with("x", &["in"], &[("out", "out")], |job| {
            job.argv = vec!["cat".into(), RawString::new(name)];
            job.name = std::str::from_utf8(name).ok().map(str::to_owned);
            job.outputs[0].path = RawString::new(path.clone());
            job.inputs[0].note = Some("\x1b[2J".to_owned());
            job.filtered[0].path = RawString::new(path);
        });
    }
    project
}

#[test]
fn text_is_inert() {
    let project = project();
    for arguments in [
        &["log"][..],
        &["dag"],
        &["dag", "--expanded", "--show-artifacts"],
        &["show"],
        &["status"],
        &["show", "@1", "--all"],
        &["show", "@2", "--all"],
        &["show", "@3", "--all"],
        &["show", "@4", "--all"],
        &["show", "@5", "--all"],
        &["show", "@6", "--all"],
        &["show", "@\x1b[2J"],
        &["show", "\x1b[2J"],
        &["log", "--since", "\x1b[2J"],
    ] {
        for width in ["20", "80", "300"] {
            let answer = roar_in(&project.root(), arguments, &[("COLUMNS", width)]);
            for text in [&answer.stdout, &answer.stderr] {
                for c in text.chars() {
                    assert!(
                        c == '\n' || (!c.is_control() && c != '\u{202e}'),
                        "{c:?} in {arguments:?} {text}"
                    );
                }
            }
        }
    }
}

#[test]
fn json_is_lossless() {
    let project = project();
    for (index, name) in NAMES.iter().enumerate() {
        let job = project
            .roar(&["show", &format!("@{}", index + 1), "--json"])
            .json();
        let path = [b"/p/", *name].concat();
        for (value, expected) in [
            (&job["argv"][1], name.to_vec()),
            (&job["outputs"][0]["path"], path),
        ] {
            let bytes = match value.as_str() {
                Some(text) => text.as_bytes().to_vec(),
                None => base64::engine::general_purpose::STANDARD
                    .decode(
                        value["base64"]
                            .as_str()
                            .expect("base64 beside the escaped form"),
                    )
                    .expect("base64"),
            };
            assert_eq!(bytes, expected);
        }
    }
}

/// The command of the JSON document, given to a real shell, stands for the recorded arguments.
#[cfg(unix)]
#[test]
fn commands_go_through_sh() {
    let project = project();
    for (index, name) in NAMES.iter().enumerate() {
        let job = project
            .roar(&["show", &format!("@{}", index + 1), "--json"])
            .json();
        let command = job["command"].as_str().expect("text");
        let output = std::process::Command::new("sh")
            .args(["-c", &format!("cat() {{ printf %s \"$1\"; }}; {command}")])
            .output()
            .expect("sh");
        assert_eq!(output.stdout, *name, "{command}");
    }
}
