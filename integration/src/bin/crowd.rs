//! `crowd`: thousands of pods and hundreds of sidecars' control sides before a real kube-apiserver; prints
//! what docs/scale.md shows of it.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;
use sidewall_integration::crowd::{self, Phase, Size, Source};

/// Thousands of pods and hundreds of watchers before a real kube-apiserver.
#[derive(Debug, Parser)]
struct Args {
    /// Pods, a hundred to a namespace.
    #[arg(long, default_value = "5000")]
    pods: usize,
    /// Watchers, each with a connection and a bound token of its own.
    #[arg(long, default_value = "500")]
    watchers: usize,
    /// Changes of which each is waited for: as many with pauses, as many without, and a third as many of pods that
    /// everybody admits.
    #[arg(long, default_value = "300")]
    changes: usize,
    /// Where the watchers have their policies from.
    #[arg(long, value_enum, default_value = "allowlists")]
    source: Source,
    /// What is done.
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["memory", "latency", "blows"])]
    phases: Vec<Phase>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let size = Size {
        pods: args.pods,
        watchers: args.watchers,
        changes: args.changes,
        source: args.source,
        phases: args.phases,
    };
    // Processes end with the thread that started them: this one, which waits for everything.
    match tokio::runtime::Runtime::new() {
        Ok(runtime) => match runtime.block_on(crowd::run(size)) {
            Ok(()) => return ExitCode::SUCCESS,
            Err(error) => eprintln!("crowd: {error:#}"),
        },
        Err(error) => eprintln!("crowd: {error}"),
    }
    ExitCode::FAILURE
}
