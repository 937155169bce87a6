//! What roar learned of this machine, kept for its user and not for a project: package databases,
//! the processor. A project that was made a moment ago finds what another one's run looked up.
//!
//! Each note stands beside the state that its source had, and counts only while the source has it.
//! The folder is `$XDG_CACHE_HOME/roar` or `~/.cache/roar`, or one of the project's where neither can be
//! written (services and containers without a home). What stands there is believed only where
//! nobody but this user can have written it; under sudo this user is the one who typed
//! the command, since roar became that user before it came here.
//!
//! A note is a file: a line for the form, a line for the state, then the document. It is put into place
//! by a rename, so that two roars do not mix theirs; a note that is cut or foreign is none.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

const FORM: &str = "roar note 1\n";

/// A larger note is not kept.
const LIMIT_BYTES: usize = 64 << 20;

/// When there are more, the oldest go: environments come and go with their projects.
const MOST_NOTES: usize = 256;

/// The notes of one user. They are for all threads; one that cannot be kept is held in memory.
#[derive(Debug, Default)]
pub struct Notes {
    folder: Option<PathBuf>,
    held: Mutex<HashMap<PathBuf, Note>>,
}

#[derive(Clone, Debug)]
struct Note {
    state: String,
    document: Arc<Vec<u8>>,
}

/// A document of which parts are read.
#[derive(Debug)]
pub struct Document(Parts);

#[derive(Debug)]
enum Parts {
    Held(Arc<Vec<u8>>),
    /// Once in its place a note is never written to, only replaced; this stays the one it was.
    #[cfg(unix)]
    Kept {
        file: fs::File,
        start: u64,
        length: u64,
    },
}

impl Document {
    /// The bytes of a part; none where the document does not have all of them.
    pub fn part(&self, at: u64, length: usize) -> Option<Vec<u8>> {
        match &self.0 {
            Parts::Held(document) => {
                let rest = document.get(usize::try_from(at).ok()?..)?;
                Some(rest.get(..length)?.to_vec())
            }
            #[cfg(unix)]
            Parts::Kept {
                file,
                start,
                length: whole,
            } => {
                // Asked first: a damaged document may want more than there is memory.
                if at.checked_add(length as u64)? > *whole {
                    return None;
                }
                let mut part = vec![0; length];
                std::os::unix::fs::FileExt::read_exact_at(file, &mut part, start + at).ok()?;
                Some(part)
            }
        }
    }
}

impl From<Vec<u8>> for Document {
    fn from(document: Vec<u8>) -> Self {
        Self(Parts::Held(Arc::new(document)))
    }
}

impl Notes {
    /// Those of the user who runs roar, by the user's variables; in the folder `otherwise` where that
    /// user has no place for them.
    pub fn of_user(variable: impl Fn(&str) -> Option<OsString>, otherwise: PathBuf) -> Self {
        let absolute = |name: &str| {
            variable(name)
                .map(PathBuf::from)
                .filter(|p| p.is_absolute())
        };
        // A home that is not there is not to be made: users that have none are given such a name.
        let in_home = || {
            Some(
                absolute("HOME")
                    .filter(|home| home.is_dir())?
                    .join(".cache"),
            )
        };
        let caches = absolute("XDG_CACHE_HOME").or_else(in_home);
        Self {
            folder: caches
                .map(|caches| caches.join("roar"))
                .into_iter()
                .chain([otherwise])
                .find(|folder| can_keep(folder)),
            held: Mutex::default(),
        }
    }

    /// What was learned of a source while it was in this state.
    pub fn recall(&self, source: &Path, state: &str) -> Option<Arc<Vec<u8>>> {
        if let Some(note) = self.lock().get(source)
            && note.state == state
        {
            return Some(Arc::clone(&note.document));
        }
        let mut file = self.open(source, state)?;
        let mut document = Vec::with_capacity(file.metadata().ok()?.len() as usize);
        file.read_to_end(&mut document).ok()?;
        let document = Arc::new(document);
        self.hold(source, state, &document);
        Some(document)
    }

    /// As [`Self::recall`], of a document that is long, and of which little will be read.
    pub fn recall_in_parts(&self, source: &Path, state: &str) -> Option<Document> {
        let held = |notes: &Self| {
            let document = Arc::clone(&notes.lock().get(source)?.document);
            Some(Document(Parts::Held(document)))
        };
        if self.lock().get(source).is_some_and(|n| n.state == state) {
            return held(self);
        }
        #[cfg(unix)]
        {
            let mut file = self.open(source, state)?;
            let start = file.stream_position().ok()?;
            let length = file.metadata().ok()?.len().saturating_sub(start);
            Some(Document(Parts::Kept {
                file,
                start,
                length,
            }))
        }
        #[cfg(not(unix))]
        {
            self.recall(source, state)?;
            held(self)
        }
    }

