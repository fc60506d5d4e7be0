//! Plots as SVG: streams as bars, and what happens as the cluster grows as lines.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow};
use plotters::prelude::*;

use super::{Column, Point, Records, Row, growth, median};

const WIDTH: u32 = 960;
const BARS: u32 = 340;
const LINES: u32 = 360;
const FONT: &str = "sans-serif";

/// A colour that tells the row apart in every plot (Okabe and Ito's, which the colour-blind see too).
const fn colour(row: Row) -> RGBColor {
    match row {
        Row::Direct => RGBColor(0, 0, 0),
        Row::Nftables => RGBColor(86, 180, 233),
        Row::KubeRouter => RGBColor(204, 121, 167),
        Row::Haproxy => RGBColor(230, 159, 0),
        Row::Tc => RGBColor(0, 114, 178),
        Row::Bpf => RGBColor(0, 158, 115),
        Row::Offload => RGBColor(213, 94, 0),
    }
}

/// Draws all of them into a folder, which is made.
pub(super) fn draw(records: &Records, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let write = |name: &str, drawn: Result<String>| {
        let path = folder.join(name);
        fs::write(&path, drawn?).with_context(|| format!("cannot write {}", path.display()))
    };
    write("streams.svg", streams(records))?;
    let settings = &records.settings;
    let with = |same: fn(&Point) -> bool| {
        let mut points: Vec<Point> = settings.all_points().filter(same).collect();
        points.sort_unstable();
        points
    };
    let policies = with(|point| point.policies > 0 && point.addresses == 100);
    let addresses = with(|point| point.policies == 10);
    write(
        "policies.svg",
        lines(records, &policies, "policies", |point| point.policies),
    )?;
    write(
        "addresses.svg",
        lines(records, &addresses, "addresses", |point| point.addresses),
    )
}

/// Rows as bars, towards the pod and from it.
fn streams(records: &Records) -> Result<String> {
    let rows = &records.settings.rows;
    let panels = [Column::StreamIn, Column::StreamOut];
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, BARS)).into_drawing_area();
        area.fill(&WHITE).map_err(failed)?;
        let areas = area.split_evenly((1, panels.len()));
        for (area, column) in areas.iter().zip(panels) {
            let values: Vec<(Row, f64)> = rows
                .iter()
                .filter_map(|row| Some((*row, median(records, Point::BASE, *row, false, column)?)))
                .collect();
            let top = values.iter().map(|(_, value)| *value).fold(1.0, f64::max);
            let count = i32::try_from(values.len())?.max(1);
            let mut chart = ChartBuilder::on(area)
                .caption(format!("{}, IPv4", column.label()), (FONT, 16))
                .margin(12)
                .x_label_area_size(24)
                .build_cartesian_2d(0.0..top * 1.1, 0..count)
                .map_err(failed)?;
            chart
                .configure_mesh()
                .disable_y_mesh()
                .disable_y_axis()
                .light_line_style(WHITE)
                .draw()
                .map_err(failed)?;
            for (place, (row, value)) in values.iter().rev().enumerate() {
                let place = i32::try_from(place)?;
                let mut bar = Rectangle::new(
                    [(0.0, place), (*value, place + 1)],
                    colour(*row).mix(0.55).filled(),
                );
                bar.set_margin(3, 3, 0, 0);
                chart.draw_series([bar]).map_err(failed)?;
                // Below the bar's upper edge.
                let (x, y) = chart.backend_coord(&(top * 0.02, place + 1));
                area.draw(&Text::new(
                    format!("{}  {value:.1}", row.label()),
                    local(area, x, y + 12),
                    (FONT, 13).into_font().color(&BLACK),
                ))
                .map_err(failed)?;
            }
        }
        area.present().map_err(failed)?;
    }
    Ok(svg)
}

/// A point of the whole picture within one of its areas.
fn local<DB: DrawingBackend>(
    area: &DrawingArea<DB, plotters::coord::Shift>,
    x: i32,
    y: i32,
) -> (i32, i32) {
    let (left, top) = area.get_base_pixel();
    (x - left, y - top)
}

/// What must not grow, over the size of the cluster.
fn lines(
    records: &Records,
    points: &[Point],
    axis: &str,
    size: fn(&Point) -> u32,
) -> Result<String> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, LINES)).into_drawing_area();
        area.fill(&WHITE).map_err(failed)?;
        let (panels, legend) = area.split_vertically(LINES - 40);
        let areas = panels.split_evenly((1, growth::COLUMNS.len()));
        for (area, column) in areas.iter().zip(growth::COLUMNS) {
            panel(records, points, axis, size, area, column)?;
        }
        let step = i32::try_from(WIDTH)? / i32::try_from(records.settings.rows.len().max(1))?;
        for (place, row) in records.settings.rows.iter().enumerate() {
            let x = step * i32::try_from(place)? + 12;
            let dot = Circle::new((x, 14), 5, colour(*row).filled());
            legend.draw(&dot).map_err(failed)?;
            let text = Text::new(
                row.label(),
                (x + 10, 7),
                (FONT, 12).into_font().color(&BLACK),
            );
            legend.draw(&text).map_err(failed)?;
        }
        area.present().map_err(failed)?;
    }
    Ok(svg)
}

fn panel<DB: DrawingBackend>(
    records: &Records,
    points: &[Point],
    axis: &str,
    size: fn(&Point) -> u32,
    area: &DrawingArea<DB, plotters::coord::Shift>,
    column: Column,
) -> Result<()>
where
    DB::ErrorType: 'static,
{
    let series: Vec<(Row, Vec<(u32, f64)>)> = records
        .settings
        .rows
        .iter()
        .map(|row| {
            let value = |point: &Point| median(records, *point, *row, false, column);
            let values = points
                .iter()
                .filter_map(|point| Some((size(point), value(point)?)));
            (*row, values.collect())
        })
        .collect();
    let values = series.iter().flat_map(|(_, values)| values);
    let top = values.map(|(_, value)| *value).fold(1.0, f64::max);
    let first = points.first().map_or(1, size).max(1);
    let last = points.last().map_or(10, size).max(first + 1);
    let mut chart = ChartBuilder::on(area)
        .caption(column.label(), (FONT, 15))
        .margin(10)
        // The last label is wider than its tick.
        .margin_right(24)
        .x_label_area_size(34)
        .y_label_area_size(40)
        .build_cartesian_2d((first..last).log_scale(), 0.0..top * 1.05)
        .map_err(failed)?;
    chart
        .configure_mesh()
        .x_desc(axis)
        .light_line_style(WHITE)
        .draw()
        .map_err(failed)?;
    for (row, values) in series {
        let style = colour(row).stroke_width(2);
        chart
            .draw_series(LineSeries::new(values.clone(), style))
            .map_err(failed)?;
        let dots = values.into_iter();
        chart
            .draw_series(dots.map(|at| Circle::new(at, 3, colour(row).filled())))
            .map_err(failed)?;
    }
    Ok(())
}

/// The drawing library's errors hold what it draws on, which does not outlive this.
fn failed(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("cannot draw: {error}")
}
