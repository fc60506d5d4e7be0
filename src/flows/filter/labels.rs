//! `--label`: a selector as kubectl takes it, of labels with a source as Cilium writes them.
//!
//! `app=db,tier in (a,b),!old` and, with a source, `k8s:app=db` or `reserved:world`. A key without a
//! source means every source (cilium `pkg/hubble/filters/labels.go`).

use crate::policy::allow_list::Requirement;
use crate::policy::selector;

/// A selector over labels with sources.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Labels(Vec<Sourced>);

#[derive(Debug, Clone, PartialEq)]
struct Sourced {
    /// `None`: whatever the source.
    source: Option<String>,
    requirement: Requirement,
}

impl Labels {
    /// Reads it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let requirements = selector::parse(text)?;
        let sourced = requirements.into_iter().map(|mut requirement| {
            let source = match requirement.key.split_once(':') {
                Some(("any", key)) => (None, key.to_owned()),
                Some((source, key)) => (Some(source.to_owned()), key.to_owned()),
                None => (None, requirement.key.clone()),
            };
            requirement.key = source.1;
            selector::check_key(&requirement.key)?;
            Ok(Sourced {
                source: source.0,
                requirement,
            })
        });
        sourced.collect::<Result<_, _>>().map(Self)
    }

    /// Whether all of it holds.
    pub(super) fn match_all(&self, labels: &[String]) -> bool {
        self.0.iter().all(|sourced| {
            let value = labels.iter().find_map(|label| sourced.value_in(label));
            sourced.requirement.holds(value)
        })
    }
}

impl Sourced {
    /// The value, if this label is meant. Labels without a value have an empty one.
    fn value_in<'a>(&self, label: &'a str) -> Option<&'a str> {
        let (key, value) = label.split_once('=').unwrap_or((label, ""));
        let (source, key) = key.split_once(':').unwrap_or(("", key));
        let meant = self.source.as_deref().is_none_or(|wanted| wanted == source);
        (meant && key == self.requirement.key).then_some(value)
    }
}
