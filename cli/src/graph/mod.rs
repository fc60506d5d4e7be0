//! `sidewall graph`: who reaches whom as a picture. A row of the list is a node between its sources and
//! its destinations, so that many equal connections are few lines.
//!
//! [`model`] makes boxes of a list, [`layout`] finds their places, [`picture`] draws them; [`dot`] hands
//! the same boxes to Graphviz instead.

mod dot;
mod layout;
mod model;
mod picture;

use std::process::ExitCode;

use maud::{PreEscaped, html};

use self::model::Model;
use crate::connections::{Found, Wanted, page};
use crate::ui;

/// Draw who reaches whom.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    wanted: Wanted,
    /// How to draw it.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// How to draw a graph.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// A picture.
    #[default]
    Svg,
    /// A page that needs nothing beside itself.
    Html,
    /// A graph for Graphviz.
    Dot,
}

/// Exit code 0. An error (code 2): the cluster or a name cannot be read.
pub(crate) async fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let found = args.wanted.find().await?;
    ui::line(match args.output {
        Output::Svg => svg(&found),
        Output::Html => html(&found),
        Output::Dot => dot(&found),
    });
    Ok(ExitCode::SUCCESS)
}

/// The picture by itself.
pub(crate) fn svg(found: &Found) -> String {
    /// From here on the layout takes seconds, and nobody finds their way about the picture.
    const MANY: usize = 150;
    let model = Model::of(found);
    let boxes = model.nodes.len();
    if boxes > MANY {
        ui::note(format!(
            "note: drawing {boxes} boxes, which takes a while; -n, --from and --to narrow it"
        ));
    }
    picture::draw(&model)
}

/// For Graphviz.
pub(crate) fn dot(found: &Found) -> String {
    dot::write(&Model::of(found))
}

fn html(found: &Found) -> String {
    let content = html! {
        h1 { "Who reaches whom" }
        p { "What the network policies allow. Lines lead from a source over its connections to a destination. \
             Replies always pass." }
        div class="wide" { (PreEscaped(svg(found))) }
    };
    page::page("Who reaches whom", "", &content)
}
