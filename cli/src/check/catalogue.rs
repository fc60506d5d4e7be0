//! Every check: what it asks, and what to do when the answer is no. Their names are anchors in
//! docs/check.md; a test holds the two against each other.

/// Where the links lead.
pub(super) const PAGE: &str = "https://github.com/sidewall-dev/sidewall/blob/main/docs/check.md";

/// One check.
#[derive(Debug)]
pub(super) struct Check {
    /// Its name, and its heading in docs/check.md.
    pub(super) name: &'static str,
    /// What holds when it is good.
    pub(super) says: &'static str,
    /// What to do when it does not.
    pub(super) hint: &'static str,
}

/// Defines the checks, and the list of all of them.
macro_rules! checks {
    ($($constant:ident = $name:literal, $says:literal, $hint:literal;)+) => {
        $(pub(super) const $constant: Check = Check { name: $name, says: $says, hint: $hint };)+
        #[cfg(test)]
        pub(super) const ALL: &[&Check] = &[$(&$constant),+];
    };
}

checks! {
    VERSION = "version", "Kubernetes has native sidecars (1.29 or newer)",
        "upgrade the cluster: before 1.29 an init container with restartPolicy Always blocks the pod";
    ADMISSION_POLICY = "admission-policy", "the API server can refuse pods without a sidecar itself (1.30 or newer)",
        "before 1.30 leave requireSidecar.enabled at false";
    NODES = "nodes", "the nodes' kernels can steer by eBPF (Linux 5.10 or newer)",
        "older kernels steer by tc: every packet crosses into user space";
    INSTALL = "install", "you may install the chart",
        "ask whoever runs the cluster for these rights, or to install the chart";
    PLUGIN = "plugin", "no network plugin or agent enforces policies already",
        "two would judge, and each connection would need both to agree; keep the one, or take sidewall in audit mode for its explanations";
    LABELS = "labels", "sidewall.dev/inject on namespaces says enabled or disabled",
        "kubectl label namespace NAME sidewall.dev/inject=enabled --overwrite";
    POD_SECURITY = "pod-security", "Pod Security Admission lets the sidecar in",
        "kubectl label namespace NAME pod-security.kubernetes.io/enforce=privileged --overwrite";
    INSTALLED = "installed", "the controller is installed",
        "helm install sidewall helm/sidewall --namespace sidewall --create-namespace; another namespace: --release-namespace";
    READY = "ready", "the controller is ready",
        "kubectl -n RELEASE-NAMESPACE describe deployment; kubectl -n RELEASE-NAMESPACE logs deployment/NAME";
    CLI_VERSION = "cli-version", "the controller is of the same version as this command",
        "install the command of the release, or upgrade the release";
    WEBHOOK = "webhook", "the webhook is registered",
        "helm upgrade sidewall helm/sidewall --namespace sidewall --reuse-values";
    FAILURE_POLICY = "failure-policy", "no pod starts unguarded while the webhook is away",
        "webhook.failurePolicy: Fail, or requireSidecar.enabled: true";
    AUTHORITY = "authority", "the API server was given the webhook's authority",
        "the controller writes it within seconds: its log says why not; with webhook.tls.mode cert-manager its CA injector does";
    CERTIFICATE = "certificate", "the webhook's authority is valid, and for some time",
        "the controller renews it a month before its end: its log says why not";
    INJECTS = "injects", "the API server reaches the webhook, and it injects",
        "the API server must reach the controller's port 9443 through its Service: firewalls between control plane and nodes, the controller's NetworkPolicy";
    API_SERVICE = "api-service", "the API server has allow lists from the controller",
        "kubectl describe apiservice v1alpha1.allowlists.sidewall.dev; the API server must reach the controller's port 9444 through its Service";
    READS_ITSELF = "reads-itself", "every sidecar takes a ready-made list",
        "start the pods anew (kubectl rollout restart): these sidecars were made to read policies and pods themselves";
    BROAD_RIGHTS = "broad-rights", "sidecars may read no more than they need",
        "helm upgrade with --set sidecarRbac.allNamespaces=false,sidecarRbac.namespaces=null";
    INJECTED = "injected", "every pod that asks for a sidecar has one",
        "start them anew (kubectl rollout restart): pods from before the label have none";
    FIRST = "first", "sidecars stand first among the init containers",
        "webhook.reinvocationPolicy: IfNeeded, and start the pods anew: what stands before the sidecar runs unguarded";
    SAME_IMAGE = "same-image", "sidecars have the controller's image",
        "start the pods anew: a running pod keeps the sidecar it was made with";
    STARTED = "started", "sidecars have started: their policies are in force",
        "kubectl -n NAMESPACE logs POD -c sidewall says what it waits for";
    RBAC = "rbac", "sidecars may read what they enforce",
        "policySource allowlists: helm upgrade gives the right; api: helm upgrade with sidecarRbac.namespaces={NAMESPACE,…}";
}
