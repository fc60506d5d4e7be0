//! `sidewall demo`: a cluster in a box, without Kubernetes. With `--tour` it plays a story and says
//! whether all happened as told; without, it stays up for your own kubectl and follows the flow log.

mod evidence;
mod follow;
mod page;
mod probe;
mod tour;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use sidewall_lab::Lab;

use crate::story::{Language, Story, builtin};
use crate::ui;

/// What `sidewall demo` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A story: one of those built in (see --list) or a folder with a story.yaml.
    #[arg(default_value = "np-demo")]
    story: String,
    /// Play the story's steps to the end; exit 0 only if all happened as told.
    #[arg(long)]
    tour: bool,
    /// Wait for Enter before each step of the tour.
    #[arg(long, requires = "tour")]
    step: bool,
    /// The language of the lessons.
    #[arg(long, value_enum, default_value_t)]
    lang: Language,
    /// The port of the live page, on 127.0.0.1. Without it 4390, or a free one if that is taken.
    #[arg(long, conflicts_with = "tour")]
    page_port: Option<u16>,
    /// No live page.
    #[arg(long, conflicts_with_all = ["tour", "page_port"])]
    no_page: bool,
    /// List the built-in stories and leave.
    #[arg(long)]
    list: bool,
}

/// Runs the command.
///
/// # Errors
/// When the story cannot be read or the lab cannot be built: nothing can be told then.
pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    if args.list {
        for name in builtin::names() {
            let story = Story::load(name)?;
            ui::line(format!(
                "{:<18} {}",
                ui::paint(ui::COMMAND, name),
                story.title.get(args.lang)
            ));
        }
        return Ok(ExitCode::SUCCESS);
    }
    let story = Arc::new(Story::load(&args.story)?);
    let lab = Arc::new(build(&story).await?);
    let outcome = if args.tour {
        tour::play(&lab, &story, args.lang, args.step).await
    } else {
        stay(&lab, &story, &args).await
    };
    // The lab is taken down in any case; what went wrong first is what is told.
    let stopped = match Arc::into_inner(lab) {
        Some(lab) => lab.stop().await,
        // Somebody's click on the page is still under way; with its end the lab goes, too.
        None => Ok(()),
    };
    let code = outcome?;
    stopped.context("the lab did not come down cleanly")?;
    Ok(code)
}

/// The page, and the flow log in the terminal, until Ctrl-C.
async fn stay(lab: &Arc<Lab>, story: &Arc<Story>, args: &Args) -> anyhow::Result<ExitCode> {
    let page = if args.no_page {
        None
    } else {
        Some(crate::page::serve(page::world(lab, story), args.page_port).await?)
    };
    follow::stay(lab, story, page.as_ref().map(|page| page.address)).await
}

async fn build(story: &Story) -> anyhow::Result<Lab> {
    ui::note(ui::paint(
        ui::FAINT,
        "building a cluster in a box: namespaces, bridge, API server, pods, sidecars …",
    ));
    let mut builder = Lab::builder();
    for manifest in &story.cluster {
        builder = builder.yaml(&manifest.text);
    }
    let lab = builder.start().await.context("the lab did not start")?;
    lab.settled(Duration::from_secs(10))
        .await
        .context("the sidecars did not take up their policies")?;
    Ok(lab)
}
