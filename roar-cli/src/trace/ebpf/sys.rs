//! The bpf(2) calls that loading needs, and the mapping of what it reads.
//!
//! aya's own loader parses the kernel's whole type information before it does anything
//! (about 20 ms, see `btf.rs`); everything but these few calls is still aya's: the object
//! parser, the relocations and the maps.
#![expect(unsafe_code, reason = "bpf(2) has no safe wrapper for these commands")]

use std::ffi::CStr;
use std::io;
use std::mem;
use std::ops::Deref;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::path::Path;
use std::ptr::NonNull;

use aya_obj::generated::{
    bpf_attr, bpf_cmd, bpf_insn, bpf_prog_info, bpf_prog_type::BPF_PROG_TYPE_RAW_TRACEPOINT,
};
use roar_common::{Config, KernelLayout};

/// A file's bytes, read or mapped.
pub(super) enum Bytes {
    /// Read.
    Read(Vec<u8>),
    /// Mapped.
    Mapped(Mapping),
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Read(bytes) => bytes,
            // SAFETY: mapped for reading as long as this lives, and the kernel does not change it.
            Self::Mapped(Mapping { address, length }) => unsafe {
                std::slice::from_raw_parts(address.as_ptr(), *length)
            },
        }
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Read(bytes)
    }
}

/// Memory that is unmapped when this is dropped.
pub(super) struct Mapping {
    address: NonNull<u8>,
    length: usize,
}

/// How memory is mapped.
#[derive(Clone, Copy, Debug)]
pub(super) enum Mapped {
    /// Nobody changes it.
    Constant,
    /// The kernel changes it.
    ToRead,
    /// So may this process.
    ToWrite,
}

impl Mapping {
    /// Maps a part of what a descriptor is open on.
    pub(super) fn new(
        descriptor: BorrowedFd<'_>,
        offset: usize,
        length: usize,
        mapped: Mapped,
    ) -> io::Result<Self> {
        let (access, flags) = match mapped {
            Mapped::Constant => (libc::PROT_READ, libc::MAP_PRIVATE),
            Mapped::ToRead => (libc::PROT_READ, libc::MAP_SHARED),
            Mapped::ToWrite => (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED),
        };
        let file = descriptor.as_raw_fd();
        // SAFETY: a new mapping, at no address that is in use.
        let address = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                length,
                access,
                flags,
                file,
                offset as libc::off_t,
            )
        };
        if address == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        NonNull::new(address.cast())
            .map(|address| Self { address, length })
            .ok_or_else(|| io::ErrorKind::OutOfMemory.into())
    }

    /// Where it begins.
    pub(super) fn address(&self) -> NonNull<u8> {
        self.address
    }
}

// SAFETY: memory that no thread owns; whoever writes to it, or reads what is written, uses atomics.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped with this length, and nothing borrows it any more.
        unsafe { libc::munmap(self.address.as_ptr().cast(), self.length) };
    }
}

/// The bytes of a file of sysfs, which does not change. Its type information can be mapped since Linux 6.16;
/// read(2) gives one page a call, 1,400 calls for 5 MB.
pub(super) fn read_or_map(path: &Path) -> io::Result<Bytes> {
    let file = std::fs::File::open(path)?;
    let length = usize::try_from(file.metadata()?.len()).unwrap_or(0);
    // Refused before Linux 6.16.
    if let Ok(mapping) = Mapping::new(file.as_fd(), 0, length, Mapped::Constant) {
        return Ok(Bytes::Mapped(mapping));
    }
    std::fs::read(path).map(Bytes::Read)
}

/// A program to load: for a tracepoint, as the kernel calls it.
pub(super) struct ProgramSpec<'a> {
    pub(super) name: &'a str,
    pub(super) license: &'a CStr,
    pub(super) instructions: &'a [bpf_insn],
    pub(super) btf: BorrowedFd<'a>,
    pub(super) func_info: &'a [u8],
    pub(super) func_info_record: usize,
}

/// Loads type information of our own object.
pub(super) fn load_btf(btf: &[u8]) -> io::Result<OwnedFd> {
    let mut attributes = zeroed();
    attributes.__bindgen_anon_7.btf = btf.as_ptr() as u64;
    attributes.__bindgen_anon_7.btf_size = btf.len() as u32;
    new_descriptor(bpf_cmd::BPF_BTF_LOAD, &mut attributes)
}

/// Creates a map.
pub(super) fn create_map(name: &str, map: &aya_obj::Map) -> io::Result<OwnedFd> {
    let mut attributes = zeroed();
    // SAFETY: all-zero bytes are valid for every view of the union.
    let view = unsafe { &mut attributes.__bindgen_anon_1 };
    view.map_type = map.map_type();
    view.key_size = map.key_size();
    view.value_size = map.value_size();
    view.max_entries = map.max_entries();
    view.map_flags = map.map_flags();
    copy_name(&mut view.map_name, name);
    new_descriptor(bpf_cmd::BPF_MAP_CREATE, &mut attributes)
}

/// Fills the single entry of a global-data map and makes it read-only for programs and users.
pub(super) fn fill_and_freeze(map: BorrowedFd<'_>, data: &[u8]) -> io::Result<()> {
    update(map, 0, data)?;
    freeze(map)
}

/// Fills a table of programs to which others go, which nobody changes afterwards. The kernel
/// empties it when its last descriptor is closed.
pub(super) fn put_programs(map: BorrowedFd<'_>, programs: &[OwnedFd]) -> io::Result<()> {
    for (key, program) in (0..).zip(programs) {
        update(map, key, &program.as_raw_fd().to_ne_bytes())?;
    }
    freeze(map)
}

