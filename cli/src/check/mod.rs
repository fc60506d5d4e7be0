//! `sidewall check`: whether a cluster can have sidecars, and whether those it has are as they should
//! be. In linkerd's form: categories, a mark per check, a hint and a link where something is wrong.
//!
//! Nothing is changed in the cluster: objects are listed, rights are asked for, and one pod is created
//! as a dry run, which is how the API server is brought to call the webhook.
//!
//! ```text
//! API server ─► facts    everything that is read, each part with what kept it from being read
//!                 ▼
//!   cluster, network, namespaces, controller, webhook, lists, sidecars   pure: facts in, findings out
//!                 ▼       finding, catalogue: what is checked, its hint, its place in docs/check.md
//!               report   text, short, JSON; exit code
//! ```

mod catalogue;
mod cluster;
mod controller;
mod facts;
mod finding;
mod lists;
mod namespaces;
mod network;
mod report;
mod rights;
mod sidecars;
mod webhook;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use tokio::time::Instant;

use self::facts::Facts;
use self::finding::{Category, Verdict};
use crate::source::SourceArgs;
use crate::ui;

/// Between two looks of `--wait`.
const BETWEEN: Duration = Duration::from_secs(2);

/// What `sidewall check` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Before installation: whether this cluster can have sidecars, and whether you may install them.
    #[arg(long)]
    pre: bool,
    /// Namespaces that are to have sidecars, beside those that are labelled; may be repeated.
    #[arg(long, short, value_name = "NAME")]
    namespace: Vec<String>,
    /// The namespace of the release.
    #[arg(long, value_name = "NAME", default_value = "sidewall")]
    release_namespace: String,
    /// Look again until nothing is wrong, for as long as this: 30s, 5m.
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "0s")]
    wait: Duration,
    /// How to print the result.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
    /// The kubeconfig; $KUBECONFIG or ~/.kube/config without it.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The kubeconfig's context.
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
}

/// How to print the result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// Every check.
    #[default]
    Text,
    /// What is not as it should be.
    Short,
    /// One JSON object.
    Json,
}

/// Exit code 0: nothing is wrong (warnings count as such); 1: something is; 2: something could not be
/// told, and nothing else is wrong.
///
/// # Errors
/// When there is no cluster to ask.
pub(crate) async fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let source = SourceArgs {
        kubeconfig: args.kubeconfig.clone(),
        context: args.context.clone(),
        ..SourceArgs::default()
    };
    let client = source.client().await?;
    let deadline = Instant::now() + args.wait;
    let mut told = false;
    let categories = loop {
        let facts = Facts::read(&client, args.pre, &args.release_namespace, &args.namespace).await;
        let facts = facts.context("the API server does not answer")?;
        let categories = categories(&facts, args);
        let good = finding::verdict(&categories) <= Verdict::Warning;
        if good || Instant::now() + BETWEEN > deadline {
            break categories;
        }
        if !told {
            ui::note("not everything is as it should be yet: looking again");
            told = true;
        }
        tokio::time::sleep(BETWEEN).await;
    };
    match args.output {
        Output::Text => report::text(&categories),
        Output::Short => report::short(&categories),
        Output::Json => report::json(&categories)?,
    }
    Ok(ExitCode::from(match finding::verdict(&categories) {
        Verdict::Good | Verdict::Warning => 0,
        Verdict::Unknown => 2,
        Verdict::Bad => 1,
    }))
}

fn categories(facts: &Facts, args: &Args) -> Vec<Category> {
    let mut categories = vec![Category::new("kubernetes", cluster::check(facts))];
    if args.pre {
        categories.push(Category::new("rights", rights::check(facts)));
    }
    categories.push(Category::new("network", network::check(facts)));
    let namespaces = namespaces::check(facts, &args.namespace);
    categories.push(Category::new("namespaces", namespaces));
    if !args.pre {
        categories.push(Category::new("controller", controller::check(facts)));
        categories.push(Category::new("webhook", webhook::check(facts)));
        let lists = lists::check(facts);
        if !lists.is_empty() {
            categories.push(Category::new("lists", lists));
        }
        categories.push(Category::new("sidecars", sidecars::check(facts)));
    }
    categories
}

/// `30s`, `5m`, as people write it.
fn duration(text: &str) -> Result<Duration, String> {
    let signed: jiff::SignedDuration = text
        .parse()
        .map_err(|_| "it must be like 30s or 5m".to_owned())?;
    Duration::try_from(signed).map_err(|_| "it must not be negative".to_owned())
}

#[cfg(test)]
mod tests;
