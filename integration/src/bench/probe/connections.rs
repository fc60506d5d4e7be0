//! New TCP connections: connect, say goodbye, wait for the other end's goodbye, close. Ports differ, so
//! that no pair of ports comes back while the kernel still remembers it.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use sidewall_lab::Pod;

use super::{CONNECTIONS, Figures, PATIENCE};
use crate::bench::axis::Column;

/// Clients at once. One alone would measure latency; two cores are busy with four.
const CLIENTS: usize = 4;
/// How often a server without work looks whether it is over.
const LOOK: Duration = Duration::from_millis(50);

/// Measures.
pub(super) async fn measure(
    client: &Pod,
    server: &Pod,
    address: IpAddr,
    time: Duration,
) -> Result<Figures> {
    let over = Arc::new(AtomicBool::new(false));
    let load = load(client, server, &[address], 0, Arc::clone(&over)).await?;
    let began = Instant::now();
    tokio::time::sleep(time).await;
    let (made, spent) = (load.made(), began.elapsed());
    over.store(true, Ordering::Relaxed);
    let failed = load.end().await?;
    ensure!(failed == 0, "{failed} connections failed");
    #[expect(clippy::cast_precision_loss, reason = "thousands of connections")]
    let rate = made as f64 / spent.as_secs_f64() / 1e3;
    Ok(vec![(Column::Connections, rate)])
}

/// Connections that come and go until they are told to stop.
pub(crate) struct Load {
    made: Arc<AtomicU64>,
    failed: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
    clients: Vec<tokio::task::JoinHandle<Result<()>>>,
    servers: Vec<std::thread::JoinHandle<()>>,
}

impl Load {
    /// How many were opened and closed so far.
    pub(crate) fn made(&self) -> u64 {
        self.made.load(Ordering::Relaxed)
    }

    /// How many were not.
    pub(crate) fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// Waits for the end of what was told to stop; how many failed.
    pub(crate) async fn end(self) -> Result<u64> {
        self.over.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.await??;
        }
        for server in self.servers {
            // A panic there would show as failed connections here.
            let _ = tokio::task::spawn_blocking(move || server.join()).await?;
        }
        Ok(self.failed.load(Ordering::Relaxed))
    }
}

/// Starts clients and servers. Each connection first makes this many round trips of a byte: enough of
/// them, and the kernel comes to carry the flow.
pub(crate) async fn load(
    client: &Pod,
    server: &Pod,
    addresses: &[IpAddr],
    round_trips: u32,
    over: Arc<AtomicBool>,
) -> Result<Load> {
    let (made, failed) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
    let mut servers = Vec::new();
    let mut targets = Vec::new();
    for address in addresses {
        for port in CONNECTIONS {
            let to = SocketAddr::new(*address, port);
            let listener = super::listen(server, to, LOOK).await?;
            let over = Arc::clone(&over);
            let thread = std::thread::Builder::new().name("bench-accept".to_owned());
            servers.push(thread.spawn(move || serve(&listener, &over))?);
            targets.push(to);
        }
    }
    let clients = (0..CLIENTS)
        .map(|number| {
            let (client, targets) = (client.clone(), targets.clone());
            let (made, failed, over) = (Arc::clone(&made), Arc::clone(&failed), Arc::clone(&over));
            tokio::spawn(async move {
                let work = move || {
                    // Each begins elsewhere.
                    for to in targets.iter().cycle().skip(number * 2) {
                        if over.load(Ordering::Relaxed) {
                            return;
                        }
                        match one(*to, round_trips) {
                            Ok(()) => made.fetch_add(1, Ordering::Relaxed),
                            Err(_) if over.load(Ordering::Relaxed) => 0,
                            Err(error) => {
                                tracing::debug!(%to, "connection failed: {error}");
                                failed.fetch_add(1, Ordering::Relaxed)
                            }
                        };
                    }
                };
                client.within(work).await.context("a client's thread")
            })
        })
        .collect();
    Ok(Load {
        made,
        failed,
        over,
        clients,
        servers,
    })
}

fn one(to: SocketAddr, round_trips: u32) -> std::io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&to, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut byte = [1];
    if round_trips > 0 {
        stream.set_nodelay(true)?;
    }
    for _ in 0..round_trips {
        stream.write_all(&byte)?;
        stream.read_exact(&mut byte)?;
    }
    stream.shutdown(Shutdown::Write)?;
    match stream.read(&mut byte)? {
        0 => Ok(()),
        _ => Err(std::io::Error::other("more came than was asked for")),
    }
}

/// Accepts, echoes, and closes when the client has.
fn serve(listener: &TcpListener, over: &AtomicBool) {
    while !over.load(Ordering::Relaxed) {
        if let Ok((stream, _)) = listener.accept() {
            // What goes wrong here goes wrong for the client too, who counts.
            let _ = echo(stream);
        }
    }
}

fn echo(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut byte = [0];
    while stream.read(&mut byte)? == 1 {
        stream.write_all(&byte)?;
    }
    Ok(())
}
