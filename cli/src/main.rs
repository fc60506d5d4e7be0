//! `sidewall`: the demo, and the questions that people ask of network policies. The answers come
//! from the core; the real packets from the lab. This crate reads arguments and prints.
#![forbid(unsafe_code)]

mod conformance;
mod connections;
mod demo;
mod diff;
#[allow(
    dead_code,
    unused_imports,
    reason = "the commands that use it come one by one"
)]
mod ends;
mod expect;
mod graph;
mod inject;
mod lint;
mod list;
mod matrix;
mod packets;
#[allow(
    dead_code,
    unused_imports,
    reason = "the commands that use it come one by one"
)]
mod port;
#[allow(
    dead_code,
    unused_imports,
    reason = "the commands that use it come one by one"
)]
mod source;
mod story;
mod test;
mod ui;

use std::process::ExitCode;

use clap::Parser;

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
    /// A cluster in a box on this machine: watch policies block and allow real connections.
    Demo(demo::Args),
    /// Hold the policy engine against recorded cases of public suites.
    Conformance(conformance::Args),
    List(list::Args),
    Matrix(matrix::Args),
    Graph(graph::Args),
    Diff(diff::Args),
    /// Puts the sidecar into the pods of manifests: YAML out, a report on stderr.
    Inject(inject::Args),
    /// Takes the sidecar out of manifests again.
    Uninject(inject::UninjectArgs),
    /// Finds policies that do not mean what was meant: with file, line and fix.
    Lint(lint::Args),
    /// Holds files that say who may connect to whom against the policies: offline, in a lab, in a cluster.
    Test(test::Args),
}

impl Command {
    /// Whether it makes namespaces, and so needs root or a user namespace.
    const fn needs_lab(&self) -> bool {
        match self {
            Self::Demo(_) => true,
            Self::Conformance(args) => args.lab,
            Self::Test(args) => args.lab,
            Self::List(_)
            | Self::Matrix(_)
            | Self::Graph(_)
            | Self::Diff(_)
            | Self::Lint(_)
            | Self::Inject(_)
            | Self::Uninject(_) => false,
        }
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
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
                .unwrap_or_else(|_| "warn".into()),
        )
        .with_writer(std::io::stderr)
        .init();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(why) => return cannot_tell(&why.into()),
    };
    let answer = runtime.block_on(async {
        match cli.command {
            Command::Demo(args) => demo::run(args).await,
            Command::Conformance(args) => conformance::run(&args).await,
            Command::List(args) => list::run(&args).await,
            Command::Matrix(args) => matrix::run(&args).await,
            Command::Graph(args) => graph::run(&args).await,
            Command::Diff(args) => diff::run(&args).await,
            Command::Inject(args) => inject::run(&args),
            Command::Uninject(args) => inject::run_uninject(&args),
            Command::Lint(args) => lint::run(&args).await,
            Command::Test(args) => test::run(&args).await,
        }
    });
    answer.unwrap_or_else(|why| cannot_tell(&why))
}

/// Exit code 2: neither yes nor no.
fn cannot_tell(why: &anyhow::Error) -> ExitCode {
    ui::note(format!("{} {why:#}", ui::paint(ui::BAD, "error:")));
    ExitCode::from(2)
}
