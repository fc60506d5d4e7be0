//! Waiting for the cluster to mean what it says: deterministic, by comparing, not by sleeping.
//!
//! What should be is computed from a fresh list of every object, by the same compiler that the
//! sidecars use; what is, is asked of every sidecar (`/policy`) and of the node's controllers.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use futures::future::try_join_all;
use ipnet::IpNet;
use k8s_openapi::api::core::v1::{Namespace, Pod as PodObject, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::ResourceExt as _;
use kube::api::{Api, ListParams};
use serde_json::Value;
use sidewall::policy::allow_list::{AllowList, ObjectRef};
use sidewall::policy::cluster::Cluster as Index;
use sidewall::policy::cluster::objects::Object;
use sidewall::policy::compile::{compile, compile_near};
use tokio::time::{Instant, sleep};

use crate::cluster::translations::translations;
use crate::controller::pods::{Pods, State, full_name};
use crate::controller::{Shared, services};
use crate::pod::Pod;

/// Between two looks: a change is enforced within some milliseconds.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Waits until nothing is missing any more.
pub(super) async fn settled(shared: &Shared, timeout: Duration) -> Result<()> {
    let deadline = Instant::now() + timeout;
    let mut last = None;
    loop {
        let missing = match tokio::time::timeout_at(deadline, missing(shared)).await {
            Ok(Ok(None)) => return Ok(()),
            Ok(Ok(Some(missing))) => anyhow!(missing),
            Ok(Err(error)) => error,
            // The last look is cut short: what the one before it saw is the reason.
            Err(_) => last
                .take()
                .unwrap_or_else(|| anyhow!("the API server or a sidecar does not answer")),
        };
        if Instant::now() >= deadline {
            return Err(missing).with_context(|| format!("not settled after {timeout:?}"));
        }
        last = Some(missing);
        sleep(LOOK_AGAIN).await;
    }
}

/// The first thing that is not yet as it should be.
async fn missing(shared: &Shared) -> Result<Option<String>> {
    let objects = Objects::list(shared).await?;
    if let Some(pod) = objects.pods_missing(&shared.pods.borrow(), shared) {
        return Ok(Some(pod));
    }
    if objects.services_missing(shared) {
        return Ok(Some(
            "a Service is not translated to its endpoints".to_owned(),
        ));
    }
    let index = objects.index();
    let pods = super::up(&shared.pods.borrow());
    let checks = pods.iter().map(|pod| sidecar_missing(shared, &index, pod));
    let found = try_join_all(checks).await?;
    Ok(found.into_iter().flatten().next())
}

/// Everything that matters to a verdict.
struct Objects {
    namespaces: Vec<Namespace>,
    pods: Vec<PodObject>,
    services: Vec<Service>,
    slices: Vec<EndpointSlice>,
    policies: Vec<NetworkPolicy>,
}

impl Objects {
    async fn list(shared: &Shared) -> Result<Self> {
        let client = || shared.client.clone();
        let all = ListParams::default();
        let (namespaces, pods) = (Api::all(client()), Api::all(client()));
        let (services, slices) = (Api::all(client()), Api::all(client()));
        let policies = Api::all(client());
        let (namespaces, pods, services, slices, policies) = tokio::try_join!(
            namespaces.list(&all),
            pods.list(&all),
            services.list(&all),
            slices.list(&all),
            policies.list(&all),
        )
        .context("cannot list the cluster's objects")?;
        Ok(Self {
            namespaces: namespaces.items,
            pods: pods.items,
            services: services.items,
            slices: slices.items,
            policies: policies.items,
        })
    }

    fn pods_missing(&self, states: &Pods, shared: &Shared) -> Option<String> {
        for object in &self.pods {
            let node = object
                .spec
                .as_ref()
                .and_then(|spec| spec.node_name.as_deref());
            if node.is_some_and(|node| !node.is_empty() && !shared.is_our_node(node)) {
                continue;
            }
            let name = full_name(object);
            if object.metadata.deletion_timestamp.is_some() {
                return Some(format!("the pod {name} is not down"));
            }
            let uid = object.uid();
            match states.get(&name) {
                Some(State::Up(pod)) if uid.as_deref() == Some(pod.uid()) => {}
                Some(State::Ended) => {}
                Some(State::Failed(problem)) => {
                    return Some(format!("the pod {name} does not come up: {problem}"));
                }
                Some(State::Up(_) | State::Starting) | None => {
                    return Some(format!("the pod {name} is not up"));
                }
            }
        }
        let gone = states.keys().find(|name| {
            let mut objects = self.pods.iter();
            !objects.any(|object| full_name(object) == **name)
        });
        gone.map(|name| format!("the pod {name} is not down"))
    }

    fn services_missing(&self, shared: &Shared) -> bool {
        let services: Vec<&Service> = self.services.iter().collect();
        let pods: Vec<&PodObject> = self.pods.iter().collect();
        let slices: Vec<&EndpointSlice> = self.slices.iter().collect();
        let wanted = translations(&services, &slices, &shared.network.plan().node);
        !services::steps(&services, &pods, &slices).is_empty()
            || shared.programmed.borrow().as_ref() != Some(&wanted)
    }

    fn index(&self) -> Index {
        let mut index = Index::default();
        let namespaces = self.namespaces.iter().map(Object::from);
        let pods = self.pods.iter().map(Object::from);
        let services = self.services.iter().map(Object::from);
        let slices = self.slices.iter().map(Object::from);
        let policies = self.policies.iter().map(Object::from);
        let all = namespaces.chain(pods).chain(services);
        for object in all.chain(slices).chain(policies) {
            // Nobody follows this index: what each object changed does not matter.
            let _ = index.apply(object);
        }
        index
    }
}

/// How what a pod's sidecar enforces differs from what it should. One that is not running enforces
/// nothing that could be compared; the pod is closed, and whoever ended it knows.
async fn sidecar_missing(shared: &Shared, index: &Index, pod: &Pod) -> Result<Option<String>> {
    let Some(sidecar) = pod.sidecar().filter(|sidecar| sidecar.pid().is_some()) else {
        return Ok(None);
    };
    let (namespace, name) = pod.name().split_once('/').unwrap_or_default();
    let reference = ObjectRef {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    };
    let gateways = gateways(shared, pod);
    // What is sent leaves out the Services that cannot decide.
    let wanted = if sidecar.is_sent_its_list() {
        compile_near(index, &reference, &gateways)?
    } else {
        compile(index, &reference, &gateways)?
    };
    let mut answer = sidecar.get("/policy").await?;
    let enforced = answer["allowList"].take();
    if enforced.is_null() {
        return Ok(Some(format!(
            "the sidecar of {} has no policy yet",
            pod.name()
        )));
    }
    let enforced: AllowList = serde_json::from_value(enforced)
        .with_context(|| format!("the sidecar of {} answers no allow list", pod.name()))?;
    if enforced == wanted {
        return Ok(None);
    }
    let difference = difference(
        &serde_json::to_value(&enforced)?,
        &serde_json::to_value(&wanted)?,
    );
    Ok(Some(format!(
        "the sidecar of {} differs: {difference}",
        pod.name()
    )))
}

/// The gateways that the pod has routes by: one for each family it has addresses of.
fn gateways(shared: &Shared, pod: &Pod) -> Vec<IpAddr> {
    let gateways = shared.network.plan().gateways.iter().map(IpNet::addr);
    let has = |gateway: &IpAddr| {
        let mut own = pod.addresses().iter();
        own.any(|own| own.is_ipv4() == gateway.is_ipv4())
    };
    gateways.filter(has).collect()
}

/// The parts of two objects that are not the same.
fn difference(enforced: &Value, wanted: &Value) -> String {
    let Some(wanted) = wanted.as_object() else {
        return "no object".to_owned();
    };
    let parts = wanted
        .iter()
        .filter(|(part, value)| enforced.get(part) != Some(*value));
    let parts = parts.map(|(part, value)| {
        let has = enforced.get(part).unwrap_or(&Value::Null);
        format!("{part} is {has} and should be {value}")
    });
    parts.collect::<Vec<_>>().join("; ")
}
