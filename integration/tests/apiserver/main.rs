//! Against a real kube-apiserver: what a cluster's users, its RBAC and its admission make of the chart,
//! the controller and the sidecars. Each test has a server of its own. Nodes are not here: pods run in
//! the lab.

mod aggregated;
mod chart;
mod churn;
mod conformance;
mod connectivity;
mod guide;
mod injected;
mod lists;
mod outages;
mod rights;
mod rotation;
mod speed;
mod webhook;

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use sidewall_integration::apiserver::{ApiServer, Controller};
use sidewall_integration::can_run_lab;
use sidewall_integration::helm::Helm;
use sidewall_integration::kubectl::Kubectl;
use sidewall_lab::{Api, Builder, Lab};

/// Long enough for a busy machine; nothing that succeeds waits for it.
const PATIENCE: Duration = Duration::from_secs(30);
/// What has not arrived by then is blocked: an answer within the lab takes a millisecond.
const QUICK: Duration = Duration::from_millis(800);

/// Two pods that serve, one of them guarded, in a namespace of each test's.
const SHOP: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: client, namespace: shop, labels: {app: client}}
spec: {containers: [{name: c, image: example.org/c}]}
---
apiVersion: v1
kind: Pod
metadata: {name: server, namespace: shop, labels: {app: server, sidewall.dev/inject: enabled}}
spec: {containers: [{name: c, image: example.org/c, ports: [{containerPort: 8080}]}]}
"#;

const DENY: &str = r#"
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny, namespace: shop}
spec: {podSelector: {matchLabels: {app: server}}, policyTypes: [Ingress]}
"#;

const ALLOW_GOLD: &str = r#"
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: allow-gold, namespace: shop}
spec:
  podSelector: {matchLabels: {app: server}}
  policyTypes: [Ingress]
  ingress: [{from: [{podSelector: {matchLabels: {tier: gold}}}], ports: [{port: 8080}]}]
"#;

/// Where sidecars have their policies from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// They read policies, pods and namespaces themselves.
    Api,
    /// The controller compiles their lists.
    Lists,
}

/// Makes a test of each function, for each source.
macro_rules! of_each_source {
    ($($name:ident),+ $(,)?) => {
        mod from_the_api {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() -> anyhow::Result<()> {
                super::$name(crate::Source::Api).await
            })+
        }
        mod from_lists {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() -> anyhow::Result<()> {
                super::$name(crate::Source::Lists).await
            })+
        }
    };
}
pub(crate) use of_each_source;

/// A real API server, and the real tools that talk to it.
struct Cluster {
    server: ApiServer,
    kubectl: Kubectl,
    helm: Helm,
}

impl Cluster {
    /// `None`, said loudly, where a program is missing; in CI that is a failure.
    async fn start() -> Result<Option<Self>> {
        let Some(server) = ApiServer::start().await? else {
            return Ok(None);
        };
        let kubectl = Kubectl::find(server.kubeconfig());
        let (Some(kubectl), Some(helm)) = (kubectl, Helm::find(server.kubeconfig())?) else {
            return Ok(None);
        };
        Ok(Some(Self {
            server,
            kubectl,
            helm,
        }))
    }

    /// As [`Cluster::start`], and `None` too where pods cannot be made.
    async fn for_lab(test: &str) -> Result<Option<Self>> {
        if !can_run_lab(test) {
            return Ok(None);
        }
        Self::start().await
    }

    /// A lab whose objects live here, and whose sidecars ask as their pods' own service accounts.
    fn lab(&self, source: Source) -> Builder {
        let api = Api::Kubeconfig(self.server.kubeconfig().to_owned());
        let lab = Lab::builder().api(api);
        match source {
            Source::Api => lab.own_accounts(),
            Source::Lists => lab.allow_lists(),
        }
    }

