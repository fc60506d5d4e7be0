//! How output looks: colours on a terminal, plain when piped. The one place that prints.

use std::fmt::Display;
use std::io::Write as _;

use anstyle::{AnsiColor, Style};

/// Headings.
pub(crate) const TITLE: Style = AnsiColor::Cyan.on_default().bold();
/// What went through.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
/// What was stopped.
pub(crate) const BAD: Style = AnsiColor::Red.on_default();
/// What deserves a second look.
pub(crate) const WARN: Style = AnsiColor::Yellow.on_default();
/// What is there for reference.
pub(crate) const FAINT: Style = Style::new().dimmed();
/// Commands to type.
pub(crate) const COMMAND: Style = Style::new().bold();

/// When to use colours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Color {
    /// On a terminal (and unless NO_COLOR is set).
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Color {
    /// Makes the choice hold for everything printed from here on.
    pub(crate) fn set(self) {
        match self {
            Self::Auto => anstream::ColorChoice::Auto,
            Self::Always => anstream::ColorChoice::Always,
            Self::Never => anstream::ColorChoice::Never,
        }
        .write_global();
    }
}

/// `text` in `style`, back to plain behind it.
pub(crate) fn paint(style: Style, text: impl Display) -> String {
    format!("{style}{text}{style:#}")
}

/// One line to standard output.
pub(crate) fn line(text: impl Display) {
    anstream::println!("{text}");
}

/// One line of a long output to standard output, whose reader may have seen enough.
///
/// # Errors
/// When it cannot be written; see [`is_over`].
pub(crate) fn try_line(text: impl Display) -> std::io::Result<()> {
    writeln!(anstream::stdout().lock(), "{text}")
}

/// One line of data to standard output as it is: nothing in it is taken for a colour.
///
/// # Errors
/// When it cannot be written; see [`is_over`].
pub(crate) fn try_data(text: &str) -> std::io::Result<()> {
    writeln!(std::io::stdout().lock(), "{text}")
}

/// Whether writing failed because the reader has seen enough (`| head`): the end, and no mistake.
pub(crate) fn is_over(why: &anyhow::Error) -> bool {
    let io = why.downcast_ref::<std::io::Error>();
    io.is_some_and(|io| io.kind() == std::io::ErrorKind::BrokenPipe)
}

/// One line to standard error: progress and trouble, never the answer.
pub(crate) fn note(text: impl Display) {
    anstream::eprintln!("{text}");
}

/// Columns to write in: the terminal's, or what COLUMNS says; 80 where neither is known.
pub(crate) fn width() -> usize {
    let told = std::env::var("COLUMNS").ok();
    let told = told.and_then(|columns| columns.parse().ok());
    told.unwrap_or_else(textwrap::termwidth)
}

/// A paragraph, wrapped to the terminal (at most 100 columns) and indented.
pub(crate) fn paragraph(text: &str, indent: &str) {
    let width = width().min(100);
    let options = textwrap::Options::new(width)
        .initial_indent(indent)
        .subsequent_indent(indent);
    line(textwrap::fill(text, options));
}

/// A paragraph that is broken at spaces only: names and commands stay whole.
pub(crate) fn sentence(text: &str, indent: &str) {
    let options = textwrap::Options::new(width().min(100))
        .initial_indent(indent)
        .subsequent_indent(indent)
        .word_separator(textwrap::WordSeparator::AsciiSpace)
        .word_splitter(textwrap::WordSplitter::NoHyphenation);
    line(textwrap::fill(text, options));
}

/// YAML as a person would like to see it quoted: a bar in front, comments faint.
pub(crate) fn yaml(text: &str) {
    let bar = paint(FAINT, "│");
    for l in text.trim_end().lines() {
        if l.trim_start().starts_with('#') {
            line(format!("  {bar} {}", paint(FAINT, l)));
        } else {
            line(format!("  {bar} {l}"));
        }
    }
}

/// A bar on standard error for work that takes more than a second; silent when that is no terminal.
pub(crate) fn progress(total: usize, what: &str) -> indicatif::ProgressBar {
    let style = indicatif::ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {eta}");
    let bar = indicatif::ProgressBar::new(total as u64).with_message(what.to_owned());
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
