//! Lines with a mark, wrapped to a width; and two blocks of them side by side, or one under the other.

use textwrap::core::display_width;

use crate::ui;

/// A column narrower than this is worse than a longer page.
const NARROWEST: usize = 50;
/// Between the columns.
const GAP: &str = "   ";

/// A line of an explanation.
#[derive(Debug, Clone)]
pub(super) struct Line {
    depth: usize,
    mark: Option<bool>,
    text: String,
    style: Option<anstyle::Style>,
}

impl Line {
    /// Text at a depth.
    pub(super) fn plain(depth: usize, text: impl Into<String>) -> Self {
        Self {
            depth,
            mark: None,
            text: text.into(),
            style: None,
        }
    }

    /// Text behind ✓ or ✗.
    pub(super) fn marked(depth: usize, good: bool, text: impl Into<String>) -> Self {
        Self {
            mark: Some(good),
            ..Self::plain(depth, text)
        }
    }

    /// The same in a style.
    pub(super) fn styled(mut self, style: anstyle::Style) -> Self {
        self.style = Some(style);
        self
    }

    /// Wrapped to a width, each with the width it has on the screen.
    fn wrapped(&self, width: usize) -> Vec<(String, usize)> {
        let indent = "  ".repeat(self.depth);
        let hanging = if self.mark.is_some() {
            format!("{indent}  ")
        } else {
            indent.clone()
        };
        let options = textwrap::Options::new(width)
            .initial_indent(&hanging)
            .subsequent_indent(&hanging)
            .word_separator(textwrap::WordSeparator::AsciiSpace)
            .word_splitter(textwrap::WordSplitter::NoHyphenation);
        let rows = textwrap::wrap(&self.text, options);
        let rows = rows.into_iter().enumerate().map(|(at, row)| {
            let columns = display_width(&row);
            let text = row.get(hanging.len()..).unwrap_or_default();
            let text = match self.style {
                Some(style) => ui::paint(style, text),
                None => text.to_owned(),
            };
            let front = match self.mark {
                Some(good) if at == 0 => format!("{indent}{} ", mark(good)),
                _ => hanging.clone(),
            };
            (format!("{front}{text}"), columns)
        });
        rows.collect()
    }
}

/// ✓ or ✗, in colour.
pub(super) fn mark(good: bool) -> String {
    if good {
        ui::paint(ui::GOOD, "✓")
    } else {
        ui::paint(ui::BAD, "✗")
    }
}

/// Prints two blocks, side by side where both have room.
pub(super) fn print(left: &[Line], right: &[Line], width: usize) {
    let column = width.saturating_sub(GAP.len()) / 2;
    if column < NARROWEST {
        for line in left.iter().chain(right) {
            for (row, _) in line.wrapped(width) {
                ui::line(row);
            }
        }
        return;
    }
    let rows = |lines: &[Line]| -> Vec<(String, usize)> {
        lines.iter().flat_map(|line| line.wrapped(column)).collect()
    };
    let (left, right) = (rows(left), rows(right));
    // As wide as it must be, so that the eye has not far to go.
    let widest = left.iter().map(|(_, columns)| *columns).max().unwrap_or(0);
    for at in 0..left.len().max(right.len()) {
        let (text, columns) = left.get(at).cloned().unwrap_or_default();
        match right.get(at) {
            Some((other, _)) => {
                let pad = " ".repeat(widest.saturating_sub(columns));
                ui::line(format!("{text}{pad}{GAP}{other}").trim_end());
            }
            None => ui::line(text),
        }
    }
}
