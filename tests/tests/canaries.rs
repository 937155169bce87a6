//! Secrets planted wherever a secret may stand: none of them reaches the server, its log, its
//! database or its pages, and none of them is shown, whatever the command.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use regex::bytes::RegexSet;

use roar_tests::proxy::Proxy;
use roar_tests::transcript::Transcript;
use roar_tests::users::{Users, can_run};

/// Where they are planted.
const PLACES: &[&str] = &[
    "argument",
    "inline",
    "url",
    "variable",
    "listed",
    "name",
    "fetch",
    "branch",
    "diff",
    "notebook",
    "untracked",
    "path",
    "folder",
    "step",
];

/// The canary of a place: a token of a known shape that names its place.
fn canary(place: &str) -> String {
    let tail = "abcdefghijklmnopqrstuvwxyz0123456789";
    format!("ghp_{place}{}", &tail[place.len()..])
}

/// The canaries that bytes hold, as they are or in base64.
fn held(bytes: &[u8]) -> Vec<&'static str> {
    static FORMS: OnceLock<RegexSet> = OnceLock::new();
    let forms = FORMS.get_or_init(|| {
        let forms = PLACES.iter().map(|place| {
            let canary = canary(place);
            let encoded = (0..3).map(|shift| {
                let encoded = BASE64.encode([" ".repeat(shift), canary.clone()].concat());
                // The edges depend on what stands around it.
                regex::escape(&encoded[4..encoded.len() - 4])
            });
            let forms: Vec<String> = encoded.chain([regex::escape(&canary)]).collect();
            forms.join("|")
        });
        RegexSet::new(forms).expect("everything is escaped")
    });
    forms.matches(bytes).iter().map(|at| PLACES[at]).collect()
}

#[track_caller]
fn clean(what: &str, bytes: &[u8]) {
    assert_eq!(held(bytes), Vec::<&str>::new(), "in {what}");
}

/// A project with all of them, and a pipeline that has run on it.
fn planted(users: &Users) {
    let project = &users.project;
    users.write_pipeline();
    project.write("tracked.py", "token = 'none'\n");
    users.push();
    let branch = format!("work-{}", canary("branch"));
    project.run("git", ["checkout", "-q", "-b", &branch]);
    let fetch = format!("https://user:{}@example.invalid/a.git", canary("fetch"));
    project.run("git", ["remote", "set-url", "origin", &fetch]);
    project.write("tracked.py", format!("token = '{}'\n", canary("diff")));
    let cell = format!("{{\"source\": [\"key = '{}'\"]}}", canary("notebook"));
    project.write("notebook.ipynb", format!("{{\"cells\": [{cell}]}}\n"));
    project.write("more.sh", format!("# {}\necho more\n", canary("untracked")));
    project.write(format!("name-{}", canary("path")), "x\n");
    project.write(format!("in-{}/data.txt", canary("folder")), "x\n");
    project.write(
        "train.sh",
        "cat settings tracked.py notebook.ipynb more.sh name-* in-*/data.txt data/sorted.txt >model.bin\n",
    );
    Transcript::of(&mut users.a(&["env", "set", "API_KEY", &canary("listed")])).succeeds();
    Transcript::of(&mut users.a(&["run", "-q", "sh", "prepare.sh"])).succeeds();
    let named = format!("--name=train-{}", canary("step"));
    let url = format!("https://user:{}@example.invalid/data", canary("url"));
    let inline = format!("--header=Authorization: Bearer {}", canary("inline"));
    let argument = canary("argument");
    let mut train = users.a(&["run", "-q", &named, "sh", "train.sh", "--token"]);
    train.args([
        &argument,
        &url,
        &inline,
        &format!("plain-{}", canary("name")),
    ]);
    Transcript::of(train.env("PYTHONPATH", canary("variable"))).succeeds();
}

/// Runs a command of roar's; nothing that it says holds any of them.
#[track_caller]
fn says_none(mut command: Command) -> Transcript {
    let told = Transcript::of(&mut command);
    let what = format!("{:?}", command.get_args().collect::<Vec<_>>());
    clean(&what, &told.stdout);
    clean(&what, &told.stderr);
    told
}

