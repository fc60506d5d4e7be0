//! The stories under `examples/`, carried in the binary so that `sidewall demo` needs no files.

/// A file of a story: its name and its text.
type File = (&'static str, &'static str);

macro_rules! story {
    ($name:literal: $($file:literal),+ $(,)?) => {
        ($name, &[$(($file, include_str!(concat!("../../../examples/", $name, "/", $file)))),+])
    };
}

/// In the order in which a newcomer would take them.
const STORIES: &[(&str, &[File])] = &[
    story!("np-demo": "2-db-default-deny.yaml", "3-db-allow-api.yaml", "4-api-default-deny-egress.yaml", "5-api-allow-db.yaml", "6-api-allow-dns.yaml", "cluster.yaml", "story.yaml"),
    story!("default-policies": "allow-egress.yaml", "allow-ingress.yaml", "cluster.yaml", "deny-all.yaml", "deny-egress.yaml", "deny-ingress.yaml", "story.yaml"),
    story!("mysql": "2-either.yaml", "3-both.yaml", "4-label-guests.yaml", "cluster.yaml", "story.yaml"),
    story!("three-tier": "2-default-deny.yaml", "3-tiers.yaml", "4-dns.yaml", "cluster.yaml", "story.yaml"),
    story!("ip-block": "2-office.yaml", "3-printers.yaml", "cluster.yaml", "story.yaml"),
    story!("sctp": "2-sctp.yaml", "cluster.yaml", "story.yaml"),
];

/// The names of the stories.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    STORIES.iter().map(|(name, _)| *name)
}

/// The files of one story.
pub(crate) fn find(name: &str) -> Option<&'static [File]> {
    STORIES
        .iter()
        .find(|(n, _)| *n == name)
        .map(|(_, files)| *files)
}
