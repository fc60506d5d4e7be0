//! Bodies in Kubernetes' protobuf form, for the few kinds that kubectl sends that way and no other:
//! `create namespace|service|configmap|serviceaccount`, `auth can-i`, `auth whoami`, delete options.
//!
//! Reading only: answers are JSON, which those clients accept too. A message is read along a table of
//! its fields (numbers from the API's generated.proto) into the JSON object that it stands for; a kind
//! without a table is refused as an unknown format.

use serde_json::{Map, Value, json};

/// Precedes every message (runtime/serializer/protobuf).
const MAGIC: &[u8] = b"k8s\0";

pub(crate) const MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf";

type Table = &'static [(u32, &'static str, Kind)];

/// How a field is written in JSON. Empty text and zero stand for "not set", as in Go's `omitempty`.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Texts,
    Bool,
    Int,
    /// A pointer in Go: zero is a value.
    SetInt,
    /// A message of seconds since 1970.
    Time,
    /// A map of text to text.
    Map,
    /// Number or text.
    Port,
    One(Table),
    Many(Table),
}

use Kind::{Bool, Int, Many, Map as TextMap, One, Port, SetInt, Text, Texts, Time};

const META: Table = &[
    (1, "name", Text),
    (2, "generateName", Text),
    (3, "namespace", Text),
    (5, "uid", Text),
    (6, "resourceVersion", Text),
    (7, "generation", Int),
    (8, "creationTimestamp", Time),
    (11, "labels", TextMap),
    (12, "annotations", TextMap),
    (14, "finalizers", Texts),
];
const NAMESPACE: Table = &[
    (1, "metadata", One(META)),
    (2, "spec", One(&[(1, "finalizers", Texts)])),
];
const SERVICE_ACCOUNT: Table = &[
    (1, "metadata", One(META)),
    (3, "imagePullSecrets", Many(&[(1, "name", Text)])),
    (4, "automountServiceAccountToken", Bool),
];
const CONFIG_MAP: Table = &[
    (1, "metadata", One(META)),
    (2, "data", TextMap),
    (4, "immutable", Bool),
];
const SERVICE_PORT: Table = &[
    (1, "name", Text),
    (2, "protocol", Text),
    (3, "port", Int),
    (4, "targetPort", Port),
    (5, "nodePort", Int),
    (6, "appProtocol", Text),
];
const SERVICE_SPEC: Table = &[
    (1, "ports", Many(SERVICE_PORT)),
    (2, "selector", TextMap),
    (3, "clusterIP", Text),
    (4, "type", Text),
    (5, "externalIPs", Texts),
    (7, "sessionAffinity", Text),
    (8, "loadBalancerIP", Text),
    (9, "loadBalancerSourceRanges", Texts),
    (10, "externalName", Text),
    (11, "externalTrafficPolicy", Text),
    (13, "publishNotReadyAddresses", Bool),
    (17, "ipFamilyPolicy", Text),
    (18, "clusterIPs", Texts),
    (19, "ipFamilies", Texts),
    (20, "allocateLoadBalancerNodePorts", Bool),
    (21, "loadBalancerClass", Text),
    (22, "internalTrafficPolicy", Text),
    (23, "trafficDistribution", Text),
];
const SERVICE: Table = &[(1, "metadata", One(META)), (2, "spec", One(SERVICE_SPEC))];
const ACCESS_SPEC: Table = &[
    (
        1,
        "resourceAttributes",
        One(&[
            (1, "namespace", Text),
            (2, "verb", Text),
            (3, "group", Text),
            (4, "version", Text),
            (5, "resource", Text),
            (6, "subresource", Text),
            (7, "name", Text),
        ]),
    ),
    (
        2,
        "nonResourceAttributes",
        One(&[(1, "path", Text), (2, "verb", Text)]),
    ),
];
const ACCESS_REVIEW: Table = &[(1, "metadata", One(META)), (2, "spec", One(ACCESS_SPEC))];
const RULES_REVIEW: Table = &[
    (1, "metadata", One(META)),
    (2, "spec", One(&[(1, "namespace", Text)])),
];
const SELF_REVIEW: Table = &[(1, "metadata", One(META))];
const DELETE_OPTIONS: Table = &[
    (1, "gracePeriodSeconds", SetInt),
    (
        2,
        "preconditions",
        One(&[(1, "uid", Text), (2, "resourceVersion", Text)]),
    ),
    (3, "orphanDependents", Bool),
    (4, "propagationPolicy", Text),
    (5, "dryRun", Texts),
];

