//! `sidewall can FROM TO --port PORT`: one word and an exit code. What `sidewall why` explains.

use std::process::ExitCode;

use serde_json::json;

use crate::ends::ask::QuestionArgs;
use crate::ui;

/// Whether a connection can be made: yes or no.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit code: 0 yes, 1 no (of several connections: not all), 2 could not tell."
)]
pub(crate) struct Args {
    /// How to print the answer.
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
    #[command(flatten)]
    question: QuestionArgs,
}

/// How to print the answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Output {
    /// `yes` or `no`.
    #[default]
    Text,
    /// One JSON object with every connection.
    Json,
}

/// Exit code 0: all of it can; 1: not all.
///
/// # Errors
/// When the cluster cannot be read, or an end is not there.
pub(crate) async fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let source = args.question.source.load().await?;
    for note in &source.notes {
        ui::note(note);
    }
    let (answers, left_out) = args.question.ask(&source)?;
    for why in &left_out {
        ui::note(format!("not asked: {why}"));
    }
    let all = answers.iter().all(|answer| answer.allowed());
    match args.output {
        Output::Text => ui::line(if all { "yes" } else { "no" }),
        Output::Json => {
            let connections = answers.iter().map(|answer| {
                json!({
                    "from": answer.from.end.to_string(),
                    "to": answer.to.end.to_string(),
                    "protocol": answer.protocol,
                    "port": answer.port,
                    "allowed": answer.allowed(),
                })
            });
            let connections: Vec<_> = connections.collect();
            let answer = json!({ "allowed": all, "connections": connections });
            ui::line(serde_json::to_string_pretty(&answer)?);
        }
    }
    Ok(ExitCode::from(u8::from(!all)))
}
