//! An entry in the format of netassert v2 (github.com/controlplaneio/netassert), with its checks and
//! defaults. `exitCode: 0` expects the connection to be made, any other that it is not.

use std::time::Duration;

use sidewall::manifest::Located;
use sidewall::policy::allow_list::ObjectRef;
use sidewall::spelling::nearest;

use super::{ATTEMPTS, Destination, Reader, TIMEOUT, Test};
use crate::ends::{self, EndName};
use crate::expect::Expect;
use crate::port::{NumberOrName, Port};

/// `pass` and `failureReason` are what netassert writes into its own answers; `clone` was in its
/// drafts.
const FIELDS: [&str; 11] = [
    "name",
    "type",
    "protocol",
    "targetPort",
    "timeoutSeconds",
    "attempts",
    "exitCode",
    "src",
    "dst",
    "pass",
    "failureReason",
];
const KINDS: [(&str, &str); 4] = [
    ("deployment", "Deployment"),
    ("statefulset", "StatefulSet"),
    ("daemonset", "DaemonSet"),
    ("pod", "Pod"),
];

pub(super) fn entry(reader: &mut Reader<'_>, item: &Located, path: &str) {
    // With none of its fields it is no test at all, rather than one that lacks them all.
    if !FIELDS.iter().any(|field| item.get(field).is_some()) {
        let words = ["allow", "block"];
        let meant = item.keys().find_map(|key| nearest(key, words));
        let hint = match meant {
            Some(near) => format!(" (did you mean {near:?}?)"),
            None => String::new(),
        };
        let problem = format!(
            "a test was expected: an object with name, type, targetPort, src and dst, or with allow \
             or block{hint}"
        );
        return reader.mistake(item.line, path, problem);
    }
    let mut entry = Entry { reader, item, path };
    entry.known_fields(item, "", &FIELDS);
    let name = entry.required_text("name");
    if let Some(kind) = entry.required_text("type")
        && kind != "k8s"
    {
        entry.mistake("type", format!("{kind:?} is no type of test: k8s"));
    }
    let protocol = match entry.text("protocol").as_deref() {
        None | Some("tcp") => Some(sidewall::net::Protocol::TCP),
        Some("udp") => Some(sidewall::net::Protocol::UDP),
        // Not netassert's, but a policy can name it.
        Some("sctp") => Some(sidewall::net::Protocol::SCTP),
        Some(other) => {
            entry.mistake(
                "protocol",
                format!("{other:?} is no protocol: tcp, udp or sctp"),
            );
            None
        }
    };
    let port = entry.number("targetPort", 1, 65_535);
    if port.is_none() && item.get("targetPort").is_none() {
        entry.mistake(
            "targetPort",
            "Required value: a port from 1 to 65535".to_owned(),
        );
    }
    let timeout = entry.number("timeoutSeconds", 1, 86_400);
    let attempts = entry.number("attempts", 1, 1_000);
    let exit_code = entry.number("exitCode", 0, 255);
    let from = entry.source();
    let to = entry.destination();
    if let (Some(name), Some(protocol), Some(port), Some(from), Some(to)) = (
        name,
        protocol,
        port.and_then(|port| u16::try_from(port).ok()),
        from,
        to,
    ) {
        let test = Test {
            name,
            file: reader.file.to_owned(),
            line: item.line,
            from,
            to,
            port: Port {
                port: NumberOrName::Number(port),
                protocol,
            },
            expect: Expect::of(exit_code.unwrap_or(0) == 0),
            timeout: timeout.map_or(TIMEOUT, Duration::from_secs),
            attempts: attempts
                .and_then(|attempts| u32::try_from(attempts).ok())
                .unwrap_or(ATTEMPTS),
        };
        reader.tests.push(test);
    }
}

struct Entry<'a, 'b> {
    reader: &'a mut Reader<'b>,
    item: &'a Located,
    path: &'a str,
}

impl Entry<'_, '_> {
    fn source(&mut self) -> Option<EndName> {
        let item = self.item;
        let Some(src) = item.get("src") else {
            self.mistake(
                "src",
                "Required value: where the test connects from".to_owned(),
            );
            return None;
        };
        self.known_fields(src, "src", &["k8sResource"]);
        match src.get("k8sResource") {
            Some(resource) => self.resource(resource, "src.k8sResource"),
            None => {
                let problem = "Required value: a test connects from a k8sResource".to_owned();
                self.mistake("src.k8sResource", problem);
                None
            }
        }
    }

