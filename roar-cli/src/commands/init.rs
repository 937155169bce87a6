//! `roar init`: makes a project of the current directory.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::{Context, reading};
use crate::capture::git;
use crate::error::CommandError;
use crate::project::{DIRECTORY, Project};
use crate::settings;
use crate::store::Store;

/// Initialize roar in the current directory.
///
/// Creates a .roar/ directory with the local database and a config.toml that lists every
/// option with its default. In a git repository, offers to add .roar/ to .gitignore.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Add .roar/ to .gitignore without asking.
    #[arg(short = 'y', long, conflicts_with = "no")]
    yes: bool,
    /// Leave .gitignore alone.
    #[arg(short = 'n', long)]
    no: bool,
}

/// # Errors
/// `.roar` is something else already, or cannot be written.
pub(super) fn run(context: &mut Context, args: &Args) -> Result<ExitCode, CommandError> {
    let root = context.cwd.canonicalize().map_err(|error| {
        CommandError::user(format!("cannot read '{}'", reading::shown(&context.cwd))).because(error)
    })?;
    let project = Project { root };
    let existed = look(&project)?;
    let ignored = existed || is_ignored(&project.root);
    // Before anything is made: who stops at the question has changed nothing.
    let add_to_gitignore = if args.yes {
        !is_ignored(&project.root)
    } else if args.no || ignored || git_top(&project.root).is_none() {
        false
    } else {
        ask(context)
    };
    create(&project)?;
    let shown = reading::shown(&project.root);
    if existed {
        context
            .ui
            .note(&format!("'{shown}' is a roar project already"));
    } else {
        context
            .ui
            .note(&format!("initialized a roar project in '{shown}'"));
        if let Some(outer) = project.root.parent().and_then(|up| Project::find(up).ok()) {
            context.ui.warning(&format!(
                "it lies within the project '{}', which no longer sees what runs here",
                reading::shown(&outer.root)
            ));
        }
    }
    if add_to_gitignore {
        append_to_gitignore(&project.root)?;
        context.ui.note("added .roar/ to .gitignore");
    }
    Ok(ExitCode::SUCCESS)
}

fn ask(context: &Context) -> bool {
    context
        .ui
        .confirm("Add .roar/ to .gitignore?", true)
        .unwrap_or_else(|| {
            context
                .ui
                .note("left .gitignore alone; to add .roar/ run: roar init -y");
            false
        })
}

/// Whether the project is there already.
fn look(project: &Project) -> Result<bool, CommandError> {
    let directory = project.directory();
    match directory.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => Ok(true),
        Ok(_) => Err(CommandError::user(format!(
            "'{}' is there, but it is not a directory",
            reading::shown(&directory)
        ))
        .hint("move it away, then run: roar init")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => {
            let shown = reading::shown(&directory);
            Err(CommandError::user(format!("cannot look at '{shown}'")).because(error))
        }
    }
}

/// Makes what is missing: also mends a project whose making was interrupted.
///
/// # Errors
/// Something of it cannot be written.
pub(super) fn create(project: &Project) -> Result<(), CommandError> {
    let directory = project.directory();
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    builder.create(&directory).map_err(|error| {
        CommandError::user(format!("cannot create '{}'", reading::shown(&directory))).because(error)
    })?;
    Store::open(project)?;
    let config = project.config_file();
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&config)
        .and_then(|mut file| file.write_all(settings::default_config().as_bytes()));
    match written {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            let shown = reading::shown(&config);
            Err(CommandError::user(format!("cannot write '{shown}'")).because(error))
        }
        _ => Ok(()),
    }
}

/// The top of the git work tree around a folder.
fn git_top(root: &Path) -> Option<PathBuf> {
    root.ancestors()
        .find(|folder| folder.join(".git").symlink_metadata().is_ok())
        .map(Path::to_path_buf)
}

/// Whether git ignores `.roar/` already, by any of its means; without a repository, whether
/// the folder's own `.gitignore` lists it.
fn is_ignored(root: &Path) -> bool {
    let by_git = git_top(root).and_then(|top| git::ignores(&top, &root.join(DIRECTORY)));
    by_git.unwrap_or_else(|| {
        fs::read(root.join(".gitignore"))
            .is_ok_and(|text| text.split(|b| *b == b'\n').any(lists_directory))
    })
}

fn lists_directory(line: &[u8]) -> bool {
    let line = line.trim_ascii();
    let line = line.strip_prefix(b"/").unwrap_or(line);
    line.strip_suffix(b"/").unwrap_or(line) == DIRECTORY.as_bytes()
}

fn append_to_gitignore(root: &Path) -> Result<(), CommandError> {
    let path = root.join(".gitignore");
    let failed = |error: io::Error| {
        CommandError::user(format!("cannot add .roar/ to '{}'", reading::shown(&path)))
            .because(error)
    };
    // A link may lead anywhere; git itself does not follow it either.
    if path
        .symlink_metadata()
        .is_ok_and(|metadata| !metadata.is_file())
    {
        return Err(failed(io::Error::other("it is not a regular file")));
    }
    let text = match fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        other => other.map_err(failed)?,
    };
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .open(&path)
        .map_err(failed)?;
    file.write_all(&addition(&text)).map_err(failed)
}

/// What to append to a `.gitignore` of this text: a line of its own, with its line ends.
fn addition(text: &[u8]) -> Vec<u8> {
    let line_end: &[u8] = if text.windows(2).any(|pair| pair == b"\r\n") {
        b"\r\n"
    } else {
        b"\n"
    };
    let mut addition = Vec::new();
    if !text.is_empty() && !text.ends_with(b"\n") {
        addition.extend_from_slice(line_end);
    }
    addition.extend_from_slice(b".roar/");
    addition.extend_from_slice(line_end);
    addition
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_its_own() {
        for (text, expected) in [
            ("", ".roar/\n"),
            ("a\n", ".roar/\n"),
            ("a", "\n.roar/\n"),
            ("a\r\nb", "\r\n.roar/\r\n"),
            ("a\r\n", ".roar/\r\n"),
        ] {
            assert_eq!(addition(text.as_bytes()), expected.as_bytes(), "{text:?}");
        }
    }

    #[test]
    fn lines_that_list_the_directory() {
        for (line, expected) in [
            (".roar", true),
            (".roar/", true),
            ("/.roar/", true),
            (" .roar/ \r", true),
            ("#.roar", false),
            (".roarconfig", false),
            ("!.roar", false),
            ("", false),
        ] {
            assert_eq!(lists_directory(line.as_bytes()), expected, "{line}");
        }
    }
}
