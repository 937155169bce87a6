//! From the embedded object to attached programs.

use std::collections::{HashMap, HashSet};
use std::ffi::CStr;
use std::io;
use std::num::NonZero;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use aya_obj::btf::BtfFeatures;
use aya_obj::generated::bpf_map_type::BPF_MAP_TYPE_ARRAY;
use aya_obj::{Features, Function, Object, ProgramSection};
use roar_common::{ANY_OWNER, Config, KernelLayout, UringLayout, handler, names};

use super::Sizes;
use super::attached::Parts;
use super::btf::{BtfError, KernelTypes};
use super::cgroup::CgroupError;
use super::classes::class_table;
use super::fill::fill;
use super::layout::kernel_layout;
use super::loader::LoaderError;
use super::refusal::Refusal;
use super::sys;
use crate::timings;

/// The compiled programs; `cargo xtask build-ebpf` makes the files.
static CASTING: &[u8] = aya::include_bytes_aligned!("../../../../roar-ebpf/roar.bpf.o");
static PROBING: &[u8] = aya::include_bytes_aligned!("../../../../roar-ebpf/roar-probe.bpf.o");

/// The ring of aya-log's messages.
pub(super) const LOG_MAP: &str = "AYA_LOGS";

/// Where the kernel keeps its type information.
const KERNEL_BTF: &str = "/sys/kernel/btf/vmlinux";

/// Where the kernel says how far it is locked down, where securityfs is mounted.
const LOCKDOWN: &str = "/sys/kernel/security/lockdown";

/// Why eBPF tracing is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The kernel has no type information.
    #[error("cannot read {KERNEL_BTF}: this kernel was built without BTF or hides it")]
    NoKernelTypes(#[source] io::Error),
    /// It has, but not what roar needs.
    #[error(transparent)]
    KernelTypes(#[from] BtfErrorBox),
    /// bpf(2) refused.
    #[error("bpf({operation}) failed for {object}")]
    Bpf {
        /// The operation.
        operation: &'static str,
        /// The map or program.
        object: String,
        /// Why, as far as this process could tell when it was refused; none when it is not for
        /// rights.
        refusal: Option<Refusal>,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The verifier rejected a program.
    #[error("the kernel's verifier rejected the program {program}:\n{log}")]
    Rejected {
        /// The program.
        program: String,
        /// The end of the verifier's log.
        log: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The verifier rejected what the kernel in lockdown lets nobody do.
    #[error(
        "this kernel is in lockdown for confidentiality ({LOCKDOWN}), which keeps eBPF from \
         reading kernel memory"
    )]
    LockedDown(#[source] io::Error),
    /// The kernel casts no addresses; never seen outside the loader, which then has other programs.
    #[error("this kernel does not cast addresses to types")]
    NoCast,
    /// The embedded object is damaged.
    #[error("the embedded eBPF object cannot be used: {0}")]
    Object(String),
    /// The cgroup that was asked for is not to be had.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// There is a loader, and it could not.
    #[error(transparent)]
    Loader(#[from] LoaderError),
}

impl LoadError {
    /// What stands in the way where it is rights. Of a rejected program it is none: EACCES is the
    /// verifier's word for a wrong memory access, too.
    pub fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Bpf { refusal, .. } => *refusal,
            _ => None,
        }
    }

    /// What would mend it.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Loader(error) => vec![error.mend().to_owned()],
            error => Vec::from_iter(error.refusal().map(|refusal| refusal.mend().to_owned())),
        }
    }
}

/// The private type-information error, boxed for the public enum.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BtfErrorBox(String);

impl From<BtfError> for LoadError {
    fn from(error: BtfError) -> Self {
        Self::KernelTypes(BtfErrorBox(error.to_string()))
    }
}

/// Takes the programs' debug messages, line by line.
pub struct KernelLog(pub Box<dyn Fn(&str) + Send + Sync>);

impl log::Log for KernelLog {
    fn enabled(&self, _metadata: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        (self.0)(&format!("kernel: {}", record.args()));
    }

    fn flush(&self) {}
}

/// What tells one build of the programs from another.
pub(super) fn object_digest() -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(CASTING).update(PROBING).finalize()
}

/// How programs read kernel memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reads {
    /// With plain loads, where the kernel casts addresses to types.
    Cast,
    /// Through the probe helper.
    Probe,
}

