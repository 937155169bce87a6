use std::fs;
use std::process::Command;

use tempfile::TempDir;

use super::*;

/// A folder with a repository made by a shell script; git knows no other settings than these.
pub(super) fn sandbox(script: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let root = folder.path().canonicalize().expect("a folder");
    shell(&root, script);
    (folder, root)
}

pub(super) fn shell(folder: &Path, script: &str) -> String {
    let output = Command::new("sh")
        .args(["-euc", script])
        .current_dir(folder)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").expect("a PATH"))
        .env("HOME", folder)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_AUTHOR_NAME", "a")
        .env("GIT_AUTHOR_EMAIL", "a@example.org")
        .env("GIT_COMMITTER_NAME", "a")
        .env("GIT_COMMITTER_EMAIL", "a@example.org")
        .output()
        .expect("sh runs");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}: {error}");
    String::from_utf8(output.stdout)
        .expect("text")
        .trim()
        .to_owned()
}

pub(super) const REPOSITORY: &str = "
    git init -qb main .
    mkdir sub; echo one >a; echo two >sub/b; echo three >'c d'; chmod +x sub/b; ln -s a link
    git add -A; git commit -qm first";

/// A submodule with a file, at its recorded commit.
const SUBMODULE: &str = "git init -qb main s; echo f >s/f; git -C s add f; git -C s commit -qm 1; \
    git -c protocol.file.allow=always submodule --quiet add --name m ./s m 2>/dev/null; git add m; \
    git commit -qm sub";

#[test]
fn dirty_is_what_git_says() {
    let cases = [
        ("", false),
        ("echo x >new; mkdir n; echo y >n/new", false),
        ("echo changed >a", true),
        // The same size and, as far as the index knows, perhaps the same time.
        ("echo eno >a", true),
        ("echo one >a", false),
        ("touch -d 2001-01-01 a sub/b 'c d'", false),
        ("touch -d 2001-01-01 a; echo changed >'c d'", true),
        ("cp a x; mv x a", false),
        ("rm a", true),
        ("rm a; mkdir a", true),
        ("rm -r sub; echo x >sub", true),
        ("chmod -x sub/b", true),
        ("chmod +x a", true),
        ("chmod g+w a", false),
        ("ln -sfn sub link", true),
        ("rm link; cp a link", true),
        ("echo x >new; git add new", true),
        ("git rm -q --cached a", true),
        ("git mv a z", true),
        ("git update-index --assume-unchanged a; echo x >a", false),
        ("git update-index --skip-worktree a; rm a", false),
        (
            "echo '* text=auto eol=crlf' >.gitattributes; git add -A; git commit -qm crlf; rm a; git checkout -q a; touch -d 2001-01-01 a",
            false,
        ),
        (
            "git checkout -qb o; echo o >a; git commit -qam o; git checkout -q main; echo m >a; git commit -qam m; git merge o >/dev/null || true",
            true,
        ),
        (
            "for i in $(seq 100); do echo $i >f$i; done; git add -A; git commit -qm many; touch -d 2001-01-01 f*",
            false,
        ),
        (
            "for i in $(seq 100); do echo $i >f$i; done; git add -A; git commit -qm many; touch -d 2001-01-01 f*; echo x >f77",
            true,
        ),
        // A submodule at its recorded commit, and moved from it.
        (
            "git init -q m; git -C m commit -q --allow-empty -m 1; git add m 2>/dev/null; git commit -qm sub",
            false,
        ),
        (
            "git init -q m; git -C m commit -q --allow-empty -m 1; git add m 2>/dev/null; git commit -qm sub; git -C m commit -q --allow-empty -m 2",
            true,
        ),
        // Within a submodule: a change that is not committed there, one that is staged, a new file.
        (&format!("{SUBMODULE}; echo x >m/f"), true),
        (&format!("{SUBMODULE}; echo x >m/f; git -C m add f"), true),
        (&format!("{SUBMODULE}; echo x >m/new"), false),
        (
            &format!("{SUBMODULE}; git config submodule.m.ignore dirty; echo x >m/f"),
            false,
        ),
        (
            &format!(
                "{SUBMODULE}; git config submodule.m.ignore all; git -C m commit -q --allow-empty -m 2"
            ),
            false,
        ),
        (&format!("{SUBMODULE}; rm -rf m; mkdir m"), false),
        (&format!("{SUBMODULE}; rm -rf m"), true),
        // Intent to add, and what is staged and taken back.
        ("echo x >new; git add -N new", true),
        ("echo x >a; git add a; git show HEAD:a >a", true),
        ("echo x >a; git add a; git show HEAD:a >a; git add a", false),
        ("git update-index --index-version 4; echo x >a", true),
        (
            "git update-index --index-version 4; touch -d 2001-01-01 a",
            false,
        ),
        (
            "git config core.fileMode false; chmod -x sub/b; chmod +x a",
            false,
        ),
        (
            "git config core.fileMode false; chmod -x sub/b; echo x >a",
            true,
        ),
        ("git config core.trustctime false; cp -p a x; mv x a", false),
        (
            "git config core.checkStat minimal; cp -p a x; mv x a",
            false,
        ),
        (
            "git config core.ignoreCase true; git mv a b; git mv b A; git commit -qm A; mv A x; mv x a",
            true,
        ),
        (
            "git config core.symlinks false; rm link; printf a >link",
            false,
        ),
        ("git config core.autocrlf true; printf 'one\\r\\n' >a", true),
        ("git sparse-checkout set --no-cone sub; echo x >sub/b", true),
        ("git sparse-checkout set --no-cone sub", false),
        ("git checkout -q --orphan o", true),
        (
            "git checkout -qb o; git rm -q a; git commit -qm gone; git checkout -q main",
            false,
        ),
        (
            "git commit -q --allow-empty -m e; git reset -q --soft HEAD~",
            false,
        ),
        (
            "echo x >a; git commit -qam x; git reset -q --soft HEAD~",
            true,
        ),
        ("echo x >a; git commit -qam x; git reset -q HEAD~", true),
        ("echo x >a; git stash -q", false),
        ("rm .git/index", true),
        ("rm .git/index; git reset -q", false),
    ];
    for (change, expected) in cases {
        let (_folder, root) = sandbox(REPOSITORY);
        shell(&root, change);
        let found = state(&root).expect("readable").expect("a repository").dirty;
        // Asked second: git refreshes the index.
        let theirs = !shell(&root, "git status --porcelain -uno").is_empty();
        assert_eq!((found, theirs), (expected, expected), "{change}");
    }
}