    /// What sidecars of a namespace need, as the chart gives it, and nothing that the other source needs.
    async fn provide(&self, source: Source, namespace: &str) -> Result<Vec<Controller>> {
        match source {
            Source::Api => {
                self.grant(namespace).await?;
                Ok(Vec::new())
            }
            Source::Lists => self.serve(&[], 1).await,
        }
    }

    /// The chart with as many replicas of the controller, once the API server has lists from them.
    async fn serve(&self, args: &[&str], replicas: usize) -> Result<Vec<Controller>> {
        self.helm.install(args).await?;
        let mut all = Vec::new();
        for number in 0..replicas {
            let pod = format!("sidewall-{number}");
            all.push(Controller::start(&self.server, &pod).await?);
        }
        let args = ["get", "allowlists", "-A"];
        eventually("lists are served", async || {
            self.kubectl.run(&args, "").await
        })
        .await?;
        Ok(all)
    }

    /// Makes a namespace, opted in or not.
    async fn namespace(&self, name: &str, inject: Option<&str>) -> Result<()> {
        let labels = inject.map_or(String::new(), |says| {
            format!(", labels: {{sidewall.dev/inject: {says}}}")
        });
        let yaml =
            format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {name}{labels}}}}}");
        self.kubectl.apply(&yaml).await.map(drop)
    }

    /// The rights that the chart gives to sidecars of these namespaces, and nothing else of it.
    async fn grant(&self, namespaces: &str) -> Result<String> {
        let set = format!("sidecarRbac.namespaces={{{namespaces}}}");
        let only = "templates/rbac-sidecars.yaml";
        let args = [
            "--set",
            "policySource=api",
            "--set",
            &set,
            "--show-only",
            only,
        ];
        let yaml = self.helm.template(&args).await?;
        self.kubectl.apply(&yaml).await?;
        Ok(yaml)
    }

    /// An object as the server has it.
    async fn get(&self, args: &[&str]) -> Result<Value> {
        let text = self
            .kubectl
            .run(&[&["get", "-o", "json"], args].concat(), "")
            .await?;
        Ok(serde_json::from_str(&text)?)
    }

    /// The names of all objects of these kinds with the chart's label, and of helm's own.
    async fn left(&self) -> Result<String> {
        let mut left = String::new();
        for (selector, kinds) in [
            (
                "app.kubernetes.io/part-of=sidewall",
                "mutatingwebhookconfigurations,validatingadmissionpolicies,\
                 validatingadmissionpolicybindings,clusterroles,clusterrolebindings,roles,\
                 rolebindings,secrets,leases,configmaps,serviceaccounts,services,deployments,\
                 poddisruptionbudgets,networkpolicies,apiservices",
            ),
            ("owner=helm", "secrets"),
        ] {
            let args = ["get", kinds, "-A", "-o", "name", "-l", selector];
            left += &self.kubectl.run(&args, "").await?;
        }
        Ok(left)
    }
}

/// Tries until it holds; the last reason why it did not.
async fn eventually<T>(what: &str, attempt: impl AsyncFnMut() -> Result<T>) -> Result<T> {
    eventually_in(PATIENCE, what, attempt).await
}

async fn eventually_in<T>(
    patience: Duration,
    what: &str,
    mut attempt: impl AsyncFnMut() -> Result<T>,
) -> Result<T> {
    let deadline = tokio::time::Instant::now() + patience;
    loop {
        match attempt().await {
            Ok(value) => return Ok(value),
            Err(error) if tokio::time::Instant::now() > deadline => {
                return Err(error).with_context(|| format!("{what}: not in {patience:?}"));
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

/// The message of what had to fail.
fn refused<T>(result: Result<T>) -> Result<String> {
    match result {
        Ok(_) => bail!("it was accepted"),
        Err(error) => Ok(format!("{error:#}")),
    }
}

/// A pod of one container.
fn pod(name: &str, more_metadata: &str, more_spec: &str) -> String {
    format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}{more_metadata}}}, \
         spec: {{containers: [{{name: app, image: example.org/app}}]{more_spec}}}}}"
    )
}
