//! Request and answer on one TCP connection, one at a time: the time from the one to the other.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use hdrhistogram::Histogram;
use sidewall_lab::Pod;

use super::{Figures, PATIENCE, PING};
use crate::bench::axis::Column;

/// A small request, as a cache or a database gets them.
const SIZE: usize = 64;
/// Requests before it counts: the flow is then established everywhere, and carried if it can be.
const WARM_UP: u32 = 100;

/// Measures.
pub(super) async fn measure(
    client: &Pod,
    server: &Pod,
    address: IpAddr,
    time: Duration,
) -> Result<Figures> {
    let to = SocketAddr::new(address, PING);
    let listener = super::listen(server, to, PATIENCE).await?;
    let asking = client.within(move || ask(to, time));
    let answering = tokio::task::spawn_blocking(move || answer(&listener));
    let asked = asking.await?;
    let answered = answering.await?;
    let times = asked.with_context(|| format!("request to {to}"))?;
    answered.context("the answering end")?;
    ensure!(!times.is_empty(), "no request was answered in {time:?}");
    let at = |share: f64| {
        #[expect(clippy::cast_precision_loss, reason = "nanoseconds of a round trip")]
        let nanos = times.value_at_quantile(share) as f64;
        nanos / 1e3
    };
    Ok(vec![
        (Column::LatencyP50, at(0.5)),
        (Column::LatencyP99, at(0.99)),
        (Column::LatencyP999, at(0.999)),
    ])
}

fn ask(to: SocketAddr, time: Duration) -> Result<Histogram<u64>> {
    let mut stream = TcpStream::connect_timeout(&to, PATIENCE)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    // Three digits: a thousandth is finer than the machine.
    let mut times = Histogram::new(3)?;
    let (request, mut reply) = ([7; SIZE], [0; SIZE]);
    for _ in 0..WARM_UP {
        stream.write_all(&request)?;
        stream.read_exact(&mut reply)?;
    }
    let began = Instant::now();
    let mut sent = began;
    while sent.duration_since(began) < time {
        stream.write_all(&request)?;
        stream.read_exact(&mut reply)?;
        let now = Instant::now();
        times.record(u64::try_from(now.duration_since(sent).as_nanos())?)?;
        sent = now;
    }
    Ok(times)
}

fn answer(listener: &TcpListener) -> Result<()> {
    let (mut stream, _) = listener.accept()?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut request = [0; SIZE];
    loop {
        let read = stream.read(&mut request[..1])?;
        if read == 0 {
            return Ok(());
        }
        stream.read_exact(&mut request[1..])?;
        stream.write_all(&request)?;
    }
}
