//! From calls to inputs and outputs.
//!
//! Works by names: the files that stood there before are known with their hard links
//! ([`Before`]); every creation, renaming, linking and removal is followed. What counts:
//! an input is a file whose content from before the command was read, mapped, executed,
//! partly kept under a change, or moved to another place; an output is a file that was
//! made, changed or put into its place by a rename or link, and still has a name at the end.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Component, Path, PathBuf};

use super::FileSets;
use super::before::Before;
use super::line::Call;

/// Concludes what the calls did, made by a command that started in `cwd`.
pub fn conclude(calls: &[Call], before: Before, cwd: &Path) -> FileSets {
    let mut fold = Fold::new(calls, before, cwd);
    for call in calls {
        fold.apply(call);
    }
    fold.finish()
}

/// One file through all its names.
#[derive(Debug, Default)]
struct File {
    /// Bytes from before the command are in it.
    has_old_content: bool,
    /// Under which name old content was first used.
    input: Option<PathBuf>,
    /// Under which name old content was first kept under a change.
    kept: Option<PathBuf>,
    /// Its names from before the command.
    originals: Vec<PathBuf>,
    written: bool,
    /// Under which name it was last written or placed.
    place: Option<PathBuf>,
    /// Its names now.
    names: BTreeSet<PathBuf>,
}

/// A mapped part of a file.
#[derive(Clone, Debug)]
struct Mapping {
    start: u64,
    end: u64,
    path: PathBuf,
    shared: bool,
}

struct Fold {
    files: Vec<File>,
    names: BTreeMap<PathBuf, usize>,
    /// Files by the last name they lost, for descriptors that outlive it.
    nameless: HashMap<PathBuf, usize>,
    /// Thread to the thread that made it, and whether the two share their folder.
    parents: HashMap<u32, (u32, bool)>,
    folders: HashMap<u32, PathBuf>,
    roots: HashMap<u32, PathBuf>,
    first_folder: PathBuf,
    mappings: HashMap<u32, Vec<Mapping>>,
    /// Files that each process opened, by number: for a number that is printed bare.
    opened: HashMap<(u32, u64), PathBuf>,
    /// Descriptors that were opened with `O_TRUNC` and printed without a path.
    emptied_unseen: HashSet<(u32, u64)>,
}

impl Fold {
    fn new(calls: &[Call], before: Before, cwd: &Path) -> Self {
        let mut files: Vec<File> = Vec::new();
        let mut by_identity = HashMap::new();
        let mut names = BTreeMap::new();
        for (path, identity) in before.files {
            let index = *by_identity.entry(identity).or_insert_with(|| {
                files.push(File {
                    has_old_content: true,
                    ..File::default()
                });
                files.len() - 1
            });
            files[index].originals.push(path.clone());
            files[index].names.insert(path.clone());
            names.insert(path, index);
        }
        let parents = calls
            .iter()
            .filter(|call| matches!(call.name.as_str(), "fork" | "vfork" | "clone" | "clone3"))
            .filter_map(|call| {
                let child = u32::try_from(call.value()?).ok()?;
                let shares = call.arguments.iter().any(|a| a.contains("CLONE_FS"));
                Some((child, (call.thread, shares)))
            })
            .collect();
        Self {
            files,
            names,
            nameless: HashMap::new(),
            parents,
            folders: HashMap::new(),
            roots: HashMap::new(),
            first_folder: cwd.to_path_buf(),
            mappings: HashMap::new(),
            opened: HashMap::new(),
            emptied_unseen: HashSet::new(),
        }
    }

