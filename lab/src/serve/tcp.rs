//! TCP: whoever says something gets a line about itself and then its own words back; whoever speaks
//! HTTP gets that line as a page.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use sidewall::net::Protocol;
use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::{Host, Servers, line};

/// Whoever is silent for this long (a person with netcat) is greeted first.
const SILENCE: Duration = Duration::from_millis(300);
/// Connections that wait to be accepted, as std has it.
const BACKLOG: i32 = 128;

pub(super) async fn start(
    host: &Host,
    addresses: Vec<SocketAddr>,
    servers: &mut Servers,
) -> Result<()> {
    if addresses.is_empty() {
        return Ok(());
    }
    let listeners = host.namespace.run(move || {
        let listeners = addresses
            .into_iter()
            .map(|address| listen(address, Type::STREAM, None));
        listeners.collect::<Result<Vec<_>>>()
    });
    for listener in listeners.await?? {
        servers.spawn(accept(listener, Arc::clone(&host.name), Protocol::TCP));
    }
    Ok(())
}

/// A listening socket in the calling thread's namespace.
pub(super) fn listen(
    address: SocketAddr,
    kind: Type,
    protocol: Option<socket2::Protocol>,
) -> Result<TcpListener> {
    let socket = || -> io::Result<TcpListener> {
        let socket = Socket::new(Domain::for_address(address), kind, protocol)?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        TcpListener::from_std(socket.into())
    };
    socket().with_context(|| format!("cannot listen on {address}"))
}

/// Accepts for good. Also for SCTP's one-to-one sockets, which behave like TCP's.
pub(super) async fn accept(listener: TcpListener, host: Arc<str>, protocol: Protocol) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    connections.spawn(converse(stream, peer, Arc::clone(&host), protocol));
                }
                // A connection that was gone again before it was accepted, or no descriptors left:
                // neither is a reason to stop.
                Err(error) => {
                    tracing::debug!(%host, %error, "not accepted");
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Talks until the other side has had enough. Whatever goes wrong ends this connection alone.
async fn converse(mut stream: TcpStream, peer: SocketAddr, host: Arc<str>, protocol: Protocol) {
    let talk = async {
        let line = line(&host, peer, stream.local_addr()?, protocol);
        let mut buffer = vec![0; 16 * 1024];
        let mut read = match timeout(SILENCE, stream.read(&mut buffer)).await {
            Ok(read) => read?,
            Err(_) => {
                stream.write_all(line.as_bytes()).await?;
                0
            }
        };
        if is_http(&buffer[..read]) {
            return answer_http(&mut stream, &mut buffer, read, &line).await;
        }
        if read > 0 {
            stream.write_all(line.as_bytes()).await?;
        }
        loop {
            stream.write_all(&buffer[..read]).await?;
            read = stream.read(&mut buffer).await?;
            if read == 0 {
                return stream.shutdown().await;
            }
        }
    };
    if let Err(error) = talk.await {
        tracing::trace!(%host, %peer, %error, "connection ended");
    }
}

fn is_http(bytes: &[u8]) -> bool {
    [&b"GET "[..], b"HEAD ", b"POST ", b"PUT "]
        .iter()
        .any(|method| bytes.starts_with(method))
}

/// Reads the request's head to its end and answers with the line as a page.
async fn answer_http(
    stream: &mut TcpStream,
    buffer: &mut [u8],
    mut read: usize,
    line: &str,
) -> io::Result<()> {
    while !buffer[..read].windows(4).any(|end| end == b"\r\n\r\n") && read < buffer.len() {
        match stream.read(&mut buffer[read..]).await? {
            0 => break,
            more => read += more,
        }
    }
    let head = buffer.starts_with(b"HEAD ");
    let page = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{}",
        line.len(),
        if head { "" } else { line }
    );
    stream.write_all(page.as_bytes()).await?;
    stream.shutdown().await
}
