//! Names of the cluster: `<service>.<namespace>.svc.cluster.local` and what Kubernetes' DNS
//! specification (kubernetes/dns, docs/specification.md, 1.1) says beside it, for addresses.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::ResourceExt as _;
use sidewall::manifest::endpoints::{cluster_ips, is_headless};

use super::{Cluster, sorted};

/// The cluster's domain.
pub(crate) const DOMAIN: &str = "cluster.local";

/// What a name means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// The name is there, with these addresses of both families, or none.
    Addresses(Vec<IpAddr>),
    /// There is no such name.
    Nothing,
}

impl Cluster {
    /// Looks a fully qualified name in small letters up.
    pub(crate) fn lookup(&self, name: &str) -> Found {
        let name = name.trim_end_matches('.');
        let Some(labels) = name.strip_suffix(DOMAIN) else {
            return Found::Nothing;
        };
        let labels: Vec<&str> = labels.trim_end_matches('.').split('.').collect();
        match labels.as_slice() {
            [service, namespace, "svc"] => self.service(namespace, service, None),
            [host, service, namespace, "svc"] => self.service(namespace, service, Some(host)),
            [address, namespace, "pod"] => self.pod(namespace, address),
            // An empty non-terminal is there, without records (RFC 8020).
            [""] | ["svc" | "pod"] => Found::Addresses(Vec::new()),
            [namespace, "svc" | "pod"] if self.has_namespace(namespace) => {
                Found::Addresses(Vec::new())
            }
            _ => Found::Nothing,
        }
    }

    /// The address of the cluster's DNS: the Service for `k8s-app: kube-dns`, as a kubelet is told.
    pub(crate) fn dns_server(&self) -> Option<IpAddr> {
        let is_dns = |service: &Service| {
            let app = service.labels().get("k8s-app");
            let name = (service.namespace(), service.name_any());
            app.map(String::as_str) == Some("kube-dns")
                || name == (Some("kube-system".to_owned()), "kube-dns".to_owned())
        };
        let services = sorted(&self.services);
        let service = services.iter().find(|service| is_dns(service))?;
        cluster_ips(service).first().copied()
    }

    fn service(&self, namespace: &str, name: &str, host: Option<&str>) -> Found {
        let reference = kube::runtime::reflector::ObjectRef::new(name).within(namespace);
        let Some(service) = self.services.get(&reference) else {
            return Found::Nothing;
        };
        if !is_headless(&service) {
            return match host {
                None => Found::Addresses(cluster_ips(&service)),
                Some(_) => Found::Nothing,
            };
        }
        let mut addresses = self.endpoints(namespace, name, host);
        addresses.sort_unstable();
        addresses.dedup();
        if host.is_some() && addresses.is_empty() {
            return Found::Nothing;
        }
        Found::Addresses(addresses)
    }

    /// Ready endpoints of a headless Service; with a host name, those of that name.
    fn endpoints(&self, namespace: &str, service: &str, host: Option<&str>) -> Vec<IpAddr> {
        let of_service = |slice: &EndpointSlice| {
            let label = slice.labels().get("kubernetes.io/service-name");
            slice.namespace().as_deref() == Some(namespace)
                && label.map(String::as_str) == Some(service)
        };
        sorted(&self.slices)
            .iter()
            .filter(|slice| of_service(slice))
            .flat_map(|slice| slice.endpoints.clone())
            .filter(|endpoint| {
                let conditions = endpoint.conditions.as_ref();
                conditions.and_then(|c| c.ready).unwrap_or(true)
            })
            .filter(|endpoint| host.is_none() || endpoint.hostname.as_deref() == host)
            .flat_map(|endpoint| endpoint.addresses)
            .filter_map(|address| address.parse().ok())
            .collect()
    }

    /// `10-244-0-5.namespace.pod`: a pod's address, spelled with dashes.
    fn pod(&self, namespace: &str, dashed: &str) -> Found {
        let spelled = [dashed.replace('-', "."), dashed.replace('-', ":")];
        let Some(address) = spelled.iter().find_map(|s| s.parse::<IpAddr>().ok()) else {
            return Found::Nothing;
        };
        let text = address.to_string();
        let is_its = |pod: &k8s_openapi::api::core::v1::Pod| {
            let status = pod.status.as_ref();
            let addresses = status.and_then(|status| status.pod_ips.as_deref());
            addresses.unwrap_or_default().iter().any(|ip| ip.ip == text)
        };
        let here = self
            .pods
            .find(|pod| pod.metadata.namespace.as_deref() == Some(namespace) && is_its(pod));
        here.map_or(Found::Nothing, |_| Found::Addresses(vec![address]))
    }

    fn has_namespace(&self, name: &str) -> bool {
        let reference = kube::runtime::reflector::ObjectRef::new(name);
        self.namespaces.get(&reference).is_some()
    }
}
