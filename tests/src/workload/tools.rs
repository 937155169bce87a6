//! Real programs on small projects, with what they consume and produce where that is known
//! beforehand; where it is not, strace's word has to do.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use super::program::{self, Build};
use crate::oracle::FileSets;
use crate::project::Project;
use crate::require::Need;

/// A command and the project that it works on.
#[derive(Clone, Debug)]
pub struct Tool {
    /// The name by which tests report it.
    pub name: &'static str,
    /// Fills the project.
    pub set_up: fn(&Project),
    /// What the command consumes and produces, where known.
    pub truth: Option<FileSets>,
    /// What it needs of the machine.
    pub needs: Vec<Need>,
    argv: Vec<&'static str>,
}

impl Tool {
    pub(super) fn new(name: &'static str, set_up: fn(&Project), argv: &[&'static str]) -> Self {
        Self {
            name,
            set_up,
            truth: None,
            needs: Vec::new(),
            argv: argv.to_vec(),
        }
    }

    pub(super) fn needing(mut self, need: Need) -> Self {
        self.needs.push(need);
        self
    }

    pub(super) fn does(mut self, inputs: &[&str], outputs: &[&str]) -> Self {
        self.truth = Some(FileSets {
            inputs: inputs.iter().map(PathBuf::from).collect(),
            outputs: outputs.iter().map(PathBuf::from).collect(),
        });
        self
    }

    /// The command.
    pub fn argv(&self) -> Vec<OsString> {
        self.argv.iter().map(OsString::from).collect()
    }
}

/// All of them.
pub fn all() -> Vec<Tool> {
    [small(), archives(), repositories(), builds(), pools()].concat()
}

/// Shell redirection, copying, moving, editing in place, a static program.
fn small() -> Vec<Tool> {
    vec![
        Tool::new("redirection", one_input, &["sh", "-c", "cat < in > out"])
            .does(&["in"], &["out"]),
        Tool::new(
            "pipeline",
            one_input,
            &["sh", "-c", "sort in | uniq -c | tee copy > out"],
        )
        .does(&["in"], &["copy", "out"]),
        Tool::new("cp", one_input, &["cp", "in", "out"]).does(&["in"], &["out"]),
        Tool::new("mv", made_before, &["mv", "tmp", "final"]).does(&["tmp"], &["final"]),
        Tool::new(
            "made and moved",
            one_input,
            &["sh", "-c", "sort in > tmp; mv tmp final"],
        )
        .does(&["in"], &["final"]),
        Tool::new("sed -i", one_input, &["sed", "-i", "s/input/output/", "in"])
            .does(&["in"], &["in"]),
        Tool::new(
            "static program",
            static_program,
            &["./static", "copy", "in", "out"],
        )
        .does(&["in", "static"], &["out"]),
    ]
}

fn one_input(project: &Project) {
    project.write("in", "some input\n".repeat(1009));
}

fn made_before(project: &Project) {
    project.write("tmp", "made before");
}

fn static_program(project: &Project) {
    one_input(project);
    let bytes = fs::read(program::path("rw", Build::Static)).expect("it was just built");
    project.write_program("static", bytes);
}

fn archives() -> Vec<Tool> {
    const FILES: &[&str] = &["folder/a", "folder/b/c", "folder/b/d/e"];
    vec![
        Tool::new(
            "tar, packing",
            folder,
            &["tar", "-czf", "out.tar.gz", "folder"],
        )
        .does(FILES, &["out.tar.gz"]),
        Tool::new("tar, unpacking", packed, &["tar", "-xf", "in.tar"]).does(&["in.tar"], FILES),
    ]
}

fn folder(project: &Project) {
    for name in ["a", "b/c", "b/d/e"] {
        project.write(Path::new("folder").join(name), name.repeat(997));
    }
}

fn packed(project: &Project) {
    folder(project);
    project.run("tar", ["-cf", "in.tar", "folder"]);
    project.run("rm", ["-r", "folder"]);
}

fn repositories() -> Vec<Tool> {
    // What lies under `.git` is git's own, and filtered.
    let clone =
        |name, argv| Tool::new(name, repository, argv).does(&[], &["copy/a", "copy/folder/b"]);
    vec![
        clone("git clone", &["git", "clone", "--quiet", "source", "copy"]),
        clone(
            "git clone without links",
            &[
                "git",
                "clone",
                "--quiet",
                "--no-hardlinks",
                "source",
                "copy",
            ],
        ),
        clone(
            "git clone by transfer",
            &["git", "clone", "--quiet", "--no-local", "source", "copy"],
        ),
    ]
}

fn repository(project: &Project) {
    project.write("source/a", "a\n".repeat(499));
    project.write("source/folder/b", "b\n".repeat(499));
    for arguments in [
        &["init", "--quiet", "--initial-branch=main"][..],
        &["add", "--all"],
        &["commit", "--quiet", "-m", "all"],
    ] {
        project.run("git", [&["-C", "source"], arguments].concat());
    }
}

fn builds() -> Vec<Tool> {
    vec![Tool::new("make -j2", sources, &["make", "-s", "-j2"]).does(
        &["Makefile", "a.c", "all.h", "b.c", "main.c"],
        &["a.o", "b.o", "main", "main.o"],
    )]
}

fn sources(project: &Project) {
    project.write("all.h", "int a(void);\nint b(void);\n");
    project.write("a.c", "#include \"all.h\"\nint a(void) { return 1; }\n");
    project.write("b.c", "#include \"all.h\"\nint b(void) { return -1; }\n");
    project.write(
        "main.c",
        "#include \"all.h\"\nint main(void) { return a() + b(); }\n",
    );
    project.write(
        "Makefile",
        "main: main.o a.o b.o\n\tgcc -o $@ $^\n%.o: %.c all.h\n\tgcc -c -o $@ $<\n",
    );
}

fn pools() -> Vec<Tool> {
    let pool = |name, argv| {
        Tool::new(name, pool_script, argv).does(
            &["in0", "in1", "in2", "in3", "in4", "pool.py"],
            &["out0", "out1", "out2", "out3", "out4"],
        )
    };
    vec![
        pool("python pool, forked", &["python3", "-B", "pool.py", "fork"]),
        pool(
            "python pool, spawned",
            &["python3", "-B", "pool.py", "spawn"],
        ),
        pool(
            "python pool, by a server",
            &["python3", "-B", "pool.py", "forkserver"],
        ),
    ]
}

fn pool_script(project: &Project) {
    let script = "\
import multiprocessing, pathlib, sys

def work(i):
    pathlib.Path(f'out{i}').write_bytes(pathlib.Path(f'in{i}').read_bytes() * 2)

if __name__ == '__main__':
    multiprocessing.set_start_method(sys.argv[1])
    with multiprocessing.Pool(3) as pool:
        pool.map(work, range(5))
";
    project.write("pool.py", script);
    for i in 0..5 {
        project.write(format!("in{i}"), format!("content {i}"));
    }
}