    fn apply(&mut self, call: &Call) {
        let owner = self.folder_owner(call.thread);
        // Where strace prints the folder, it need not be worked out.
        let folder_index = call
            .arguments
            .iter()
            .position(|a| a.starts_with("AT_FDCWD<"));
        if let Some(folder) = folder_index.and_then(|index| call.file(index)) {
            self.folders.insert(owner, folder);
        }
        let Some(value) = call.value() else {
            return;
        };
        self.catch_up(call);
        match call.name.as_str() {
            "read" | "pread64" | "readv" | "preadv" | "preadv2" => {
                // A read of nothing counts when the file has nothing to give.
                self.read(call.file(0));
            }
            "write" | "pwrite64" | "writev" | "pwritev" | "pwritev2" if value > 0 => {
                self.write(call.file(0));
            }
            "fallocate" => self.write(call.file(0)),
            "truncate" | "truncate64" => {
                let path = self.resolve(call.thread, None, call.path(0));
                let path = path.map(|path| path.canonicalize().unwrap_or(path));
                self.truncate(path, call.number(1));
            }
            "ftruncate" | "ftruncate64" => self.truncate(call.file(0), call.number(1)),
            "open" | "openat" | "openat2" | "creat" | "open_by_handle_at" => self.open(call),
            "mmap" | "mmap2" => self.map(call, value),
            "mprotect" => self.protect(call),
            "munmap" => self.unmap(call),
            "sendfile" | "sendfile64" => self.copy(call.file(1), call.file(0), value),
            "splice" | "copy_file_range" => self.copy(call.file(0), call.file(2), value),
            "ioctl" if call.argument(1).contains("FICLONE") => {
                self.copy(self.clone_source(call), call.file(0), 1);
            }
            "rename" => self.rename(call, (None, 0), (None, 1), ""),
            "renameat" => self.rename(call, (Some(0), 1), (Some(2), 3), ""),
            "renameat2" => self.rename(call, (Some(0), 1), (Some(2), 3), call.argument(4)),
            "link" => self.link(call, (None, 0), (None, 1)),
            "linkat" => self.link(call, (Some(0), 1), (Some(2), 3)),
            "unlink" => self.unlink(call, (None, 0)),
            "unlinkat" => self.unlink(call, (Some(0), 1)),
            "execve" => self.execute(call, (None, 0)),
            "execveat" => self.execute(call, (Some(0), 1)),
            "chdir" => {
                if let Some(path) = self.resolve(call.thread, None, call.path(0)) {
                    let path = path.canonicalize().unwrap_or(path);
                    self.folders.insert(owner, path);
                }
            }
            "chroot" => {
                if let Some(path) = self.resolve(call.thread, None, call.path(0)) {
                    let path = path.canonicalize().unwrap_or(path);
                    self.roots.insert(owner, path);
                }
            }
            "fchdir" => {
                if let Some(path) = call.file(0) {
                    self.folders.insert(owner, path);
                }
            }
            _ => {}
        }
    }

    fn finish(self) -> FileSets {
        let mut sets = FileSets::default();
        for file in self.files {
            let moved: Vec<_> = file
                .names
                .iter()
                .filter(|name| !file.originals.contains(name))
                .cloned()
                .collect();
            // What was kept and then removed went nowhere.
            let kept = file.kept.filter(|_| !file.names.is_empty());
            sets.inputs.extend(file.input.clone().or(kept));
            if file.originals.is_empty() || !file.written {
                if file.input.is_none() && !moved.is_empty() {
                    sets.inputs.extend(file.originals.first().cloned());
                }
                if file.written || !file.originals.is_empty() {
                    sets.outputs.extend(moved);
                }
            } else {
                let place = file.place.filter(|place| file.names.contains(place));
                sets.outputs
                    .extend(place.or_else(|| file.names.first().cloned()));
            }
        }
        sets
    }

    fn index_of(&mut self, path: &Path) -> usize {
        if let Some(index) = self.names.get(path).or_else(|| self.nameless.get(path)) {
            return *index;
        }
        // Outside the folder that was looked through: it was there, for all one knows.
        self.add(path, true)
    }

    fn add(&mut self, path: &Path, has_old_content: bool) -> usize {
        let names = BTreeSet::from([path.to_path_buf()]);
        self.files.push(File {
            has_old_content,
            originals: if has_old_content {
                names.iter().cloned().collect()
            } else {
                Vec::new()
            },
            names,
            ..File::default()
        });
        self.names.insert(path.to_path_buf(), self.files.len() - 1);
        self.files.len() - 1
    }

    fn read(&mut self, path: Option<PathBuf>) {
        if let Some((file, path)) = self.old_content(path)
            && file.input.is_none()
        {
            file.input = Some(path);
        }
    }

    fn write(&mut self, path: Option<PathBuf>) {
        if let Some((file, path)) = self.old_content(path.clone())
            && file.kept.is_none()
        {
            file.kept = Some(path);
        }
        self.produce(path);
    }

    /// The file behind a path and the name that its content from before goes by, if it has any.
    fn old_content(&mut self, path: Option<PathBuf>) -> Option<(&mut File, PathBuf)> {
        let path = path.filter(|path| !path.is_dir() && !is_special(path))?;
        let index = self.index_of(&path);
        let file = &mut self.files[index];
        if !file.has_old_content {
            return None;
        }
        // A name that the command itself gave it is not where the content came from.
        let original = file
            .originals
            .first()
            .filter(|_| !file.originals.contains(&path));
        let path = original.cloned().unwrap_or(path);
        Some((file, path))
    }

    fn produce(&mut self, path: Option<PathBuf>) {
        let Some(path) = path.filter(|path| !is_special(path)) else {
            return;
        };
        let index = self.index_of(&path);
        self.files[index].written = true;
        self.files[index].place = Some(path);
    }

