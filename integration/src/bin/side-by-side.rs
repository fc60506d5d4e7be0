//! `make bench`, `make soak`, `make microbench`: what a sidecar costs, beside what else could guard a
//! pod. Measures, prints tables, and writes them into the page about performance.
//!
//! Exit codes: 0 done, 1 something asked for was not seen or a measurement failed, 2 it could not run.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::{Parser, ValueHint};
use sidewall_integration::bench::axis::Row;
use sidewall_integration::bench::machine::Machine;
use sidewall_integration::bench::record::{Journal, Records};
use sidewall_integration::bench::settings::{Effort, Settings};
use sidewall_integration::bench::{known_pods, micro, report, run, soak};

/// Side-by-side benchmarks over the lab.
#[derive(Debug, Parser)]
#[command(about, version)]
struct Args {
    /// Some three minutes: one round, few sizes
    #[arg(long, conflicts_with = "full")]
    quick: bool,
    /// More than an hour: more and longer rounds
    #[arg(long)]
    full: bool,
    /// Only these rows (direct is always measured)
    #[arg(long, value_enum, value_delimiter = ',')]
    rows: Vec<Row>,
    /// Keep the results here as they come; a run that was cut short is taken up again
    #[arg(long, value_name = "FILE", default_value = "target/bench.jsonl", value_hint = ValueHint::FilePath)]
    json: PathBuf,
    /// Begin anew, even if a run with these settings was cut short
    #[arg(long)]
    fresh: bool,
    /// Measure nothing: tables and plots from the results in this file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    from: Option<PathBuf>,
    /// Write the tables into this page, and the plots into `img` beside it
    #[arg(long, value_name = "PAGE", value_hint = ValueHint::FilePath)]
    write: Option<PathBuf>,
    /// Instead: connections opened and closed at full speed for that many minutes
    #[arg(long, value_name = "MINUTES", num_args = 0..=1, default_missing_value = "5", group = "what")]
    soak: Option<f64>,
    /// Instead: memory of a sidecar without traffic, by the number of pods known
    #[arg(long, group = "what")]
    memory: bool,
    /// Instead: a table of what `cargo bench` has left in this folder
    #[arg(long, value_name = "DIR", num_args = 0..=1, default_missing_value = "target/criterion", group = "what")]
    micro: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    match work(&Args::parse()).await {
        Ok(shortcomings) if shortcomings.is_empty() => ExitCode::SUCCESS,
        Ok(shortcomings) => {
            for shortcoming in shortcomings {
                eprintln!("✗ {shortcoming}");
            }
            ExitCode::from(1)
        }
        Err(error) => {
            eprintln!("side-by-side: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Does what was asked; what was not as it should be.
async fn work(args: &Args) -> Result<Vec<String>> {
    let tell = |line: &str| eprintln!("{line}");
    if let Some(minutes) = args.soak {
        let duration = Duration::try_from_secs_f64(minutes * 60.0).context("--soak MINUTES")?;
        let outcome = soak::run(duration, &tell).await?;
        publish(args, &[("soak", Some(outcome.page()))])?;
        return Ok(outcome.problems());
    }
    if args.memory {
        let idle = known_pods::measure(&tell).await?;
        publish(args, &[("memory", Some(report::idle(&idle)))])?;
        return Ok(Vec::new());
    }
    if let Some(folder) = &args.micro {
        publish(args, &[("micro", Some(micro::table(folder)?))])?;
        return Ok(Vec::new());
    }
    let records = match &args.from {
        Some(file) => Records::read(file)?,
        None => measured(args, &tell).await?,
    };
    let plots = args.write.is_some().then_some("img");
    publish(
        args,
        &[
            ("side-by-side", Some(report::side_by_side(&records, plots))),
            ("changes", report::changes(&records)),
            ("memory", records.idle.as_deref().map(report::idle)),
        ],
    )?;
    if let Some(page) = &args.write {
        let folder = page.parent().unwrap_or(Path::new("."));
        report::plots(&records, &folder.join("img"))?;
    }
    Ok(report::shortcomings(&records))
}

/// Measures, or goes on measuring.
async fn measured(args: &Args, tell: run::Tell<'_>) -> Result<Records> {
    let effort = match (args.quick, args.full) {
        (true, _) => Effort::Quick,
        (_, true) => Effort::Full,
        _ => Effort::Default,
    };
    let mut rows = args.rows.clone();
    if !rows.is_empty() {
        // What the ratios are to.
        rows.push(Row::Direct);
    }
    let settings = Settings::new(effort, &rows);
    let machine = Machine::here()?;
    let resumed = if args.fresh {
        None
    } else {
        Journal::resume(&args.json, &settings, &machine)?
    };
    let mut journal = match resumed {
        Some(journal) => {
            tell(&format!(
                "going on with {}, which was cut short (--fresh begins anew)",
                args.json.display()
            ));
            journal
        }
        None => Journal::begin(Some(&args.json), settings.clone(), machine)?,
    };
    tell(&format!(
        "about {} minutes in all; results go to {} as they come",
        settings.estimate().div_ceil(60),
        args.json.display()
    ));
    run::run(&mut journal, tell).await?;
    Ok(journal.records)
}

/// Prints the parts, and writes them into the page if there is one.
fn publish(args: &Args, parts: &[(&str, Option<String>)]) -> Result<()> {
    let mut page = match &args.write {
        Some(path) => {
            Some(std::fs::read_to_string(path).with_context(|| path.display().to_string())?)
        }
        None => None,
    };
    for (name, text) in parts {
        let Some(text) = text else { continue };
        println!("{text}");
        if let Some(page) = &mut page {
            *page = report::replace(page, name, text)?;
        }
    }
    if let (Some(path), Some(page)) = (&args.write, page) {
        std::fs::write(path, page).with_context(|| path.display().to_string())?;
    }
    Ok(())
}
