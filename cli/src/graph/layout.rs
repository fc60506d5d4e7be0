//! The places of boxes. The layered layout is the `layout-rs` crate's; it knows no frames, so the boxes
//! of each namespace are laid out first, and then the namespaces among each other.

use layout::core::base::Orientation;
use layout::core::geometry::{Point, Position};
use layout::core::style::StyleAttr;
use layout::std_shapes::shapes::{Arrow, Element, ShapeKind};
use layout::topo::layout::VisualGraph;
use layout::topo::placer::Placer;

use super::model::Model;

/// An upright rectangle: its upper left corner and its size.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Area {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// Where everything is.
pub(super) struct Places {
    pub(super) nodes: Vec<Area>,
    pub(super) frames: Vec<Area>,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// Room between a frame and what is in it; above it stands the namespace's name.
const MARGIN: f64 = 18.;
const TITLE: f64 = 24.;
/// Room around each box, for lines to run in.
const GAP: f64 = 26.;
/// Room around the whole picture.
const EDGE: f64 = 16.;

/// The places of all boxes, given their sizes.
pub(super) fn places(model: &Model, sizes: &[(f64, f64)]) -> Places {
    let mut areas = vec![Area::default(); model.nodes.len()];
    let within = |frame: usize| -> Vec<usize> {
        let nodes = model.nodes.iter().enumerate();
        nodes
            .filter(|(_, node)| node.frame == Some(frame))
            .map(|(id, _)| id)
            .collect()
    };
    // First inside each frame …
    let mut frames = Vec::with_capacity(model.frames.len());
    for frame in 0..model.frames.len() {
        let nodes = within(frame);
        let own: Vec<(f64, f64)> = nodes.iter().map(|node| sizes[*node]).collect();
        let place = |node: usize| nodes.iter().position(|other| *other == node);
        let lines = model.lines.iter();
        let lines = lines.filter_map(|line| Some((place(line.from)?, place(line.to)?)));
        let placed = layered(&own, &lines.collect::<Vec<_>>());
        let (right, bottom) = extent(&placed);
        // The name must fit as well; 8 is the width of a letter of it.
        let name = 8. * count(&model.frames[frame]);
        frames.push((right.max(name) + 2. * MARGIN, bottom + MARGIN + TITLE));
        for (node, area) in nodes.into_iter().zip(placed) {
            areas[node] = area;
        }
    }
    // … then the frames and what is outside of them.
    let free: Vec<usize> = (0..model.nodes.len())
        .filter(|id| model.nodes[*id].frame.is_none())
        .collect();
    let outer: Vec<(f64, f64)> = frames
        .iter()
        .copied()
        .chain(free.iter().map(|id| sizes[*id]))
        .collect();
    let place = |node: usize| match model.nodes[node].frame {
        Some(frame) => frame,
        None => {
            frames.len()
                + free
                    .iter()
                    .position(|other| *other == node)
                    .unwrap_or_default()
        }
    };
    let mut lines: Vec<(usize, usize)> = Vec::new();
    for line in &model.lines {
        let (from, to) = (place(line.from), place(line.to));
        // One line between two frames is enough to find their places.
        if from != to && !lines.contains(&(from, to)) && !lines.contains(&(to, from)) {
            lines.push((from, to));
        }
    }
    let mut placed = layered(&outer, &lines);
    for area in &mut placed {
        area.x += EDGE;
        area.y += EDGE;
    }
    let (right, bottom) = extent(&placed);
    for (id, area) in areas.iter_mut().enumerate() {
        let around = placed[place(id)];
        *area = match model.nodes[id].frame {
            Some(_) => Area {
                x: around.x + MARGIN + area.x,
                y: around.y + TITLE + area.y,
                ..*area
            },
            None => around,
        };
    }
    placed.truncate(frames.len());
    Places {
        nodes: areas,
        frames: placed,
        width: right + EDGE,
        height: bottom + EDGE,
    }
}

/// The number of characters.
pub(super) fn count(text: &str) -> f64 {
    text.chars().map(|_| 1.).sum()
}

/// Boxes of these sizes from left to right along their lines; the least coordinates are 0.
fn layered(sizes: &[(f64, f64)], lines: &[(usize, usize)]) -> Vec<Area> {
    let orientation = Orientation::LeftToRight;
    let mut graph = VisualGraph::new(orientation);
    let look = StyleAttr::simple();
    let handles: Vec<_> = sizes
        .iter()
        .map(|&(width, height)| {
            let size = Point::new(width, height);
            let mut node = Element::create(ShapeKind::None, look.clone(), orientation, size);
            node.pos = Position::new(
                Point::new(0., 0.),
                size,
                Point::new(0., 0.),
                Point::splat(GAP),
            );
            graph.add_node(node)
        })
        .collect();
    for &(from, to) in lines {
        graph.add_edge(Arrow::simple(""), handles[from], handles[to]);
    }
    graph.to_valid_dag();
    graph.split_long_edges(false);
    if !handles.is_empty() {
        Placer::new(&mut graph).layout(false);
    }
    let mut areas: Vec<Area> = handles
        .iter()
        .zip(sizes)
        .map(|(handle, &(width, height))| {
            let middle = graph.pos(*handle).middle();
            Area {
                x: middle.x - width / 2.,
                y: middle.y - height / 2.,
                width,
                height,
            }
        })
        .collect();
    let least = |of: fn(&Area) -> f64| areas.iter().map(of).fold(f64::INFINITY, f64::min);
    let (left, top) = (least(|area| area.x), least(|area| area.y));
    for area in &mut areas {
        area.x -= left;
        area.y -= top;
    }
    areas
}

/// The greatest coordinates.
fn extent(areas: &[Area]) -> (f64, f64) {
    let right = areas
        .iter()
        .map(|area| area.x + area.width)
        .fold(0., f64::max);
    let bottom = areas
        .iter()
        .map(|area| area.y + area.height)
        .fold(0., f64::max);
    (right, bottom)
}
