use super::*;
use crate::model::Basis;
use crate::observe::{FileKind, InputCause, InputFate, TemporaryFile, WriteEvidence};

const PROJECT: &str = "/home/ann/proj";

fn facts() -> Facts {
    Facts {
        project_root: PROJECT.into(),
        home: Some("/home/ann".into()),
        temporary_folders: ["/tmp", "/var/tmp", "/dev/shm"].map(RawString::from).into(),
        redirects: Vec::new(),
        tracked: HashSet::new(),
    }
}

fn observed(path: &str, access: &str) -> Observation {
    if access == "tmp" {
        let file = TemporaryFile {
            id: None,
            path: path.into(),
        };
        return Observation {
            temporaries: vec![file],
            ..Observation::default()
        };
    }
    let cause = match access {
        "r" | "rw" => Some(InputCause::Consumed(Basis::Read)),
        "x" => Some(InputCause::Consumed(Basis::Executed)),
        "m" => Some(InputCause::Consumed(Basis::Mapped)),
        _ => None,
    };
    let file = ObservedFile {
        id: None,
        kind: FileKind::Regular,
        input: cause.map(|cause| {
            Box::new(Input {
                path: path.into(),
                quality: PathQuality::Full,
                cause,
                state: None,
                fate: InputFate::Intact,
            })
        }),
        output: access.contains('w').then(|| Output {
            path: path.into(),
            quality: PathQuality::Full,
            evidence: WriteEvidence::Seen(Basis::Written),
            shared_mapping: false,
            links: Vec::new(),
        }),
        created: false,
        former_paths: Vec::new(),
        readers: Vec::new(),
        writers: Vec::new(),
    };
    Observation {
        files: vec![file],
        ..Observation::default()
    }
}

/// One file's verdict: `in`, `out`, and `key` or `r:key w:key` for what was kept out.
fn verdict(path: &str, access: &str, settings: &Settings, facts: &Facts) -> String {
    let mut observation = observed(path, access);
    // A virtual environment and a conda one that the job's other files make known.
    for known in [
        "/home/ann/proj/env/pyvenv.cfg",
        "/data/conda/conda-meta/history",
        "/usr/lib/python3.12/os.py",
        "/usr/local/lib/python3.12/os.py",
        "/home/ann/.local/lib/python3.12/site-packages/x.py",
    ] {
        observation.files.extend(observed(known, "r").files);
    }
    let selected = select(&observation, settings, facts);
    let path = RawString::from(path);
    let mut words = Vec::new();
    if selected
        .inputs
        .iter()
        .any(|selected| selected.input.path == path)
    {
        words.push("in".to_owned());
    }
    if selected
        .outputs
        .iter()
        .any(|selected| *selected.path == path)
    {
        words.push("out".to_owned());
    }
    for record in selected
        .filtered
        .iter()
        .filter(|record| record.path == path)
    {
        let short = record.by.rsplit('.').next().unwrap_or_default();
        words.push(format!("{}:{short}", record.access));
    }
    words.join(" ")
}

fn check(cases: &[(&str, &str, &str)], settings: &Settings, facts: &Facts) {
    for (path, access, expected) in cases {
        let found = verdict(path, access, settings, facts);
        assert_eq!(found, *expected, "{path} ({access})");
    }
}