/// Puts a cgroup, by a descriptor of its directory, into the first slot of a cgroup array.
pub(super) fn put_cgroup(map: BorrowedFd<'_>, cgroup: BorrowedFd<'_>) -> io::Result<()> {
    update(map, 0, &cgroup.as_raw_fd().to_ne_bytes())
}

/// Sets one entry; `value` must be as long as the map's values.
fn update(map: BorrowedFd<'_>, key: u32, value: &[u8]) -> io::Result<()> {
    let mut attributes = zeroed();
    // SAFETY: all-zero bytes are valid for every view of the union.
    let view = unsafe { &mut attributes.__bindgen_anon_2 };
    view.map_fd = map.as_raw_fd() as u32;
    view.key = (&raw const key) as u64;
    view.__bindgen_anon_1.value = value.as_ptr() as u64;
    call(bpf_cmd::BPF_MAP_UPDATE_ELEM, &mut attributes).map(drop)
}

fn freeze(map: BorrowedFd<'_>) -> io::Result<()> {
    let mut attributes = zeroed();
    attributes.__bindgen_anon_2.map_fd = map.as_raw_fd() as u32;
    call(bpf_cmd::BPF_MAP_FREEZE, &mut attributes).map(drop)
}

/// Loads a program. With a log buffer, the verifier explains itself in it.
pub(super) fn load_program(program: &ProgramSpec<'_>, log: &mut [u8]) -> io::Result<OwnedFd> {
    let mut attributes = zeroed();
    // SAFETY: all-zero bytes are valid for every view of the union.
    let view = unsafe { &mut attributes.__bindgen_anon_3 };
    copy_name(&mut view.prog_name, program.name);
    view.prog_type = BPF_PROG_TYPE_RAW_TRACEPOINT as u32;
    view.insns = program.instructions.as_ptr() as u64;
    view.insn_cnt = program.instructions.len() as u32;
    view.license = program.license.as_ptr() as u64;
    view.prog_btf_fd = program.btf.as_raw_fd() as u32;
    view.func_info = program.func_info.as_ptr() as u64;
    view.func_info_rec_size = program.func_info_record as u32;
    view.func_info_cnt = (program.func_info.len() / program.func_info_record.max(1)) as u32;
    if !log.is_empty() {
        view.log_level = 1;
        view.log_buf = log.as_mut_ptr() as u64;
        view.log_size = log.len() as u32;
    }
    new_descriptor(bpf_cmd::BPF_PROG_LOAD, &mut attributes)
}

/// Attaches a program to a tracepoint; detached when the link is closed.
pub(super) fn attach(program: BorrowedFd<'_>, tracepoint: &CStr) -> io::Result<OwnedFd> {
    let mut attributes = zeroed();
    attributes.raw_tracepoint.name = tracepoint.as_ptr() as u64;
    attributes.raw_tracepoint.prog_fd = program.as_raw_fd() as u32;
    new_descriptor(bpf_cmd::BPF_RAW_TRACEPOINT_OPEN, &mut attributes)
}

/// How often the kernel skipped the program because it was already running on that CPU.
pub(super) fn recursion_misses(program: BorrowedFd<'_>) -> io::Result<u64> {
    program_info(program).map(|info| info.recursion_misses)
}

/// The id by which the kernel lists the program.
pub(super) fn program_id(program: BorrowedFd<'_>) -> io::Result<u32> {
    program_info(program).map(|info| info.id)
}

fn program_info(program: BorrowedFd<'_>) -> io::Result<bpf_prog_info> {
    // SAFETY: a plain structure of integers.
    let mut info: bpf_prog_info = unsafe { mem::zeroed() };
    let mut attributes = zeroed();
    attributes.info.bpf_fd = program.as_raw_fd() as u32;
    attributes.info.info_len = mem::size_of_val(&info) as u32;
    attributes.info.info = (&raw mut info) as u64;
    call(bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &mut attributes)?;
    Ok(info)
}

/// A layout as the programs read it.
pub(super) fn layout_words(layout: &KernelLayout) -> &[u32] {
    // SAFETY: repr(C), only `u32` fields, no padding (asserted in roar-common).
    unsafe {
        std::slice::from_raw_parts(
            std::ptr::from_ref(layout).cast(),
            size_of_val(layout) / size_of::<u32>(),
        )
    }
}

/// Settings as the programs read them.
pub(super) fn config_bytes(config: &Config) -> &[u8] {
    // SAFETY: repr(C), only `u64` fields, no padding (asserted in roar-common).
    unsafe { std::slice::from_raw_parts(std::ptr::from_ref(config).cast(), size_of_val(config)) }
}

fn zeroed() -> bpf_attr {
    // SAFETY: a union of plain integers; the kernel demands zeroes in what is not used.
    unsafe { mem::zeroed() }
}

fn copy_name(to: &mut [std::ffi::c_char; 16], name: &str) {
    for (slot, byte) in to[..15].iter_mut().zip(name.bytes()) {
        // The kernel takes letters, digits, '_' and '.'.
        *slot = if byte.is_ascii_alphanumeric() || byte == b'_' {
            byte
        } else {
            b'.'
        } as _;
    }
}

fn new_descriptor(command: bpf_cmd, attributes: &mut bpf_attr) -> io::Result<OwnedFd> {
    let descriptor = call(command, attributes)?;
    // SAFETY: these commands return a new descriptor (close-on-exec) that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor as i32) })
}

fn call(command: bpf_cmd, attributes: &mut bpf_attr) -> io::Result<libc::c_long> {
    // SAFETY: the attributes point to memory that outlives the call, of the stated lengths.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            std::ptr::from_mut(attributes),
            mem::size_of::<bpf_attr>(),
        )
    };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}
