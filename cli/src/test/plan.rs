//! Tests with their names resolved: who connects, to whom, on which port.

use sidewall::manifest::Mistake;

use super::file::{Destination, Test};
use crate::ends::{End, EndKind, EndName};
use crate::port::NumberOrName;
use crate::source::Source;

/// A test that can be made.
#[derive(Debug, Clone)]
pub(crate) struct Plan<'a> {
    pub(crate) test: &'a Test,
    /// Every end that its names stand for, and to each the port's number there.
    pub(crate) pairs: Vec<Pair>,
}

/// A connection of a test.
#[derive(Debug, Clone)]
pub(crate) struct Pair {
    pub(crate) from: End,
    pub(crate) to: End,
    pub(crate) port: u16,
}

impl<'a> Plan<'a> {
    /// Resolves all tests; `Err`: every name that means nothing, with its place.
    pub(crate) fn all(tests: &'a [Test], source: &Source) -> Result<Vec<Self>, Vec<Mistake>> {
        let (mut plans, mut mistakes) = (Vec::new(), Vec::new());
        for test in tests {
            match pairs(test, source) {
                Ok(pairs) => plans.push(Self { test, pairs }),
                Err(problems) => mistakes.extend(problems.into_iter().map(|problem| Mistake {
                    file: test.file.clone(),
                    document: 1,
                    line: test.line,
                    field: String::new(),
                    problem,
                })),
            }
        }
        if mistakes.is_empty() {
            Ok(plans)
        } else {
            Err(mistakes)
        }
    }
}

fn pairs(test: &Test, source: &Source) -> Result<Vec<Pair>, Vec<String>> {
    let from = test.from.resolve(source).map_err(|why| why.to_string());
    let to = match &test.to {
        Destination::End(end) => end.resolve(source),
        // Who a name outside is, only its resolver knows; to a policy it is some address outside.
        Destination::Host(_) => EndName::World.resolve(source),
    };
    let to = to.map_err(|why| why.to_string()).and_then(|ends| {
        let with_port = |to: End| {
            let port = port(&to, test, source)?;
            Ok((to, port))
        };
        ends.into_iter()
            .map(with_port)
            .collect::<Result<Vec<_>, String>>()
    });
    let (from, to) = match (from, to) {
        (Ok(from), Ok(to)) => (from, to),
        (from, to) => return Err(from.err().into_iter().chain(to.err()).collect()),
    };
    let several = from.len() > 1 || to.len() > 1;
    let pairs = from.iter().flat_map(|from| {
        to.iter().map(move |(to, port)| Pair {
            from: from.clone(),
            to: to.clone(),
            port: *port,
        })
    });
    // Of several pods, a pod's connection to itself tells nothing: it never leaves the pod.
    let pairs: Vec<Pair> = pairs
        .filter(|pair| !(several && pair.from.kind == pair.to.kind))
        .collect();
    if pairs.is_empty() {
        return Err(vec!["both ends are the same one pod".to_owned()]);
    }
    Ok(pairs)
}

/// The port's number at a destination.
fn port(to: &End, test: &Test, source: &Source) -> Result<u16, String> {
    let protocol = test.port.protocol;
    let name = match &test.port.port {
        NumberOrName::Number(number) => return Ok(*number),
        NumberOrName::Name(name) => name,
    };
    let number = match &to.kind {
        EndKind::Pod { pod, .. } => {
            let pod = source.cluster.pod(pod);
            pod.and_then(|pod| pod.named_port(protocol, name))
        }
        EndKind::Service(id) => {
            let service = source.cluster.services().find(|service| service.id == *id);
            let ports = service.into_iter().flat_map(|service| &service.ports);
            let mut ports = ports.filter(|port| port.name == *name && port.protocol == protocol);
            ports.next().map(|port| port.number)
        }
        EndKind::Address(_) | EndKind::World => None,
    };
    number.ok_or_else(|| format!("{to} has no {protocol} port named {name:?}; give its number"))
}
