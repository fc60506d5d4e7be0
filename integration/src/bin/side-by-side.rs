//! `make bench`: the same work without and with a sidecar, in one run, as ratios. Prints tables;
//! `--write FILE` puts them, with the machine's facts, into a Markdown page.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use sidewall_integration::bench::throughput::{self, Kind};
use sidewall_integration::bench::{CLUSTER, latency, report};
use sidewall_integration::kubectl::Kubectl;
use sidewall_lab::Lab;

/// Side-by-side benchmarks over the lab.
#[derive(Debug, Parser)]
struct Args {
    /// Interleaved rounds of each transfer.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of each transfer.
    #[arg(long, default_value_t = 3)]
    seconds: u32,
    /// Policy changes to time.
    #[arg(long, default_value_t = 100)]
    changes: usize,
    /// Arguments for the sidecar, `--steering tc` say.
    #[arg(long, num_args = 1.., allow_hyphen_values = true, value_delimiter = ' ')]
    sidecar_args: Vec<String>,
    /// Write the tables into this page too.
    #[arg(long)]
    write: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let lab = Lab::builder()
        .yaml(CLUSTER)
        .sidecar_args(&args.sidecar_args)
        .start()
        .await?;
    lab.settled(Duration::from_secs(10)).await?;
    let result = measure(&lab, &args).await;
    lab.stop().await?;
    let page = result?;
    println!("{page}");
    if let Some(path) = &args.write {
        std::fs::write(path, &page).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

async fn measure(lab: &Lab, args: &Args) -> anyhow::Result<String> {
    let mut rows = Vec::new();
    for kind in Kind::ALL {
        eprintln!(
            "{} rounds of {} s, {} …",
            args.rounds,
            args.seconds,
            kind.label()
        );
        rows.push((
            kind,
            throughput::measure(lab, kind, args.rounds, args.seconds).await?,
        ));
    }
    let mut page = format!(
        "# Performance\n\nTaken by `make bench` in one run, without and with a sidecar in turn. On a shared machine read the \
         ratios.\n\n{}.\n\n{}\n",
        report::machine(),
        report::throughput(&rows)
    );
    match Kubectl::find(lab.kubeconfig()) {
        Some(kubectl) => {
            eprintln!("{} policy changes with kubectl …", args.changes);
            page += &report::latency(&latency::measure(lab, &kubectl, args.changes).await?);
        }
        None => page += "kubectl was not found: policy changes were not timed.\n",
    }
    Ok(page)
}
