//! Two users and a lineage server: what one of them makes and registers, the other makes again
//! with nothing but the hash.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use roar_tests::postgres::Postgres;
use roar_tests::proxy::{Deaf, Proxy};
use roar_tests::require::{Need, met};
use roar_tests::terminal::Terminal;
use roar_tests::transcript::Transcript;
use roar_tests::users::{Users, can_run};

#[test]
fn from_a_hash_to_the_same_bytes() {
    if can_run() {
        from_a_hash(&Users::new());
    }
}

#[test]
fn from_a_hash_to_the_same_bytes_through_postgres() {
    if can_run() && met(&[Need::Postgres]) {
        let postgres = Postgres::start();
        from_a_hash(&Users::on(&postgres.url()));
    }
}

fn from_a_hash(users: &Users) {
    users.write_pipeline();
    users.push();
    let hash = users.pipeline();
    let told = users.register();
    let answer = told.succeeds().json();
    assert_eq!(answer["was_there"], false);
    assert!(
        answer["session_url"]
            .as_str()
            .expect("a link")
            .starts_with(&format!("{}/dag/", users.server.url()))
    );
    // Once more: nothing changes.
    assert_eq!(users.register().succeeds().json()["was_there"], true);

    let preview = Transcript::of(&mut users.b(&["reproduce", &hash[..12]]));
    let preview = preview.succeeds().stdout_text();
    assert!(
        preview.contains("sh train.sh") && preview.contains("model.bin"),
        "{preview}"
    );
    let verdict = users.reproduce(&hash, "clean", 0);
    assert_eq!(verdict["verdict"], "bit_identical", "{verdict:#}");
    let made = fs::read(users.project.base().join("elsewhere/clean/model.bin")).expect("made");
    assert_eq!(made, users.project.read("model.bin"));

    // From a dirty tree, with code that no commit has, on a commit that was not pushed.
    users.project.write("settings", "rate 0.2\n");
    users.project.commit_all();
    users.project.write(
        "train.sh",
        ". ./more.sh; { cat settings; more; cat data/sorted.txt; } >model.bin\n",
    );
    users.project.write("more.sh", "more() { echo more; }\n");
    let hash = users.pipeline();
    users
        .register()
        .succeeds()
        .says("was not pushed: it travels as a patch");
    let verdict = users.reproduce(&hash, "dirty", 0);
    assert_eq!(verdict["verdict"], "bit_identical", "{verdict:#}");
    fs::remove_file(users.project.path("more.sh")).expect("removed");

    // A step that is not deterministic.
    users
        .project
        .write("train.sh", "head -c 9 /dev/urandom >model.bin\n");
    users.push();
    let hash = users.pipeline();
    users.register().succeeds();
    let verdict = users.reproduce(&hash, "chance", 3);
    assert_eq!(verdict["verdict"], "differs");
    assert_eq!(
        verdict["cause"]["difference"]["kind"], "not_deterministic",
        "{verdict:#}"
    );

    // An input that has changed since.
    let shared = users.project.base().join("shared.txt");
    fs::write(&shared, "x\n").expect("written");
    users
        .project
        .write("train.sh", "cat \"$1\" data/sorted.txt >model.bin\n");
    users.push();
    let shared_text = shared.to_str().expect("text");
    Transcript::of(&mut users.a(&["run", "-q", "sh", "train.sh", shared_text])).succeeds();
    users.register().succeeds();
    fs::write(&shared, "y\n").expect("written");
    let verdict = users.reproduce(&users.hash(), "changed", 3);
    assert_eq!(
        verdict["cause"]["difference"]["kind"], "input",
        "{verdict:#}"
    );
    assert_eq!(verdict["cause"]["difference"]["paths"][0], shared_text);

    // What is private is not there for others.
    users.project.write("settings", "rate 0.9\n");
    users
        .project
        .write("train.sh", "cat settings data/sorted.txt >model.bin\n");
    users.push();
    let hash = users.pipeline();
    let private = ["register", "model.bin", "-y", "--private"];
    Transcript::of(&mut users.a(&private)).succeeds();
    Transcript::of(&mut users.b(&["reproduce", &hash])).exits(1);
    // Until its owner says otherwise.
    for (option, status) in [("--public", 0), ("--private", 1)] {
        Transcript::of(&mut users.a(&["register", "model.bin", "-y", option])).succeeds();
        Transcript::of(&mut users.b(&["reproduce", &hash])).exits(status);
    }
}

