//! The sidecar's process, in the order in which it comes to life:
//!
//! configuration → what can fail without harm (credentials, the admin port) → devices and steering
//! (from here on the pod is closed) → privileges gone → data path, watches, log, admin port → stop.
//!
//! Not here: any of these parts. Whatever ends this process, the pod stays closed until the next
//! one has read all policies.
#![forbid(unsafe_code)]

mod run;

use std::process::ExitCode;

use clap::Parser;
use sidewall_sidecar::config::{Args, Config};
use sidewall_sidecar::probe;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::prelude::*;

/// Wrong usage, as clap has it.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let mut words = std::env::args_os();
    if words.nth(1).is_some_and(|word| word == "probe") {
        return probe();
    }
    let config = match Config::try_from(Args::parse()) {
        Ok(config) => config,
        Err(mistakes) => {
            for mistake in mistakes.0 {
                anstream::eprintln!("sidewall-sidecar: {mistake}");
            }
            return ExitCode::from(USAGE);
        }
    };
    log_to_stderr(&config.log_level);
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "{config}");
    match run::run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Not the sidecar, but what tries connections for `sidewall test`.
fn probe() -> ExitCode {
    // The words behind the program's own name.
    match probe::run(&probe::Args::parse_from(std::env::args_os().skip(1))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            anstream::eprintln!("sidewall-sidecar probe: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The program's own log; stdout belongs to the flow log.
fn log_to_stderr(filter: &str) {
    // The configuration has read it once already.
    let asked: Targets = filter
        .parse()
        .unwrap_or_else(|_| Targets::new().with_default(LevelFilter::INFO));
    // kube warns of each watch that a server cuts, which is told here once for all of them.
    let filter = if matches!(filter, "warn" | "info") {
        asked.with_target("kube_client", LevelFilter::ERROR)
    } else {
        asked
    };
    let colour = anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never;
    tracing_subscriber::registry()
        .with(
            tracing_subscriber::fmt::layer()
                .with_writer(std::io::stderr)
                .with_ansi(colour)
                .with_target(false),
        )
        .with(filter)
        .init();
}
