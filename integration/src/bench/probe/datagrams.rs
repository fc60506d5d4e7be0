//! UDP packets towards the pod: one thread sends as fast as it can, one receives. What counts is what
//! was received while it was sent; what was too much is lost on the way, as it would be elsewhere.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use sidewall_lab::Pod;

use super::{DATAGRAMS, Figures};
use crate::bench::axis::Column;

/// How long the receiver looks away from the clock.
const LOOK: Duration = Duration::from_millis(20);
/// Packets between two looks at the clock.
const BATCH: u32 = 64;

/// Measures packets of one size.
pub(super) async fn measure(
    client: &Pod,
    server: &Pod,
    address: IpAddr,
    size: u16,
    time: Duration,
) -> Result<Figures> {
    let to = SocketAddr::new(address, DATAGRAMS);
    let receiver = server.within(move || UdpSocket::bind(to)).await?;
    let receiver = receiver.with_context(|| format!("cannot receive at {to}"))?;
    receiver.set_read_timeout(Some(LOOK))?;
    let over = Arc::new(AtomicBool::new(false));
    let count = {
        let over = Arc::clone(&over);
        tokio::task::spawn_blocking(move || receive(&receiver, &over))
    };
    let sent = client.within(move || send(to, size, time)).await?;
    over.store(true, Ordering::Relaxed);
    let received = count.await??;
    let spent = sent.with_context(|| format!("cannot send to {to}"))?;
    ensure!(received > 0, "none of the packets to {to} arrived");
    #[expect(clippy::cast_precision_loss, reason = "millions of packets")]
    let rate = received as f64 / spent.as_secs_f64() / 1e3;
    let column = if size < 1000 {
        Column::Datagrams64
    } else {
        Column::Datagrams1400
    };
    Ok(vec![(column, rate)])
}

fn receive(socket: &UdpSocket, over: &AtomicBool) -> Result<u64> {
    let mut buffer = [0; 2048];
    let mut count = 0;
    while !over.load(Ordering::Relaxed) {
        match socket.recv(&mut buffer) {
            Ok(_) => count += 1,
            Err(error) if is_silence(&error) => {}
            Err(error) => return Err(error).context("receive"),
        }
    }
    Ok(count)
}

fn send(to: SocketAddr, size: u16, time: Duration) -> std::io::Result<Duration> {
    let any: IpAddr = if to.is_ipv4() {
        std::net::Ipv4Addr::UNSPECIFIED.into()
    } else {
        std::net::Ipv6Addr::UNSPECIFIED.into()
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(to)?;
    let data = vec![0; size.into()];
    let began = Instant::now();
    while began.elapsed() < time {
        for _ in 0..BATCH {
            match socket.send(&data) {
                Ok(_) => {}
                // A full queue somewhere on the way.
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(began.elapsed())
}

fn is_silence(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), Interrupted | TimedOut | WouldBlock)
}