/// Between the writing of a file and that of the index no tick of the clock need lie.
#[test]
fn a_change_within_the_tick_of_the_index() {
    for _ in 0..30 {
        let (_folder, root) = sandbox(REPOSITORY);
        shell(
            &root,
            "echo two >a; git add a; git commit -qm two; echo owt >a",
        );
        assert!(state(&root).expect("readable").expect("a repository").dirty);
    }
}

#[test]
fn commit_branch_and_top() {
    let head = "git rev-parse HEAD";
    let cases = [
        ("true", ".", "main"),
        ("git checkout -qb feature/x", ".", "feature/x"),
        ("git checkout -q --detach", ".", ""),
        ("true", "sub", "main"),
        ("git tag v1; git checkout -q v1", "sub", ""),
        ("git worktree add -q wt -b side", "wt", "side"),
        ("git worktree add -q wt -b side", "wt/sub", "side"),
    ];
    for (script, start, branch) in cases {
        let (_folder, root) = sandbox(REPOSITORY);
        shell(&root, script);
        let start = root.join(start);
        let state = state(&start).expect("readable").expect("a repository");
        assert_eq!(state.commit, Some(shell(&start, head)), "{script}");
        assert_eq!(state.branch.unwrap_or_default(), branch, "{script}");
        let top = shell(&start, "git rev-parse --show-toplevel");
        assert_eq!(state.top, Some(top.into()), "{script}");
        assert!(!state.dirty, "{script}");
    }
}

#[test]
fn odd_repositories() {
    let check = |script: &str, start: &str| {
        let (folder, root) = sandbox(script);
        let state = state(&root.join(start)).expect("readable");
        drop(folder);
        state
    };
    let unborn = check("git init -qb trunk .", ".").expect("a repository");
    assert_eq!(
        (unborn.commit, unborn.branch),
        (None, Some("trunk".to_owned()))
    );
    assert!(!unborn.dirty);
    let staged = check("git init -q .; echo x >a; git add a", ".").expect("a repository");
    assert!(staged.dirty && staged.commit.is_none());
    let bare = check("git init -q --bare -b main x.git", "x.git").expect("a repository");
    assert_eq!((bare.top, bare.dirty), (None, false));

    let (_folder, root) = sandbox("mkdir x");
    assert_eq!(state(&root).expect("readable"), None);
    fs::create_dir(root.join(".git")).expect("made");
    assert_eq!(state(&root.join("x")).expect("readable"), None);

    let (_folder, root) = sandbox(REPOSITORY);
    fs::write(root.join(".git/index"), b"junk").expect("written");
    assert!(matches!(state(&root), Err(GitError::Unreadable { .. })));
}

