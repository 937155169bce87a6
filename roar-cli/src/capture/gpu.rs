//! NVIDIA's graphics processors, through the driver's own library (NVML), which is loaded only on
//! machines that have the driver, and beside the command.
//!
//! What the job's processes use is sampled while they run, from the moment when one of them maps
//! the driver's library for programs: a job that uses no such processor costs nothing more.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsString;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use nvml_wrapper::enums::device::UsedGpuMemory;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::struct_wrappers::device::ProcessInfo;
use nvml_wrapper::{Device, Nvml};

use crate::clock;
use crate::event::{EventKind, TraceEvent};
use crate::model::{Gpu, GpuUse};

/// What the driver shows of itself.
const SIGNS: &[&str] = &["/dev/nvidiactl", "/proc/driver/nvidia/version"];

/// The driver's library for programs: whoever maps it is about to use a processor.
const LIBRARY: &[u8] = b"/libcuda.so";

/// NVML as drivers install it; the name without a version comes with their development files.
const NVML: &str = "libnvidia-ml.so.1";

/// From the first sample to the longest distance between two.
const SOONEST: Duration = Duration::from_millis(50);
const LATEST: Duration = Duration::from_secs(1);

/// What was found out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The machine's processors.
    pub gpus: Vec<Gpu>,
    /// The driver's version.
    pub driver: Option<String>,
    /// The newest CUDA that the driver knows.
    pub cuda: Option<String>,
    /// What the job used.
    pub used: Vec<GpuUse>,
}

/// Watches one job.
#[derive(Debug)]
pub struct GpuWatch {
    shared: Arc<Shared>,
    thread: JoinHandle<Found>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// One of the job's processes uses a processor.
    is_used: bool,
    has_ended: bool,
    processes: HashSet<u32>,
}

impl GpuWatch {
    /// Begins, where there is a driver. `library` names NVML where the loader does not find it.
    pub fn start(library: Option<OsString>) -> Option<Self> {
        if library.is_none() && !SIGNS.iter().any(|sign| Path::new(sign).exists()) {
            return None;
        }
        let shared = Arc::new(Shared::default());
        let for_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("gpu".to_owned())
            // Absence is normal: no library, no right to ask it, no processor.
            .spawn(move || watch(library, &for_thread).unwrap_or_default())
            .ok()?;
        Some(Self { shared, thread })
    }

    /// Takes the next event.
    pub fn see(&self, event: &TraceEvent) {
        let uses = match &event.kind {
            EventKind::Started { .. } => false,
            EventKind::Touched { file, .. } => {
                memchr::memmem::find(file.path.as_bytes(), LIBRARY).is_some()
            }
            _ => return,
        };
        if let EventKind::Touched { .. } = event.kind
            && !uses
        {
            return;
        }
        let mut state = self.lock();
        state.processes.insert(event.process.0);
        if uses && !state.is_used {
            state.is_used = true;
            self.shared.changed.notify_all();
        }
    }

