//! The injector on a stream of YAML documents: what `sidewall inject` and `uninject` do.
//!
//! Documents that do not change are handed on letter by letter, comments and all. Those that do
//! are written anew: keys in their order, unknown fields kept, comments gone. All or nothing: a
//! stream with a pod that is refused has no result.

use super::consent::{Consent, Skip};
use super::pod;
use super::tree::Node;
use super::workload::{self, Name};
use super::{Injector, Outcome};

/// What was done to a stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Done {
    /// The stream; `None` when something in it was refused.
    pub yaml: Option<String>,
    /// One line for each object, in order.
    pub report: Vec<(Name, Line)>,
}

/// What was done to one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// It was changed: in which way, and what its author should know.
    Changed(&'static str, Vec<String>),
    /// It stays as it was, and why.
    Skipped(Skip),
    /// There was no sidecar in it.
    NotInjected,
    /// It cannot be, and everything that is wrong with it.
    Refused(Vec<String>),
}

/// A document that is no YAML.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("document {number} (from line {line}): {message}")]
pub struct NotYaml {
    /// The document's number, from 1.
    pub number: usize,
    /// The line it begins at.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}

/// Puts the sidecar into every pod template of a stream.
///
/// # Errors
/// The first document that is no YAML.
pub fn inject(text: &str, injector: &Injector, namespace: Option<&str>) -> Result<Done, NotYaml> {
    each(text, |name, template| {
        let namespace = name.namespace.as_deref().or(namespace);
        let consent = Consent {
            namespace,
            own_namespace: None,
            namespace_says: None,
        };
        match injector.inject(template, &consent) {
            Outcome::Skipped(skip) => Line::Skipped(skip),
            Outcome::Refused(mistakes) => Line::Refused(mistakes),
            Outcome::Injected(injected) => {
                *template = injected.pod;
                Line::Changed(injected.change.as_str(), injected.warnings)
            }
        }
    })
}

/// Takes the sidecar out of every pod template of a stream.
///
/// # Errors
/// The first document that is no YAML.
pub fn uninject(text: &str) -> Result<Done, NotYaml> {
    each(text, |_, template| {
        if pod::take_out(template) {
            Line::Changed("removed", Vec::new())
        } else {
            Line::NotInjected
        }
    })
}

fn each(text: &str, mut change: impl FnMut(&Name, &mut Node) -> Line) -> Result<Done, NotYaml> {
    let mut yaml = String::with_capacity(text.len() * 2);
    let mut report = Vec::new();
    let mut refused = false;
    for (index, piece) in pieces(text).into_iter().enumerate() {
        let Some(mut document) = piece.read(index + 1)? else {
            yaml.push_str(piece.text);
            continue;
        };
        let mut changed = false;
        workload::visit(&mut document, &mut |name, template| {
            let line = match template {
                None => Line::Skipped(Skip::NoPodTemplate),
                Some(None) => Line::Refused(vec!["it has no pod template".to_owned()]),
                Some(Some(template)) => change(name, template),
            };
            changed |= matches!(line, Line::Changed(..));
            refused |= matches!(line, Line::Refused(_));
            report.push((name.clone(), line));
        });
        if changed {
            if !yaml.is_empty() && !yaml.ends_with('\n') {
                yaml.push('\n');
            }
            if piece.has_marker {
                yaml.push_str("---\n");
            }
            yaml.push_str(&write(&document));
        } else {
            yaml.push_str(piece.text);
        }
    }
    Ok(Done {
        yaml: (!refused).then_some(yaml),
        report,
    })
}

/// A piece of the stream: one document with the marker in front of it.
struct Piece<'a> {
    text: &'a str,
    line: usize,
    has_marker: bool,
}

/// Cuts where a line begins with the marker `---` or `...`: in column 0 these are markers even
/// inside a block of text (YAML 1.2.2, section 9.1.2).
fn pieces(text: &str) -> Vec<Piece<'_>> {
    let is_marker = |line: &str| {
        ["---", "..."].iter().any(|marker| {
            line.strip_prefix(marker)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace))
        })
    };
    let mut pieces = Vec::new();
    let (mut start, mut start_line, mut at) = (0, 1, 0);
    for (number, line) in text.split_inclusive('\n').enumerate() {
        if is_marker(line) && at > start {
            pieces.push((start, at, start_line));
            (start, start_line) = (at, number + 1);
        }
        at += line.len();
    }
    pieces.push((start, text.len(), start_line));
    let pieces = pieces.into_iter().map(|(from, to, line)| {
        let text = &text[from..to];
        Piece {
            text,
            line,
            has_marker: text.starts_with("---"),
        }
    });
    pieces.collect()
}

impl Piece<'_> {
    /// The document; `None` when there is none: comments, directives, nothing.
    fn read(&self, number: usize) -> Result<Option<Node>, NotYaml> {
        let silent = |line: &str| {
            let line = line.trim();
            line.is_empty()
                || line == "---"
                || line == "..."
                || line.starts_with('#')
                || line.starts_with('%')
        };
        if self.text.lines().all(silent) {
            return Ok(None);
        }
        // Kubernetes reads YAML as sigs.k8s.io/yaml does: 0640 is octal, `yes` is true.
        let options = serde_saphyr::options! { legacy_octal_numbers: true };
        let document = serde_saphyr::from_str_with_options(self.text, options);
        let document: Node = document.map_err(|error| NotYaml {
            number,
            line: self.line,
            message: error.to_string(),
        })?;
        Ok(Some(document).filter(|document| *document != Node::Null))
    }
}

fn write(document: &Node) -> String {
    // Long lines stay lines: a folded one is the same text, but nobody's wording of it.
    let options = serde_saphyr::ser_options! { folded_wrap_chars: usize::MAX };
    serde_saphyr::to_string_with_options(document, options)
        .expect("a tree has text keys only, and text can be written to text")
}