    fn truncate(&mut self, path: Option<PathBuf>, length: Option<u64>) {
        if let (Some(path), Some(0)) = (&path, length) {
            let index = self.index_of(path);
            self.files[index].has_old_content = false;
        }
        self.write(path);
    }

    fn open(&mut self, call: &Call) {
        let has = |flag| call.arguments.iter().any(|a| a.contains(flag));
        let descriptor = (self.process(call.thread), call.value().unwrap_or(u64::MAX));
        let Some(path) = call.result_file() else {
            if has("O_TRUNC") {
                self.emptied_unseen.insert(descriptor);
            }
            return;
        };
        self.opened.insert(descriptor, path.clone());
        if call.result.ends_with("(deleted)") {
            // A file without a name (O_TMPFILE): it gets one by a link, if ever.
            let index = self.add(&path, false);
            self.names.remove(&path);
            self.files[index].names.clear();
            self.nameless.insert(path, index);
            return;
        }
        let creates = call.name == "creat" || has("O_CREAT");
        if is_special(&path) {
            return;
        }
        if creates && !self.names.contains_key(&path) {
            self.add(&path, false);
            self.produce(Some(path));
        } else if call.name == "creat" || has("O_TRUNC") {
            self.truncate(Some(path), Some(0));
        }
    }

    /// The path of a descriptor that was emptied when opened is known at its first use.
    fn catch_up(&mut self, call: &Call) {
        let process = self.process(call.thread);
        for (index, argument) in call.arguments.iter().enumerate() {
            let number = argument.split('<').next().and_then(|n| n.parse().ok());
            let (Some(number), Some(path)) = (number, call.file(index)) else {
                continue;
            };
            if self.emptied_unseen.remove(&(process, number)) {
                self.truncate(Some(path), Some(0));
            }
        }
    }

    fn map(&mut self, call: &Call, start: u64) {
        let Some(path) = call.file(4) else {
            return;
        };
        let shared = call.argument(3).contains("MAP_SHARED");
        let end = start + call.number(1).unwrap_or(0);
        if shared && call.argument(2).contains("PROT_WRITE") {
            self.write(Some(path.clone()));
        } else {
            self.read(Some(path.clone()));
        }
        let mapping = Mapping {
            start,
            end,
            path,
            shared,
        };
        let process = self.process(call.thread);
        self.mappings.entry(process).or_default().push(mapping);
    }

    fn protect(&mut self, call: &Call) {
        let (Some(start), Some(length)) = (call.number(0), call.number(1)) else {
            return;
        };
        if !call.argument(2).contains("PROT_WRITE") {
            return;
        }
        let process = self.process(call.thread);
        let touched: Vec<_> = self
            .mappings
            .get(&process)
            .map_or_else(Vec::new, |mappings| {
                mappings
                    .iter()
                    .filter(|m| m.shared && m.start < start + length && start < m.end)
                    .map(|m| m.path.clone())
                    .collect()
            });
        for path in touched {
            self.write(Some(path));
        }
    }

    fn unmap(&mut self, call: &Call) {
        let (Some(start), Some(length)) = (call.number(0), call.number(1)) else {
            return;
        };
        let process = self.process(call.thread);
        if let Some(mappings) = self.mappings.get_mut(&process) {
            mappings.retain(|m| m.start < start || m.end > start + length);
        }
    }

    fn copy(&mut self, from: Option<PathBuf>, to: Option<PathBuf>, moved: u64) {
        self.read(from);
        if moved > 0 {
            self.write(to);
        }
    }

    /// FICLONE names its source by a bare number, FICLONERANGE inside a structure: `{src_fd=3<…>, …}`.
    fn clone_source(&self, call: &Call) -> Option<PathBuf> {
        if let Some(number) = call.number(2) {
            let process = self.process(call.thread);
            return self.opened.get(&(process, number)).cloned();
        }
        let mut described = call.clone();
        described.arguments = vec![call.argument(2).split_once("src_fd=")?.1.to_owned()];
        described.file(0)
    }

    fn rename(&mut self, call: &Call, from: Argument, to: Argument, flags: &str) {
        let (Some(from), Some(to)) = (self.named(call, from), self.named(call, to)) else {
            return;
        };
        if flags.contains("RENAME_EXCHANGE") {
            let (a, b) = (self.lose(&from), self.lose(&to));
            self.place(&to, a);
            self.place(&from, b);
            return;
        }
        if self.names.contains_key(&from) {
            let index = self.lose(&from);
            self.lose(&to);
            self.place(&to, index);
            return;
        }
        let inside: Vec<_> = self
            .names
            .range(from.clone()..)
            .map(|(path, _)| path.clone())
            .take_while(|path| path.starts_with(&from))
            .collect();
        for path in inside {
            let below = path.strip_prefix(&from).expect("it starts with the folder");
            let index = self.lose(&path);
            self.place(&to.join(below), index);
        }
    }