#[test]
fn default_rules() {
    let mut facts = facts();
    facts.tracked = [
        "train.py",
        "params.yaml",
        "data/iris.csv",
        "Makefile",
        "requirements-dev.txt",
        "notes.txt",
        "README",
        "tools/run",
        "weights.pt",
        ".flake8",
        "pyproject.toml",
        "docs/a.MD",
        "vocab",
        "package.json",
    ]
    .map(|name| RawString::from(format!("{PROJECT}/{name}")))
    .into();
    let cases = [
        // The project.
        ("/home/ann/proj/data.csv", "r", "in"),
        ("/home/ann/proj/data.csv", "w", "out"),
        ("/home/ann/proj/data.csv", "rw", "in out"),
        ("/home/ann/proj/data.csv", "m", "in"),
        ("/home/ann/proj/a.out", "x", "in"),
        ("/home/ann/proj/scratch", "tmp", "temporary:temporary"),
        ("/home/ann/proj/new.py", "r", "in"),
        // Code and data that git tracks.
        ("/home/ann/proj/train.py", "r", "read:track_repo_files"),
        ("/home/ann/proj/train.py", "w", "out"),
        ("/home/ann/proj/train.py", "rw", "out read:track_repo_files"),
        ("/home/ann/proj/Makefile", "r", "read:track_repo_files"),
        (
            "/home/ann/proj/requirements-dev.txt",
            "r",
            "read:track_repo_files",
        ),
        ("/home/ann/proj/README", "r", "read:track_repo_files"),
        ("/home/ann/proj/.flake8", "r", "read:track_repo_files"),
        (
            "/home/ann/proj/pyproject.toml",
            "r",
            "read:track_repo_files",
        ),
        ("/home/ann/proj/package.json", "r", "read:track_repo_files"),
        ("/home/ann/proj/docs/a.MD", "r", "read:track_repo_files"),
        ("/home/ann/proj/tools/run", "x", "read:track_repo_files"),
        ("/home/ann/proj/tools/run", "r", "in"),
        ("/home/ann/proj/params.yaml", "r", "in"),
        ("/home/ann/proj/data/iris.csv", "r", "in"),
        ("/home/ann/proj/notes.txt", "r", "in"),
        ("/home/ann/proj/weights.pt", "m", "in"),
        ("/home/ann/proj/vocab", "r", "in"),
        // roar and git.
        ("/home/ann/proj/.roar/roar.db", "rw", "read_write:roar"),
        ("/home/ann/proj/.roarconfig", "r", "in"),
        ("/home/ann/proj/.git/index", "rw", "read_write:git"),
        ("/home/ann/proj/sub/.git", "r", "read:git"),
        ("/srv/repo/.git/objects/ab/cd", "r", "read:git"),
        ("/srv/origin.git/objects/pack/p.pack", "r", "read:git"),
        ("/srv/origin.git/HEAD", "r", "read:git"),
        ("/srv/origin.git/data.csv", "r", "in"),
        ("/home/ann/proj/.gitignored.csv", "w", "out"),
        // The system.
        ("/usr/bin/python3.12", "x", "read:ignore_system_reads"),
        (
            "/usr/lib/x86_64-linux-gnu/libc.so.6",
            "m",
            "read:ignore_system_reads",
        ),
        (
            "/lib64/ld-linux-x86-64.so.2",
            "m",
            "read:ignore_system_reads",
        ),
        ("/etc/ld.so.cache", "r", "read:ignore_system_reads"),
        (
            "/opt/rocm/lib/librocblas.so",
            "m",
            "read:ignore_system_reads",
        ),
        ("/opt/datasets/a.csv", "r", "in"),
        (
            "/nix/store/abc-glibc/lib/libc.so",
            "m",
            "read:ignore_system_reads",
        ),
        ("/usr/local/bin/tool", "w", "out"),
        (
            "/var/lib/dpkg/status",
            "rw",
            "read_write:ignore_system_reads",
        ),
        ("/proc/self/maps", "r", "read:kernel"),
        ("/proc/self/oom_score_adj", "w", "write:kernel"),
        ("/sys/devices/system/cpu/online", "r", "read:kernel"),
        ("/usrdata/a.csv", "r", "in"),
        ("/data/a.csv", "r", "in"),
        ("/data/a.csv", "w", "out"),
        // Packages.
        (
            "/usr/lib/python3/dist-packages/numpy/a.py",
            "r",
            "read:ignore_package_reads",
        ),
        (
            "/home/ann/proj/env/bin/python",
            "x",
            "read:ignore_package_reads",
        ),
        (
            "/home/ann/proj/env/pyvenv.cfg",
            "r",
            "read:ignore_package_reads read:ignore_package_reads",
        ),
        (
            "/home/ann/proj/env/lib/python3.12/os.py",
            "r",
            "read:ignore_package_reads",
        ),
        (
            "/home/ann/proj/env/lib/python3.12/site-packages/a.py",
            "w",
            "write:ignore_package_reads",
        ),
        ("/home/ann/proj/env/notes.csv", "r", "in"),
        (
            "/home/ann/proj/.venv/lib64/x.so",
            "m",
            "read:ignore_package_reads",
        ),
        ("/home/ann/proj/lib/python3.12/a.csv", "r", "in"),
        (
            "/data/conda/lib/libmkl.so",
            "m",
            "read:ignore_package_reads",
        ),
        (
            "/data/conda/bin/python3.12",
            "x",
            "read:ignore_package_reads",
        ),
        (
            "/data/conda/share/proj/proj.db",
            "r",
            "read:ignore_package_reads",
        ),
        ("/data/conda/work/a.csv", "r", "in"),
        (
            "/home/ann/proj/__pycache__/train.cpython-312.pyc",
            "rw",
            "read_write:ignore_package_reads",
        ),
        ("/home/ann/proj/a.pyc", "w", "write:ignore_package_reads"),
        (
            "/home/ann/proj/node_modules/x/index.js",
            "r",
            "read:ignore_package_reads",
        ),
        (
            "/home/ann/proj/proj.egg-info/PKG-INFO",
            "r",
            "read:ignore_package_reads",
        ),
        (
            "/home/ann/.cargo/registry/src/x/lib.rs",
            "r",
            "read:ignore_package_reads",
        ),
        (
            "/home/ann/.pyenv/versions/3.12.1/bin/python",
            "x",
            "read:ignore_package_reads",
        ),
        (
            "/home/ann/.local/share/uv/python/cpython-3.12/lib/libpython3.12.so",
            "m",
            "read:ignore_package_reads",
        ),
        (
            "/home/ann/.local/bin/torchrun",
            "r",
            "read:ignore_package_reads",
        ),
        ("/home/ann/proj/target/debug/libx.so", "w", "out"),
        // Compiler caches.
        (
            "/tmp/torchinductor_ann/ab/x.py",
            "rw",
            "read_write:ignore_torch_cache",
        ),
        (
            "/home/ann/.triton/cache/a/k.cubin",
            "r",
            "read:ignore_torch_cache",
        ),
        (
            "/home/ann/.cache/torch_extensions/py312/x.so",
            "m",
            "read:ignore_torch_cache",
        ),
        (
            "/home/ann/.nv/ComputeCache/0/1",
            "r",
            "read:ignore_torch_cache",
        ),
        // Temporary files.
        ("/tmp/x.csv", "w", "write:ignore_tmp_files"),
        ("/tmp/x.csv", "r", "in"),
        ("/tmp/x.csv", "rw", "in write:ignore_tmp_files"),
        ("/var/tmp/x", "w", "write:ignore_tmp_files"),
        ("/dev/shm/x", "w", "write:ignore_tmp_files"),
        ("/dev/shm/x", "r", "in"),
        ("/tmpfiles/x", "w", "out"),
        // Library caches, and downloads that are none.
        (
            "/home/ann/.cache/matplotlib/fontlist-v390.json",
            "rw",
            "read_write:ignore_library_caches",
        ),
        (
            "/home/ann/.cache/pip/http/a.zip",
            "w",
            "write:ignore_library_caches",
        ),
        (
            "/home/ann/.config/roar/config.toml",
            "r",
            "read:ignore_library_caches",
        ),
        ("/home/ann/.bashrc", "r", "read:ignore_library_caches"),
        ("/home/ann/.png", "r", "read:ignore_library_caches"),
        (
            "/home/ann/.cache/huggingface/token",
            "r",
            "read:ignore_library_caches",
        ),
        (
            "/home/ann/.cache/huggingface/hub/models--bert/refs/main",
            "r",
            "read:ignore_library_caches",
        ),
        (
            "/home/ann/.cache/huggingface/hub/.locks/models--bert/a.lock",
            "w",
            "write:ignore_library_caches",
        ),
        (
            "/home/ann/.cache/huggingface/hub/models--bert/blobs/0a1b",
            "r",
            "in",
        ),
        (
            "/home/ann/.cache/huggingface/hub/models--bert/blobs/0a1b",
            "w",
            "out",
        ),
        (
            "/home/ann/.cache/huggingface/datasets/x/train.arrow",
            "m",
            "in",
        ),
        (
            "/home/ann/.cache/torch/hub/checkpoints/resnet18.pth",
            "r",
            "in",
        ),
        ("/home/ann/.keras/datasets/mnist.npz", "r", "in"),
        (
            "/home/ann/.keras/keras.json",
            "r",
            "read:ignore_library_caches",
        ),
        (
            "/home/ann/proj/.pytest_cache/v/x",
            "w",
            "write:ignore_library_caches",
        ),
        ("/home/ann/other/data.csv", "r", "in"),
        ("/home/annie/.cache/x", "r", "in"),
    ];
    check(&cases, &Settings::default(), &facts);
}

