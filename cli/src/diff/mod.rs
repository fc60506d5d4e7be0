//! `sidewall diff OLD NEW`: the connections gained and lost from one state of the manifests to another,
//! or from what runs in a cluster. The comparison is [`sidewall::policy::connectivity::diff`].

mod formats;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use sidewall::policy::connectivity::{Connectivity, diff};

use crate::source::SourceArgs;
use crate::ui;

/// Tell which connections were gained and lost between two states of a cluster.
///
/// Exit code 0: none; 1: there are differences; 2: it could not be told.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// YAML or JSON: a file, a folder, or - for standard input; `cluster` is the running cluster.
    #[arg(value_name = "OLD")]
    old: PathBuf,
    /// The same for the other side.
    #[arg(value_name = "NEW")]
    new: PathBuf,
    /// Manifests that belong to both sides, such as namespaces and workloads beside the policies that
    /// differ; and for `cluster`, how to find it.
    #[command(flatten)]
    both: SourceArgs,
    /// How to print the differences.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// How to print differences.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// A line for each change: + gained, - lost.
    #[default]
    Txt,
    /// One JSON object.
    Json,
    /// A Markdown table.
    Md,
    /// A row for each change.
    Csv,
}

pub(crate) async fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let (old, new) = (args.load(&args.old).await?, args.load(&args.new).await?);
    let found = diff(&old, &new);
    match args.output {
        Output::Txt => formats::text(&found),
        Output::Json => formats::json(&found)?,
        Output::Md => formats::markdown(&found),
        Output::Csv => formats::csv(&found)?,
    }
    Ok(ExitCode::from(u8::from(!found.is_empty())))
}

impl Args {
    async fn load(&self, side: &Path) -> anyhow::Result<Connectivity> {
        let mut from = self.both.clone();
        if side == Path::new("cluster") {
            from.manifests.clear();
        } else {
            from.manifests.push(side.to_owned());
        }
        let source = from.load().await?;
        for note in &source.notes {
            ui::note(format!("note: {}: {note}", side.display()));
        }
        Ok(Connectivity::of(&source.cluster))
    }
}