    /// Whether something is known of a source in this state; far cheaper than to recall it.
    pub fn knows(&self, source: &Path, state: &str) -> bool {
        let is_held = self.lock().get(source).is_some_and(|n| n.state == state);
        is_held || self.open(source, state).is_some()
    }

    /// The file of a note of this state, at the beginning of the document.
    fn open(&self, source: &Path, state: &str) -> Option<fs::File> {
        // A line ends the state.
        if state.contains('\n') {
            return None;
        }
        let mut file = open(&self.file(source)?)?;
        let expected = [FORM, state, "\n"].concat();
        let mut head = vec![0; expected.len()];
        file.read_exact(&mut head).ok()?;
        (head == expected.as_bytes()).then_some(file)
    }

    /// Replaces what was learned of a source.
    pub fn learn(&self, source: &Path, state: &str, document: &[u8]) {
        self.hold(source, state, &Arc::new(document.to_vec()));
        if document.len() <= LIMIT_BYTES
            && let Some(file) = self.file(source)
        {
            // What cannot be kept is found out again by the next run.
            drop(write(
                &file,
                &[FORM.as_bytes(), state.as_bytes(), b"\n", document],
            ));
        }
    }

    fn hold(&self, source: &Path, state: &str, document: &Arc<Vec<u8>>) {
        let note = Note {
            state: state.to_owned(),
            document: Arc::clone(document),
        };
        self.lock().insert(source.to_owned(), note);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<PathBuf, Note>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file(&self, source: &Path) -> Option<PathBuf> {
        let folder = self.folder.as_deref()?;
        let name = blake3::hash(source.as_os_str().as_encoded_bytes()).to_hex();
        Some(folder.join(&name[..32]))
    }
}

/// Whether notes can be kept in a folder, which is made where it is not there.
fn can_keep(folder: &Path) -> bool {
    #[cfg(unix)]
    let is_writable = |folder: &Path| {
        let write = rustix::fs::Access::WRITE_OK;
        rustix::fs::access(folder, write).is_ok()
    };
    #[cfg(not(unix))]
    let is_writable = |_: &Path| true;
    let is_own = |folder: &Path| folder.symlink_metadata().is_ok_and(|m| is_own(&m));
    make(folder).is_ok() && is_own(folder) && is_writable(folder)
}

fn make(folder: &Path) -> std::io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Opens a note that nobody else can have written.
fn open(path: &Path) -> Option<fs::File> {
    if !is_own(&path.parent()?.symlink_metadata().ok()?) {
        return None;
    }
    let mut options = fs::File::options();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        options.custom_flags(flags.bits() as i32);
    }
    let file = options.open(path).ok()?;
    let metadata = file.metadata().ok()?;
    (metadata.is_file() && is_own(&metadata)).then_some(file)
}

/// Whether it belongs to this user, and nobody else may write to it.
fn is_own(metadata: &fs::Metadata) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        metadata.uid() == rustix::process::geteuid().as_raw() && metadata.mode() & 0o022 == 0
    }
    #[cfg(not(unix))]
    {
        let _ = metadata;
        true
    }
}

fn write(path: &Path, parts: &[&[u8]]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    make(folder)?;
    if !is_own(&folder.symlink_metadata()?) {
        return Err(std::io::ErrorKind::PermissionDenied.into());
    }
    let mut file = tempfile::Builder::new()
        .prefix("new-")
        .tempfile_in(folder)?;
    for part in parts {
        file.write_all(part)?;
    }
    file.persist(path)?;
    forget_oldest(folder)
}

