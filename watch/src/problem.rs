//! What went wrong between us and the API server, in sentences that say what to do.

use std::fmt;

use kube::core::Status;
use sidewall::policy::allow_list::ObjectRef;

use crate::kind::Kind;

/// What was asked of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// A page of a list.
    List,
    /// A watch.
    Watch,
}

impl Verb {
    /// The RBAC verb.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Watch => "watch",
        }
    }
}

/// Why a watch does not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Of which kind.
    pub kind: Kind,
    /// The namespace it is limited to, if any.
    pub namespace: Option<String>,
    /// Doing what.
    pub verb: Verb,
    /// Why.
    pub cause: Cause,
}

/// The causes that call for different reactions, ours or a person's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// 403: a permission is missing.
    Forbidden(String),
    /// 401: the server does not know us.
    Unauthorized(String),
    /// 410: what we knew is too old to go on from. Healed by a new list.
    Expired,
    /// Something came that is not an object of this kind. Healed by a new list.
    Unreadable(String),
    /// The server did not go on within the time that a list may take.
    Stalled,
    /// Any other answer of the server.
    Refused(String),
    /// No answer.
    Unreachable(String),
}

impl Cause {
    /// Whether going on from the last known version is of no use: everything is listed again.
    #[must_use]
    pub const fn needs_relist(&self) -> bool {
        matches!(self, Self::Expired | Self::Unreadable(_))
    }
}

impl From<&Status> for Cause {
    fn from(status: &Status) -> Self {
        let said = || {
            if status.message.is_empty() {
                format!("{} {}", status.code, status.reason)
            } else {
                status.message.clone()
            }
        };
        match status.code {
            401 => Self::Unauthorized(said()),
            403 => Self::Forbidden(said()),
            410 => Self::Expired,
            _ if matches!(status.reason.as_str(), "Expired" | "Gone") => Self::Expired,
            _ => Self::Refused(said()),
        }
    }
}

impl From<&kube::Error> for Cause {
    fn from(error: &kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::from(&**status),
            kube::Error::SerdeError(error) => Self::Unreadable(error.to_string()),
            other => Self::Unreachable(chain(other)),
        }
    }
}

/// An error with everything that caused it: kube's and hyper's own texts stop at the first.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let more = cause.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        source = cause.source();
    }
    text
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, verb) = (self.kind, self.verb.as_str());
        match &self.cause {
            Cause::Forbidden(said) => {
                let group = kind.group();
                let (role, place) = match &self.namespace {
                    Some(namespace) => ("Role", format!(" in namespace {namespace}")),
                    None => ("ClusterRole", " in all namespaces".to_owned()),
                };
                write!(
                    f,
                    "may not {verb} {kind}{dot}{group}{place}: add {{apiGroups: [{group:?}], resources: \
                     [{plural:?}], verbs: [\"list\", \"watch\"]}} to a {role} bound to the pod's \
                     service account (the server said: {said})",
                    dot = if group.is_empty() { "" } else { "." },
                    plural = kind.plural(),
                )
            }
            Cause::Unauthorized(said) => write!(
                f,
                "cannot {verb} {kind}: the API server does not accept our credentials; is the \
                 service account's token mounted and still valid? (the server said: {said})"
            ),
            Cause::Expired => write!(
                f,
                "cannot {verb} {kind} from where we left off: the server has forgotten that version; listing again"
            ),
            Cause::Unreadable(error) => write!(
                f,
                "cannot read what the API server sent for {verb} {kind}, listing again: {error}"
            ),
            Cause::Stalled => write!(
                f,
                "cannot {verb} {kind}: the API server accepted the request and then fell silent"
            ),
            Cause::Refused(said) => write!(f, "cannot {verb} {kind}: the API server said: {said}"),
            Cause::Unreachable(error) => {
                write!(
                    f,
                    "cannot {verb} {kind}: the API server cannot be reached: {error}"
                )
            }
        }
    }
}

/// The own pod is not among the pods of the cluster.
#[must_use]
pub fn own_pod_missing(pod: &ObjectRef) -> String {
    format!(
        "pod {}/{} does not exist: are POD_NAMESPACE and POD_NAME set from the downward API \
         (metadata.namespace, metadata.name)? The pod stays closed until it appears",
        pod.namespace, pod.name
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: u16, message: &str) -> Status {
        Status {
            code,
            message: message.into(),
            ..Status::default()
        }
    }

    fn problem(kind: Kind, namespace: Option<&str>, verb: Verb, status: &Status) -> String {
        Problem {
            kind,
            namespace: namespace.map(Into::into),
            verb,
            cause: Cause::from(status),
        }
        .to_string()
    }

    #[test]
    fn a_403_names_the_rule_to_add() {
        assert_eq!(
            problem(
                Kind::NetworkPolicies,
                Some("shop"),
                Verb::List,
                &status(
                    403,
                    "networkpolicies.networking.k8s.io is forbidden: User \"x\" cannot list"
                ),
            ),
            "may not list networkpolicies.networking.k8s.io in namespace shop: add {apiGroups: \
             [\"networking.k8s.io\"], resources: [\"networkpolicies\"], verbs: [\"list\", \"watch\"]} to \
             a Role bound to the pod's service account (the server said: \
             networkpolicies.networking.k8s.io is forbidden: User \"x\" cannot list)"
        );
        assert_eq!(
            problem(Kind::Pods, None, Verb::Watch, &status(403, "no")),
            "may not watch pods in all namespaces: add {apiGroups: [\"\"], resources: [\"pods\"], \
             verbs: [\"list\", \"watch\"]} to a ClusterRole bound to the pod's service account (the \
             server said: no)"
        );
    }

    #[test]
    fn a_410_in_any_shape_asks_for_a_new_list() {
        assert!(Cause::from(&status(410, "too old resource version")).needs_relist());
        let expired = Status {
            reason: "Expired".into(),
            ..status(500, "")
        };
        assert!(Cause::from(&expired).needs_relist());
        assert!(!Cause::from(&status(500, "etcd is away")).needs_relist());
    }
}