#[test]
fn what_fails_is_told_apart() {
    if !can_run() {
        return;
    }
    let users = Users::new();
    users.write_pipeline();
    users.project.commit_all();
    users.pipeline();
    // Nobody could fetch the code.
    users.register().exits(1).says("no remote");
    users.push();
    users.project.write("loose.sh", "cat raw.txt >loose.out\n");
    // Without anybody to agree.
    Transcript::of(&mut users.a(&["register", "model.bin"]))
        .exits(1)
        .says("-y");
    Transcript::of(&mut users.a(&["auth", "test"])).succeeds();
    let shown = Transcript::of(&mut users.a(&["auth", "register"]))
        .succeeds()
        .stdout_text();
    let public = fs::read_to_string(users.project.home().join(".ssh/id_ed25519.pub"));
    assert!(
        public.expect("a key").starts_with(shown.trim_end()),
        "{shown}"
    );
    // A key that the server does not know; none; one that is no key; a server that is down; a clock.
    let stranger = users.project.base().join("stranger");
    let arguments = ["-q", "-t", "ed25519", "-N", "", "-f"].map(Into::into);
    let arguments = arguments
        .into_iter()
        .chain([stranger.clone().into_os_string()]);
    users
        .project
        .run::<std::ffi::OsString>("ssh-keygen", arguments);
    let with = |name: &str, value: &Path| {
        let mut command = users.a(&["auth", "test"]);
        Transcript::of(command.env(name, value))
    };
    with("ROAR_SSH_KEY", &stranger)
        .exits(1)
        .says("roar auth register");
    with("ROAR_SSH_KEY", Path::new("/no/such/key"))
        .exits(1)
        .says("ssh-keygen -t ed25519");
    with("HOME", Path::new("/no/such/home"))
        .exits(1)
        .says("no SSH key was found");
    with("ROAR_SSH_KEY", &users.project.path("raw.txt"))
        .exits(1)
        .says("cannot be used");
    with("GLAAS_URL", Path::new("http://127.0.0.1:1"))
        .exits(1)
        .says("does not answer");
    with("GLAAS_URL", Path::new("nonsense"))
        .exits(1)
        .says("is no address");
}

/// A server that cannot be reached: a question is given up soon, sending later, and every wait is
/// told.
#[test]
fn nobody_waits_long_or_unknowing_for_a_server() {
    if !can_run() {
        return;
    }
    let users = Users::new();
    users.write_pipeline();
    users.push();
    users.pipeline();
    let deaf = Deaf::start();
    let ask = |arguments: &[&str]| {
        let mut command = users.a(arguments);
        command
            .env("GLAAS_URL", deaf.url())
            .env("ROAR_GLAAS__RETRY_WAIT_MS", "1")
            .env("ROAR_GLAAS__RETRIES", "5");
        Transcript::of(&mut command)
    };
    let asking = format!("asking {}", deaf.url());
    let unknown = "0123456789abcdef";
    for arguments in [&["auth", "test"][..], &["reproduce", unknown]] {
        let told = ask(arguments);
        told.exits(1)
            .says(&asking)
            .says("trying again")
            .says("(3 of 3)")
            .says("does not answer");
        assert_eq!(deaf.calls(), 3, "{arguments:?}");
    }
    ask(&["register", "model.bin", "-y"])
        .exits(1)
        .says("(6 of 6)");
    assert_eq!(deaf.calls(), 6);
    // What needs no server asks none.
    ask(&["register", "model.bin", "--dry-run"]).succeeds();
    ask(&["reproduce", "model.bin"]).succeeds();
    ask(&["auth", "status"]).succeeds();
    assert_eq!(deaf.calls(), 0);
}

/// Where sending takes long, a terminal shows how far it is; a pipe is told nothing of it.
#[test]
fn a_long_registration_shows_its_progress() {
    if !can_run() {
        return;
    }
    let users = Users::new();
    users.write_pipeline();
    users.push();
    users.pipeline();
    for step in 0..8 {
        let script = format!("cat model.bin >data/out-{step}-x; echo {step} >>data/out-{step}-x");
        Transcript::of(&mut users.a(&["run", "-q", "sh", "-c", &script])).succeeds();
    }
    let proxy = Proxy::slow(&users.server, Duration::from_millis(150));
    let mut command = users.a(&["register", "-y"]);
    let mut terminal = Terminal::start(command.env("GLAAS_URL", proxy.url()));
    terminal.wait_for("requests");
    terminal.wait_for("left");
    let (status, shown) = terminal.finish();
    assert!(status.success(), "{shown}");
    // The bar makes room for what is said after it.
    assert!(
        shown.contains("roar:") && shown.contains("registered"),
        "{shown}"
    );
    let mut command = users.a(&["register", "-y", "--private"]);
    let told = Transcript::of(command.env("GLAAS_URL", proxy.url()));
    assert!(!told.succeeds().stderr_text().contains("requests"));
}

