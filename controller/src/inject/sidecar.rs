//! The container that is put into a pod, and the volumes it mounts.
//!
//! Every field is here for a reason, which stands beside it. Not here: where in the pod they go
//! ([`super::pod`]).

use super::CONTAINER;
use super::options::{ADMIN_PORT, KNOWN, Options};
use super::settings::{Capability, PullPolicy, Settings};
use super::tree::{Map, Node};

/// The volume of the TUN device.
pub const TUN_VOLUME: &str = "sidewall-tun";

/// The volume of the sidecar's own token.
pub const TOKEN_VOLUME: &str = "sidewall-token";

/// The volume in which the last list survives a restart of the container.
pub const CACHE_VOLUME: &str = "sidewall-cache";

/// The name of the admin port, at most 15 characters (RFC 6335, section 5.1).
pub const PORT_NAME: &str = "sidewall-admin";

/// Where a process in a pod looks for its token.
const TOKEN_DIRECTORY: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Where the sidecar keeps its last list.
const CACHE_DIRECTORY: &str = "/var/cache/sidewall";

/// A pod that exceeds it is evicted, so it is twice what the sidecar ever writes: 64 MiB, and the same
/// again while the next one is written beside it.
const CACHE_SIZE: &str = "256Mi";

/// Lifetime of the token: kubelet's own choice for the token of every pod (an hour, and the 7
/// seconds by which such tokens are told apart from others; admission/serviceaccount).
const TOKEN_SECONDS: u32 = 3607;

/// What goes into one pod.
#[derive(Debug, Clone, PartialEq)]
pub struct Sidecar {
    /// The container.
    pub container: Node,
    /// Its volumes.
    pub volumes: Vec<Node>,
    /// Whether NET_RAW is taken from the other containers.
    pub drop_net_raw: bool,
}

impl Sidecar {
    /// The sidecar as settings and options want it.
    #[must_use]
    pub fn new(settings: &Settings, options: &Options) -> Self {
        let mut volumes = vec![tun_volume(), token_volume()];
        if options.keeps_its_list() {
            volumes.push(cache_volume());
        }
        Self {
            container: container(settings, options),
            volumes,
            drop_net_raw: options.drop_net_raw(),
        }
    }

    /// Tells one configuration from another: the first 16 digits of the SHA-256 of everything
    /// that is written.
    #[must_use]
    pub fn hash(&self) -> String {
        let all = (&self.container, &self.volumes, self.drop_net_raw);
        let text = serde_json::to_vec(&all).expect("a tree has text keys only");
        let digest = ring::digest::digest(&ring::digest::SHA256, &text);
        let bytes = digest.as_ref().iter().take(8);
        bytes.map(|byte| format!("{byte:02x}")).collect()
    }
}

fn container(settings: &Settings, options: &Options) -> Node {
    let mut container: Map = [
        ("name", Node::from(CONTAINER)),
        ("image", settings.image.as_str().into()),
    ]
    .into_iter()
    .collect();
    if let Some(policy) = settings.image_pull_policy {
        container.set("imagePullPolicy", pull_policy(policy).into());
    }
    // The image has more than one program and no shell.
    container.set("command", vec!["/sidewall-sidecar".into()].into());
    // A native sidecar (KEP-753, Kubernetes 1.29): it starts before every other container, stays
    // while they run, ends after them, and does not keep a Job from finishing.
    container.set("restartPolicy", "Always".into());
    container.set("env", environment(settings, options).into());
    container.set("ports", vec![admin_port(options)].into());
    container.set("startupProbe", startup_probe(settings));
    if let Some(resources) = resources(options) {
        container.set("resources", resources);
    }
    container.set("securityContext", security_context(settings));
    container.set("volumeMounts", mounts(options).into());
    // The last lines of a sidecar that could not start stand in `kubectl describe pod`.
    container.set("terminationMessagePolicy", "FallbackToLogsOnError".into());
    Node::Map(container)
}

fn pull_policy(policy: PullPolicy) -> &'static str {
    match policy {
        PullPolicy::Always => "Always",
        PullPolicy::IfNotPresent => "IfNotPresent",
        PullPolicy::Never => "Never",
    }
}

/// Who the pod is, from the downward API, and then the options.
fn environment(settings: &Settings, options: &Options) -> Vec<Node> {
    let downward = [
        ("POD_NAME", "metadata.name"),
        ("POD_NAMESPACE", "metadata.namespace"),
        // By which the list that was kept is known to be this pod's, and not another's of the name.
        ("POD_UID", "metadata.uid"),
        ("NODE_NAME", "spec.nodeName"),
    ];
    let downward = downward.into_iter().map(|(name, field)| {
        let source = Node::from([("fieldRef", Node::from([("fieldPath", field.into())]))]);
        Node::from([("name", name.into()), ("valueFrom", source)])
    });
    let listens = format!("{}:{}", settings.admin_host, admin_port_number(options));
    let kept = options.keeps_its_list();
    let options = KNOWN.iter().filter_map(|known| {
        let value = options.get(known.name)?;
        Some((known.variable?, value.to_owned()))
    });
    let cache = kept.then(|| ("SIDEWALL_CACHE_DIR", CACHE_DIRECTORY.to_owned()));
    let plain = options
        .chain([("SIDEWALL_ADMIN_ADDR", listens)])
        .chain(cache)
        .map(|(name, value)| Node::from([("name", name.into()), ("value", value.into())]));
    downward.chain(plain).collect()
}

