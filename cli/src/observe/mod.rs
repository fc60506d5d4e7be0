//! `sidewall observe`: the flow logs of all sidecars as one, with Hubble's flags and formats, and
//! beside each block the sidecar's own sentence why. Flows go to stdout, the summary to stderr.
//!
//! Lines come from [`crate::flows`], [`flags`] choose among them (the core's filter, in the order
//! typed), [`select`] takes the first, the last or a span of time, [`print`] spells them and
//! [`summary`] counts them.
//!
//! Exit codes: 0; 2 when something could not be read, which is named.

pub(crate) mod flags;
mod print;
mod select;
mod summary;
pub(crate) mod times;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use jiff::Timestamp;

use self::flags::FilterFlags;
use self::print::{Options, Output, Printer, Why};
use self::select::Selection;
use self::summary::Summary;
use self::times::TimeFormat;
use crate::flows::sidecars::{Past, Sidecars};
use crate::flows::{Entry, Lines, Unread, input};
use crate::signals::interrupted;
use crate::source::ClusterArgs;
use crate::ui;

/// What `sidewall observe` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Read flows from this file instead of the cluster; - is standard input. May be repeated.
    #[arg(long, value_name = "FILE", help_heading = "Where flows come from")]
    input_file: Vec<PathBuf>,
    #[command(flatten)]
    cluster: ClusterArgs,
    /// Read only the sidecars of this namespace's pods; may be repeated. Without it, all pods' are read.
    #[arg(long, value_name = "NAMESPACE", help_heading = "Where flows come from")]
    sidecars_in: Vec<String>,
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    filter: FilterFlags,
    /// How flows are printed.
    #[arg(short, long, value_enum, default_value_t, help_heading = "Output")]
    output: Output,
    /// How times are printed (not in JSON).
    #[arg(
        long,
        value_enum,
        default_value_t,
        ignore_case = true,
        help_heading = "Output"
    )]
    time_format: TimeFormat,
    /// Print the node's name too.
    #[arg(long, help_heading = "Output")]
    print_node_name: bool,
    /// Print the names of the policies that decided, as Hubble does.
    #[arg(long, help_heading = "Output")]
    print_policy_names: bool,
    /// Print addresses instead of names.
    #[arg(long, help_heading = "Output")]
    numeric: bool,
    /// For which flows the sidecar's reason is printed; never is Hubble's own layout.
    #[arg(long, value_enum, default_value_t, help_heading = "Output")]
    why: Why,
    /// No summary on stderr at the end.
    #[arg(long, help_heading = "Output")]
    no_summary: bool,
}

/// Runs the command.
///
/// # Errors
/// When flags contradict each other, or neither file nor cluster can be read.
pub(crate) async fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if args.selection.follow && args.output.is_table() {
        bail!("--output table is not compatible with --follow: its columns need all lines");
    }
    let from_files = !args.input_file.is_empty();
    let span = args.selection.span(Timestamp::now(), from_files)?;
    let options = Options {
        time: args.time_format,
        node_name: args.print_node_name,
        policy_names: args.print_policy_names,
        numeric: args.numeric,
        why: args.why,
    };
    let mut run = Observation {
        args,
        printer: Printer::new(args.output, options),
        summary: Summary::new(args.cluster.as_typed()),
        unread: Unread::default(),
    };
    let mut interrupted = std::pin::pin!(interrupted());
    let done = tokio::select! {
        done = run.observe(span) => done,
        // Ctrl-C ends what is followed; what was seen until then is counted.
        caught = &mut interrupted => caught,
    };
    match done.and_then(|()| run.printer.finish()) {
        Err(why) if ui::is_over(&why) => {}
        done => done?,
    }
    if !args.no_summary {
        run.summary.tell();
        run.unread.tell();
    }
    Ok(if run.unread.is_clean() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(2)
    })
}

/// What goes on from line to line.
struct Observation<'a> {
    args: &'a Args,
    printer: Printer,
    summary: Summary,
    unread: Unread,
}

impl Observation<'_> {
    async fn observe(&mut self, span: select::Span) -> anyhow::Result<()> {
        if !self.args.input_file.is_empty() {
            return self
                .pass(input::read(self.args.input_file.clone()), &span, false)
                .await;
        }
        let client = self.args.cluster.client().await?;
        let sidecars = Sidecars::new(client, self.args.sidecars_in.clone());
        let past = if span.wants_past() {
            Past::Since(span.since)
        } else {
            Past::Nothing
        };
        let lines = sidecars.past(past).await?;
        self.pass(lines, &span, true).await?;
        if span.follow {
            let live = span.without_limits();
            self.pass(sidecars.follow(), &live, false).await?;
        }
        Ok(())
    }

    /// Filters, selects and prints. Lines of many logs are sorted by time, which needs all of them.
    async fn pass(
        &mut self,
        mut lines: Lines,
        span: &select::Span,
        sort: bool,
    ) -> anyhow::Result<()> {
        let mut kept = span.keeper(sort);
        while let Some(item) = lines.recv().await {
            let Some(entry) = self.unread.sort(item) else {
                continue;
            };
            if !span.contains(&entry.line) || !self.args.filter.0.matches(&entry.line) {
                self.summary.hidden();
                continue;
            }
            if let Some(ready) = kept.take(entry) {
                self.show(&ready)?;
            }
            if kept.is_full() {
                return Ok(());
            }
        }
        for ready in kept.rest() {
            self.show(&ready)?;
        }
        Ok(())
    }

    fn show(&mut self, entry: &Entry) -> anyhow::Result<()> {
        self.summary.count(&entry.line);
        self.printer.print(entry)
    }
}
