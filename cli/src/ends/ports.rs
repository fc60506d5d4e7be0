//! The ports of an end: those it has, and which of them a question is about.

use std::collections::{BTreeMap, BTreeSet};

use sidewall::net::Protocol;

use super::{End, EndKind};
use crate::port::{NumberOrName, Port};
use crate::source::Source;

/// The ports that a question is about: as typed, or all that the end is known to have. None: it has
/// none of that name; or it is a Service, which has no others than its own.
pub(super) fn asked(end: &End, typed: Option<&Port>, source: &Source) -> BTreeSet<(Protocol, u16)> {
    let known = ports_of(end, source);
    let Some(Port { port, protocol }) = typed else {
        return known.into_keys().collect();
    };
    match port {
        NumberOrName::Number(number) => {
            let wanted = (*protocol, *number);
            let has = !matches!(end.kind, EndKind::Service(_)) || known.contains_key(&wanted);
            has.then_some(wanted).into_iter().collect()
        }
        NumberOrName::Name(name) => {
            let named = known
                .into_iter()
                .filter(|((of, _), names)| of == protocol && names.contains(name));
            named.map(|(port, _)| port).collect()
        }
    }
}

/// That the end has no such port, and which it has.
pub(super) fn none(end: &End, typed: Option<&Port>, source: &Source) -> String {
    let Some(typed) = typed else {
        return format!(
            "which port of {end}? It names none of its own: give --port, as in --port 5432"
        );
    };
    let known = ports_of(end, source).into_iter();
    let known = known.map(|((protocol, number), names)| {
        let names: Vec<String> = names.into_iter().collect();
        match names.as_slice() {
            [] => format!("{number}/{protocol}"),
            names => format!("{} ({number}/{protocol})", names.join(", ")),
        }
    });
    let known: Vec<String> = known.collect();
    let has = if known.is_empty() {
        "it names none".to_owned()
    } else {
        format!("it has {}", known.join(", "))
    };
    format!("{end} has no port {typed}: {has}")
}

/// The ports that an end is known to have, with their names.
fn ports_of(end: &End, source: &Source) -> BTreeMap<(Protocol, u16), BTreeSet<String>> {
    let mut ports: BTreeMap<(Protocol, u16), BTreeSet<String>> = BTreeMap::new();
    match &end.kind {
        EndKind::Pod { pod, .. } => {
            for port in source.ports(pod) {
                let names = ports.entry((port.protocol, port.number)).or_default();
                names.extend((!port.name.is_empty()).then_some(port.name));
            }
        }
        EndKind::Service(id) => {
            let here = source
                .cluster
                .services()
                .filter(|service| service.id == *id);
            for port in here.flat_map(|service| &service.ports) {
                let names = ports.entry((port.protocol, port.number)).or_default();
                names.extend((!port.name.is_empty()).then(|| port.name.clone()));
            }
        }
        EndKind::Address(_) | EndKind::World => {}
    }
    ports
}
