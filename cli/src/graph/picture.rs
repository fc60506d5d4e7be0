//! Boxes and lines as SVG: light or dark as the reader's system is, names escaped by `maud`.

use maud::{PreEscaped, html};

use super::layout::{self, Area, Places, count};
use super::model::{Model, Node, NodeKind};
use crate::connections::page::COLOURS;

/// The height of a line of text, and the room around a box's text.
const LINE: f64 = 18.;
const PADDING: (f64, f64) = (14., 8.);

const STYLE: &str = "\
text{font:13px system-ui,sans-serif;fill:var(--ink)}\
.paper{fill:var(--paper)}.frame{fill:var(--field);stroke:var(--line)}.frame-title{fill:var(--faint);font-weight:600}\
.workloads{fill:var(--paper);stroke:var(--faint)}\
.outside{fill:var(--world-field);stroke:var(--world)}.outside-text{fill:var(--world)}\
.all{fill:var(--all-field);stroke:var(--all)}.all-text{fill:var(--all)}\
.some{fill:var(--some-field);stroke:var(--some)}.some-text{fill:var(--some)}\
.line{fill:none;stroke-width:1.4;stroke:var(--faint);opacity:.75}\
.all-line{stroke:var(--all)}.some-line{stroke:var(--some)}.tip{fill:context-stroke}";

pub(super) fn draw(model: &Model) -> String {
    let sizes: Vec<(f64, f64)> = model.nodes.iter().map(size).collect();
    let places = layout::places(model, &sizes);
    let Places { width, height, .. } = places;
    let picture = html! {
        svg xmlns="http://www.w3.org/2000/svg" width=(rounded(width)) height=(rounded(height))
            viewBox={ "0 0 " (rounded(width)) " " (rounded(height)) } role="img" aria-label="Who reaches whom" {
            style { (PreEscaped(COLOURS)) (PreEscaped(STYLE)) }
            defs {
                marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8"
                    orient="auto-start-reverse" { path class="tip" d="M0 0.8 L8 4 L0 7.2 z" {} }
            }
            rect class="paper" width=(rounded(width)) height=(rounded(height)) {}
            @for (name, area) in model.frames.iter().zip(&places.frames) {
                (rectangle(*area, "frame", 10.))
                text class="frame-title" x=(rounded(area.x + 12.)) y=(rounded(area.y + 17.)) { (name) }
            }
            @for line in &model.lines {
                // A row's colour is its lines' colour.
                @let kind = model.nodes[line.from].kind;
                @let kind = if matches!(kind, NodeKind::All | NodeKind::Some) { kind } else { model.nodes[line.to].kind };
                @let path = path(places.nodes[line.from], places.nodes[line.to]);
                path class={ "line " (class(kind)) "-line" } d=(path) marker-end="url(#tip)"
                    marker-start=[line.both.then_some("url(#tip)")] {}
            }
            @for (node, area) in model.nodes.iter().zip(&places.nodes) {
                @let radius = if matches!(node.kind, NodeKind::All | NodeKind::Some) { area.height / 2. } else { 5. };
                (rectangle(*area, class(node.kind), radius))
                @for (number, text) in (0_u32..).zip(&node.text) {
                    text class={ (class(node.kind)) "-text" } text-anchor="middle"
                        x=(rounded(area.x + area.width / 2.))
                        y=(rounded(area.y + PADDING.1 + LINE * (f64::from(number) + 0.72))) { (text) }
                }
            }
        }
    };
    picture.into_string()
}

fn class(kind: NodeKind) -> &'static str {
    match kind {
        NodeKind::Workloads => "workloads",
        NodeKind::Outside => "outside",
        NodeKind::All => "all",
        NodeKind::Some => "some",
    }
}

/// A box as large as its text needs; 7.2 is what a letter of 13 pixels takes with some to spare.
fn size(node: &Node) -> (f64, f64) {
    let longest = node.text.iter().map(|text| count(text)).fold(0., f64::max);
    let lines: f64 = node.text.iter().map(|_| LINE).sum();
    (7.2 * longest + 2. * PADDING.0, lines + 2. * PADDING.1)
}

fn rectangle(area: Area, class: &str, radius: f64) -> maud::Markup {
    html! {
        rect class=(class) x=(rounded(area.x)) y=(rounded(area.y)) width=(rounded(area.width))
            height=(rounded(area.height)) rx=(rounded(radius)) {}
    }
}

/// A curve from one box to another: from side to side, or where one stands above the other, from top to
/// bottom.
fn path(from: Area, to: Area) -> String {
    let middle = |area: Area| (area.x + area.width / 2., area.y + area.height / 2.);
    let ((from_x, from_y), (to_x, to_y)) = (middle(from), middle(to));
    let beside = (to_x - from_x).abs() > (from.width + to.width) / 2.;
    let (start, end, bend) = if beside {
        let right = (to_x - from_x).signum();
        let start = (from_x + right * from.width / 2., from_y);
        let end = (to_x - right * to.width / 2., to_y);
        (start, end, ((end.0 - start.0) / 2., 0.))
    } else {
        let down = (to_y - from_y).signum();
        let start = (from_x, from_y + down * from.height / 2.);
        let end = (to_x, to_y - down * to.height / 2.);
        (start, end, (0., (end.1 - start.1) / 2.))
    };
    let point = |x: f64, y: f64| format!("{} {}", rounded(x), rounded(y));
    format!(
        "M{} C{}, {}, {}",
        point(start.0, start.1),
        point(start.0 + bend.0, start.1 + bend.1),
        point(end.0 - bend.0, end.1 - bend.1),
        point(end.0, end.1)
    )
}

/// A tenth of a pixel is fine enough.
fn rounded(number: f64) -> String {
    let text = format!("{number:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}
