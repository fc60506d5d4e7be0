//! `sidewall completions SHELL`: what a shell needs to complete the command line.

use std::process::ExitCode;

use clap_complete::Shell;

use crate::ui;

/// Completions for a shell.
#[derive(Debug, clap::Args)]
#[command(after_help = "In bash: source <(sidewall completions bash)")]
pub(crate) struct Args {
    /// Which shell.
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the completions of a command line.
///
/// # Errors
/// When what was generated is no text.
pub(crate) fn run(args: &Args, mut command: clap::Command) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "sidewall", &mut script);
    ui::line(String::from_utf8(script)?.trim_end());
    Ok(ExitCode::SUCCESS)
}
