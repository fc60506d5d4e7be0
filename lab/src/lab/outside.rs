//! Hosts outside of the cluster, for rules about address blocks.

use std::net::IpAddr;
use std::sync::{Arc, PoisonError};

use anyhow::Result;
use sidewall::net::Protocol;

use super::Lab;
use crate::network::Place;
use crate::pod::{Parts, Pod};
use crate::serve;

/// Makes a host on the uplink.
pub(super) async fn host(lab: &Lab, addresses: &[IpAddr], ports: &[u16]) -> Result<Pod> {
    let shared = &lab.shared;
    let first = addresses
        .first()
        .map(ToString::to_string)
        .unwrap_or_default();
    // A colon has a meaning in paths of some tools; a dash has none.
    let name = first.replace([':', '.'], "-");
    let full = format!("outside/{name}");
    let attachment = shared
        .network
        .attach(&full, addresses, Place::Outside)
        .await?;
    let pod = Pod::new(Parts {
        namespace: "outside".to_owned(),
        name,
        uid: String::new(),
        attachment,
        on_node: false,
        claim: Arc::clone(&shared.claim),
        cluster: Arc::clone(&shared.cluster),
    });
    let both = |port: &u16| [(Protocol::TCP, *port), (Protocol::UDP, *port)];
    let ports: Vec<_> = ports.iter().flat_map(both).collect();
    pod.keep(serve::start(&pod.host(), &ports).await?);
    let mut outside = lab.outside.lock().unwrap_or_else(PoisonError::into_inner);
    outside.push(pod.clone());
    Ok(pod)
}
