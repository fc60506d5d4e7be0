//! Flows as text in Hubble's layouts (cilium `hubble/pkg/printer`), with our reason below or beside.

mod words;

use std::io;

use sidewall::flows::{Flow, Line, Lost, Verdict};

use self::words::{ends, escape, flow_type, identity, verdict};
use super::times::TimeFormat;
use crate::flows::Entry;
use crate::ui;

/// The formats of Hubble.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Output {
    /// One line a flow.
    #[default]
    Compact,
    /// KEY: VALUE lines.
    Dict,
    /// Columns, when all flows are there.
    #[value(alias = "tab")]
    Table,
    /// JSON lines as the sidecar wrote them: what `hubble observe --input-file -` reads.
    Jsonpb,
    /// The same.
    Json,
}

impl Output {
    pub(super) const fn is_table(self) -> bool {
        matches!(self, Self::Table)
    }
}

/// For which flows the reason is printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Why {
    /// For those that were blocked, or would have been.
    #[default]
    Blocked,
    /// For every flow that has one.
    Always,
    /// For none.
    Never,
}

/// What is printed of a flow, and how.
#[derive(Debug, Clone, Copy)]
pub(super) struct Options {
    pub(super) time: TimeFormat,
    pub(super) node_name: bool,
    pub(super) policy_names: bool,
    pub(super) numeric: bool,
    pub(super) why: Why,
}

/// Prints entries one by one; a table when it is finished.
pub(super) struct Printer {
    output: Output,
    options: Options,
    rows: Vec<Vec<String>>,
    printed: u64,
}

const DICT_SEPARATOR: &str = "------------";

impl Printer {
    pub(super) fn new(output: Output, options: Options) -> Self {
        Self {
            output,
            options,
            rows: Vec::new(),
            printed: 0,
        }
    }

    /// Prints one.
    pub(super) fn print(&mut self, entry: &Entry) -> anyhow::Result<()> {
        match self.output {
            Output::Json | Output::Jsonpb => ui::try_data(&entry.text)?,
            Output::Compact => self.compact(&entry.line)?,
            Output::Dict => self.dict(&entry.line)?,
            Output::Table => {
                let row = self.row(&entry.line);
                self.rows.push(row);
            }
        }
        self.printed += 1;
        Ok(())
    }

    /// Prints what was held back for the width of the columns.
    pub(super) fn finish(&mut self) -> anyhow::Result<()> {
        if !self.rows.is_empty() {
            ui::try_line(
                columns(self.header(), std::mem::take(&mut self.rows)).trim_end_matches('\n'),
            )?;
        }
        Ok(())
    }

