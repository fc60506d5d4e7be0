//! A policy as a document that people read and apply.

use ipnet::IpNet;
use serde::Serialize;

use crate::net::{Direction, Protocol};
use crate::policy::allow_list::{ObjectRef, Selector};

/// A NetworkPolicy, its fields in the order in which people write them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyDocument {
    api_version: &'static str,
    kind: &'static str,
    metadata: Metadata,
    spec: Spec,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Metadata {
    name: String,
    namespace: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    pod_selector: Selector,
    policy_types: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ingress: Option<Vec<IngressRule>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    egress: Option<Vec<EgressRule>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct IngressRule {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    from: Vec<PeerDocument>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ports: Vec<PortDocument>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct EgressRule {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    to: Vec<PeerDocument>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ports: Vec<PortDocument>,
}

/// A rule of either direction. Without peers it admits everyone, without ports every port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleDocument {
    /// `from` or `to`.
    pub peers: Vec<PeerDocument>,
    /// `ports`.
    pub ports: Vec<PortDocument>,
}

/// An entry of `from` or `to`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PeerDocument {
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace_selector: Option<Selector>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pod_selector: Option<Selector>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ip_block: Option<Block>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
struct Block {
    cidr: IpNet,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    except: Vec<IpNet>,
}

/// An entry of `ports`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct PortDocument {
    /// TCP, UDP or SCTP.
    pub protocol: Protocol,
    /// The number.
    pub port: u16,
}

impl PeerDocument {
    /// Pods by labels; without a namespace selector those of the policy's own namespace.
    #[must_use]
    pub const fn pods(namespaces: Option<Selector>, pods: Selector) -> Self {
        Self {
            namespace_selector: namespaces,
            pod_selector: Some(pods),
            ip_block: None,
        }
    }

    /// An entry as it is: either selector may be missing, which means another thing than an empty one.
    #[must_use]
    pub const fn selectors(namespaces: Option<Selector>, pods: Option<Selector>) -> Self {
        Self {
            namespace_selector: namespaces,
            pod_selector: pods,
            ip_block: None,
        }
    }

    /// Addresses.
    #[must_use]
    pub const fn block(cidr: IpNet, except: Vec<IpNet>) -> Self {
        Self {
            namespace_selector: None,
            pod_selector: None,
            ip_block: Some(Block { cidr, except }),
        }
    }
}

impl PolicyDocument {
    /// A policy for one direction.
    #[must_use]
    pub fn new(
        namespace: &str,
        name: &str,
        selects: Selector,
        direction: Direction,
        rules: Vec<RuleDocument>,
    ) -> Self {
        let (mut ingress, mut egress) = (None, None);
        let policy_type = match direction {
            Direction::Ingress => {
                let rule = |RuleDocument { peers, ports }| IngressRule { from: peers, ports };
                ingress = Some(rules.into_iter().map(rule).collect());
                "Ingress"
            }
            Direction::Egress => {
                let rule = |RuleDocument { peers, ports }| EgressRule { to: peers, ports };
                egress = Some(rules.into_iter().map(rule).collect());
                "Egress"
            }
        };
        Self {
            api_version: "networking.k8s.io/v1",
            kind: "NetworkPolicy",
            metadata: Metadata {
                name: name.to_owned(),
                namespace: namespace.to_owned(),
            },
            spec: Spec {
                pod_selector: selects,
                policy_types: vec![policy_type],
                ingress,
                egress,
            },
        }
    }

    /// A policy for both directions.
    #[must_use]
    pub fn both(
        namespace: &str,
        name: &str,
        selects: Selector,
        ingress: Vec<RuleDocument>,
        egress: Vec<RuleDocument>,
    ) -> Self {
        let mut policy = Self::new(namespace, name, selects, Direction::Ingress, ingress);
        let mut other = Self::new(
            namespace,
            name,
            Selector::default(),
            Direction::Egress,
            egress,
        );
        policy
            .spec
            .policy_types
            .append(&mut other.spec.policy_types);
        policy.spec.egress = other.spec.egress;
        policy
    }

    /// Gives it another name.
    pub fn rename(&mut self, name: String) {
        self.metadata.name = name;
    }

    /// Its namespace and name.
    #[must_use]
    pub fn id(&self) -> ObjectRef {
        ObjectRef {
            namespace: self.metadata.namespace.clone(),
            name: self.metadata.name.clone(),
        }
    }

    /// The document, ending with a line feed.
    #[must_use]
    pub fn yaml(&self) -> String {
        match serde_saphyr::to_string(self) {
            Ok(text) => text.trim_end().to_owned() + "\n",
            // Maps with string keys, lists, strings and numbers: nothing that YAML cannot say. JSON
            // is YAML as well.
            Err(_) => serde_json::to_string_pretty(self).unwrap_or_default() + "\n",
        }
    }
}

/// The longest name of an object (RFC 1123 subdomain).
const LONGEST_NAME: usize = 253;

/// A text as an object's name.
pub(super) fn as_name(text: &str) -> String {
    let text = text.to_ascii_lowercase();
    let letter = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let name: String = text.chars().map(letter).take(LONGEST_NAME - 10).collect();
    // Empty segments of an IPv6 address leave hyphens at the ends or doubled.
    let words: Vec<&str> = name.split('-').filter(|word| !word.is_empty()).collect();
    words.join("-")
}
