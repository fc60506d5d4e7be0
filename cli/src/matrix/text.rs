//! A matrix for the terminal: columns have the numbers of the rows.

use super::cells::{Cell, Matrix};
use crate::ui;

pub(super) fn print(matrix: &Matrix) {
    let count = matrix.names.len();
    // Names of Kubernetes objects are ASCII, so a character is a column.
    let corner = "FROM ↓  TO →";
    let names = matrix.names.iter().map(|name| name.chars().count());
    let name_width = names
        .chain([corner.chars().count()])
        .max()
        .unwrap_or_default();
    let number_width = count.to_string().len();
    let signs = matrix.legend.iter().map(|(letter, _)| letter.len());
    let width = signs.chain([number_width]).max().unwrap_or_default();

    let mut header = format!("{:number_width$}  {corner:name_width$}", "");
    for number in 1..=count {
        header.push_str(&format!("  {number:>width$}"));
    }
    ui::line(ui::paint(ui::TITLE, header));
    for (number, (name, cells)) in matrix.names.iter().zip(&matrix.cells).enumerate() {
        let mut line = format!("{:>number_width$}  {name:name_width$}", number + 1);
        for cell in cells {
            let sign = format!("{:>width$}", matrix.sign(*cell));
            line.push_str(&format!("  {}", ui::paint(style(*cell), sign)));
        }
        ui::line(line);
    }
    ui::line("");
    let sign = |cell| ui::paint(style(cell), matrix.sign(cell));
    ui::line(format!(
        "{} all connections   {} none   {} itself, or both outside",
        sign(Cell::All),
        sign(Cell::None),
        sign(Cell::Itself),
    ));
    for (number, (_, set)) in matrix.legend.iter().enumerate() {
        ui::line(format!("{} {set}", sign(Cell::Some(number))));
    }
}

fn style(cell: Cell) -> anstyle::Style {
    match cell {
        Cell::All => ui::GOOD,
        Cell::Some(_) => ui::WARN,
        Cell::None | Cell::Itself => ui::FAINT,
    }
}