#[test]
fn each_key_off_lets_its_files_in() {
    let mut facts = facts();
    facts.tracked.insert("/home/ann/proj/a.py".into());
    let mut settings = Settings::default();
    settings.output.track_repo_files = true;
    settings.filters.ignore_system_reads = false;
    settings.filters.ignore_package_reads = false;
    settings.filters.ignore_torch_cache = false;
    settings.filters.ignore_tmp_files = false;
    settings.filters.ignore_library_caches = false;
    let cases = [
        ("/home/ann/proj/a.py", "r", "in"),
        ("/usr/share/dict/words", "r", "in"),
        ("/var/lib/dpkg/status", "w", "out"),
        ("/home/ann/proj/.venv/lib/x.py", "r", "in"),
        ("/home/ann/.triton/cache/a/k.bin", "w", "out"),
        ("/tmp/x.csv", "w", "out"),
        ("/home/ann/.bashrc", "r", "in"),
        // What never counts.
        ("/proc/self/maps", "r", "read:kernel"),
        ("/home/ann/proj/.git/index", "r", "read:git"),
        ("/home/ann/proj/.roar/config.toml", "r", "read:roar"),
    ];
    check(&cases, &settings, &facts);
}

#[test]
fn a_project_may_lie_anywhere() {
    let settings = Settings::default();
    for root in [
        "/tmp/p",
        "/usr/src/app",
        "/home/ann/.cache/p",
        "/x/node_modules/p",
        "/var/lib/ci/p",
        "/x/a.git/objects/p",
        "/data/conda/share/p",
        "/tmp",
    ] {
        let mut facts = facts();
        facts.project_root = root.into();
        for (name, access, expected) in [
            ("a.csv", "r", "in"),
            ("out/a.csv", "w", "out"),
            (".venv/x.py", "r", "read:ignore_package_reads"),
            (".git/x", "r", "read:git"),
        ] {
            let path = format!("{root}/{name}");
            assert_eq!(
                verdict(&path, access, &settings, &facts),
                expected,
                "{path}"
            );
        }
    }
    let mut facts = facts();
    facts.project_root = "/tmp/p".into();
    facts.temporary_folders.push("/tmp/p/scratch".into());
    let cases = [
        ("/tmp/other/x", "w", "write:ignore_tmp_files"),
        ("/tmp/px", "w", "write:ignore_tmp_files"),
        ("/tmp/p/scratch/x", "w", "write:ignore_tmp_files"),
    ];
    check(&cases, &settings, &facts);
}

