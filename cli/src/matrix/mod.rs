//! `sidewall matrix`: who reaches whom, a row for each source and a column for each destination.

mod cells;
mod html;
mod text;

use std::process::ExitCode;

use self::cells::Matrix;
use crate::connections::Wanted;
use crate::ui;

/// Show who reaches whom as a table.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    wanted: Wanted,
    /// How to print it.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// How to print a matrix.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// For the terminal.
    #[default]
    Txt,
    /// A page that needs nothing beside itself.
    Html,
}

/// Exit code 0. An error (code 2): the cluster or a name cannot be read.
pub(crate) async fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let found = args.wanted.find().await?;
    let matrix = Matrix::of(&found);
    match args.output {
        Output::Txt => text::print(&matrix),
        Output::Html => ui::line(html::page(&matrix)),
    }
    Ok(ExitCode::SUCCESS)
}