/// Tags keep the commits, on the remote too.
#[test]
fn commits_are_tagged_when_asked_for() {
    if !can_run() {
        return;
    }
    let users = Users::new();
    users.write_pipeline();
    users.push();
    let hash = users.pipeline();
    Transcript::of(&mut users.a(&["register", "model.bin", "-y", "--tag"]))
        .succeeds()
        .says("tagged");
    // The branch goes; the tag keeps the commit for whoever has the hash.
    let remote = users.project.base().join("remote.git");
    let remote = remote.to_str().expect("text");
    let git = |arguments: &[&str]| {
        let mut command = users.project.command("git");
        Transcript::of(command.args(["-C", remote]).args(arguments))
            .succeeds()
            .stdout_text()
    };
    let tags = git(&["tag", "--list"]);
    assert!(tags.starts_with("roar/"), "{tags}");
    git(&["update-ref", "-d", "refs/heads/main"]);
    git(&["-c", "gc.pruneExpire=now", "gc", "--quiet", "--prune=now"]);
    let verdict = users.reproduce(&hash, "tagged", 0);
    assert_eq!(verdict["verdict"], "bit_identical", "{verdict:#}");
}

/// A secret that the command was given is in no record: whoever runs it again gives it.
#[test]
fn a_secret_argument_is_given_again() {
    const SECRET: &str = "ghp_abcdefghijklmnopqrstuvwxyz0123456789";
    // The script compares with b3sum.
    if !can_run() || !met(&[Need::Program("b3sum")]) {
        return;
    }
    let users = Users::new();
    users.write_pipeline();
    users.project.write(
        "train.sh",
        "{ echo \"$2\" | md5sum; cat data/sorted.txt; } >model.bin\n",
    );
    users.push();
    Transcript::of(&mut users.a(&["run", "-q", "sh", "prepare.sh"])).succeeds();
    let train = ["run", "-q", "sh", "train.sh", "--token", SECRET];
    Transcript::of(&mut users.a(&train)).succeeds();
    users.register().succeeds();
    let hash = users.hash();
    let told = Transcript::of(&mut users.b(&["reproduce", &hash, "--run", "-y"]));
    told.exits(1).says("-- --token=…");
    let mistyped = ["reproduce", &hash, "--", "--tokn=x"];
    Transcript::of(&mut users.b(&mistyped))
        .exits(1)
        .says("step 2: --token=…");
    let given = format!("--token={SECRET}");
    let run = [
        "reproduce",
        &hash,
        "--run",
        "-y",
        "--out",
        "given",
        "--",
        &given,
    ];
    let told = Transcript::of(&mut users.b(&run));
    assert!(
        told.succeeds()
            .stdout_text()
            .contains("verdict: bit-identical")
    );
    // It is nowhere in what is left of it, and not in what was said.
    let folder = users.project.base().join("elsewhere/given");
    let found = users
        .project
        .command("grep")
        .args(["-rla", SECRET])
        .arg(&folder)
        .output();
    let found = String::from_utf8_lossy(&found.expect("grep runs").stdout).into_owned();
    assert_eq!(found, "");
    for said in [&told.stdout, &told.stderr] {
        assert!(!String::from_utf8_lossy(said).contains(SECRET));
    }
    // Another one is another result, of the same plan.
    let run = [
        "reproduce",
        &hash,
        "--run",
        "-y",
        "--out",
        "other",
        "--",
        "--token=x",
    ];
    let told = Transcript::of(&mut users.b(&run));
    assert!(
        told.exits(3)
            .stdout_text()
            .contains("the secret --token was given anew")
    );
    // A script asks for it.
    let script = Transcript::of(&mut users.b(&["reproduce", &hash, "--script"]));
    let file = users.project.base().join("again.sh");
    fs::write(&file, script.succeeds().stdout_text()).expect("written");
    let shell = |folder: &str, secret: Option<&str>| {
        let mut command = users.project.command("sh");
        command.arg(&file).arg(users.project.base().join(folder));
        command.envs(secret.map(|secret| ("SECRET_2_3", secret)));
        Transcript::of(&mut command)
    };
    shell("by-script-1", None).says("SECRET_2_3");
    let told = shell("by-script-2", Some(SECRET));
    assert!(told.succeeds().stdout_text().contains("bit-identical"));
}

