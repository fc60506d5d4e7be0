//! `sidewall lint`: what is wrong with policies, with file, line and fix. What is looked for is in
//! [`sidewall::lint`]; here objects come from and findings go to: [`text`], [`sarif`], or JSON.

mod sarif;
mod text;

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::Context as _;
use sidewall::lint::{self, Files, Given, Input, Report, Rule, Severity};
use sidewall::manifest;

use crate::source::{Source, SourceArgs};
use crate::ui;

/// What `sidewall lint` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    source: SourceArgs,
    /// How findings are printed.
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
    /// Exit with 1 if there are findings at least this bad.
    #[arg(long, value_enum, default_value_t, value_name = "SEVERITY")]
    fail_on: FailOn,
    /// Leave a rule out, by id or name; may be repeated.
    #[arg(long, value_name = "RULE", value_delimiter = ',', value_parser = rule)]
    ignore: Vec<&'static Rule>,
    /// Explain a rule and leave.
    #[arg(long, value_name = "RULE", value_parser = rule)]
    explain: Option<&'static Rule>,
    /// List the rules and leave.
    #[arg(long)]
    list_rules: bool,
}

/// How findings are printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// For people.
    #[default]
    Text,
    /// For scripts.
    Json,
    /// SARIF 2.1.0, for code hosts.
    Sarif,
}

/// From which severity on findings are a failure.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum FailOn {
    /// Errors.
    Error,
    /// Warnings and errors.
    #[default]
    Warning,
    /// Any finding.
    Info,
    /// Nothing.
    Never,
}

/// Runs the command: 0 nothing at or above `--fail-on`, 1 something.
///
/// # Errors
/// When there is nothing to look at: files that cannot be opened, a cluster that does not answer.
pub(crate) async fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if args.list_rules {
        text::list(lint::rules());
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(rule) = args.explain {
        text::explain(rule);
        return Ok(ExitCode::SUCCESS);
    }
    let subject = Subject::load(&args.source).await?;
    let mut report = lint::check(subject.input());
    report
        .findings
        .retain(|finding| !args.ignore.iter().any(|rule| rule.id == finding.rule));
    match args.output {
        Output::Text => text::report(&report, &subject),
        Output::Json => ui::line(serde_json::to_string_pretty(&report).context("JSON")?),
        Output::Sarif => ui::line(sarif::text(&report)?),
    }
    Ok(ExitCode::from(u8::from(args.fail_on.is_met(&report))))
}

impl FailOn {
    fn is_met(self, report: &Report) -> bool {
        let least = match self {
            Self::Error => Severity::Error,
            Self::Warning => Severity::Warning,
            Self::Info => Severity::Info,
            Self::Never => return false,
        };
        let mut findings = report.findings.iter();
        findings.any(|finding| finding.severity >= least)
    }
}

/// What is looked at.
enum Subject {
    Files(Box<Files>),
    Cluster {
        source: Box<Source>,
        objects: Vec<Given>,
    },
}

static NO_TEXTS: BTreeMap<String, String> = BTreeMap::new();

impl Subject {
    async fn load(args: &SourceArgs) -> anyhow::Result<Self> {
        if !args.manifests.is_empty() {
            let files = args.files()?;
            // Another program's file in a folder is none of ours.
            let (ours, others): (Vec<_>, Vec<_>) = files.into_iter().partition(|file| {
                !file.found_in_folder || !manifest::read(&file.name, &file.text).foreign
            });
            for file in others {
                ui::note(format!(
                    "{} holds no Kubernetes objects and was left out",
                    file.name
                ));
            }
            let texts = ours.into_iter().map(|file| (file.name, file.text));
            return Ok(Self::Files(Box::new(Files::read(texts))));
        }
        let source = args.load().await?;
        source.notes.iter().for_each(ui::note);
        let objects = source.raw.iter().map(|raw| Given {
            kind: raw.kind,
            id: raw.id.clone(),
            value: raw.value.clone(),
            place: None,
        });
        let objects = objects.collect();
        Ok(Self::Cluster {
            source: Box::new(source),
            objects,
        })
    }

    fn input(&self) -> Input<'_> {
        match self {
            Self::Files(files) => files.input(),
            Self::Cluster { source, objects } => Input {
                cluster: &source.cluster,
                objects,
                mistakes: &[],
                ignored: &[],
                texts: &NO_TEXTS,
                whole: true,
            },
        }
    }

    /// The text of a line.
    fn line(&self, file: &str, line: u64) -> Option<&str> {
        match self {
            Self::Files(files) => files.line(file, line),
            Self::Cluster { .. } => None,
        }
    }
}

fn rule(text: &str) -> Result<&'static Rule, String> {
    lint::rule(text).ok_or_else(|| {
        let names = lint::rules().iter().flat_map(|rule| [rule.id, rule.name]);
        match sidewall::spelling::nearest(text, names) {
            Some(near) => format!("there is no such rule; did you mean {near}?"),
            None => "there is no such rule; --list-rules lists them".to_owned(),
        }
    })
}