/// Only root can make such a repository; for others there is nothing to test.
#[cfg(unix)]
#[test]
fn a_repository_of_another_user_is_refused() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let (_folder, root) = sandbox(&format!("{REPOSITORY}; chown -R 12345 ."));
    let error = state(&root).expect_err("refused");
    assert!(matches!(error, GitError::NotOwned { .. }), "{error}");
    assert!(error.to_string().contains("safe.directory"));
}

#[test]
fn tracked_paths() {
    let (_folder, root) = sandbox(REPOSITORY);
    shell(&root, "echo x >new; git worktree add -q wt -b side");
    let all = [
        "a",
        "sub/b",
        "sub",
        "c d",
        "new",
        ".git/index",
        "../a",
        "wt/a",
        "link",
        "a\0b",
        "",
    ];
    let paths: Vec<RawString> = all
        .iter()
        .map(|p| RawString::from_path(&root.join(p)))
        .collect();
    let repository = open(&root).expect("readable").expect("a repository");
    let tracked = repository.tracked(&paths);
    let found: Vec<&str> = all
        .into_iter()
        .zip(&paths)
        .filter_map(|(name, path)| tracked.contains(path).then_some(name))
        .collect();
    assert_eq!(found, ["a", "sub/b", "c d", "link"]);
}

#[test]
fn the_remote_is_origin_or_the_only_one() {
    let cases = [
        ("true", None),
        ("git remote add up https://h/u", Some("https://h/u")),
        (
            "git remote add up https://h/u; git remote add two https://h/t",
            None,
        ),
        (
            "git remote add a https://h/u; git remote add origin https://t:s@h/o",
            Some("https://h/o"),
        ),
    ];
    for (script, expected) in cases {
        let (_folder, root) = sandbox(&format!("{REPOSITORY}; {script}"));
        let state = state(&root).expect("readable").expect("a repository");
        assert_eq!(state.remote.as_deref(), expected, "{script}");
    }
}

#[test]
fn urls_lose_their_secrets() {
    let token = "ghp_16C7e42F292c6912E7710c838347Ae178B4a";
    let cases = [
        ("https://github.com/a/b.git", "https://github.com/a/b.git"),
        ("https://TOKEN@github.com/a/b", "https://github.com/a/b"),
        (
            "https://ann:TOKEN@github.com:8443/a/b",
            "https://github.com:8443/a/b",
        ),
        ("https://ann:TO@KEN@host/a", "https://host/a"),
        ("https://ann:TO/KEN@host/a", "https://host/a"),
        ("https://ann:@host/a", "https://host/a"),
        ("HTTPS://ann:TOKEN@host/a@b", "HTTPS://host/a@b"),
        ("https://host/a@v1", "https://host/a@v1"),
        ("https://host:8080/a@v1", "https://host:8080/a@v1"),
        ("https://[::1]:80/a@v1", "https://[::1]:80/a@v1"),
        ("https://host/a?private_token=TOKEN", "https://host/a"),
        ("https://host/a#TOKEN", "https://host/a"),
        ("ssh://git@host:22/a", "ssh://git@host:22/a"),
        ("ssh://git:TOKEN@host/a", "ssh://host/a"),
        ("git+ssh://git@host/a", "git+ssh://git@host/a"),
        ("git@github.com:a/b.git", "git@github.com:a/b.git"),
        ("org-1234@github.com:a/b.git", "org-1234@github.com:a/b.git"),
        ("host:a/b", "host:a/b"),
        ("ann:TOKEN@host:a/b", "host:a/b"),
        ("TOKEN@host:a/b", "host:a/b"),
        ("/srv/a@b/c:d", "/srv/a@b/c:d"),
        ("../a@b", "../a@b"),
        ("a@b", "a@b"),
        ("file:///srv/a@b", "file:///srv/a@b"),
        ("ext::https://ann:TOKEN@host/a", "ext::https://host/a"),
        ("", ""),
    ];
    for (url, expected) in cases {
        assert_eq!(without_secrets(url), expected, "{url}");
        let url = url.replace("TOKEN", token);
        assert!(!without_secrets(&url).contains(token), "{url}");
    }
}
