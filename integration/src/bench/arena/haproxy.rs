//! A proxy as a sidecar, as service meshes have it: the kernel redirects what arrives to haproxy in the
//! pod, which looks the peer up in a list of addresses and connects to the application's port.
//! A mesh's proxy does more; this is the least that the way through a proxy costs. UDP goes past it.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

use anyhow::{Context as _, Result, ensure};
use sidewall_lab::Pod;

use super::addresses;
use super::program::Program;
use crate::bench::axis::Point;
use crate::bench::cluster::{PORTS, fillers};

/// Between the application's port and the proxy's for it.
const APART: u16 = 10_000;

/// Starts haproxy and redirects to it.
pub(super) async fn start(server: &Pod, client: &Pod, point: Point) -> Result<Program> {
    let folder = tempfile::tempdir()?;
    let at = |name: &str| folder.path().join(name);
    let (peers, config, rules) = (at("peers"), at("haproxy.cfg"), at("redirect.nft"));
    std::fs::write(&peers, peers_of(point, &addresses(client)?))?;
    let check = if point.policies == 0 {
        String::new()
    } else {
        let peers = peers.display();
        format!("  tcp-request connection reject unless {{ src -f {peers} }}\n")
    };
    std::fs::write(&config, configuration(&addresses(server)?, &check))?;
    std::fs::write(&rules, redirection())?;
    let loaded = server.exec("nft", ["-f".as_ref(), rules.as_os_str()]);
    let loaded = loaded
        .await
        .context("nft (`.ci/setup bench` installs it)")?;
    ensure!(
        loaded.status.success(),
        "nft: {}",
        String::from_utf8_lossy(&loaded.stderr)
    );
    let config = config.to_string_lossy().into_owned();
    Program::start(server, "haproxy", &["-db", "-f", &config], folder)
        .context("haproxy (`.ci/setup bench` installs it)")
}

/// Every port of both families, each to the application at the pod's own address.
fn configuration(pod: &[IpAddr], check: &str) -> String {
    let mut text = String::from(
        "global\n  maxconn 4000\n\
         defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 1m\n  timeout server 1m\n",
    );
    for address in pod {
        for port in PORTS {
            let (name, application) = (
                format!("{}-{port}", if address.is_ipv4() { "v4" } else { "v6" }),
                SocketAddr::new(*address, port),
            );
            let own = SocketAddr::new(*address, port + APART);
            let _ = write!(
                text,
                "listen {name}\n  bind {own}\n{check}  server app {application}\n"
            );
        }
    }
    text
}

fn redirection() -> String {
    let ports = PORTS.map(|port| format!("{port} : {}", port + APART));
    let ports: Vec<String> = ports.collect();
    format!(
        "table inet mesh {{\n\
         chain in {{ type nat hook prerouting priority -100; iif eth0 meta l4proto tcp \
         redirect to :tcp dport map {{ {} }}; }}\n}}\n",
        ports.join(", ")
    )
}

/// One address a line, as haproxy reads it. Without ports: it takes part in the benchmark, not in a
/// proof that it means the same.
fn peers_of(point: Point, clients: &[IpAddr]) -> String {
    let mut text = String::new();
    let others = fillers(point)
        .into_iter()
        .flat_map(|filler| filler.addresses);
    for address in clients.iter().copied().chain(others) {
        let _ = writeln!(text, "{address}");
    }
    text
}
