//! `sidewall`: the demo, and the questions that people ask of network policies. The answers come
//! from the core; the real packets from the lab. This crate reads arguments and prints.
#![forbid(unsafe_code)]

mod can;
mod check;
mod completions;
mod conformance;
mod connections;
mod dashboard;
mod demo;
mod diff;
mod ends;
mod expect;
mod flows;
mod graph;
mod inject;
mod lint;
mod list;
mod matrix;
mod observe;
mod packets;
mod page;
mod port;
mod recommend;
mod signals;
mod source;
mod story;
mod test;
mod ui;
mod why;

use std::path::Path;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser};

use crate::ui::Color;

/// Kubernetes network policies, enforced in the pod's own sidecar and explained.
#[derive(Debug, Parser)]
#[command(name = "sidewall", version, arg_required_else_help = true)]
struct Cli {
    /// When to use colours.
    #[arg(long, value_enum, default_value_t, global = true)]
    color: Color,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Why a connection is blocked or allowed, and the smallest policy that would allow it.
    Why(why::Args),
    /// Whether a connection can be made: one word and an exit code.
    Can(can::Args),
    /// Whether a cluster can have sidecars, and whether those it has are as they should be.
    Check(check::Args),
    /// A cluster in a box on this machine: watch policies block and allow real connections.
    Demo(demo::Args),
    /// The live page of a running cluster, or of manifests and a flow log.
    Dashboard(dashboard::Args),
    /// Hold the policy engine against recorded cases of public suites.
    Conformance(conformance::Args),
    List(list::Args),
    Matrix(matrix::Args),
    Graph(graph::Args),
    Diff(diff::Args),
    /// Follow the flow logs of all sidecars, with Hubble's flags and formats.
    Observe(Box<observe::Args>),
    /// The least-privilege policies for what flow logs tell; or which rules were never used.
    Recommend(Box<recommend::Args>),
    /// Puts the sidecar into the pods of manifests: YAML out, a report on stderr.
    Inject(inject::Args),
    /// Takes the sidecar out of manifests again.
    Uninject(inject::UninjectArgs),
    /// Finds policies that do not mean what was meant: with file, line and fix.
    Lint(lint::Args),
    /// Holds files that say who may connect to whom against the policies: offline, in a lab, in a cluster.
    Test(test::Args),
    /// Completions for a shell, to be sourced by it.
    Completions(completions::Args),
}

impl Command {
    /// Whether it makes namespaces, and so needs root or a user namespace.
    const fn needs_lab(&self) -> bool {
        match self {
            Self::Demo(_) => true,
            Self::Conformance(args) => args.lab,
            Self::Test(args) => args.lab,
            _ => false,
        }
    }
}

fn main() -> ExitCode {
    let matches = command().get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    cli.color.set();
    // A user namespace can only be entered while there is one thread: before the runtime.
    if cli.command.needs_lab()
        && let Err(why) = sidewall_lab::privileges::ensure()
    {
        return cannot_tell(&why);
    }
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("SIDEWALL_LOG")
                // kube tells its errors as results too, which the commands put into words.
                .unwrap_or_else(|_| "warn,kube_client=off".into()),
        )
        .with_writer(std::io::stderr)
        .init();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(why) => return cannot_tell(&why.into()),
    };
    let answer = runtime.block_on(async {
        match cli.command {
            Command::Why(args) => why::run(&args).await,
            Command::Can(args) => can::run(&args).await,
            Command::Check(args) => check::run(&args).await,
            Command::Demo(args) => demo::run(args).await,
            Command::Dashboard(args) => dashboard::run(&args).await,
            Command::Conformance(args) => conformance::run(&args).await,
            Command::List(args) => list::run(&args).await,
            Command::Matrix(args) => matrix::run(&args).await,
            Command::Graph(args) => graph::run(&args).await,
            Command::Diff(args) => diff::run(&args).await,
            Command::Observe(args) => observe::run(&args).await,
            Command::Recommend(args) => recommend::run(&args).await,
            Command::Inject(args) => inject::run(&args),
            Command::Uninject(args) => inject::run_uninject(&args),
            Command::Lint(args) => lint::run(&args).await,
            Command::Test(args) => test::run(&args).await,
            Command::Completions(args) => completions::run(&args, command()),
        }
    });
    // Somebody may still be reading standard input, which cannot be interrupted.
    runtime.shutdown_background();
    answer.unwrap_or_else(|why| cannot_tell(&why))
}

/// The command line, by the name under which it was called: kubectl finds plugins as `kubectl-NAME`.
fn command() -> clap::Command {
    let called = std::env::args_os().next();
    let called = called.as_deref().map(Path::new).and_then(Path::file_stem);
    let plugin = called.is_some_and(|name| name == "kubectl-sidewall");
    let command = Cli::command();
    if plugin {
        command.bin_name("kubectl sidewall")
    } else {
        command
    }
}

/// Exit code 2: neither yes nor no.
fn cannot_tell(why: &anyhow::Error) -> ExitCode {
    ui::note(format!("{} {why:#}", ui::paint(ui::BAD, "error:")));
    ExitCode::from(2)
}
