//! Whether a pod asks for the sidecar, and whether it may have one.
//!
//! The question `sidewall.dev/inject` is asked of the pod's label, then the pod's annotation, then
//! the namespace's label, then the namespace's annotation; the first that answers counts. An
//! answer that is neither `enabled` nor `disabled` refuses the pod: a typing error must not leave
//! it open. Not here: how the sidecar is configured ([`super::options`]).

use std::fmt;

use super::tree::Node;

/// The label, and the annotation, that asks.
pub const INJECT: &str = "sidewall.dev/inject";

/// Namespaces whose pods the cluster itself needs in order to start; a firewall that waits for
/// the API server must not stand before it.
pub const SYSTEM_NAMESPACES: [&str; 3] = ["kube-system", "kube-public", "kube-node-lease"];

/// kubelet marks its copies of static pods with this (core/v1 `MirrorPodAnnotationKey`): what
/// runs is the file on the node, so a change of the copy changes nothing.
const MIRROR_POD: &str = "kubernetes.io/config.mirror";

/// Who asks, and for which namespace.
#[derive(Debug, Clone, Copy)]
pub struct Consent<'a> {
    /// The namespace the pod will be in, where it is known.
    pub namespace: Option<&'a str>,
    /// The namespace the controller runs in: it must come up without the help of itself.
    pub own_namespace: Option<&'a str>,
    /// What the namespace says. `None`: someone asked by hand, and only `disabled` says no.
    pub namespace_says: Option<&'a Answers>,
}

/// The labels and annotations that may answer, of one namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answers {
    /// The label `sidewall.dev/inject`.
    pub label: Option<String>,
    /// The annotation of the same name.
    pub annotation: Option<String>,
}

/// Defines the codes, so that text, metric and documentation have one source.
macro_rules! skips {
    ($($(#[$doc:meta])* $variant:ident = $code:literal, $sentence:literal;)+) => {
        /// Why a pod stays as it is.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Skip {
            $($(#[$doc])* $variant),+
        }

        impl Skip {
            /// Every code.
            pub const ALL: &'static [Skip] = &[$(Skip::$variant),+];

            /// The code: what metrics and logs carry.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self {
                    $(Skip::$variant => $code),+
                }
            }

            /// The same in words.
            #[must_use]
            pub const fn sentence(self) -> &'static str {
                match self {
                    $(Skip::$variant => $sentence),+
                }
            }
        }
    };
}

skips! {
    /// Neither the pod nor its namespace asks.
    NotOptedIn = "not-opted-in", "neither the pod nor its namespace has sidewall.dev/inject=enabled";
    /// The pod or its namespace says no.
    Disabled = "disabled", "sidewall.dev/inject=disabled";
    /// The pod has the node's network.
    HostNetwork = "host-network", "the pod uses the node's own network, which is not its to filter";
    /// kubelet's copy of a static pod.
    MirrorPod = "mirror-pod", "a static pod is a file on its node; this is only its copy";
    /// A namespace of the cluster itself.
    SystemNamespace = "system-namespace", "the cluster's own namespaces are never injected";
    /// The controller's namespace.
    OwnNamespace = "own-namespace", "the controller's own namespace is never injected";
    /// The pod is for Windows nodes.
    Windows = "windows", "the sidecar runs on Linux only";
    /// The sidecar is there, in front, and as it should be.
    AlreadyInjected = "already-injected", "the sidecar is there, in front, and as configured";
    /// The object has no pod template (manifests only).
    NoPodTemplate = "no-pod-template", "there is no pod in it";
}

impl Skip {
    /// Whether a pod that someone wanted guarded is not, so that its owner is told by an Event.
    #[must_use]
    pub const fn leaves_unguarded(self) -> bool {
        !matches!(
            self,
            Skip::NotOptedIn | Skip::AlreadyInjected | Skip::NoPodTemplate
        )
    }
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code(), self.sentence())
    }
}

impl Consent<'_> {
    /// `None`: inject it. What the cluster forbids goes before what the pod wants.
    ///
    /// # Errors
    /// An answer that is neither yes nor no.
    pub fn of(&self, pod: &Node) -> Result<Option<Skip>, String> {
        let namespace = self.namespace.unwrap_or_default();
        if SYSTEM_NAMESPACES.contains(&namespace) {
            return Ok(Some(Skip::SystemNamespace));
        }
        if self.namespace.is_some() && self.namespace == self.own_namespace {
            return Ok(Some(Skip::OwnNamespace));
        }
        match self.wanted(pod)? {
            Some(true) => {}
            Some(false) => return Ok(Some(Skip::Disabled)),
            None if self.namespace_says.is_some() => return Ok(Some(Skip::NotOptedIn)),
            None => {}
        }
        Ok(impossible(pod))
    }

    fn wanted(&self, pod: &Node) -> Result<Option<bool>, String> {
        let namespace = self.namespace_says;
        let answers = [
            (
                "the pod's label",
                text(pod, &["metadata", "labels", INJECT]),
            ),
            (
                "the pod's annotation",
                text(pod, &["metadata", "annotations", INJECT]),
            ),
            (
                "its namespace's label",
                namespace.and_then(|answers| answers.label.as_deref()),
            ),
            (
                "its namespace's annotation",
                namespace.and_then(|answers| answers.annotation.as_deref()),
            ),
        ];
        let first = answers
            .into_iter()
            .find_map(|(who, says)| says.map(|says| (who, says)));
        match first {
            None => Ok(None),
            Some((_, "enabled")) => Ok(Some(true)),
            Some((_, "disabled")) => Ok(Some(false)),
            Some((who, says)) => Err(format!(
                "{who} {INJECT} is {says:?}: it must be enabled or disabled"
            )),
        }
    }
}

/// What no wish can change.
fn impossible(pod: &Node) -> Option<Skip> {
    if pod.at(&["metadata", "annotations", MIRROR_POD]).is_some() {
        Some(Skip::MirrorPod)
    } else if pod.at(&["spec", "hostNetwork"]).is_some_and(Node::is_true) {
        Some(Skip::HostNetwork)
    } else if text(pod, &["spec", "os", "name"]) == Some("windows") {
        Some(Skip::Windows)
    } else {
        None
    }
}

fn text<'a>(pod: &'a Node, path: &[&str]) -> Option<&'a str> {
    // A label that is no text (`inject: true`) is refused by the API server; here it is shown.
    pod.at(path).map(|node| node.as_str().unwrap_or("not text"))
}