impl Reads {
    /// What this kernel is expected to allow. Its types will tell, but the object is parsed beside
    /// them.
    fn expected() -> Self {
        let system = rustix::system::uname();
        let release = system.release().to_string_lossy();
        let mut numbers = release
            .split(['.', '-'])
            .map_while(|part| part.parse().ok());
        let version: (u32, u32) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        if version >= (6, 2) {
            Self::Cast
        } else {
            Self::Probe
        }
    }

    fn object(self) -> &'static [u8] {
        match self {
            Self::Cast => CASTING,
            Self::Probe => PROBING,
        }
    }
}

/// Loads and attaches everything. Needs CAP_BPF and CAP_PERFMON.
pub(super) fn load(config: &Config, sizes: Sizes, debug: bool) -> Result<Parts, LoadError> {
    let expected = Reads::expected();
    match load_with(expected, config, sizes, debug) {
        // The verifier has nothing against the programs where the kernel's compiler of programs
        // is off, but lets them call none of its functions.
        Err(LoadError::NoCast | LoadError::Rejected { .. }) if expected == Reads::Cast => {
            load_with(Reads::Probe, config, sizes, debug)
        }
        done => done,
    }
}

fn load_with(reads: Reads, config: &Config, sizes: Sizes, debug: bool) -> Result<Parts, LoadError> {
    // The kernel's types are read while everything is made that does not need them.
    let (looked_up, prepared) = std::thread::scope(|scope| {
        let looked_up = scope.spawn(|| look_up(config));
        let prepared = prepare(reads, config, sizes, debug);
        let failed = |_| Err(LoadError::Object("a loading thread failed".into()));
        (looked_up.join().unwrap_or_else(failed), prepared)
    });
    let (types, layout) = looked_up?;
    let Prepared {
        mut object,
        btf,
        mut maps,
    } = prepared?;
    let phase = timings::phase("constants, relocate");
    patch_globals(&mut object, config, debug)?;
    create_maps(&mut object, &mut maps, is_constant, config, sizes, debug)?;
    let sections: HashSet<usize> = object
        .functions
        .keys()
        .map(|(section, _)| *section)
        .collect();
    object
        .relocate_maps(
            maps.iter()
                .map(|(name, (map, fd))| (name.as_str(), fd.as_raw_fd(), map)),
            &sections,
        )
        .map_err(damaged)?;
    object.relocate_calls(&sections).map_err(damaged)?;
    object.sanitize_functions(&features());
    fill(&mut object, &layout, types.cast())?;
    drop(phase);
    let uring = uring_programs(&types).filter(|_| layout.uring != UringLayout::default());
    let follows_uring = uring.is_some();
    let hooks: Vec<_> = uring.into_iter().flatten().chain(PROGRAMS).collect();
    let code = |name: &&'static str| {
        let program = object
            .programs
            .get(*name)
            .filter(|program| matches!(program.section, ProgramSection::RawTracePoint))
            .ok_or_else(|| LoadError::Object(format!("no program {name}")))?;
        let function = object
            .functions
            .get(&program.function_key())
            .ok_or_else(|| LoadError::Object(format!("no code for {name}")))?;
        Ok((*name, program, function))
    };
    let names = HANDLERS.iter().chain(hooks.iter().map(|(name, _)| name));
    let codes: Vec<_> = names.map(code).collect::<Result<_, LoadError>>()?;
    let length = |(_, _, function): &(_, _, &Function)| function.instructions.len();
    let mut programs = side_by_side(&codes, length, |(name, program, function)| {
        let _phase = timings::phase(format!("verify {name}"));
        load_program(&sys::ProgramSpec {
            name,
            license: &program.license,
            instructions: &function.instructions,
            btf: btf.as_fd(),
            func_info: &function.func_info.func_info_bytes(),
            func_info_record: function.func_info_rec_size,
        })
    })?;
    let _phase = timings::phase("attach");
    let hooking = programs.split_off(HANDLERS.len());
    let handlers = take(&mut maps, names::HANDLERS)?;
    sys::put_programs(handlers.as_fd(), &programs)
        .map_err(refused("BPF_MAP_UPDATE_ELEM", names::HANDLERS))?;
    let mut links = Vec::new();
    // The process programs first: a traced process must be known before its calls are.
    for (program, (name, tracepoint)) in hooking.iter().zip(&hooks) {
        let link = sys::attach(program.as_fd(), tracepoint);
        links.push(link.map_err(refused("BPF_RAW_TRACEPOINT_OPEN", name))?);
    }
    let programs = hooking;
    Ok(Parts {
        handlers,
        events: take(&mut maps, names::EVENTS)?,
        lost: take(&mut maps, names::LOST)?,
        cgroup: maps.remove(names::CGROUP).map(|(_, descriptor)| descriptor),
        programs,
        links,
        follows_uring,
    })
}