#[test]
fn what_stood_before_in_a_log_that_the_shell_appends_to_is_no_input() {
    let path = "/home/ann/proj/log";
    let mut observation = observed(path, "rw");
    let mut facts = facts();
    let mut check = |cause, redirects: &[&str], expected: usize| {
        facts.redirects = redirects.iter().copied().map(RawString::from).collect();
        observation.files[0].input.as_mut().expect("read").cause = cause;
        let selected = select(&observation, &Settings::default(), &facts);
        assert_eq!(selected.inputs.len(), expected, "{cause:?} {redirects:?}");
        assert_eq!(selected.outputs.len(), 1);
        assert_eq!(selected.filtered.len(), 1 - expected);
    };
    check(InputCause::Kept, &[path], 0);
    check(InputCause::Kept, &["/home/ann/proj/other"], 1);
    check(InputCause::Consumed(Basis::Read), &[path], 1);
}

#[test]
fn patterns_of_the_user() {
    let mut settings = Settings::default();
    settings.filters.ignore_paths = [
        "*.log",
        "wandb",
        "data/raw/",
        "./logs/*.txt",
        "/srv/**/cache",
        "~/x*/",
        "tmp",
    ]
    .map(str::to_owned)
    .into();
    let mut facts = facts();
    let cases = [
        ("/home/ann/proj/a.log", "w", "write:ignore_paths"),
        ("/home/ann/proj/a/b.log", "rw", "read_write:ignore_paths"),
        ("/srv/a.log", "r", "read:ignore_paths"),
        ("/home/ann/proj/wandb/run/x", "w", "write:ignore_paths"),
        ("/home/ann/proj/a/wandb/run/x", "w", "write:ignore_paths"),
        ("/home/ann/proj/data/raw/a/b.csv", "r", "read:ignore_paths"),
        ("/home/ann/proj/b/data/raw/a.csv", "r", "in"),
        ("/home/ann/proj/data/rawer/a.csv", "r", "in"),
        ("/home/ann/proj/logs/a.txt", "w", "write:ignore_paths"),
        ("/home/ann/proj/logs/b/a.txt", "w", "out"),
        ("/srv/a/b/cache/x", "r", "read:ignore_paths"),
        ("/home/ann/xyz/a", "r", "read:ignore_paths"),
        ("/home/ann/proj/a.logs", "w", "out"),
        ("/home/ann/proj/.git/a.log", "w", "write:git"),
    ];
    check(&cases, &settings, &facts);
    // The name of a folder above the project is not the project's.
    facts.project_root = "/srv/tmp/p".into();
    check(&[("/srv/tmp/p/a.csv", "w", "out")], &settings, &facts);
}

#[test]
fn nothing_is_lost() {
    let accesses = ["r", "w", "rw", "x", "m", "tmp", ""];
    let paths = [
        "/a",
        "/tmp/a",
        "/usr/a",
        "/home/ann/proj/a",
        "/home/ann/.a",
        "",
        "relative",
        "//",
    ];
    for path in paths {
        for access in accesses {
            let observation = observed(path, access);
            let selected = select(&observation, &Settings::default(), &facts());
            let directions = observation.files.first().map_or(1, |file| {
                usize::from(file.input.is_some()) + usize::from(file.output.is_some())
            });
            let both = selected
                .filtered
                .iter()
                .any(|r| r.access == FileAccess::ReadWrite);
            let counted = selected.inputs.len() + selected.outputs.len() + selected.filtered.len();
            assert_eq!(counted + usize::from(both), directions, "{path} ({access})");
        }
    }
}