/// The envelope: `runtime.Unknown`.
const ENVELOPE: Table = &[(
    1,
    "type",
    One(&[(1, "apiVersion", Text), (2, "kind", Text)]),
)];
/// The number of its field that holds the object.
const RAW: u32 = 2;

/// Why a body could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("the body does not begin with the protobuf magic number")]
    NoMagic,
    #[error("the protobuf message is cut short or malformed")]
    Malformed,
    #[error("{0} is not read as protobuf here, send JSON")]
    Unknown(String),
}

/// Reads a body into the JSON of the object, its type included.
pub(crate) fn read(body: &[u8]) -> Result<Value, Error> {
    let message = body.strip_prefix(MAGIC).ok_or(Error::NoMagic)?;
    let kind = object(ENVELOPE, message)?["type"].take();
    let mut raw: &[u8] = &[];
    let mut rest = message;
    while let Some((number, field)) = next(&mut rest)? {
        if let (RAW, Wire::Bytes(bytes)) = (number, field) {
            raw = bytes;
        }
    }
    let table = match kind["kind"].as_str().unwrap_or_default() {
        "Namespace" => NAMESPACE,
        "ServiceAccount" => SERVICE_ACCOUNT,
        "ConfigMap" => CONFIG_MAP,
        "Service" => SERVICE,
        "SelfSubjectAccessReview" => ACCESS_REVIEW,
        "SelfSubjectRulesReview" => RULES_REVIEW,
        "SelfSubjectReview" => SELF_REVIEW,
        "DeleteOptions" => DELETE_OPTIONS,
        other => return Err(Error::Unknown(other.to_owned())),
    };
    let mut value = object(table, raw)?;
    for field in ["apiVersion", "kind"] {
        value[field] = kind[field].clone();
    }
    Ok(value)
}

fn object(table: Table, mut message: &[u8]) -> Result<Value, Error> {
    let mut into = Map::new();
    while let Some((number, field)) = next(&mut message)? {
        let Some((_, name, kind)) = table.iter().find(|(n, ..)| *n == number) else {
            continue;
        };
        put(&mut into, name, *kind, field)?;
    }
    Ok(Value::Object(into))
}

fn put(
    into: &mut Map<String, Value>,
    name: &str,
    kind: Kind,
    field: Wire<'_>,
) -> Result<(), Error> {
    let value = match (kind, field) {
        (Bool, Wire::Varint(n)) => json!(n != 0),
        (Int, Wire::Varint(0)) => return Ok(()),
        // Negative numbers are written in two's complement.
        (Int | SetInt, Wire::Varint(n)) => json!(n.cast_signed()),
        (Text, Wire::Bytes([])) => return Ok(()),
        (Text, Wire::Bytes(bytes)) => json!(text(bytes)?),
        (Texts, Wire::Bytes(bytes)) => return append(into, name, json!(text(bytes)?)),
        (One(table), Wire::Bytes(bytes)) => object(table, bytes)?,
        (Many(table), Wire::Bytes(bytes)) => return append(into, name, object(table, bytes)?),
        (TextMap, Wire::Bytes(bytes)) => {
            let entry = object(&[(1, "key", Text), (2, "value", Text)], bytes)?;
            let map = into.entry(name).or_insert_with(|| json!({}));
            map[entry["key"].as_str().unwrap_or_default()] =
                json!(entry["value"].as_str().unwrap_or_default());
            return Ok(());
        }
        (Port, Wire::Bytes(bytes)) => {
            let port = object(
                &[(1, "type", Int), (2, "number", Int), (3, "name", Text)],
                bytes,
            )?;
            let given = if port["type"] == 1 {
                &port["name"]
            } else {
                &port["number"]
            };
            if given.is_null() {
                return Ok(());
            }
            given.clone()
        }
        (Time, Wire::Bytes(bytes)) => {
            let seconds = object(&[(1, "seconds", Int)], bytes)?["seconds"].as_i64();
            match seconds.and_then(|s| jiff::Timestamp::from_second(s).ok()) {
                Some(time) => json!(time.to_string()),
                None => return Ok(()),
            }
        }
        _ => return Err(Error::Malformed),
    };
    into.insert(name.to_owned(), value);
    Ok(())
}

