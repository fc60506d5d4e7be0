//! One measurement between a client and a guarded pod. Every probe is bounded in time, opens its
//! sockets inside the two pods, and leaves nothing behind.

mod connections;
mod datagrams;
mod ping;
mod stream;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, Result};
use sidewall_lab::Pod;

use super::axis::{Column, Probe};

pub(crate) use self::connections::{Load, load};
use self::stream::Transfer;

/// Figures of one measurement.
pub type Figures = Vec<(Column, f64)>;

/// A socket that waits longer than this has lost its other end.
const PATIENCE: Duration = Duration::from_secs(3);

/// Ports, all within [`super::cluster::PORTS`]; 5201 is iperf3's.
const PING: u16 = 5202;
const DATAGRAMS: u16 = 5203;
const CONNECTIONS: std::ops::RangeInclusive<u16> = 5204..=5211;

/// Measures.
///
/// # Errors
/// When the traffic does not get through as it should.
pub async fn measure(
    probe: Probe,
    client: &Pod,
    server: &Pod,
    v6: bool,
    seconds: u32,
) -> Result<Figures> {
    let address = address(server, v6)?;
    let time = Duration::from_secs(seconds.into());
    match probe {
        Probe::Stream { streams, from_pod } => {
            let transfer = Transfer {
                streams,
                from_pod,
                cubic: false,
            };
            stream::measure(client, server, address, transfer, seconds).await
        }
        Probe::Cubic { from_pod } => {
            let transfer = Transfer {
                streams: 1,
                from_pod,
                cubic: true,
            };
            stream::measure(client, server, address, transfer, seconds).await
        }
        Probe::Datagrams { size } => datagrams::measure(client, server, address, size, time).await,
        Probe::Ping => ping::measure(client, server, address, time).await,
        Probe::Connections => connections::measure(client, server, address, time).await,
        // Not by traffic: the arena knows the processes.
        Probe::Memory => Ok(Vec::new()),
    }
}

/// The pod's address of a family.
///
/// # Errors
/// When it has none.
pub(crate) fn address(pod: &Pod, v6: bool) -> Result<IpAddr> {
    let address = if v6 { pod.ipv6() } else { pod.ipv4() };
    address.with_context(|| format!("{} lacks an address", pod.name()))
}

/// A listening socket in the pod; `accept` gives up after `patience` with `WouldBlock`.
async fn listen(
    pod: &Pod,
    address: SocketAddr,
    patience: Duration,
) -> Result<std::net::TcpListener> {
    let listening = pod.within(move || {
        let socket = socket2::Socket::new(
            socket2::Domain::for_address(address),
            socket2::Type::STREAM,
            None,
        )?;
        // The one before may still be in TIME_WAIT.
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.set_read_timeout(Some(patience))?;
        socket.listen(4096)?;
        std::io::Result::Ok(socket.into())
    });
    listening
        .await?
        .with_context(|| format!("cannot listen on {address}"))
}
