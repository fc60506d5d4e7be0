//! `sidewall why FROM TO --port PORT`: which policy blocks it, which criterion of which rule, what was
//! probably meant, and the smallest policy that would allow it.
//!
//! All of it is computed by the core ([`sidewall::policy::reach`], `hints`, `suggest`); here it is
//! asked for ([`crate::ends::ask`]), grouped ([`groups`]) and shown ([`text`], [`side`], [`columns`]).

mod columns;
mod groups;
mod side;
mod text;

use std::process::ExitCode;

use serde::Serialize;
use sidewall::net::Protocol;
use sidewall::policy::hints::{Hint, hints};
use sidewall::policy::lookup::LookupOptions;
use sidewall::policy::reach::{Reach, Reacher};
use sidewall::policy::suggest::{Outside, Suggestion, suggest};

use self::groups::Group;
use crate::ends::EndKind;
use crate::ends::ask::{Answer, QuestionArgs};
use crate::source::Source;
use crate::ui;

/// Why a connection is blocked or allowed, and what would allow it.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit code: 0 allowed, 1 blocked (of several connections: one of them), 2 could not tell."
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
    /// For people.
    #[default]
    Text,
    /// One JSON object with everything.
    Json,
    /// The same as YAML.
    Yaml,
    /// Only the policies that would allow it, to be piped into kubectl apply -f -.
    Policy,
}

/// A connection with all that there is to say of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Told<'a> {
    from: String,
    to: String,
    protocol: Protocol,
    port: u16,
    allowed: bool,
    #[serde(flatten)]
    reach: &'a Reach,
    hints: Vec<Hint>,
    suggestions: Vec<Suggested>,
}

/// A suggestion with its YAML.
#[derive(Debug, Serialize)]
struct Suggested {
    #[serde(flatten)]
    suggestion: Suggestion,
    yaml: String,
}

/// The answer for machines.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Everything<'a> {
    allowed: bool,
    connections: Vec<Told<'a>>,
    not_asked: &'a [String],
}

/// Exit code 0: all of it is allowed; 1: something is blocked.
///
/// # Errors
/// When the cluster cannot be read, or an end is not there.
pub(crate) async fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let source = args.question.source.load().await?;
    for note in &source.notes {
        ui::note(ui::paint(ui::FAINT, note));
    }
    let (answers, left_out) = args.question.ask(&source)?;
    let all = answers.iter().all(Answer::allowed);
    match args.output {
        Output::Text => {
            let groups = groups::of(&answers);
            text::print(&groups, &left_out, &args.question, &source)?;
        }
        Output::Json | Output::Yaml => {
            let connections = answers.iter().map(|answer| told(answer, &source));
            let everything = Everything {
                allowed: all,
                connections: connections.collect::<anyhow::Result<_>>()?,
                not_asked: &left_out,
            };
            if args.output == Output::Json {
                ui::line(serde_json::to_string_pretty(&everything)?);
            } else {
                // By way of JSON, so that both say the same in the same form.
                let value = serde_json::to_value(&everything)?;
                ui::line(serde_saphyr::to_string(&value)?.trim_end());
            }
        }
        Output::Policy => {
            let mut written: Vec<String> = Vec::new();
            for group in groups::of(&answers) {
                for suggestion in told(group.first(), &source)?.suggestions {
                    if !written.contains(&suggestion.yaml) {
                        written.push(suggestion.yaml);
                    }
                }
            }
            ui::line(written.join("---\n").trim_end());
        }
    }
    Ok(ExitCode::from(u8::from(!all)))
}

/// Hints and suggestions are computed when an answer is shown: of many, few are.
fn told<'a>(answer: &'a Answer, source: &Source) -> anyhow::Result<Told<'a>> {
    let mut reacher = Reacher::new(&source.cluster, LookupOptions::default());
    let outside = match (&answer.from.end.kind, &answer.to.end.kind) {
        (EndKind::World, _) | (_, EndKind::World) => Outside::World,
        _ => Outside::Address,
    };
    let hints = hints(&mut reacher, &answer.reach)?;
    let suggestions = suggest(&mut reacher, &answer.reach, outside)?;
    let suggestions = suggestions.into_iter().map(|suggestion| Suggested {
        yaml: suggestion.yaml(),
        suggestion,
    });
    Ok(Told {
        from: answer.from.end.to_string(),
        to: answer.to.end.to_string(),
        protocol: answer.protocol,
        port: answer.port,
        allowed: answer.allowed(),
        reach: &answer.reach,
        hints,
        suggestions: suggestions.collect(),
    })
}

/// What a group's line and its details need.
fn headline(group: &Group<'_>) -> String {
    let answer = group.first();
    format!(
        "{} → {} {}/{}",
        group.from, group.to, answer.port, answer.protocol
    )
}
