//! `sidewall list`: every connection that policies allow, by workload.

mod formats;

use std::process::ExitCode;

use crate::connections::Wanted;
use crate::{graph, ui};

/// List all connections that policies allow.
///
/// Workloads with the same connections share a row: `*` stands for all workloads, `shop/*` for all of a
/// namespace, `world` for all addresses outside the cluster. Services are not listed, since policies
/// speak of the pods behind them. A pod's own node may always reach it, and a pod itself.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    wanted: Wanted,
    /// A row for each two ends. (CSV always has.)
    #[arg(long)]
    each: bool,
    /// How to print them.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// How to print connections.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// Columns.
    #[default]
    Txt,
    /// One JSON object: workloads and connections.
    Json,
    /// A row for each two ends.
    Csv,
    /// A Markdown table.
    Md,
    /// A graph for Graphviz.
    Dot,
    /// A picture.
    Svg,
}

/// Exit code 0. An error (code 2): the cluster or a name cannot be read.
pub(crate) async fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let found = args.wanted.find().await?;
    match args.output {
        Output::Txt => formats::text(&found.list, args.each),
        Output::Json => formats::json(&found)?,
        Output::Csv => formats::csv(&found.list)?,
        Output::Md => formats::markdown(&found.list, args.each),
        Output::Dot => ui::line(graph::dot(&found)),
        Output::Svg => ui::line(graph::svg(&found)),
    }
    Ok(ExitCode::SUCCESS)
}
