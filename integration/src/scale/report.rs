//! The table and the plots of what was measured.

use std::fmt::Write as _;

use anyhow::{Result, anyhow};
use plotters::prelude::*;

use super::run::{Changes, Outcome};
use crate::bench::machine::Machine;

const WIDTH: u32 = 960;
const HEIGHT: u32 = 340;
const FONT: &str = "sans-serif";
/// Okabe and Ito's, which the colour-blind see too: allow lists, and direct watching.
const COLOURS: [RGBColor; 2] = [RGBColor(0, 114, 178), RGBColor(213, 94, 0)];

/// Which of the changes that were measured.
type Which = fn(&Outcome) -> &Changes;

/// A line over the number of pods: its name, what it shows of an outcome, and whose colour it has.
type Line = (&'static str, fn(&Outcome) -> f64, usize);

/// The Markdown of it: a column for each cluster.
#[must_use]
pub fn table(machine: &Machine, outcomes: &[Outcome]) -> String {
    let mut text = format!("{machine}\n\n| |");
    for outcome in outcomes {
        let _ = write!(text, " {} pods |", thousands(outcome.pods));
    }
    let _ = writeln!(text, "\n|---|{}", "---|".repeat(outcomes.len()));
    let mut row = |name: &str, cell: &dyn Fn(&Outcome) -> String| {
        let cells: Vec<String> = outcomes.iter().map(cell).collect();
        let _ = writeln!(text, "| {name} | {} |", cells.join(" | "));
    };
    row("peer sets and slices", &|one| {
        format!("{} and {}", thousands(one.sets), thousands(one.slices))
    });
    row("first publication, s", &|one| format!("{:.1}", one.start));
    row("memory, MB (with every slice kept as text)", &|one| {
        format!("{:.0} ({:.0})", one.memory, one.memory_sent)
    });
    let changes: [(&str, Which); 3] = [
        ("single pods", |one| &one.churn),
        ("rolling update of 1 000", |one| &one.rolling),
        ("a namespace's label", |one| &one.relabel),
    ];
    for (name, of) in changes {
        row(
            &format!("**{name}**: change to publication, ms: p50, p99, max"),
            &|one| {
                let [middle, high, most] = of(one).milliseconds;
                format!("{middle:.2}, {high:.2}, {most:.2}")
            },
        );
        row("processor time in all, s", &|one| {
            format!("{:.2}", of(one).seconds)
        });
        row("sidecars told, of each", &|one| {
            format!("{:.0}", of(one).concerned)
        });
        row("bytes to all of them, of each", &|one| size(of(one).bytes));
        row("bytes per sidecar of the cluster, of each", &|one| {
            size(of(one).bytes / pods(one))
        });
        if name != "a namespace's label" {
            row("the same with direct watching: to all", &|one| {
                size(of(one).bytes_direct)
            });
            row("and per sidecar", &|one| {
                size(of(one).bytes_direct / pods(one))
            });
        }
    }
    row("pods of the namespace with another label", &|one| {
        thousands(one.relabelled)
    });
    row(
        "**a sidecar starts**: bytes sent, median and most",
        &|one| format!("{} and {}", size(one.whole.0), size(one.whole.1)),
    );
    row("the same with direct watching (pods alone)", &|one| {
        size(one.whole_direct)
    });
    row("receivers compared with a fresh compile, equal", &|one| {
        thousands(one.agreed)
    });
    text.push_str(
        "\n![What a change costs the controller, by the number of pods](img/scale-cost.svg)\n",
    );
    text.push_str("\n![What is sent, by the number of pods](img/scale-bytes.svg)\n");
    text
}

/// Both plots, by file name.
///
/// # Errors
/// When they cannot be drawn.
pub fn plots(outcomes: &[Outcome]) -> Result<Vec<(&'static str, String)>> {
    let cost: [(&str, &[Line]); 3] = [
        (
            "one pod's change to publication, ms",
            &[
                ("p99", |one| one.churn.milliseconds[1], 0),
                ("p50", |one| one.churn.milliseconds[0], 0),
            ],
        ),
        (
            "a namespace's label to publication, ms",
            &[("p99", |one| one.relabel.milliseconds[1], 0)],
        ),
        ("memory, MB", &[("memory", |one| one.memory, 0)]),
    ];
    let sent: [(&str, &[Line]); 3] = [
        (
            "one pod replaced, bytes to all",
            &[
                ("allow lists", |one| one.churn.bytes, 0),
                ("direct", |one| one.churn.bytes_direct, 1),
            ],
        ),
        (
            "one pod replaced, bytes per sidecar",
            &[
                ("allow lists", |one| one.churn.bytes / pods(one), 0),
                ("direct", |one| one.churn.bytes_direct / pods(one), 1),
            ],
        ),
        (
            "a sidecar starts, bytes",
            &[
                ("allow lists", |one| one.whole.0, 0),
                ("direct", |one| one.whole_direct, 1),
            ],
        ),
    ];
    Ok(vec![
        ("scale-cost.svg", draw(outcomes, &cost)?),
        ("scale-bytes.svg", draw(outcomes, &sent)?),
    ])
}

fn draw(outcomes: &[Outcome], panels: &[(&str, &[Line])]) -> Result<String> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, HEIGHT)).into_drawing_area();
        area.fill(&WHITE).map_err(failed)?;
        for (area, (name, lines)) in area.split_evenly((1, panels.len())).iter().zip(panels) {
            panel(outcomes, area, name, lines)?;
        }
        area.present().map_err(failed)?;
    }
    Ok(svg)
}