    fn link(&mut self, call: &Call, from: Argument, to: Argument) {
        let Some(to) = self.named(call, to) else {
            return;
        };
        let unnamed = call
            .path(from.1)
            .is_some_and(|path| path.as_os_str().is_empty());
        let source = if unnamed {
            None
        } else {
            self.named(call, from)
        };
        if let Some(index) = source.and_then(|source| self.names.get(&source).copied()) {
            self.place(&to, Some(index));
        } else {
            // A file that had no name until now.
            self.add(&to, false);
            self.produce(Some(to));
        }
    }

    fn unlink(&mut self, call: &Call, name: Argument) {
        if let Some(path) = self.named(call, name) {
            self.lose(&path);
        }
    }

    fn execute(&mut self, call: &Call, program: Argument) {
        let unnamed = call
            .path(program.1)
            .is_some_and(|path| path.as_os_str().is_empty());
        let path = if unnamed {
            call.file(0)
        } else {
            self.named(call, program)
        };
        self.mappings.remove(&self.process(call.thread));
        self.read(path.and_then(|path| path.canonicalize().ok()));
    }

    /// Gives a file a name.
    fn place(&mut self, path: &Path, index: Option<usize>) {
        if let Some(index) = index {
            self.names.insert(path.to_path_buf(), index);
            self.files[index].names.insert(path.to_path_buf());
            self.files[index].place = Some(path.to_path_buf());
        }
    }

    /// Takes a name away; tells whose it was.
    fn lose(&mut self, path: &Path) -> Option<usize> {
        let index = self.names.remove(path)?;
        self.files[index].names.remove(path);
        self.nameless.insert(path.to_path_buf(), index);
        Some(index)
    }

    fn named(&self, call: &Call, (folder, name): Argument) -> Option<PathBuf> {
        self.resolve(
            call.thread,
            folder.and_then(|index| call.file(index)),
            call.path(name),
        )
    }

    /// The real path of a name: symbolic links of its folder resolved, its own not.
    fn resolve(
        &self,
        thread: u32,
        folder: Option<PathBuf>,
        name: Option<PathBuf>,
    ) -> Option<PathBuf> {
        let name = name.filter(|name| !name.as_os_str().is_empty())?;
        let path = match name.strip_prefix("/") {
            Ok(below) => self.root(thread).join(normalise(below)),
            Err(_) => normalise(&folder.unwrap_or_else(|| self.folder(thread)).join(name)),
        };
        let (parent, last) = (path.parent()?, path.file_name()?);
        let parent = parent
            .canonicalize()
            .unwrap_or_else(|_| parent.to_path_buf());
        Some(parent.join(last))
    }

    fn folder(&self, thread: u32) -> PathBuf {
        let folder = self.inherited(&self.folders, thread);
        folder.unwrap_or(&self.first_folder).clone()
    }

    fn root(&self, thread: u32) -> PathBuf {
        let root = self.inherited(&self.roots, thread);
        root.map_or_else(|| PathBuf::from("/"), Clone::clone)
    }

    /// A process's own value, or that of the nearest process before it.
    fn inherited<'a>(&self, of: &'a HashMap<u32, PathBuf>, thread: u32) -> Option<&'a PathBuf> {
        let mut owner = self.folder_owner(thread);
        loop {
            if let Some(path) = of.get(&owner) {
                return Some(path);
            }
            owner = self.folder_owner(self.parents.get(&owner)?.0);
        }
    }

    /// Threads share the folder of the one that made them.
    fn folder_owner(&self, mut thread: u32) -> u32 {
        while let Some((parent, true)) = self.parents.get(&thread) {
            thread = *parent;
        }
        thread
    }

    /// Mappings are shared as folders are, by threads.
    fn process(&self, thread: u32) -> u32 {
        self.folder_owner(thread)
    }
}

/// Which arguments name a file: the folder's descriptor, where there is one, and the name.
type Argument = (Option<usize>, usize);

/// Devices, pipes with a name, and what the kernel makes up: no files.
fn is_special(path: &Path) -> bool {
    ["/dev", "/proc", "/sys"]
        .iter()
        .any(|top| path.starts_with(top))
        || path
            .symlink_metadata()
            .is_ok_and(|metadata| metadata.file_type().is_fifo())
}

/// Removes `.` and `..` by the letter.
fn normalise(path: &Path) -> PathBuf {
    let mut result = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                result.pop();
            }
            Component::CurDir => {}
            other => result.push(other),
        }
    }
    result
}
