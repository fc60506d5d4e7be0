//! A case as the manifests that it is, and its probes as people would type them: the way that
//! `sidewall can` goes.

use serde::Serialize;
use sidewall::policy::reach::{ReachError, Reacher};

use super::case::{Case, Endpoint, Probe};
use crate::ends;
use crate::source::{File, Source};

/// The case as manifests, read as `--manifests` reads them. Mistakes are part of some cases.
pub(super) fn source(case: &Case) -> Source {
    fn typed(api_version: &str, kind: &str, object: impl Serialize) -> serde_json::Value {
        // Objects of the API always are JSON.
        let mut value = serde_json::to_value(object).unwrap_or_default();
        value["apiVersion"] = api_version.into();
        value["kind"] = kind.into();
        value
    }
    let namespaces = case
        .namespace_objects()
        .map(|object| typed("v1", "Namespace", object));
    let nodes = case
        .node_objects()
        .map(|object| typed("v1", "Node", object));
    let pods = case.pod_objects().map(|object| typed("v1", "Pod", object));
    let policies = case.policies.iter();
    let policies = policies.map(|object| typed("networking.k8s.io/v1", "NetworkPolicy", object));
    let objects = namespaces.chain(nodes).chain(pods).chain(policies);
    let objects: Vec<serde_json::Value> = objects.collect();
    let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": objects});
    Source::from_files(vec![File::named(&case.name, list.to_string())]).0
}

/// What `sidewall can` says. Nothing where a suite asks an IPv6 pod about an IPv4 address: a rule has an
/// opinion on that, but no packet can be sent.
pub(super) fn can(
    source: &Source,
    reacher: &mut Reacher<'_>,
    probe: &Probe,
) -> Result<Option<bool>, String> {
    let end = |end: &Endpoint| {
        let name = ends::parse(&end.to_string(), "default").map_err(|why| why.to_string())?;
        let found = name.resolve(source).map_err(|why| why.to_string())?;
        found
            .into_iter()
            .next()
            .ok_or_else(|| format!("nothing is called {name}"))
    };
    let (from, to) = (end(&probe.from)?, end(&probe.to)?);
    match ends::reach(reacher, &from, &to, probe.protocol, probe.port) {
        Ok(reach) => Ok(Some(reach.allowed())),
        Err(ReachError::NoCommonFamily { .. }) => Ok(None),
        Err(why) => Err(why.to_string()),
    }
}