fn admin_port_number(options: &Options) -> u32 {
    let port = options.get("admin-port").unwrap_or(ADMIN_PORT);
    port.parse()
        .expect("options hold only numbers from 1 to 65535 here")
}

fn admin_port(options: &Options) -> Node {
    Node::from([
        ("name", PORT_NAME.into()),
        ("containerPort", admin_port_number(options).into()),
        ("protocol", "TCP".into()),
    ])
}

/// The other containers start when this one has started, and "started" is "the first complete set
/// of policies is in force". Asked every second, because the pod waits for it.
fn startup_probe(settings: &Settings) -> Node {
    let get = Node::from([("path", "/readyz".into()), ("port", PORT_NAME.into())]);
    Node::from([
        ("httpGet", get),
        ("periodSeconds", 1.into()),
        ("failureThreshold", settings.startup_seconds.into()),
    ])
}

fn resources(options: &Options) -> Option<Node> {
    let side = |side: &str| {
        let pairs = ["cpu", "memory"].into_iter().filter_map(|resource| {
            let value = options.get(&format!("{resource}-{side}"))?;
            Some((resource, Node::from(value)))
        });
        let map: Map = pairs.collect();
        (map.iter().count() > 0).then_some(Node::Map(map))
    };
    let sides = [("requests", side("request")), ("limits", side("limit"))];
    let sides = sides
        .into_iter()
        .filter_map(|(name, side)| Some((name, side?)));
    let map: Map = sides.collect();
    (map.iter().count() > 0).then_some(Node::Map(map))
}

fn security_context(settings: &Settings) -> Node {
    let add: Vec<Node> = settings
        .capabilities
        .iter()
        .map(|capability| match capability {
            Capability::NetAdmin => "NET_ADMIN".into(),
            Capability::Bpf => "BPF".into(),
        })
        .collect();
    let capabilities = Node::from([("drop", vec!["ALL".into()].into()), ("add", add.into())]);
    Node::from([
        ("capabilities", capabilities),
        ("allowPrivilegeEscalation", false.into()),
        ("readOnlyRootFilesystem", true.into()),
        // Kubernetes has no ambient capabilities: what `add` lists is effective for UID 0 only,
        // and UID 0 with these capabilities alone may do nothing else that root may. It is said
        // in full because a pod's own runAsUser or runAsNonRoot would apply otherwise.
        ("runAsUser", 0.into()),
        ("runAsGroup", 0.into()),
        ("runAsNonRoot", false.into()),
        (
            "seccompProfile",
            Node::from([("type", "RuntimeDefault".into())]),
        ),
    ])
}

fn mounts(options: &Options) -> Vec<Node> {
    let tun = [
        ("name", TUN_VOLUME.into()),
        ("mountPath", "/dev/net/tun".into()),
    ];
    let token = [
        ("name", Node::from(TOKEN_VOLUME)),
        ("mountPath", TOKEN_DIRECTORY.into()),
        ("readOnly", true.into()),
    ];
    let cache = [
        ("name", Node::from(CACHE_VOLUME)),
        ("mountPath", CACHE_DIRECTORY.into()),
    ];
    let cache = options.keeps_its_list().then(|| cache.into());
    [tun.into(), token.into()]
        .into_iter()
        .chain(cache)
        .collect()
}

/// Lives as long as the pod, and so through restarts of the container. On the node's disk: in memory
/// it would count towards the container's limit, and it is read once, at a start. Nothing in it is
/// secret: addresses, names and labels.
fn cache_volume() -> Node {
    let empty = [("sizeLimit", CACHE_SIZE.into())];
    Node::from([("name", CACHE_VOLUME.into()), ("emptyDir", empty.into())])
}

fn tun_volume() -> Node {
    let path = [
        ("path", "/dev/net/tun".into()),
        ("type", "CharDevice".into()),
    ];
    Node::from([("name", TUN_VOLUME.into()), ("hostPath", path.into())])
}

/// A token of its own: pods with `automountServiceAccountToken: false` have none, and should not
/// get one in their other containers because of us. The same files as in every other pod.
fn token_volume() -> Node {
    let token = [
        ("path", Node::from("token")),
        ("expirationSeconds", TOKEN_SECONDS.into()),
    ];
    let item = [("key", "ca.crt".into()), ("path", "ca.crt".into())];
    let authority = [
        ("name", "kube-root-ca.crt".into()),
        ("items", vec![item.into()].into()),
    ];
    let namespace = [
        ("path", "namespace".into()),
        (
            "fieldRef",
            Node::from([("fieldPath", "metadata.namespace".into())]),
        ),
    ];
    let sources = vec![
        Node::from([("serviceAccountToken", Node::from(token))]),
        Node::from([("configMap", Node::from(authority))]),
        Node::from([(
            "downwardAPI",
            Node::from([("items", vec![namespace.into()].into())]),
        )]),
    ];
    let projected = Node::from([("sources", sources.into())]);
    Node::from([("name", TOKEN_VOLUME.into()), ("projected", projected)])
}