    /// The job has ended.
    pub fn finish(self) -> Found {
        self.lock().has_ended = true;
        self.shared.changed.notify_all();
        self.thread.join().unwrap_or_default()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        let state = self.shared.state.lock();
        state.unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks for the machine's processors, then samples until the job has ended.
fn watch(library: Option<OsString>, shared: &Shared) -> Result<Found, NvmlError> {
    let library = library.unwrap_or_else(|| NVML.into());
    let nvml = Nvml::builder().lib_path(&library).init()?;
    let cuda = nvml.sys_cuda_driver_version().ok();
    let devices: Vec<Device<'_>> = (0..nvml.device_count()?)
        .filter_map(|index| nvml.device_by_index(index).ok())
        .collect();
    let mut samples = Samples::new(devices.len());
    let mut distance = SOONEST;
    let mut state = shared.state.lock().unwrap_or_else(PoisonError::into_inner);
    while !state.has_ended {
        state = if state.is_used {
            let processes = state.processes.clone();
            drop(state);
            for (index, device) in devices.iter().enumerate() {
                samples.take(index, device, &processes);
            }
            let state = shared.state.lock().unwrap_or_else(PoisonError::into_inner);
            let waited = shared
                .changed
                .wait_timeout_while(state, distance, |state| !state.has_ended);
            distance = (distance * 2).min(LATEST);
            waited.unwrap_or_else(PoisonError::into_inner).0
        } else {
            let waited = shared.changed.wait(state);
            waited.unwrap_or_else(PoisonError::into_inner)
        };
    }
    drop(state);
    Ok(Found {
        gpus: devices.iter().map(describe).collect(),
        driver: nvml.sys_driver_version().ok(),
        // 12040 is 12.4.
        cuda: cuda.map(|version| format!("{}.{}", version / 1000, version % 1000 / 10)),
        used: samples.used(),
    })
}

fn describe(device: &Device<'_>) -> Gpu {
    Gpu {
        name: device.name().unwrap_or_default(),
        uuid: device.uuid().unwrap_or_default(),
        memory_bytes: device
            .memory_info()
            .map(|info| info.total)
            .unwrap_or_default(),
    }
}

/// What samples came to.
struct Samples {
    used: BTreeMap<(u32, u32), GpuUse>,
    /// For each processor: when it was looked at, and the time of the last use that the driver told.
    last: Vec<(u64, u64)>,
}

impl Samples {
    fn new(devices: usize) -> Self {
        Self {
            used: BTreeMap::new(),
            last: vec![(clock::monotonic_ns(), 0); devices],
        }
    }

    fn take(&mut self, index: usize, device: &Device<'_>, processes: &HashSet<u32>) {
        let now = clock::monotonic_ns();
        let (before, told) = self.last[index];
        let elapsed_ns = now.saturating_sub(before);
        let present = device.running_compute_processes().unwrap_or_default();
        let present: Vec<_> = present
            .into_iter()
            .filter(|process| processes.contains(&process.pid))
            .collect();
        if present.is_empty() {
            self.last[index].0 = now;
            return;
        }
        // In percent; none: the driver does not tell processes apart.
        let shares = match device.process_utilization_stats(told) {
            Ok(shares) => Some(shares),
            // Nothing new: the next answer is for this time as well.
            Err(NvmlError::NotFound) => {
                self.hold(index, &present);
                return;
            }
            Err(_) => None,
        };
        self.last[index].0 = now;
        self.hold(index, &present);
        let whole = device.utilization_rates().map(|rates| rates.gpu).ok();
        if let Some(shares) = &shares {
            let newest = shares.iter().map(|share| share.timestamp).max();
            self.last[index].1 = newest.unwrap_or(told).max(told);
        }
        for process in present {
            let percent = match &shares {
                Some(shares) => {
                    let own = shares.iter().filter(|share| share.pid == process.pid);
                    let (sum, count) = own.fold((0, 0), |(sum, count), share| {
                        (sum + share.sm_util, count + 1)
                    });
                    sum / count.max(1)
                }
                None => whole.unwrap_or_default(),
            };
            self.of(index, process.pid).busy_ns += elapsed_ns * u64::from(percent.min(100)) / 100;
        }
    }

    /// Takes up what memory the processes hold.
    fn hold(&mut self, index: usize, present: &[ProcessInfo]) {
        for process in present {
            let used = self.of(index, process.pid);
            if let UsedGpuMemory::Used(bytes) = process.used_gpu_memory {
                used.peak_memory_bytes = used.peak_memory_bytes.max(bytes);
            }
        }
    }

    fn of(&mut self, index: usize, process: u32) -> &mut GpuUse {
        let gpu = index as u32;
        self.used.entry((gpu, process)).or_insert_with(|| GpuUse {
            gpu,
            process,
            ..GpuUse::default()
        })
    }

    fn used(self) -> Vec<GpuUse> {
        self.used.into_values().collect()
    }
}
