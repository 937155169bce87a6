//! The seccomp back-end against real programs, as root and as an ordinary user.
//!
//! The test binary is its own tracer: `--trace LOG COMMAND…` is the smallest `roar run`.

#[cfg(target_os = "linux")]
mod cases;
#[cfg(target_os = "linux")]
mod record;
#[cfg(target_os = "linux")]
mod suite;
#[cfg(target_os = "linux")]
mod tracer;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    suite::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {}