/// Does all of it, on as many threads as there are processors, the longest first: the kernel
/// verifies programs of different threads at the same time.
fn side_by_side<T: Sync, R: Send>(
    items: &[T],
    length: impl Fn(&T) -> usize,
    work: impl Fn(&T) -> Result<R, LoadError> + Sync,
) -> Result<Vec<R>, LoadError> {
    let mut order: Vec<usize> = (0..items.len()).collect();
    order.sort_by_key(|index| std::cmp::Reverse(length(&items[*index])));
    let taken = AtomicUsize::new(0);
    let next = || order.get(taken.fetch_add(1, Ordering::Relaxed)).copied();
    let share = || {
        let mine = std::iter::from_fn(next);
        let done = mine.map(|index| (index, work(&items[index])));
        done.collect::<Vec<_>>()
    };
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    let mut done = std::thread::scope(|scope| {
        let others: Vec<_> = (1..processors.min(items.len()))
            .map(|_| scope.spawn(share))
            .collect();
        let mut done = share();
        for other in others {
            let failed = |_| LoadError::Object("a loading thread failed".into());
            done.extend(other.join().map_err(failed)?);
        }
        Ok::<_, LoadError>(done)
    })?;
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}

/// What the kernel's types say.
fn look_up(config: &Config) -> Result<(KernelTypes, KernelLayout), LoadError> {
    let _phase = timings::phase("kernel types");
    let bytes = sys::read_or_map(Path::new(KERNEL_BTF)).map_err(LoadError::NoKernelTypes)?;
    let types = KernelTypes::parse(bytes)?;
    let layout = kernel_layout(&types)?;
    if config.owner != ANY_OWNER && layout.mm_flags == 0 {
        let unknown = "struct mm_struct's flags, which tell programs with rights of their own";
        return Err(BtfError::Missing(unknown.into()).into());
    }
    Ok((types, layout))
}

/// What does not depend on the running kernel's types.
struct Prepared {
    object: Object,
    /// The object's own type information, loaded.
    btf: OwnedFd,
    /// All maps but those of constants.
    maps: Maps,
}

fn prepare(
    reads: Reads,
    config: &Config,
    sizes: Sizes,
    debug: bool,
) -> Result<Prepared, LoadError> {
    let _phase = timings::phase("object and maps");
    let mut object = Object::parse(reads.object()).map_err(damaged)?;
    let btf = object
        .fixup_and_sanitize_btf(&btf_features())
        .map_err(damaged)?
        .ok_or_else(|| LoadError::Object("no type information".into()))?
        .to_bytes();
    let btf = sys::load_btf(&btf).map_err(refused("BPF_BTF_LOAD", "type information"))?;
    let mut maps = Maps::new();
    let others = |map: &aya_obj::Map| !is_constant(map);
    create_maps(&mut object, &mut maps, others, config, sizes, debug)?;
    Ok(Prepared { object, btf, maps })
}

/// Whether a map holds the globals that the loader fills.
fn is_constant(map: &aya_obj::Map) -> bool {
    matches!(map.section_kind(), aya_obj::EbpfSectionKind::Rodata)
}

/// How many programs follow io_uring.
pub(super) const URING: usize = 2;

/// The programs that follow io_uring and their tracepoints, where the kernel lets them: a request
/// that was taken is told of by another name before Linux 6.4, and by other arguments before 6.0.
fn uring_programs(types: &KernelTypes) -> Option<[(&'static str, &'static CStr); URING]> {
    let submitted = [c"io_uring_submit_req", c"io_uring_submit_sqe"]
        .into_iter()
        .find(
            |tracepoint| match types.arguments(&type_name(&tracepoint.to_string_lossy())) {
                // The request, and on older kernels whether it may wait.
                Some(count) => count <= 2,
                None => false,
            },
        )?;
    types.typedef(&type_name("io_uring_complete")).ok()?;
    Some([
        ("roar_uring_submit", submitted),
        ("roar_uring_done", c"io_uring_complete"),
    ])
}

/// The programs that report, by `roar_common::handler`.
const HANDLERS: [&str; handler::COUNT as usize] = ["roar_files", "roar_names", "roar_network"];

/// The other programs and their tracepoints, in order of attachment.
pub(super) const PROGRAMS: [(&str, &CStr); 4] = [
    ("roar_newtask", c"task_newtask"),
    ("roar_exit", c"sched_process_exit"),
    ("roar_exec", c"sched_process_exec"),
    ("roar_sys_exit", c"sys_exit"),
];

