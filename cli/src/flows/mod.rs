//! Lines of flow logs, from wherever they come: files and standard input ([`input`]), or the
//! sidecars' own logs through the API server ([`sidecars`]). What is in a line the core reads
//! ([`sidewall::flows`]); what is no line is counted and named ([`Unread`]), never dropped silently.

pub(crate) mod input;
mod log;
mod position;
pub(crate) mod sidecars;

use std::sync::Arc;

use sidewall::flows::{BadLine, Line};

use crate::ui;

/// A line with its text.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// As written: what `-o json` prints.
    pub(crate) text: String,
    /// As read.
    pub(crate) line: Line,
}

/// One line of whatever was read.
#[derive(Debug)]
pub(crate) enum Item {
    /// A line of a flow log.
    Entry(Box<Entry>),
    /// No line of a flow log, in a place where nothing else should be.
    Bad {
        /// File and line, or pod.
        place: String,
        why: BadLine,
    },
    /// A sidecar's own message, which stands in the same log of its container.
    Message,
    /// A log that cannot be read, or not to its end.
    Broken { place: String, why: String },
}

impl Item {
    /// A line of a file that holds flows and nothing else.
    pub(crate) fn of_file(text: String, place: impl FnOnce() -> String) -> Self {
        match Line::parse(&text) {
            Ok(line) => Self::Entry(Box::new(Entry { text, line })),
            Err(why) => Self::Bad {
                place: place(),
                why,
            },
        }
    }

    /// A line of a container's log, where the program's own messages stand too.
    pub(crate) fn of_container(text: String, pod: &str) -> Self {
        match Self::of_file(text, || pod.to_owned()) {
            Self::Bad {
                why: BadLine::NotJson(_) | BadLine::NotAFlow,
                ..
            } => Self::Message,
            other => other,
        }
    }
}

/// What could not be read.
#[derive(Debug, Default)]
pub(crate) struct Unread {
    bad: u64,
    named: Vec<String>,
    broken: Vec<String>,
    messages: u64,
}

/// Bad lines that are named one by one; the rest is a number.
const NAMED: usize = 5;

impl Unread {
    /// The line, if it is one; else it is counted here.
    pub(crate) fn sort(&mut self, item: Item) -> Option<Box<Entry>> {
        match item {
            Item::Entry(entry) => return Some(entry),
            Item::Bad { place, why } => {
                self.bad += 1;
                if self.named.len() < NAMED {
                    self.named.push(format!("{place}: {why}"));
                }
            }
            Item::Broken { place, why } => self.broken.push(format!("{place}: {why}")),
            Item::Message => self.messages += 1,
        }
        None
    }

    /// Whether everything was read.
    pub(crate) const fn is_clean(&self) -> bool {
        self.bad == 0 && self.broken.is_empty()
    }

    /// Says on stderr what was not read.
    pub(crate) fn tell(&self) {
        for broken in &self.broken {
            ui::note(format!("{} {broken}", ui::paint(ui::BAD, "✗")));
        }
        if self.bad > 0 {
            let lines = if self.bad == 1 {
                "line is"
            } else {
                "lines are"
            };
            let sentence = format!("{} {lines} no flow log and left out:", self.bad);
            ui::note(ui::paint(ui::BAD, sentence));
            for named in &self.named {
                ui::note(format!("  {named}"));
            }
            let more = self.bad - self.named.len() as u64;
            if more > 0 {
                ui::note(format!("  … and {more} more"));
            }
        }
        if self.messages > 0 {
            let text = format!(
                "{} messages of the sidecars themselves left out",
                self.messages
            );
            ui::note(ui::paint(ui::FAINT, text));
        }
    }
}

/// Lines on their way; small, so that a reader that is slow holds up what it reads from.
pub(crate) type Lines = tokio::sync::mpsc::Receiver<Item>;
type Sender = tokio::sync::mpsc::Sender<Item>;

/// A channel for lines.
fn channel() -> (Sender, Lines) {
    tokio::sync::mpsc::channel(1024)
}

/// A pod's full name, shared by its lines.
type PodName = Arc<str>;
