//! Rows of names as a table: for the terminal in aligned columns without lines, so that it can be
//! searched and cut, and in Markdown.

use std::io::IsTerminal as _;

use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};

use crate::ui;

/// Prints aligned columns. Long names are wrapped on a terminal only.
pub(crate) fn text(header: &[&str], rows: &[Vec<String>]) {
    let mut table = Table::new();
    table.load_style(NOTHING);
    if std::io::stdout().is_terminal() {
        table.set_content_arrangement(ContentArrangement::Dynamic);
    }
    table.set_header(header);
    table.add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, 3));
    }
    let text = table.to_string();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim_end();
        match number {
            0 => ui::line(ui::paint(ui::TITLE, line)),
            _ => ui::line(line),
        }
    }
}

/// Prints a Markdown table.
pub(crate) fn markdown(header: &[&str], rows: &[Vec<String>]) {
    ui::line(format!("| {} |", header.join(" | ")));
    ui::line(format!("|{}", "---|".repeat(header.len())));
    for row in rows {
        let cells: Vec<String> = row.iter().map(|cell| escaped(cell)).collect();
        ui::line(format!("| {} |", cells.join(" | ")));
    }
}

/// Characters that mean something in Markdown, so that a name stays what it is.
fn escaped(cell: &str) -> String {
    let mut text = String::with_capacity(cell.len());
    for character in cell.chars() {
        if matches!(
            character,
            '|' | '*' | '\\' | '<' | '>' | '`' | '[' | ']' | '_'
        ) {
            text.push('\\');
        }
        text.push(character);
    }
    text
}

/// Prints CSV (RFC 4180). A cell that a spreadsheet would take for a formula gets a quote in front.
pub(crate) fn csv(header: &[&str], rows: impl Iterator<Item = Vec<String>>) -> anyhow::Result<()> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(header)?;
    for row in rows {
        writer.write_record(row.iter().map(
            |cell| match cell.starts_with(['=', '+', '-', '@']) {
                true => format!("'{cell}"),
                false => cell.clone(),
            },
        ))?;
    }
    let text = String::from_utf8(writer.into_inner()?)?;
    ui::line(text.trim_end());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_what_they_are_in_markdown() {
        assert_eq!(escaped("shop/*|<b>"), r"shop/\*\|\<b\>");
    }
}
