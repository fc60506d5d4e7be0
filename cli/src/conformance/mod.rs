//! `sidewall conformance FILE…`: policies of public suites, and who may reach whom according to them,
//! held against this engine.
//!
//! A case goes the ways that every policy goes: objects → index → allow list → look-up, in the sidecar;
//! and compiled by the controller's catalogue, over the wire, to the sidecar's look-up ([`wire`]). Both
//! must be of one mind, and the explanation must say the same. With `--lab` the cases are made of real pods and real connections.
//! [`case`] is the file format, [`evaluate`] the comparison, [`connections`] that of whole lists, [`live`] the same in the lab, [`report`]
//! what is printed.

pub(crate) mod case;
mod connections;
mod evaluate;
mod live;
mod question;
mod report;
mod wire;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;

use self::evaluate::Outcome;

/// Hold the policy engine against recorded cases.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Files of cases (.json or .json.gz).
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// With real pods and real connections, in a cluster in a box.
    #[arg(long)]
    pub(crate) lab: bool,
    /// Keep the lab's objects in a real API server: the current context of this file. Namespaces and
    /// pods of the cases are made there and removed again.
    #[arg(long, requires = "lab", value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// The sidecars take ready-made allow lists, from a controller that serves them in that API server.
    #[arg(long, requires = "kubeconfig")]
    pub(crate) allow_lists: bool,
    /// Only every N-th case of a file.
    #[arg(long, default_value = "1", value_name = "N")]
    pub(crate) every: NonZeroUsize,
    /// How to print the result.
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Output,
}

/// How to print the result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Output {
    /// A line per disagreement, and a table of totals.
    #[default]
    Table,
    /// One JSON object.
    Json,
}

/// Exit code 0: all agree; 1: some do not. An error (code 2) is a file that cannot be read.
pub(crate) async fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut outcomes = Vec::with_capacity(args.files.len());
    for file in &args.files {
        let cases = case::read(file)?;
        let cases: Vec<case::Case> = cases.into_iter().step_by(args.every.get()).collect();
        let mut outcome = Outcome::new(file.display().to_string());
        if args.lab {
            live::run(&cases, args, &mut outcome).await?;
        } else {
            for case in &cases {
                evaluate::case(case, &mut outcome);
            }
        }
        if args.output == Output::Table {
            report::disagreements(&outcome);
        }
        outcomes.push(outcome);
    }
    match args.output {
        Output::Table => report::table(&outcomes, args.lab),
        Output::Json => report::json(&outcomes)?,
    }
    let agree = outcomes
        .iter()
        .all(|outcome| outcome.disagreements.is_empty());
    Ok(ExitCode::from(u8::from(!agree)))
}