fn panel<DB: DrawingBackend>(
    outcomes: &[Outcome],
    area: &DrawingArea<DB, plotters::coord::Shift>,
    name: &str,
    lines: &[Line],
) -> Result<()>
where
    DB::ErrorType: 'static,
{
    let points = |line: &Line| -> Vec<(f64, f64)> {
        let value = line.1;
        outcomes
            .iter()
            .map(|one| (pods(one), value(one).max(1e-3)))
            .collect()
    };
    let all: Vec<f64> = lines
        .iter()
        .flat_map(points)
        .map(|(_, value)| value)
        .collect();
    let low = all.iter().copied().fold(f64::MAX, f64::min) / 2.0;
    let high = all.iter().copied().fold(1e-3, f64::max) * 2.0;
    let first = outcomes.first().map_or(1.0, pods);
    let last = outcomes.last().map_or(10.0, pods).max(first * 2.0);
    let mut chart = ChartBuilder::on(area)
        .caption(name, (FONT, 14))
        .margin(10)
        // The last label is wider than its tick.
        .margin_right(28)
        .x_label_area_size(34)
        .y_label_area_size(52)
        .build_cartesian_2d((first..last).log_scale(), (low..high).log_scale())
        .map_err(failed)?;
    chart
        .configure_mesh()
        .x_desc("pods")
        .x_label_formatter(&|value| format!("{value:.0}"))
        .y_label_formatter(&|value| {
            if *value < 1e3 {
                format!("{value}")
            } else {
                size(*value)
            }
        })
        .light_line_style(WHITE)
        .draw()
        .map_err(failed)?;
    for line in lines {
        let colour = COLOURS[line.2];
        chart
            .draw_series(LineSeries::new(points(line), colour.stroke_width(2)))
            .map_err(failed)?;
        chart
            .draw_series(
                points(line)
                    .into_iter()
                    .map(|at| Circle::new(at, 3, colour.filled())),
            )
            .map_err(failed)?;
        if let Some(&(x, y)) = points(line).first() {
            let (x, y) = chart.backend_coord(&(x, y));
            let (left, top) = area.get_base_pixel();
            let text = Text::new(
                line.0,
                (x - left + 6, y - top - 18),
                (FONT, 12).into_font().color(&colour),
            );
            area.draw(&text).map_err(failed)?;
        }
    }
    Ok(())
}

/// Bytes for people: three digits and a unit.
fn size(bytes: f64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB"];
    let mut value = bytes;
    let mut unit = 0;
    while value >= 1e3 && unit + 1 < units.len() {
        value /= 1e3;
        unit += 1;
    }
    let digits = if unit == 0 || value >= 100.0 { 0 } else { 1 };
    format!("{value:.digits$} {}", units[unit])
}

fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[expect(clippy::cast_precision_loss, reason = "a hundred thousand pods")]
fn pods(outcome: &Outcome) -> f64 {
    outcome.pods as f64
}

/// The drawing library's errors hold what it draws on, which does not outlive this.
fn failed(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("cannot draw: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!(
            [0.0, 999.0, 1_234.0, 123_456.0, 5e9].map(size),
            ["0 B", "999 B", "1.2 kB", "123 kB", "5.0 GB"]
        );
        assert_eq!(
            [0, 999, 1_000, 1_234_567].map(thousands),
            ["0", "999", "1 000", "1 234 567"]
        );
    }
}