fn forget_oldest(folder: &Path) -> std::io::Result<()> {
    let mut notes: Vec<_> = fs::read_dir(folder)?
        .flatten()
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    if notes.len() > MOST_NOTES {
        notes.sort();
        for (_, path) in &notes[..notes.len() - MOST_NOTES] {
            // Another roar may have been faster.
            drop(fs::remove_file(path));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notes_in(folder: &Path) -> Notes {
        let folder = folder.as_os_str().to_owned();
        let otherwise = PathBuf::from("/proc/no/such/folder");
        Notes::of_user(
            |name| (name == "XDG_CACHE_HOME").then(|| folder.clone()),
            otherwise,
        )
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn who_has_no_place_keeps_them_with_the_project() {
        let project = tempfile::tempdir().expect("a folder");
        let otherwise = project.path().join("notes");
        for home in [None, Some("relative"), Some("/proc/no/such/folder")] {
            let variable = |name: &str| (name == "HOME").then(|| Some(home?.into())).flatten();
            let notes = Notes::of_user(variable, otherwise.clone());
            assert_eq!(notes.folder.as_ref(), Some(&otherwise), "{home:?}");
        }
        let home = tempfile::tempdir().expect("a folder");
        let missing = home.path().join("missing");
        let variable = |name: &str| (name == "HOME").then(|| missing.clone().into());
        assert_eq!(
            Notes::of_user(variable, otherwise.clone()).folder.as_ref(),
            Some(&otherwise)
        );
        assert!(!missing.exists());
        let variable = |name: &str| (name == "HOME").then(|| home.path().into());
        let notes = Notes::of_user(variable, otherwise);
        assert_eq!(notes.folder, Some(home.path().join(".cache/roar")));
    }

    #[test]
    fn kept_for_the_next_run_while_the_state_holds() {
        let caches = tempfile::tempdir().expect("a folder");
        let source = Path::new("/var/lib/packages");
        let notes = notes_in(caches.path());
        assert_eq!(notes.recall(source, "1:2"), None);
        notes.learn(source, "1:2", b"a\nb");
        for notes in [notes, notes_in(caches.path())] {
            assert_eq!(
                notes.recall(source, "1:2").as_deref(),
                Some(&b"a\nb".to_vec())
            );
            assert_eq!(notes.recall(source, "1:3"), None);
            assert!(notes.knows(source, "1:2"));
            assert!(!notes.knows(source, "1:") && !notes.knows(source, "1:3"));
            let document = notes.recall_in_parts(source, "1:2").expect("it is known");
            assert_eq!(document.part(0, 3).as_deref(), Some(&b"a\nb"[..]));
            assert_eq!(document.part(2, 1).as_deref(), Some(&b"b"[..]));
            for (at, length) in [(0, 4), (3, 1), (u64::MAX, 1), (0, usize::MAX)] {
                assert_eq!(document.part(at, length), None, "{at} {length}");
            }
            assert!(notes.recall_in_parts(source, "1:3").is_none());
            assert_eq!(notes.recall(source, "1:2\na"), None);
            assert_eq!(notes.recall(Path::new("/other"), "1:2"), None);
        }
        // Nowhere to keep them: held as long as roar runs.
        let notes = Notes::default();
        notes.learn(source, "1:2", b"x");
        assert_eq!(notes.recall(source, "1:2").as_deref(), Some(&b"x".to_vec()));
    }

    #[cfg(unix)]
    #[test]
    fn what_others_may_have_written_is_not_believed() {
        use std::os::unix::fs::{PermissionsExt as _, symlink};
        let caches = tempfile::tempdir().expect("a folder");
        let source = Path::new("/s");
        notes_in(caches.path()).learn(source, "1", b"x");
        let folder = caches.path().join("roar");
        let file = notes_in(caches.path()).file(source).expect("a file");
        let recalled = || notes_in(caches.path()).recall(source, "1").is_some();
        let mode = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("one's own");
        };
        assert!(recalled());
        for (path, good) in [(&folder, 0o700), (&file, 0o600)] {
            for bad in [0o722, 0o770] {
                mode(path, bad);
                assert!(!recalled(), "{} {bad:o}", path.display());
            }
            mode(path, good);
            assert!(recalled());
        }
        let elsewhere = caches.path().join("elsewhere");
        fs::rename(&file, &elsewhere).expect("moves it");
        symlink(&elsewhere, &file).expect("links it");
        assert!(!recalled());
        if rustix::process::geteuid().is_root() {
            fs::rename(&elsewhere, &file).expect("moves it back");
            assert!(recalled());
            std::os::unix::fs::chown(&file, Some(1), None).expect("root may");
            assert!(!recalled());
        }
    }

    #[test]
    fn old_notes_go() {
        let caches = tempfile::tempdir().expect("a folder");
        let notes = notes_in(caches.path());
        for number in 0..MOST_NOTES + 5 {
            notes.learn(Path::new(&number.to_string()), "1", b"x");
        }
        let count = fs::read_dir(caches.path().join("roar")).expect("a folder");
        assert_eq!(count.count(), MOST_NOTES);
    }
}
