//! The kinds that are used, by `apiVersion` and `kind`, and how each is read.

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::policy::cluster::Kind;
use crate::policy::cluster::objects::Object;
use crate::policy::convert::{AnyPolicy, Policy};

/// An object with its type.
#[derive(Debug, Clone)]
pub enum Body {
    /// `v1/Namespace`.
    Namespace(Box<core::Namespace>),
    /// `v1/Pod`.
    Pod(Box<core::Pod>),
    /// `v1/Service`.
    Service(Box<core::Service>),
    /// `v1/Node`.
    Node(Box<core::Node>),
    /// `discovery.k8s.io/v1/EndpointSlice`.
    EndpointSlice(Box<EndpointSlice>),
    /// `networking.k8s.io/v1/NetworkPolicy`, understood or not.
    NetworkPolicy(Box<AnyPolicy>),
}

impl Body {
    /// The kind.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Namespace(_) => Kind::Namespace,
            Self::Pod(_) => Kind::Pod,
            Self::Service(_) => Kind::Service,
            Self::Node(_) => Kind::Node,
            Self::EndpointSlice(_) => Kind::EndpointSlice,
            Self::NetworkPolicy(_) => Kind::NetworkPolicy,
        }
    }
}

impl From<&Body> for Object {
    fn from(body: &Body) -> Self {
        match body {
            Body::Namespace(object) => Self::from(object.as_ref()),
            Body::Pod(object) => Self::from(object.as_ref()),
            Body::Service(object) => Self::from(object.as_ref()),
            Body::Node(object) => Self::from(object.as_ref()),
            Body::EndpointSlice(object) => Self::from(object.as_ref()),
            Body::NetworkPolicy(policy) => Self::from(policy.as_ref().clone()),
        }
    }
}

/// The kind, if it is used. Other groups have a NetworkPolicy too (Calico's), with other rules.
pub(super) fn known(api_version: &str, kind: &str) -> Option<Kind> {
    match (api_version, kind) {
        ("v1", "Namespace") => Some(Kind::Namespace),
        ("v1", "Pod") => Some(Kind::Pod),
        ("v1", "Service") => Some(Kind::Service),
        ("v1", "Node") => Some(Kind::Node),
        ("discovery.k8s.io/v1", "EndpointSlice") => Some(Kind::EndpointSlice),
        ("networking.k8s.io/v1", "NetworkPolicy") => Some(Kind::NetworkPolicy),
        _ => None,
    }
}

/// Fills in the namespace `default`, as kubectl does, and tells it; empty for objects without one.
pub(super) fn settle_namespace(kind: Kind, value: &mut Value) -> String {
    if matches!(kind, Kind::Namespace | Kind::Node) {
        return String::new();
    }
    if let Some(Value::Object(metadata)) = value.get_mut("metadata") {
        let namespace = metadata.entry("namespace").or_insert(Value::Null);
        if namespace.is_null() {
            *namespace = Value::String("default".to_owned());
        }
        return namespace.as_str().unwrap_or_default().to_owned();
    }
    "default".to_owned()
}

/// Field and problem.
type Mistakes = Vec<(String, String)>;

/// The object with its type, and its mistakes. Only a policy is an object in spite of mistakes.
pub(super) fn body(kind: Kind, value: &Value) -> (Option<Body>, Mistakes) {
    match kind {
        Kind::Namespace => typed(value, Body::Namespace),
        Kind::Pod => typed(value, Body::Pod),
        Kind::Service => typed(value, Body::Service),
        Kind::Node => typed(value, Body::Node),
        Kind::EndpointSlice => typed(value, Body::EndpointSlice),
        Kind::NetworkPolicy => match Policy::try_from(value) {
            Ok(policy) => (
                Some(Body::NetworkPolicy(Box::new(AnyPolicy::Valid(policy)))),
                Mistakes::new(),
            ),
            Err(invalid) => {
                let mistakes = invalid.mistakes.iter();
                let mistakes =
                    mistakes.map(|mistake| (mistake.path.clone(), mistake.problem.to_string()));
                let mistakes = mistakes.collect();
                (
                    Some(Body::NetworkPolicy(Box::new(AnyPolicy::Invalid(invalid)))),
                    mistakes,
                )
            }
        },
    }
}

fn typed<T: DeserializeOwned>(value: &Value, body: fn(Box<T>) -> Body) -> (Option<Body>, Mistakes) {
    match serde_path_to_error::deserialize::<_, T>(value) {
        Ok(object) => (Some(body(Box::new(object))), Mistakes::new()),
        Err(error) => {
            // The path of a mistake at the root is a dot.
            let path = error.path().to_string();
            let path = if path == "." { String::new() } else { path };
            (None, vec![(path, error.into_inner().to_string())])
        }
    }
}
