//! The kernel's own filter in the pod's namespace, as somebody who knows nftables would write the same
//! policies by hand: established connections pass, then one look-up in one set per family.

use std::fmt::Write as _;
use std::net::IpAddr;

use anyhow::{Context as _, Result, ensure};
use sidewall_lab::Pod;

use super::addresses;
use crate::bench::axis::Point;
use crate::bench::cluster::{PORTS, fillers};

/// Loads the rules.
pub(super) async fn start(server: &Pod, client: &Pod, point: Point) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("rules.nft");
    std::fs::write(&file, rules(point, &addresses(client)?))?;
    let loaded = server.exec("nft", ["-f".as_ref(), file.as_os_str()]);
    let loaded = loaded
        .await
        .context("nft (`.ci/setup bench` installs it)")?;
    ensure!(
        loaded.status.success(),
        "nft: {}",
        String::from_utf8_lossy(&loaded.stderr)
            .lines()
            .next()
            .unwrap_or_default()
    );
    Ok(())
}

fn rules(point: Point, clients: &[IpAddr]) -> String {
    if point.policies == 0 {
        // Nobody is isolated. A filter that tracks connections is still there.
        return "table inet filter {\n\
                chain input { type filter hook input priority 0; ct state established,related accept; }\n\
                chain output { type filter hook output priority 0; ct state established,related accept; }\n\
                }\n"
            .to_owned();
    }
    let mut elements = [Vec::new(), Vec::new()];
    let mut outward = [Vec::new(), Vec::new()];
    let family = |address: &IpAddr| usize::from(address.is_ipv6());
    for client in clients {
        for protocol in ["tcp", "udp"] {
            for port in PORTS {
                let element = format!("{client} . {protocol} . {port}");
                elements[family(client)].push(element.clone());
                outward[family(client)].push(element);
            }
        }
    }
    for filler in fillers(point) {
        for address in &filler.addresses {
            elements[family(address)].push(format!("{address} . tcp . {}", filler.port));
        }
    }
    let mut text = String::from("table inet filter {\n");
    let sets = [("in", &elements), ("out", &outward)];
    for (direction, sets) in sets {
        for (kind, elements) in ["ipv4_addr", "ipv6_addr"].iter().zip(sets) {
            let _ = writeln!(
                text,
                "set {direction}_{kind} {{ type {kind} . inet_proto . inet_service; elements = {{ {} }}; }}",
                elements.join(", ")
            );
        }
    }
    for (chain, direction, end) in [("input", "in", "saddr"), ("output", "out", "daddr")] {
        let _ = writeln!(
            text,
            "chain {chain} {{ type filter hook {chain} priority 0; policy drop;\n\
             ct state established,related accept\n\
             {}if lo accept\n\
             icmpv6 type {{ nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert }} accept\n\
             ip {end} . meta l4proto . th dport @{direction}_ipv4_addr accept\n\
             ip6 {end} . meta l4proto . th dport @{direction}_ipv6_addr accept\n}}",
            if chain == "input" { "i" } else { "o" }
        );
    }
    text + "}\n"
}