/// A hundred connections cut at random: nothing twice, nothing missing.
#[test]
fn cut_connections_lose_and_double_nothing() {
    if !can_run() {
        return;
    }
    let users = Users::new();
    users.write_pipeline();
    users.project.write(
        "prepare.sh",
        "mkdir -p data; sort raw.txt >data/sorted.txt; for n in $(seq 250); do echo $n >data/$n; done\n",
    );
    users.push();
    Transcript::of(&mut users.a(&["run", "-q", "sh", "prepare.sh"])).succeeds();
    for step in 0..6 {
        let script =
            format!("cat data/[0-9]* settings >data/out-{step}-x; echo {step} >>data/out-{step}-x");
        Transcript::of(&mut users.a(&["run", "-q", "sh", "-c", &script])).succeeds();
    }
    let proxy = Proxy::start(&users.server, 100);
    let mut attempts = 0;
    loop {
        attempts += 1;
        assert!(attempts < 100, "it does not come to an end");
        let mut register = users.a(&["register", "-y", "--json"]);
        register.env("GLAAS_URL", proxy.url());
        let told = Transcript::of(register.env("ROAR_GLAAS__RETRY_WAIT_MS", "1"));
        if told.code() == 0 && proxy.cuts() >= 100 {
            break;
        }
        if told.code() == 0 {
            // All had arrived before the hundredth: forget it, and go on cutting.
            let database = users.project.path(".roar/roar.db");
            users.project.run(
                "sqlite3",
                [
                    database.to_str().expect("text"),
                    "DELETE FROM registrations",
                ],
            );
        }
    }
    all_arrived(&users, 7);
}

/// Killed at any moment, registering goes on where it was.
#[test]
fn killed_while_registering() {
    if !can_run() {
        return;
    }
    let users = Users::new();
    users.write_pipeline();
    users.push();
    users.pipeline();
    let register = || {
        let mut command = users.a(&["register", "-y"]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().expect("roar can be started")
    };
    let started = Instant::now();
    assert!(register().wait().expect("a child").success());
    let whole = started.elapsed();
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut kills = 0;
    let mut jobs = 2;
    while kills < 50 {
        // Another session, of which the server has nothing yet.
        jobs += 1;
        let script = format!("cat model.bin data/sorted.txt >data/more-{jobs}-x");
        Transcript::of(&mut users.a(&["run", "-q", "sh", "-c", &script])).succeeds();
        let mut ended = false;
        while !ended {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            let share = (seed % 1000) as f64 / 900.0;
            let mut child = register();
            std::thread::sleep(whole.mul_f64(share));
            ended = child.try_wait().expect("a child").is_some();
            let _ = child.kill();
            child.wait().expect("a child");
            kills += u32::from(!ended);
        }
        all_arrived(&users, jobs);
    }
    let verdict = users.reproduce(&users.hash(), "again", 0);
    assert_eq!(verdict["verdict"], "bit_identical", "{verdict:#}");
}

/// The server has each job of the session and each of their files, once.
#[track_caller]
fn all_arrived(users: &Users, least_jobs: usize) {
    let dry = Transcript::of(&mut users.a(&["register", "--dry-run", "--json"])).json();
    let session = dry["session"].as_str().expect("a hash");
    let mut jobs = 0;
    for request in dry["requests"].as_array().expect("requests") {
        let path = request["path"].as_str().expect("a path");
        if path.ends_with("/jobs/batch") {
            jobs += request["body"]["jobs"].as_array().map_or(0, Vec::len);
        }
    }
    assert!(jobs >= least_jobs, "{jobs}");
    // What the proxy does not touch: the server itself.
    let answer = users.server.get(&format!("/api/v1/sessions/{session}"));
    let known = answer["data"]["jobs"].as_array().expect("jobs");
    assert_eq!(known.len(), jobs, "{answer:#}");
    let mut linked = 0;
    for job in known {
        let uid = job["job_uid"].as_str().expect("a uid");
        let job = users
            .server
            .get(&format!("/api/v1/sessions/{session}/jobs/{uid}"));
        for side in ["inputs", "outputs"] {
            linked += job["data"][side].as_array().map_or(0, Vec::len);
        }
    }
    let mut sent = 0;
    for request in dry["requests"].as_array().expect("requests") {
        let path = request["path"].as_str().expect("a path");
        if path.ends_with("/inputs") || path.ends_with("/outputs") {
            sent += request["body"]["artifacts"].as_array().map_or(0, Vec::len);
        }
    }
    assert_eq!(linked, sent);
}
