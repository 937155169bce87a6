use std::fs;

use crate::project::{Answer, folder, roar_in};

fn init(cwd: &std::path::Path, arguments: &[&str]) -> Answer {
    let mut all = vec!["init"];
    all.extend(arguments);
    roar_in(cwd, &all, &[])
}

#[test]
fn makes_a_project_once() {
    let folder = folder();
    let first = init(folder.path(), &[]);
    assert_eq!(first.status, 0, "{first:?}");
    assert_eq!(first.stdout, "");
    assert!(first.stderr.contains("initialized"), "{first:?}");
    let config = fs::read_to_string(folder.path().join(".roar/config.toml")).expect("config");
    assert!(config.contains("\nignore_tmp_files = true\n"), "{config}");
    assert!(folder.path().join(".roar/roar.db").is_file());
    assert!(
        !folder.path().join(".gitignore").exists(),
        "outside git nothing is asked"
    );
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::metadata(folder.path().join(".roar"))
            .expect("there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o700);
    }
    fs::write(folder.path().join(".roar/config.toml"), "# mine\n").expect("edit");
    let again = init(folder.path(), &[]);
    assert_eq!(again.status, 0);
    assert!(again.stderr.contains("already"), "{again:?}");
    let config = fs::read_to_string(folder.path().join(".roar/config.toml")).expect("config");
    assert_eq!(config, "# mine\n");
}

#[test]
fn gitignore() {
    for (before, arguments, expected) in [
        (None, &["-y"][..], Some(".roar/\n")),
        (Some("build"), &["-y"], Some("build\n.roar/\n")),
        (Some("build\n"), &["-y"], Some("build\n.roar/\n")),
        (Some("a\r\nb"), &["-y"], Some("a\r\nb\r\n.roar/\r\n")),
        (Some(".roar\n"), &["-y"], Some(".roar\n")),
        (Some("/.roar/"), &["-y"], Some("/.roar/")),
        (Some(".r*\n"), &["-y"], Some(".r*\n")),
        (Some("build"), &["-n"], Some("build")),
        (None, &["-n"], None),
        // Nobody to ask.
        (None, &[], None),
        (Some("build"), &[], Some("build")),
    ] {
        let folder = folder();
        git2::Repository::init(folder.path()).expect("a repository");
        let path = folder.path().join(".gitignore");
        if let Some(text) = before {
            fs::write(&path, text).expect("write");
        }
        for _ in 0..2 {
            let answer = init(folder.path(), arguments);
            assert_eq!(answer.status, 0, "{answer:?}");
            let after = fs::read_to_string(&path).ok();
            assert_eq!(after.as_deref(), expected, "{before:?} {arguments:?}");
        }
    }
}

#[test]
fn says_how_to_add_it_later() {
    let folder = folder();
    git2::Repository::init(folder.path()).expect("a repository");
    let answer = init(folder.path(), &[]);
    assert!(answer.stderr.contains("roar init -y"), "{answer:?}");
}

#[test]
fn never_takes_over_what_is_not_its_own() {
    let folder = folder();
    fs::write(folder.path().join(".roar"), "a file").expect("write");
    let answer = init(folder.path(), &[]);
    assert_eq!(answer.status, 1, "{answer:?}");
    assert_eq!(
        fs::read_to_string(folder.path().join(".roar")).expect("there"),
        "a file"
    );
    assert_eq!(init(folder.path(), &["-y", "-n"]).status, 2);
}

#[cfg(unix)]
#[test]
fn follows_no_links() {
    let folder = folder();
    let elsewhere = crate::project::folder();
    fs::write(elsewhere.path().join("profile"), "precious").expect("write");
    std::os::unix::fs::symlink(
        elsewhere.path().join("profile"),
        folder.path().join(".gitignore"),
    )
    .expect("link");
    let answer = init(folder.path(), &["-y"]);
    assert_eq!(answer.status, 1, "{answer:?}");
    let text = fs::read_to_string(elsewhere.path().join("profile")).expect("there");
    assert_eq!(text, "precious");
    let folder = crate::project::folder();
    std::os::unix::fs::symlink(elsewhere.path(), folder.path().join(".roar")).expect("link");
    assert_eq!(init(folder.path(), &[]).status, 1);
}

#[test]
fn within_another_project() {
    let folder = folder();
    let inner = folder.path().join("inner");
    fs::create_dir(&inner).expect("folder");
    init(folder.path(), &[]);
    let answer = init(&inner, &[]);
    assert_eq!(answer.status, 0, "{answer:?}");
    assert!(answer.stderr.contains("within the project"), "{answer:?}");
}
