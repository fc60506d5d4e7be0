//! Connections from inside of the lab to the API server, which listens outside: accepted in the
//! node's namespace, continued from this process's own. Bytes only; TLS runs end to end.

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

use crate::machine::namespace::Namespace;

/// A running relay; it ends, with its connections, when dropped.
pub(crate) type Relay = AbortOnDropHandle<()>;

/// Relays from an address in the namespace to the server.
pub(crate) async fn start(
    namespace: &Namespace,
    from: SocketAddr,
    to: (String, u16),
) -> Result<Relay> {
    let listener = namespace.run(move || {
        let listener = std::net::TcpListener::bind(from)?;
        listener.set_nonblocking(true)?;
        TcpListener::from_std(listener)
    });
    let listener = listener
        .await?
        .with_context(|| format!("cannot listen on {from}"))?;
    Ok(AbortOnDropHandle::new(tokio::spawn(accept(listener, to))))
}

async fn accept(listener: TcpListener, to: (String, u16)) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Ok((inside, _)) = listener.accept() => {
                connections.spawn(carry(inside, to.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn carry(mut inside: TcpStream, to: (String, u16)) -> std::io::Result<()> {
    let mut outside = TcpStream::connect(to).await?;
    // A watch event is one small write: it must not wait for an acknowledgement (RFC 896).
    inside.set_nodelay(true)?;
    outside.set_nodelay(true)?;
    copy_bidirectional(&mut inside, &mut outside).await?;
    Ok(())
}