    fn destination(&mut self) -> Option<Destination> {
        let item = self.item;
        let Some(dst) = item.get("dst") else {
            self.mistake(
                "dst",
                "Required value: where the test connects to".to_owned(),
            );
            return None;
        };
        self.known_fields(dst, "dst", &["k8sResource", "host"]);
        match (dst.get("k8sResource"), dst.get("host")) {
            (Some(resource), None) => {
                let end = self.resource(resource, "dst.k8sResource");
                end.map(Destination::End)
            }
            (None, Some(host)) => self.host(host),
            (both, _) => {
                let problem = match both {
                    Some(_) => "give either k8sResource or host",
                    None => "Required value: k8sResource or host",
                };
                self.mistake("dst", problem.to_owned());
                None
            }
        }
    }

    fn resource(&mut self, resource: &Located, at: &str) -> Option<EndName> {
        self.known_fields(resource, at, &["kind", "name", "namespace", "clone"]);
        let mut text = |field: &str| {
            let value = resource.get(field).and_then(Located::text);
            let value = value.filter(|text| !text.is_empty()).map(str::to_owned);
            if value.is_none() {
                self.mistake(
                    &format!("{at}.{field}"),
                    format!("Required value: {field} is required"),
                );
            }
            value
        };
        let (kind, name, namespace) = (text("kind"), text("name"), text("namespace"));
        let kind = kind?;
        let known = KINDS.iter().find(|(written, _)| *written == kind);
        let Some((_, known)) = known else {
            let problem = format!("{kind:?} is no kind: deployment, statefulset, daemonset or pod");
            self.mistake(&format!("{at}.kind"), problem);
            return None;
        };
        Some(EndName::Workload {
            kind: known,
            id: ObjectRef {
                namespace: namespace?,
                name: name?,
            },
        })
    }

    fn host(&mut self, host: &Located) -> Option<Destination> {
        self.known_fields(host, "dst.host", &["name"]);
        let name = host.get("name").and_then(Located::text).unwrap_or_default();
        if name.is_empty() {
            let problem = "Required value: a name or an address".to_owned();
            self.mistake("dst.host.name", problem);
            return None;
        }
        Some(destination_of_host(name))
    }

    fn known_fields(&mut self, object: &Located, at: &str, known: &[&str]) {
        let unknown: Vec<&str> = object.keys().filter(|key| !known.contains(key)).collect();
        for key in unknown {
            let field = if at.is_empty() {
                key.to_owned()
            } else {
                format!("{at}.{key}")
            };
            let hint = match nearest(key, known.iter().copied()) {
                Some(near) => format!(" (did you mean {near:?}?)"),
                None => String::new(),
            };
            self.mistake(&field, format!("unknown field{hint}"));
        }
    }

    fn required_text(&mut self, field: &str) -> Option<String> {
        let text = self.text(field).filter(|text| !text.is_empty());
        if text.is_none() {
            self.mistake(field, format!("Required value: {field} is required"));
        }
        text
    }

    fn text(&mut self, field: &str) -> Option<String> {
        let value = self.item.get(field)?;
        let text = value.text().map(str::to_owned);
        if text.is_none() {
            self.mistake(
                field,
                format!("Invalid value: {}: expected a string", value.to_value()),
            );
        }
        text
    }

    fn number(&mut self, field: &str, least: u64, most: u64) -> Option<u64> {
        let value = self.item.get(field)?.to_value();
        // netassert takes 0 for "not given".
        if value.as_u64() == Some(0) && matches!(field, "timeoutSeconds" | "attempts") {
            return None;
        }
        let number = value
            .as_u64()
            .filter(|number| (least..=most).contains(number));
        if number.is_none() {
            self.mistake(
                field,
                format!("Invalid value: {value}: must be between {least} and {most}"),
            );
        }
        number
    }

    fn mistake(&mut self, field: &str, problem: String) {
        let line = self.item.line_of(field);
        let field = format!("{}.{field}", self.path);
        self.reader.mistake(line, &field, problem);
    }
}

/// An address, a Service's DNS name, or a host outside.
pub(super) fn destination_of_host(name: &str) -> Destination {
    match ends::parse(name, "default") {
        Ok(end @ (EndName::Address(_) | EndName::Service(_))) => Destination::End(end),
        _ => Destination::Host(name.to_owned()),
    }
}