fn append(into: &mut Map<String, Value>, name: &str, value: Value) -> Result<(), Error> {
    match into.entry(name).or_insert_with(|| json!([])) {
        Value::Array(list) => list.push(value),
        _ => return Err(Error::Malformed),
    }
    Ok(())
}

fn text(bytes: &[u8]) -> Result<&str, Error> {
    std::str::from_utf8(bytes).map_err(|_| Error::Malformed)
}

/// A field as the wire has it; fixed-size numbers occur in none of our messages.
#[derive(Clone, Copy)]
enum Wire<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    Fixed,
}

fn next<'a>(message: &mut &'a [u8]) -> Result<Option<(u32, Wire<'a>)>, Error> {
    if message.is_empty() {
        return Ok(None);
    }
    let tag = varint(message)?;
    let number = u32::try_from(tag >> 3).map_err(|_| Error::Malformed)?;
    let wire = match tag & 7 {
        0 => Wire::Varint(varint(message)?),
        1 => take(message, 8).map(|_| Wire::Fixed)?,
        2 => {
            let length = usize::try_from(varint(message)?).map_err(|_| Error::Malformed)?;
            Wire::Bytes(take(message, length)?)
        }
        5 => take(message, 4).map(|_| Wire::Fixed)?,
        _ => return Err(Error::Malformed),
    };
    Ok(Some((number, wire)))
}

fn varint(message: &mut &[u8]) -> Result<u64, Error> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let [byte] = take(message, 1)? else {
            return Err(Error::Malformed);
        };
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(Error::Malformed)
}

fn take<'a>(message: &mut &'a [u8], length: usize) -> Result<&'a [u8], Error> {
    let (head, tail) = message.split_at_checked(length).ok_or(Error::Malformed)?;
    *message = tail;
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        let mut out = vec![number << 3 | 2, u8::try_from(bytes.len()).unwrap()];
        out.extend_from_slice(bytes);
        out
    }

    fn envelope(kind: &str, raw: &[u8]) -> Vec<u8> {
        let type_meta = [field(1, b"v1"), field(2, kind.as_bytes())].concat();
        [MAGIC.to_vec(), field(1, &type_meta), field(2, raw)].concat()
    }

    #[test]
    fn a_namespace_is_read_as_its_json() {
        let label = [field(1, b"app"), field(2, b"x")].concat();
        let meta = [
            field(1, b"np"),
            field(2, b""),
            field(8, b""),
            field(11, &label),
        ]
        .concat();
        let body = envelope(
            "Namespace",
            &[field(1, &meta), field(2, b""), field(3, b"")].concat(),
        );
        assert_eq!(
            read(&body).unwrap(),
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "np", "labels": {"app": "x"}}, "spec": {}})
        );
    }

    #[test]
    fn ports_are_numbers_or_names_and_zero_is_nothing() {
        let port = |target: &[u8]| [vec![0x18, 80], field(4, target), vec![0x28, 0]].concat();
        let named = port(&[vec![8, 1, 16, 0], field(3, b"http")].concat());
        let spec = [
            field(1, &port(&[8, 0, 16, 0x90, 0x3f])),
            field(1, &named),
            field(1, &port(&[8, 0, 16, 0])),
        ]
        .concat();
        let read = read(&envelope("Service", &field(2, &spec))).unwrap();
        assert_eq!(
            read["spec"]["ports"],
            json!([{"port": 80, "targetPort": 8080}, {"port": 80, "targetPort": "http"}, {"port": 80}])
        );
    }

    #[test]
    fn what_is_cut_short_or_foreign_is_an_error() {
        let whole = envelope("Namespace", &field(1, &field(1, b"np")));
        for end in 1..whole.len() {
            // Cut anywhere: an error, or what came before; never a panic.
            let _ = read(&whole[..end]);
        }
        assert!(matches!(read(b"{}"), Err(Error::NoMagic)));
        assert!(matches!(
            read(&whole[..whole.len() - 1]),
            Err(Error::Malformed)
        ));
        assert!(matches!(
            read(&envelope("Pod", b"")),
            Err(Error::Unknown(_))
        ));
    }
}
