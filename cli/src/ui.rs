//! How output looks: colours on a terminal, plain when piped. The one place that prints.

use std::fmt::Display;

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

/// One line to standard error: progress and trouble, never the answer.
pub(crate) fn note(text: impl Display) {
    anstream::eprintln!("{text}");
}

/// A paragraph, wrapped to the terminal (at most 100 columns) and indented.
pub(crate) fn paragraph(text: &str, indent: &str) {
    let width = textwrap::termwidth().min(100);
    let options = textwrap::Options::new(width)
        .initial_indent(indent)
        .subsequent_indent(indent);
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