/// The type by which BTF knows a tracepoint.
fn type_name(tracepoint: &str) -> String {
    format!("btf_trace_{tracepoint}")
}

fn load_program(spec: &sys::ProgramSpec<'_>) -> Result<OwnedFd, LoadError> {
    sys::load_program(spec, &mut []).or_else(|error| {
        if error.raw_os_error() == Some(libc::EPERM) {
            return Err(refused("BPF_PROG_LOAD", spec.name)(error));
        }
        // Once more, for the reason.
        let mut log = vec![0; 1 << 20];
        match sys::load_program(spec, &mut log) {
            Ok(program) => Ok(program),
            Err(source) if is_locked_down() => Err(LoadError::LockedDown(source)),
            Err(source) => Err(LoadError::Rejected {
                program: spec.name.to_owned(),
                log: log_end(&log),
                source,
            }),
        }
    })
}

fn is_locked_down() -> bool {
    std::fs::read_to_string(LOCKDOWN).is_ok_and(|state| state.contains("[confidentiality]"))
}

/// The last lines of a verifier log.
fn log_end(log: &[u8]) -> String {
    let text = String::from_utf8_lossy(log.split(|b| *b == 0).next().unwrap_or_default());
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(24)..].join("\n")
}

fn patch_globals(object: &mut Object, config: &Config, debug: bool) -> Result<(), LoadError> {
    // The levels of aya-log are those of the log crate; 0 is none.
    let level = [if debug { log::Level::Debug as u8 } else { 0 }];
    let classes = class_table();
    let globals = HashMap::from([
        (names::CONFIG, (sys::config_bytes(config), true)),
        (names::CLASSES, (classes.as_slice(), true)),
        (aya_log::LEVEL, (level.as_slice(), true)),
    ]);
    object.patch_map_data(globals).map_err(damaged)
}

type Maps = HashMap<String, (aya_obj::Map, OwnedFd)>;

/// Creates the wanted ones of the maps that are left in the object.
fn create_maps(
    object: &mut Object,
    maps: &mut Maps,
    wanted: impl Fn(&aya_obj::Map) -> bool,
    config: &Config,
    sizes: Sizes,
    debug: bool,
) -> Result<(), LoadError> {
    for (name, mut map) in object.maps.extract_if(|_, map| wanted(map)) {
        if name == names::EVENTS {
            map.set_max_entries(sizes.ring_bytes);
        } else if name == names::PROCESSES
            && let Some(processes) = sizes.processes
        {
            map.set_max_entries(processes);
        } else if name == LOG_MAP && !debug {
            // It must exist; nothing is ever put into it.
            map.set_max_entries(rustix::param::page_size() as u32);
        } else if name == names::CGROUP
            && config.with_cgroup == 0
            && let aya_obj::Map::Legacy(map) = &mut map
        {
            // A kernel without cgroups would refuse the real one; nothing looks into this one.
            map.def.map_type = BPF_MAP_TYPE_ARRAY as u32;
        }
        let fd = sys::create_map(&name, &map).map_err(refused("BPF_MAP_CREATE", &name))?;
        if is_constant(&map) {
            sys::fill_and_freeze(fd.as_fd(), map.data())
                .map_err(refused("BPF_MAP_FREEZE", &name))?;
        }
        maps.insert(name, (map, fd));
    }
    Ok(())
}

fn take(maps: &mut Maps, name: &str) -> Result<OwnedFd, LoadError> {
    let map = maps.remove(name);
    map.map(|(_, descriptor)| descriptor)
        .ok_or_else(|| missing(name))
}

pub(super) fn missing(map: &str) -> LoadError {
    LoadError::Object(format!("no map {map}"))
}

pub(super) fn damaged(error: impl std::fmt::Display) -> LoadError {
    LoadError::Object(error.to_string())
}

pub(super) fn refused(
    operation: &'static str,
    object: &str,
) -> impl FnOnce(io::Error) -> LoadError {
    let object = object.to_owned();
    move |source| LoadError::Bpf {
        operation,
        object,
        // Now: roar may give up its rights before somebody asks.
        refusal: (source.kind() == io::ErrorKind::PermissionDenied).then(Refusal::of_this_process),
        source,
    }
}

/// What the minimum kernel (5.17) is known to have; probing would cost more than it tells.
fn btf_features() -> BtfFeatures {
    BtfFeatures::new(true, true, true, false, true, true, true, false)
}

fn features() -> Features {
    Features::new(
        true,
        true,
        true,
        true,
        true,
        false,
        false,
        Some(btf_features()),
    )
}
