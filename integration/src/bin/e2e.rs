//! `make e2e`: the product in a real cluster of one node, made for this run on this machine.
//!
//! Exit code 0: everything is as it should be. 1: something is not; it is told. 2: it could not be tried.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use sidewall_integration::cluster::sandbox::{self, Sandbox};
use sidewall_integration::e2e::{self, Plan};

/// The product in a real cluster of one node.
#[derive(Debug, Parser)]
struct Args {
    /// The upstream suite's cases; without it the truth tables are left out, and that is said.
    #[arg(long, value_name = "FILE")]
    cases: Option<PathBuf>,
    /// Every case that this kernel can make (without SCTP), and not a selection.
    #[arg(long)]
    all: bool,
    /// The product's image as an OCI archive, as `make image` leaves it in target/image; without it, one is
    /// made of the programs beside this one.
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,
    /// Stay when something went wrong, and print the kubeconfig, until Enter is pressed.
    #[arg(long)]
    stay: bool,
}

/// What is asked before it can be answered is no news.
const FILTER: &str = "warn,kube_client=off";

fn main() -> ExitCode {
    let args = Args::parse();
    sandbox::enter(|sandbox| work(&sandbox, &args)).unwrap_or_else(|error| {
        eprintln!("e2e: could not be tried: {error:#}");
        ExitCode::from(2)
    })
}

fn work(sandbox: &Sandbox, args: &Args) -> Result<ExitCode> {
    tracing_subscriber::fmt()
        .with_env_filter(std::env::var("SIDEWALL_LOG").unwrap_or_else(|_| FILTER.to_owned()))
        .with_writer(std::io::stderr)
        .init();
    if args.cases.is_none() {
        eprintln!("e2e: no --cases: the truth tables are LEFT OUT");
    }
    let plan = Plan {
        cases: args.cases.clone(),
        all: args.all,
        image: args.image.clone(),
    };
    // Processes end with the thread that started them: with one thread, with this process.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let ended = runtime.block_on(e2e::run(sandbox, &plan));
    let Err(error) = ended else {
        return Ok(ExitCode::SUCCESS);
    };
    eprintln!("✗ {error:#}");
    if args.stay {
        let folder = sandbox.folder().display();
        let pid = std::process::id();
        eprintln!(
            "the cluster's files are in {folder}; nsenter -a -t PID, {pid} in its namespace; Enter ends it"
        );
        std::io::stdin().read_line(&mut String::new())?;
    }
    Ok(ExitCode::FAILURE)
}
