//! `sidewall recommend`: from flow logs the least-privilege policies of a namespace, each rule with
//! how often and when it was seen; with `--audit`, which rules of the policies in force were never
//! used. Policies go to stdout, the report to stderr.
//!
//! Exit codes: 0; 1 when something that was seen has no rule, or with `--audit` when a rule was never
//! used; 2 when something could not be read.

mod report;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use jiff::Timestamp;
use sidewall::flows::Line;
use sidewall::policy::cluster::Cluster;
use sidewall::recommend::audit::Uses;
use sidewall::recommend::{Options, PrefixLengths, Recommender};

use crate::flows::sidecars::{Past, Sidecars};
use crate::flows::{Lines, Unread, input};
use crate::observe::times;
use crate::source::{ClusterArgs, Source, SourceArgs};
use crate::ui;

/// What `sidewall recommend` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The namespace that gets policies; may be repeated. Without it, those of all pods that were seen.
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Vec<String>,
    /// Read flows from this file instead of the cluster's sidecars; - is standard input. May be repeated.
    #[arg(long, value_name = "FILE")]
    input_file: Vec<PathBuf>,
    #[command(flatten)]
    source: SourceArgs,
    /// Only flows from this time on: 3h, 7d ago, 2026-11-21, RFC 3339.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only flows until this time.
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Allow what was blocked too. What audit mode let pass is allowed anyway.
    #[arg(long)]
    include_blocked: bool,
    /// Addresses outside of the cluster as blocks of this length, for IPv4 and, after a comma, for IPv6
    /// (else 64), where the cluster has no address of its own in the block. Without it, one by one.
    #[arg(long, value_name = "N[,N6]", value_parser = lengths)]
    aggregate_world: Option<PrefixLengths>,
    /// Tell which rules of the policies in force were never used, instead of recommending.
    #[arg(long, conflicts_with_all = ["include_blocked", "aggregate_world"])]
    audit: bool,
    /// YAML to apply, JSON for machines, or the rules in words. An audit has no YAML.
    #[arg(short, long, value_enum)]
    output: Option<Output>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// Policies to apply.
    Yaml,
    /// Everything, for machines.
    Json,
    /// For people.
    Text,
}

fn lengths(text: &str) -> Result<PrefixLengths, String> {
    let (v4, v6) = text.split_once(',').unwrap_or((text, "64"));
    let read = |text: &str, most: u8| match text.trim().parse::<u8>() {
        Ok(length) if length <= most => Ok(length),
        _ => Err(format!("{text:?} is no length of a prefix: 0 to {most}")),
    };
    Ok(PrefixLengths {
        v4: read(v4, 32)?,
        v6: read(v6, 128)?,
    })
}

/// Runs the command.
///
/// # Errors
/// When neither flows nor the cluster can be read.
pub(crate) async fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let now = Timestamp::now();
    let span = (
        time("since", &args.since, now)?,
        time("until", &args.until, now)?,
    );
    if args.audit && args.output == Some(Output::Yaml) {
        bail!("--audit makes no policies: -o text or -o json");
    }
    let given = &args.source;
    let live = given.manifests.is_empty();
    let named = !live || given.kubeconfig.is_some() || given.context.is_some();
    if args.audit && !named && !args.input_file.is_empty() {
        bail!("--audit needs the policies: give --manifests, or --kubeconfig");
    }
    // Flows from a file need no cluster; with one, Services lead to the pods behind them.
    let source = if named || args.input_file.is_empty() {
        let source = given.load().await?;
        for note in &source.notes {
            ui::note(ui::paint(ui::FAINT, note));
        }
        Some(source)
    } else {
        None
    };
    let lines = if args.input_file.is_empty() {
        let cluster = ClusterArgs {
            kubeconfig: given.kubeconfig.clone(),
            context: given.context.clone(),
        };
        let sidecars = Sidecars::new(cluster.client().await?, Vec::new());
        sidecars.past(Past::Since(span.0)).await?
    } else {
        input::read(args.input_file.clone())
    };
    let (unread, code) = if args.audit {
        audit(args, source.unwrap_or_default(), lines, span).await?
    } else {
        recommend(args, source, lines, span, live && named).await?
    };
    unread.tell();
    Ok(if unread.is_clean() {
        code
    } else {
        ExitCode::from(2)
    })
}

type Span = (Option<Timestamp>, Option<Timestamp>);

fn time(flag: &str, text: &Option<String>, now: Timestamp) -> anyhow::Result<Option<Timestamp>> {
    match text {
        None => Ok(None),
        Some(text) => match times::read(text, now) {
            Some(time) => Ok(Some(time)),
            None => bail!("--{flag}: {text:?} is no time: 3h (ago), 2026-11-21 or RFC 3339"),
        },
    }
}

/// Hands on every line of the span; how many there were.
async fn each(
    mut lines: Lines,
    (since, until): Span,
    mut take: impl FnMut(&Line),
) -> (Unread, u64) {
    let (mut unread, mut count) = (Unread::default(), 0);
    while let Some(item) = lines.recv().await {
        let Some(entry) = unread.sort(item) else {
            continue;
        };
        let time = entry.line.time.unwrap_or(Timestamp::UNIX_EPOCH);
        if since.is_none_or(|since| time >= since) && until.is_none_or(|until| time <= until) {
            take(&entry.line);
            count += 1;
        }
    }
    (unread, count)
}

async fn recommend(
    args: &Args,
    source: Option<Source>,
    lines: Lines,
    span: Span,
    real_addresses: bool,
) -> anyhow::Result<(Unread, ExitCode)> {
    let has_cluster = source.is_some();
    let cluster = source.map_or_else(Cluster::default, |source| source.cluster);
    let mut recommender = Recommender::new(Options {
        namespaces: args.namespace.iter().cloned().collect(),
        include_blocked: args.include_blocked,
        aggregate_world: args.aggregate_world,
        real_addresses,
    });
    let (unread, count) = each(lines, span, |line| recommender.take(line)).await;
    if count == 0 {
        unread.tell();
        bail!("there are no flows in what was read: nothing can be recommended");
    }
    let recommendation = recommender.finish(&cluster);
    match args.output.unwrap_or(Output::Yaml) {
        Output::Yaml => {
            let documents: Vec<String> = recommendation
                .policies
                .iter()
                .map(|policy| policy.yaml())
                .collect();
            ui::try_data(documents.join("---\n").trim_end())?;
        }
        Output::Json => ui::try_data(&serde_json::to_string_pretty(&recommendation)?)?,
        Output::Text => report::rules(&recommendation),
    }
    report::tell(&recommendation, count, has_cluster);
    let left_out = &recommendation.left_out;
    let covered = left_out.unresolved.is_empty() && left_out.without_ports.is_empty();
    let code = if covered {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    };
    Ok((unread, code))
}

async fn audit(
    args: &Args,
    source: Source,
    lines: Lines,
    span: Span,
) -> anyhow::Result<(Unread, ExitCode)> {
    let mut uses = Uses::default();
    let (unread, count) = each(lines, span, |line| uses.take(line)).await;
    if count == 0 {
        unread.tell();
        bail!("there are no flows in what was read: every rule would seem unused");
    }
    let namespaces = args.namespace.iter().cloned().collect();
    let audit = uses.audit(&source.cluster, &namespaces);
    match args.output {
        Some(Output::Json) => ui::try_data(&serde_json::to_string_pretty(&audit)?)?,
        _ => report::audit(&audit, &source),
    }
    let unused = audit.unused().count();
    report::tell_audit(&audit, unused, count);
    let code = if unused == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    };
    Ok((unread, code))
}
