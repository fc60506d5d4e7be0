//! What the scenario tests and the benchmarks share: when to skip, a transfer that knows whether it
//! moves, kubectl and helm, a real API server, percentiles. Not here: the lab itself, and anything
//! that decides a verdict.
#![forbid(unsafe_code)]

pub mod apiserver;
pub mod bench;
pub mod cluster;
pub mod container;
pub mod crowd;
pub mod e2e;
pub mod helm;
pub mod kubectl;
pub mod scale;
pub mod stats;
pub mod tool;
pub mod transfer;

/// Whether the machine permits the lab. Without root the answer is no, said loudly, at home; in CI
/// (`CI=true`) it is a failure, so that nothing is skipped silently there.
///
/// # Panics
/// In CI without root.
#[must_use]
pub fn can_run_lab(test: &str) -> bool {
    if nix::unistd::geteuid().is_root() {
        return true;
    }
    assert!(
        std::env::var("CI").as_deref() != Ok("true"),
        "{test}: CI must run as root"
    );
    eprintln!("SKIPPED {test}: needs root for network namespaces (try: sudo -E cargo test)");
    false
}
