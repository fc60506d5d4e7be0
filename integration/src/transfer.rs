//! A TCP transfer that tells whether it moves, and whether every byte came back as it was sent.

use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use sidewall_lab::Pod;

/// Bytes sent at once and read back before the next: small enough that progress is seen quickly.
const CHUNK: usize = 16 * 1024;

/// A connection to a lab pod's echo server that sends numbered bytes and checks the echo.
#[derive(Debug)]
pub struct Transfer {
    echoed: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    end: tokio::task::JoinHandle<Result<Result<()>>>,
}

impl Transfer {
    /// Connects from a pod and starts.
    #[must_use]
    pub fn start(from: &Pod, to: SocketAddr) -> Self {
        let (echoed, stop) = (
            Arc::new(AtomicU64::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let (count, end_it, pod) = (echoed.clone(), stop.clone(), from.clone());
        let end = tokio::spawn(async move { pod.within(move || run(to, &count, &end_it)).await });
        Self { echoed, stop, end }
    }

    /// Bytes that came back so far.
    #[must_use]
    pub fn echoed(&self) -> u64 {
        self.echoed.load(Ordering::Relaxed)
    }

    /// Waits until more bytes have come back than now; `false` when none did in time.
    pub async fn moves(&self, within: Duration) -> bool {
        let (before, deadline) = (self.echoed(), tokio::time::Instant::now() + within);
        while tokio::time::Instant::now() < deadline {
            if self.echoed() > before {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        false
    }

    /// Ends it; an error when a byte came back wrong or the connection broke.
    ///
    /// # Errors
    /// As said.
    pub async fn finish(self) -> Result<u64> {
        self.stop.store(true, Ordering::Relaxed);
        let echoed = self.echoed.clone();
        self.end
            .await
            .context("the transfer's thread")??
            .map(|()| echoed.load(Ordering::Relaxed))
    }
}

fn run(to: SocketAddr, echoed: &AtomicU64, stop: &AtomicBool) -> Result<()> {
    let mut stream = TcpStream::connect_timeout(&to, Duration::from_secs(5)).context("connect")?;
    stream.set_read_timeout(Some(Duration::from_millis(100)))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    // The server answers the first bytes with a line of its own, and echoes from there on.
    stream.write_all(b"transfer\n")?;
    for _ in ["its line", "the echo of ours"] {
        let mut line = String::new();
        patiently(stop, || reader.read_line(&mut line))?;
    }
    let mut position: u64 = 0;
    let (mut out, mut back) = (vec![0; CHUNK], vec![0; CHUNK]);
    while !stop.load(Ordering::Relaxed) {
        for byte in &mut out {
            // 251 is a prime: the pattern never lines up with packet or page sizes.
            *byte = u8::try_from(position % 251)?;
            position += 1;
        }
        stream.write_all(&out).context("send")?;
        let mut filled = 0;
        while filled < CHUNK {
            let Some(read) = patiently(stop, || reader.read(&mut back[filled..]))? else {
                return Ok(());
            };
            ensure!(
                read > 0,
                "the connection was closed after {} bytes",
                echoed.load(Ordering::Relaxed)
            );
            filled += read;
        }
        ensure!(out == back, "bytes came back changed near {position}");
        echoed.fetch_add(CHUNK as u64, Ordering::Relaxed);
    }
    Ok(())
}

/// Repeats a read that timed out until something comes or it shall stop.
fn patiently(
    stop: &AtomicBool,
    mut read: impl FnMut() -> std::io::Result<usize>,
) -> Result<Option<usize>> {
    loop {
        match read() {
            Ok(read) => return Ok(Some(read)),
            Err(e)
                if matches!(
                    e.kind(),
                    ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                ) =>
            {
                if stop.load(Ordering::Relaxed) {
                    return Ok(None);
                }
            }
            Err(e) => bail!("read: {e}"),
        }
    }
}