/// Registers through a proxy that keeps every byte, then looks at all that the server has. The
/// transport has at least so many to take out.
fn registered_without(users: &Users, least_taken: usize) {
    let through = |proxy: &Proxy, arguments: &[&str], is_b: bool| {
        let mut command = if is_b {
            users.b(arguments)
        } else {
            users.a(arguments)
        };
        command.env("GLAAS_URL", proxy.url());
        says_none(command)
    };
    let dry = says_none(users.a(&["register", "model.bin", "--dry-run", "--json"]));
    let dry = dry.succeeds().json();
    let taken = dry["redacted"].as_array().expect("a list").len();
    assert!(taken >= least_taken, "{taken}: {dry:#}");
    says_none(users.a(&["register", "--dry-run"])).succeeds();
    let proxy = Proxy::start(&users.server, u64::MAX);
    through(&proxy, &["auth", "test"], false).succeeds();
    through(&proxy, &["register", "model.bin", "-y"], false).succeeds();
    through(&proxy, &["register", "@1", "-y", "--json"], false).succeeds();
    let told = through(&proxy, &["register", "-y", "--json"], false);
    let session = told.succeeds().json()["session"].clone();
    let hash = users.hash();
    through(&proxy, &["reproduce", &hash], true).succeeds();
    through(
        &proxy,
        &["reproduce", &hash, "--json", "--list-requirements"],
        true,
    )
    .succeeds();
    through(&proxy, &["reproduce", &hash, "--script"], true).succeeds();
    let run = ["reproduce", &hash, "--run", "-y", "--out", "copy"];
    through(&proxy, &run, true).exits(1);
    let sent = proxy.sent();
    assert!(sent.len() > 5000, "{}", sent.len());
    clean("what was sent", &sent);

    let base = users.project.base();
    let mut files = 0;
    for entry in fs::read_dir(&base).expect("a folder").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("glaas") {
            clean(&name, &fs::read(entry.path()).expect("a file"));
            files += 1;
        }
    }
    assert!(files >= 2, "the database and the log");
    let session = session.as_str().expect("a hash");
    for page in [
        "/".to_owned(),
        "/artifacts".to_owned(),
        "/jobs".to_owned(),
        format!("/artifact/{hash}"),
        format!("/dag/{session}"),
        format!("/api/v1/artifacts/{hash}/closure"),
        format!("/api/v1/artifacts/{hash}/lineage"),
        format!("/api/v1/artifacts/{hash}/dag"),
    ] {
        let page = users.server.page(&page);
        assert!(!page.is_empty());
        clean("a page", &page);
    }
}

/// As it is by default: taken out when it is recorded.
#[test]
fn what_was_recorded_without_them_shows_and_sends_none() {
    if !can_run() {
        return;
    }
    let users = Users::new();
    planted(&users);
    for arguments in [
        &["log"][..],
        &["log", "--json"],
        &["show"],
        &["show", "@1", "--json"],
        &["show", "@2", "--all"],
        &["show", "@2", "--json"],
        &["show", "model.bin"],
        &["status"],
        &["status", "--json"],
        &["dag", "--show-artifacts"],
        &["dag", "--json", "--expanded"],
        &["dag", "--mermaid"],
        &["dag", "--dot"],
        &["dag", "--svg"],
        &["dag", "--html"],
        &["lineage", "model.bin"],
        &["lineage", "model.bin", "--json"],
        &["why", "model.bin"],
        &["diff", "@1", "@2"],
        &["verify"],
        &["pop", "--dry-run"],
        &["run", "@2"],
        &["rerun", "--stale", "-n"],
        &["doctor"],
        &["config", "list"],
        &["auth", "status"],
        &["reproduce", "model.bin"],
        &["reproduce", "model.bin", "--script"],
    ] {
        says_none(users.a(arguments));
    }
    // What the record has no more need not be taken out.
    registered_without(&users, 0);
    all_below(&users.project.path(".roar"));
    all_below(&users.project.base().join("elsewhere"));
}

/// Recorded with them, by the user's wish: the transport takes them out all the same.
#[test]
fn what_was_recorded_with_them_sends_none() {
    if !can_run() {
        return;
    }
    let users = Users::new();
    let setting = ["config", "set", "record.redact_secrets", "false"];
    Transcript::of(&mut users.a(&setting)).succeeds();
    planted(&users);
    let shown = Transcript::of(&mut users.a(&["show", "@2", "--json"]));
    let kept = held(&shown.succeeds().stdout);
    assert!(kept.contains(&"argument"), "{kept:?}");
    registered_without(&users, 10);
}

/// No file below a folder holds any, but for the variables that the user set for good.
fn all_below(folder: &Path) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        let kind = entry.file_type().expect("a kind");
        if kind.is_dir() {
            all_below(&path);
        } else if kind.is_file() {
            let mut found = held(&fs::read(&path).expect("a file"));
            found.retain(|place| *place != "listed");
            assert!(found.is_empty(), "{found:?} in {}", path.display());
        }
    }
}
