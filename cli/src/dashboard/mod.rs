//! `sidewall dashboard`: the live page of a running cluster, or of manifests and a flow log. Only to
//! look at; what may be changed is the demo's cluster.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use sidewall::policy::cluster::Kind;
use tokio::sync::watch;

use crate::flows::sidecars::{Past, Sidecars};
use crate::flows::{Entry, Lines, Unread, input};
use crate::page::{self, Mode, Snapshot, World, Written};
use crate::signals::interrupted;
use crate::source::{Source, SourceArgs};
use crate::ui;

/// What `sidewall dashboard` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    source: SourceArgs,
    /// A flow log; - is standard input. May be repeated. Needs --manifests.
    #[arg(long, value_name = "FILE|-", requires = "manifests")]
    input_file: Vec<PathBuf>,
    /// Only the flow logs of pods in this namespace; may be repeated. All by default.
    #[arg(short, long, value_name = "NAME", conflicts_with = "manifests")]
    namespace: Vec<String>,
    /// The port, on 127.0.0.1. Without it 4390, or a free one if that is taken.
    #[arg(long)]
    page_port: Option<u16>,
}

/// Serves the page until Ctrl-C.
///
/// # Errors
/// When the cluster cannot be read, or the port is taken.
pub(crate) async fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let world = if args.source.manifests.is_empty() {
        of_cluster(args).await?
    } else {
        of_files(args).await?
    };
    let page = page::serve(world, args.page_port).await?;
    let address = ui::paint(ui::COMMAND, format!("http://{}/", page.address));
    ui::line(format!("See it:  {address}"));
    ui::note(ui::paint(ui::FAINT, "Ctrl-C ends it."));
    interrupted().await?;
    Ok(ExitCode::SUCCESS)
}

async fn of_cluster(args: &Args) -> anyhow::Result<World> {
    let client = args.source.client().await?;
    let (snapshot, following) = page::follow(&client);
    let sidecars = Sidecars::new(client, args.namespace.clone());
    let past = sidecars.past(Past::Since(None)).await?;
    let lines = entries(past).chain(entries(sidecars.follow()));
    Ok(World {
        mode: Mode::Cluster,
        snapshot,
        following: Some(following),
        lines: lines.boxed(),
        actions: None,
        story: None,
        flags: args.source.as_typed(),
    })
}

async fn of_files(args: &Args) -> anyhow::Result<World> {
    let source = args.source.load().await.context("the manifests")?;
    for note in &source.notes {
        ui::note(ui::paint(ui::FAINT, note));
    }
    let snapshot = snapshot(source);
    Ok(World {
        mode: Mode::Files,
        snapshot: watch::channel(Arc::new(snapshot)).1,
        following: None,
        lines: entries(input::read(args.input_file.clone())),
        actions: None,
        story: None,
        flags: args.source.as_typed(),
    })
}

/// Manifests do not change while they are looked at.
fn snapshot(source: Source) -> Snapshot {
    let policies = source
        .raw
        .into_iter()
        .filter(|raw| raw.kind == Kind::NetworkPolicy)
        .map(|raw| (raw.id, Written::new(raw.value)));
    Snapshot {
        version: 1,
        cluster: source.cluster,
        policies: policies.collect(),
    }
}

/// The lines of flows; what is none is told on stderr when the input ends.
fn entries(lines: Lines) -> BoxStream<'static, Entry> {
    let state = (lines, Unread::default());
    futures::stream::unfold(state, |(mut lines, mut unread)| async move {
        loop {
            match lines.recv().await {
                Some(item) => {
                    if let Some(entry) = unread.sort(item) {
                        return Some((*entry, (lines, unread)));
                    }
                }
                None => {
                    unread.tell();
                    return None;
                }
            }
        }
    })
    .boxed()
}