    fn reason<'a>(&self, line: &'a Line) -> Option<&'a str> {
        let blocked = line
            .flow
            .as_ref()
            .is_some_and(|flow| matches!(flow.verdict, Verdict::Dropped | Verdict::Audit));
        match self.options.why {
            Why::Never => None,
            Why::Blocked if !blocked => None,
            Why::Blocked | Why::Always => line.reason(),
        }
    }

    fn compact(&self, line: &Line) -> io::Result<()> {
        let Some(flow) = &line.flow else {
            let lost = line.lost_events.clone().unwrap_or_default();
            let time = self.options.time.print(line.time);
            let source = escape(&lost.source);
            let text = format!(
                "{time} EVENTS LOST: {source} CPU(0) {}",
                lost.num_events_lost
            );
            return ui::try_line(text);
        };
        let (mut from, mut to) = ends(flow, self.options.numeric, true);
        let mut identities = (identity(&flow.source), identity(&flow.destination));
        let arrow = match flow.is_reply {
            None => "<>",
            Some(false) => "->",
            // The one who asked stands on the left.
            Some(true) => {
                std::mem::swap(&mut from, &mut to);
                identities = (identities.1, identities.0);
                "<-"
            }
        };
        let node = match self.options.node_name {
            true => format!(" [{}]", escape(&flow.node_name)),
            false => String::new(),
        };
        ui::try_line(format!(
            "{}{node}: {from} {} {arrow} {to} {} {} {} ({})",
            self.options.time.print(flow.time),
            identities.0,
            identities.1,
            flow_type(flow),
            verdict(flow, self.options.policy_names, true),
            escape(&flow.summary),
        ))?;
        if let Some(reason) = self.reason(line) {
            ui::try_line(format!("    {}", ui::paint(ui::FAINT, escape(reason))))?;
        }
        Ok(())
    }

    fn dict(&self, line: &Line) -> io::Result<()> {
        if self.printed > 0 {
            ui::try_line(DICT_SEPARATOR)?;
        }
        let say = |key: &str, value: &str| ui::try_line(format!("{key:>11}: {value}"));
        let Some(flow) = &line.flow else {
            let lost = line.lost_events.clone().unwrap_or_default();
            say("TIMESTAMP", &self.options.time.print(line.time))?;
            if self.options.node_name {
                say("NODE", or_dash(&line.node_name))?;
            }
            say("SOURCE", &escape(&lost.source))?;
            say("TYPE", "EVENTS LOST")?;
            say("VERDICT", "-")?;
            return say("SUMMARY", &lost_summary(&lost));
        };
        let (from, to) = ends(flow, self.options.numeric, true);
        say("TIMESTAMP", &self.options.time.print(flow.time))?;
        if self.options.node_name {
            say("NODE", &escape(&flow.node_name))?;
        }
        say("SOURCE", &from)?;
        say("DESTINATION", &to)?;
        say("TYPE", &flow_type(flow))?;
        say("VERDICT", &verdict(flow, self.options.policy_names, true))?;
        say("SUMMARY", &escape(&flow.summary))?;
        if let Some(reason) = self.reason(line) {
            say("WHY", &escape(reason))?;
        }
        Ok(())
    }

    fn header(&self) -> Vec<String> {
        let node = self.options.node_name.then_some("NODE");
        let why = (self.options.why != Why::Never).then_some("WHY");
        let rest = ["SOURCE", "DESTINATION", "TYPE", "VERDICT", "SUMMARY"];
        let all = std::iter::once("TIMESTAMP")
            .chain(node)
            .chain(rest)
            .chain(why);
        all.map(str::to_owned).collect()
    }

    fn row(&self, line: &Line) -> Vec<String> {
        let mut row = Vec::with_capacity(8);
        let (time, node) = match &line.flow {
            Some(flow) => (flow.time, escape(&flow.node_name)),
            None => (line.time, or_dash(&line.node_name).to_owned()),
        };
        row.push(self.options.time.print(time));
        if self.options.node_name {
            row.push(node);
        }
        if let Some(flow) = &line.flow {
            // Colours have a width here, and none on the terminal.
            let (from, to) = ends(flow, self.options.numeric, false);
            let verdict = verdict(flow, self.options.policy_names, false);
            row.extend([from, to, flow_type(flow), verdict, escape(&flow.summary)]);
        } else {
            let lost = line.lost_events.clone().unwrap_or_default();
            let (dash, summary) = ("-".to_owned(), lost_summary(&lost));
            row.extend([
                escape(&lost.source),
                dash.clone(),
                "EVENTS LOST".to_owned(),
                dash,
                summary,
            ]);
        }
        if self.options.why != Why::Never {
            row.push(self.reason(line).map(escape).unwrap_or_default());
        }
        row
    }
}

fn or_dash(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}

/// Hubble names the CPU of a ring buffer; a sidecar has none.
fn lost_summary(lost: &Lost) -> String {
    format!("CPU(0) - {}", lost.num_events_lost)
}

/// Columns three spaces apart, the last one as long as it is (Go's text/tabwriter with padding 3, as
/// Hubble sets it up).
fn columns(header: Vec<String>, rows: Vec<Vec<String>>) -> String {
    let all: Vec<Vec<String>> = std::iter::once(header).chain(rows).collect();
    let count = all.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        let cells = all.iter().filter_map(|row| row.get(column));
        cells
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or_default()
            + 3
    };
    let widths: Vec<usize> = (0..count).map(width).collect();
    let mut text = String::new();
    for row in &all {
        for (cell, width) in row.iter().zip(&widths).take(count - 1) {
            text.push_str(cell);
            text.extend(std::iter::repeat_n(' ', width - cell.chars().count()));
        }
        if let Some(last) = row.last() {
            text.push_str(last);
        }
        text.push('\n');
    }
    text
}

/// The name of a flow's end, for the summary.
pub(super) fn short_name(flow: &Flow, end: sidewall::net::Direction) -> String {
    escape(&flow.name_of(end))
}
