//! `make scale`: what it costs to keep the allow lists of a thousand, ten thousand and a hundred thousand
//! pods up to date, and who is sent how much, beside watching directly. Prints a table, and writes it
//! into the page about scale.
//!
//! Exit codes: 0 done, 2 it could not run, or a receiver did not hold what a fresh compile gives.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Parser, ValueHint};
use sidewall_integration::bench::machine::Machine;
use sidewall_integration::bench::report::replace;
use sidewall_integration::scale::report;
use sidewall_integration::scale::run::{Effort, Outcome, run};

/// Allow lists in clusters of any size, simulated.
#[derive(Debug, Parser)]
#[command(about, version)]
struct Args {
    /// Pods of the clusters
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 10_000, 100_000])]
    pods: Vec<usize>,
    /// Pods that are replaced one after the other, and receivers that are followed (all, if there are no more)
    #[arg(long, default_value_t = 1_000)]
    churned: usize,
    /// Receivers that are followed in clusters of more pods than that
    #[arg(long, default_value_t = 50)]
    followed: usize,
    /// Keep the results here
    #[arg(long, value_name = "FILE", default_value = "target/scale.json", value_hint = ValueHint::FilePath)]
    json: PathBuf,
    /// Measure nothing: table and plots from the results in this file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    from: Option<PathBuf>,
    /// Write the table into this page, and the plots into `img` beside it
    #[arg(long, value_name = "PAGE", value_hint = ValueHint::FilePath)]
    write: Option<PathBuf>,
}

fn main() -> ExitCode {
    match work(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("scale: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn work(args: &Args) -> Result<()> {
    let (machine, outcomes): (Machine, Vec<Outcome>) = match &args.from {
        Some(file) => {
            let text = std::fs::read(file).with_context(|| file.display().to_string())?;
            serde_json::from_slice(&text).with_context(|| file.display().to_string())?
        }
        None => measured(args)?,
    };
    let table = report::table(&machine, &outcomes);
    println!("{table}");
    let Some(page) = &args.write else {
        return Ok(());
    };
    let text = std::fs::read_to_string(page).with_context(|| page.display().to_string())?;
    write(page, &replace(&text, "scale", &table)?)?;
    let folder = page.parent().unwrap_or(Path::new(".")).join("img");
    for (name, svg) in report::plots(&outcomes)? {
        write(&folder.join(name), &svg)?;
    }
    Ok(())
}

fn measured(args: &Args) -> Result<(Machine, Vec<Outcome>)> {
    let machine = Machine::here()?;
    let mut outcomes = Vec::new();
    for &pods in &args.pods {
        let all = pods <= args.churned;
        let effort = Effort {
            pods,
            churned: args.churned,
            followed: if all { pods } else { args.followed },
        };
        outcomes.push(run(effort, &|line| eprintln!("{line}"))?);
        let text = serde_json::to_string(&(&machine, &outcomes))?;
        write(&args.json, &text)?;
    }
    Ok((machine, outcomes))
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
