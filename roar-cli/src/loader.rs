//! The `roar-bpf` binary: attaches roar's eBPF programs for users who may not. Installed with
//! file capabilities by `sudo roar setup`; what it does is told in `trace::ebpf::loader`.

use std::process::ExitCode;

fn main() -> ExitCode {
    #[cfg(target_os = "linux")]
    {
        roar_cli::trace::ebpf::loader::serve()
    }
    #[cfg(not(target_os = "linux"))]
    ExitCode::FAILURE
}
