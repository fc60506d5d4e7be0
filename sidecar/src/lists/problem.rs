//! What goes wrong between the sidecar and the controller that sends its list, in sentences that say
//! what to do, and what the stream does about it.

use std::fmt;
use std::time::Duration;

use sidewall::lists::stream::{GROUP, Refusal, StreamError, VERSION};
use sidewall::policy::allow_list::ObjectRef;

/// Why a stream ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// The server answered with another status than 200.
    Refused {
        said: Refusal,
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// The sender ended it with a word.
    Ended(Refusal),
    /// What came is of no use.
    Unusable(StreamError),
    /// No answer, or no bookmark for too long.
    Stalled(Duration),
    /// No connection, or one that broke.
    Unreachable(String),
    /// The connection was closed without a word.
    Cut,
}

impl End {
    /// Whether it is of no use to go on from the version that is held.
    pub(super) fn expired(&self) -> bool {
        let (Self::Refused { said, .. } | Self::Ended(said)) = self else {
            return false;
        };
        said.code == 410 || matches!(said.reason.as_str(), "Expired" | "Gone")
    }

    /// When the server wants to be asked again.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Why everything has to come anew, as the metric names it.
    pub(super) fn resync(&self) -> Option<Resync> {
        match self {
            Self::Unusable(StreamError::DoesNotAddUp) => Some(Resync::Digest),
            Self::Unusable(_) => Some(Resync::Unreadable),
            _ if self.expired() => Some(Resync::Expired),
            _ => None,
        }
    }

    /// Part of every cluster's day: controllers are replaced, and streams move.
    pub(super) fn is_routine(&self) -> bool {
        self.expired() || matches!(self, Self::Ended(said) if said.code == 503)
    }

    /// The sentence.
    pub(super) fn told<'a>(&'a self, pod: &'a ObjectRef) -> Told<'a> {
        Told { end: self, pod }
    }
}

/// Why everything has to come anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resync {
    /// What is held is not what the sender says.
    Digest,
    /// The version to go on from is too old, or another replica's.
    Expired,
    /// A line could not be read.
    Unreadable,
}

impl Resync {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Digest, Self::Expired, Self::Unreadable];

    /// Its name in the metric.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Digest => "digest",
            Self::Expired => "expired",
            Self::Unreadable => "unreadable",
        }
    }
}

/// [`End`] as a sentence.
pub(super) struct Told<'a> {
    end: &'a End,
    pod: &'a ObjectRef,
}

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ObjectRef { namespace, name } = self.pod;
        match self.end {
            End::Refused { said, .. } if said.code == 403 => write!(
                f,
                "may not watch allowlists.{GROUP} in namespace {namespace}: add {{apiGroups: \
                 [\"{GROUP}\"], resources: [\"allowlists\"], verbs: [\"watch\"]}} to a ClusterRole bound \
                 to the pod's service account (the server said: {said})",
                said = said_of(said)
            ),
            End::Refused { said, .. } if said.code == 404 => write!(
                f,
                "the API server does not know {GROUP}/{VERSION}: is sidewall's controller installed? See \
                 `kubectl get apiservice {VERSION}.{GROUP}`; without a controller, read the API directly \
                 with --policy-source api (the server said: {said})",
                said = said_of(said)
            ),
            End::Refused { said, .. } if said.code == 401 => write!(
                f,
                "cannot watch the list of pod {namespace}/{name}: the API server does not accept our \
                 credentials; is the service account's token mounted and still valid? (the server said: \
                 {said})",
                said = said_of(said)
            ),
            End::Refused { said, .. } if said.code == 503 => write!(
                f,
                "the controller that serves {GROUP} does not answer (yet): see `kubectl get apiservice \
                 {VERSION}.{GROUP}` and the controller's log (the server said: {said})",
                said = said_of(said)
            ),
            _ if self.end.expired() => write!(
                f,
                "cannot watch the list of pod {namespace}/{name} from where we left off: another replica \
                 answers, or too much has changed since; asking for all of it"
            ),
            End::Refused { said, .. } => write!(
                f,
                "cannot watch the list of pod {namespace}/{name}: the server said: {}",
                said_of(said)
            ),
            End::Ended(said) if said.code == 503 => write!(
                f,
                "the controller ended the stream of pod {namespace}/{name}'s list, because it stops: {}",
                said_of(said)
            ),
            End::Ended(said) => write!(
                f,
                "the controller ended the stream of pod {namespace}/{name}'s list: {}",
                said_of(said)
            ),
            End::Unusable(error) => write!(
                f,
                "the list of pod {namespace}/{name} is asked for anew: {error}"
            ),
            End::Stalled(after) => write!(
                f,
                "no word about the list of pod {namespace}/{name} for {} s: taking the stream for dead",
                after.as_secs()
            ),
            End::Unreachable(error) => write!(
                f,
                "cannot watch the list of pod {namespace}/{name}: the API server cannot be reached: {error}"
            ),
            End::Cut => write!(
                f,
                "the stream of pod {namespace}/{name}'s list was cut without a word"
            ),
        }
    }
}

fn said_of(said: &Refusal) -> String {
    if said.message.is_empty() {
        format!("{} {}", said.code, said.reason)
    } else {
        said.message.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(code: u16, message: &str) -> String {
        let end = End::Refused {
            said: Refusal {
                code,
                reason: String::new(),
                message: message.into(),
            },
            retry_after: None,
        };
        let pod = ObjectRef {
            namespace: "shop".into(),
            name: "db".into(),
        };
        end.told(&pod).to_string()
    }

    #[test]
    fn a_403_names_the_rule_to_add() {
        assert_eq!(
            told(403, "no"),
            "may not watch allowlists.allowlists.sidewall.dev in namespace shop: add {apiGroups: \
             [\"allowlists.sidewall.dev\"], resources: [\"allowlists\"], verbs: [\"watch\"]} to a \
             ClusterRole bound to the pod's service account (the server said: no)"
        );
    }

    #[test]
    fn a_404_asks_for_the_controller_and_names_the_way_without_one() {
        let told = told(404, "the server could not find the requested resource");
        for part in [
            "is sidewall's controller installed?",
            "kubectl get apiservice v1alpha1.allowlists.sidewall.dev",
            "--policy-source api",
        ] {
            assert!(told.contains(part), "{part} in {told}");
        }
    }

    #[test]
    fn only_what_has_to_come_anew_is_counted_as_such() {
        let ended = |code, reason: &str| {
            End::Ended(Refusal {
                code,
                reason: reason.into(),
                message: String::new(),
            })
        };
        assert_eq!(ended(410, "Expired").resync(), Some(Resync::Expired));
        assert_eq!(ended(500, "Gone").resync(), Some(Resync::Expired));
        assert_eq!(ended(503, "ServiceUnavailable").resync(), None);
        assert_eq!(End::Cut.resync(), None);
        let lost = End::Unusable(StreamError::DoesNotAddUp);
        assert_eq!(lost.resync(), Some(Resync::Digest));
    }
}
