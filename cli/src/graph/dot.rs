//! The same boxes for Graphviz, which finds their places itself.

use std::fmt::Write as _;

use super::model::{Model, Node, NodeKind};

pub(super) fn write(model: &Model) -> String {
    let mut text = String::from(
        "digraph connections {\n  rankdir=LR;\n  node [shape=box, style=\"rounded,filled\", fillcolor=white, fontname=\"sans-serif\"];\n",
    );
    let mut add = |line: &str| {
        text.push_str(line);
        text.push('\n');
    };
    for (frame, name) in model.frames.iter().enumerate() {
        add(&format!("  subgraph cluster_{frame} {{"));
        add(&format!(
            "    label={}; style=filled; fillcolor=\"#f4f6f9\"; color=\"#d5dce4\";",
            quoted(name)
        ));
        for (id, node) in model.nodes.iter().enumerate() {
            if node.frame == Some(frame) {
                add(&format!("    {}", described(id, node)));
            }
        }
        add("  }");
    }
    for (id, node) in model.nodes.iter().enumerate() {
        if node.frame.is_none() {
            add(&format!("  {}", described(id, node)));
        }
    }
    for line in &model.lines {
        let both = if line.both { " [dir=both]" } else { "" };
        add(&format!("  n{} -> n{}{both};", line.from, line.to));
    }
    add("}");
    text.truncate(text.trim_end().len());
    text
}

fn described(id: usize, node: &Node) -> String {
    let mut text = format!("n{id} [label={}", quoted(&node.text.join("\n")));
    let style = match node.kind {
        NodeKind::Workloads => "",
        NodeKind::Outside => ", fillcolor=\"#fdf0dc\", color=\"#8a5300\"",
        NodeKind::All => ", shape=oval, fillcolor=\"#ddf3e6\", color=\"#1a7f4b\"",
        NodeKind::Some => ", shape=oval, fillcolor=\"#e1ecfb\", color=\"#1f5fbf\"",
    };
    // Writing to a String cannot fail.
    let _ = write!(text, "{style}];");
    text
}

/// A quoted string of the DOT language: quotes and backslashes escaped, lines broken.
fn quoted(text: &str) -> String {
    let escaped = text
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n");
    format!("\"{escaped}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_its_quotes() {
        assert_eq!(quoted("a\"b\\c\nd"), r#""a\"b\\c\nd""#);
    }
}
