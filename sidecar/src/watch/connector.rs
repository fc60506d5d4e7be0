//! The sidecar's own connections, which must pass its own filter before any policy is known.
//!
//! They are recognised by their 4-tuple and by nothing else: not by user, mark or destination,
//! which a process of the pod could have as well. So a connection binds its local port, registers
//! itself, and only then connects; it is forgotten a while after it has closed.
//!
//! A server that is given by name is resolved by the system. `/etc/hosts` answers without a
//! packet; a DNS query would be blocked before the first sync, and later unless a policy allows
//! it. In a cluster the address comes from `KUBERNETES_SERVICE_HOST`, which is an IP address.

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use sidewall::flow::FlowKey;
use sidewall::net::Protocol;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::time::timeout;

use crate::shared::Shared;

/// For the handshake with one address: the kernel sends its third SYN after 3 s (RFC 6298: 1 s,
/// doubling), and a fourth try is better spent on another address.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// For the resolver. Blocked DNS queries are answered by a reject or not at all.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);

/// A server that does not acknowledge for this long is gone (TCP_USER_TIMEOUT, RFC 5482).
const USER_TIMEOUT: Duration = Duration::from_secs(30);

/// A silent watch is probed after this, and then each [`KEEPALIVE_INTERVAL`], so that a server that
/// vanished without a word is noticed within half a minute and not at the watch's own end.
const KEEPALIVE_TIME: Duration = Duration::from_secs(15);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);

/// A closed connection stays known for TIME_WAIT (`TCP_TIMEWAIT_LEN` in the kernel: 60 s), so that
/// its last segments pass.
const FORGET_AFTER: Duration = Duration::from_secs(60);

/// Whoever lets registered connections pass.
pub trait OwnConnections: Send + Sync + 'static {
    /// This connection is the sidecar's own.
    fn register(&self, key: FlowKey);
    /// It is over.
    fn forget(&self, key: &FlowKey);
}

impl OwnConnections for Shared {
    fn register(&self, key: FlowKey) {
        self.engine.register_own(key, self.clock.now());
    }

    fn forget(&self, key: &FlowKey) {
        self.engine.forget_own(key);
    }
}

/// Opens registered connections.
#[derive(Clone)]
pub struct OwnConnector {
    known: Arc<dyn OwnConnections>,
}

impl OwnConnector {
    /// A connector whose connections `known` lets pass.
    #[must_use]
    pub fn new(known: Arc<dyn OwnConnections>) -> Self {
        Self { known }
    }

    async fn open(self, uri: Uri) -> io::Result<OwnStream> {
        let host = uri
            .host()
            .ok_or_else(|| io::Error::other(format!("{uri} has no host")))?;
        let default = if uri.scheme_str() == Some("http") {
            80
        } else {
            443
        };
        let mut last = io::Error::other(format!("{host} has no address"));
        for server in resolve(host, uri.port_u16().unwrap_or(default)).await? {
            match self.connect(server).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn connect(&self, server: SocketAddr) -> io::Result<OwnStream> {
        let socket = if server.is_ipv4() {
            TcpSocket::new_v4()?
        } else {
            TcpSocket::new_v6()?
        };
        socket.bind(SocketAddr::new(source_for(server)?, 0))?;
        let local = socket.local_addr()?;
        let registration = Registration::new(
            Arc::clone(&self.known),
            FlowKey {
                pod: local.ip(),
                peer: server.ip(),
                pod_port: local.port(),
                peer_port: server.port(),
                protocol: Protocol::TCP,
            },
        );
        let stream = timeout(CONNECT_TIMEOUT, socket.connect(server))
            .await
            .map_err(|_| {
                io::Error::new(
                    io::ErrorKind::TimedOut,
                    format!("no answer from {server} within {CONNECT_TIMEOUT:?}"),
                )
            })?
            .map_err(|error| io::Error::new(error.kind(), format!("{server}: {error}")))?;
        let options = SockRef::from(&stream);
        options.set_tcp_nodelay(true)?;
        options.set_tcp_user_timeout(Some(USER_TIMEOUT))?;
        options.set_tcp_keepalive(
            &TcpKeepalive::new()
                .with_time(KEEPALIVE_TIME)
                .with_interval(KEEPALIVE_INTERVAL)
                .with_retries(3),
        )?;
        Ok(OwnStream {
            stream,
            _registration: registration,
        })
    }
}

impl tower::Service<Uri> for OwnConnector {
    type Response = TokioIo<OwnStream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<TokioIo<OwnStream>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move { connector.open(uri).await.map(TokioIo::new) })
    }
}

/// Addresses of a server: as given, or from the system's resolver.
async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    // An IPv6 literal stands in brackets in a URI (RFC 3986 §3.2.2).
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = bare.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let why = match timeout(RESOLVE_TIMEOUT, lookup_host((host, port))).await {
        Ok(Ok(addresses)) => return Ok(addresses.collect()),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {RESOLVE_TIMEOUT:?}"),
    };
    Err(io::Error::other(format!(
        "the API server's name {host} has no known address ({why}): name lookups of the sidecar are \
         filtered like the pod's own; give the server by its IP address, or put its name into \
         /etc/hosts (hostAliases in the pod's spec)"
    )))
}

/// The address that the kernel will send from. A connected UDP socket asks the routing table and
/// sends nothing.
fn source_for(server: SocketAddr) -> io::Result<IpAddr> {
    let any: IpAddr = if server.is_ipv4() {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        Ipv6Addr::UNSPECIFIED.into()
    };
    let probe = UdpSocket::bind(SocketAddr::new(any, 0))?;
    probe.connect(server)?;
    Ok(probe.local_addr()?.ip())
}

/// A registered connection, as long as it lives and [`FORGET_AFTER`] longer.
struct Registration {
    known: Arc<dyn OwnConnections>,
    key: FlowKey,
}

impl Registration {
    fn new(known: Arc<dyn OwnConnections>, key: FlowKey) -> Self {
        known.register(key);
        Self { known, key }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let (known, key) = (Arc::clone(&self.known), self.key);
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => {
                runtime.spawn(async move {
                    tokio::time::sleep(FORGET_AFTER).await;
                    known.forget(&key);
                });
            }
            // The runtime is gone: the process ends.
            Err(_) => known.forget(&key),
        }
    }
}

/// A TCP stream that is registered.
pub struct OwnStream {
    stream: TcpStream,
    _registration: Registration,
}

impl Connection for OwnStream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for OwnStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for OwnStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use tower::ServiceExt;

    #[derive(Default)]
    struct Known(Mutex<Vec<(bool, FlowKey)>>);

    impl Known {
        fn seen(&self) -> Vec<(bool, FlowKey)> {
            self.0.lock().expect("not poisoned").clone()
        }
    }

    impl OwnConnections for Known {
        fn register(&self, key: FlowKey) {
            self.0.lock().expect("not poisoned").push((true, key));
        }
        fn forget(&self, key: &FlowKey) {
            self.0.lock().expect("not poisoned").push((false, *key));
        }
    }

    #[tokio::test]
    async fn a_connection_is_registered_before_its_first_packet_and_forgotten_after_it_closed() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("listens");
        let server = listener.local_addr().expect("an address");
        let known = Arc::new(Known::default());
        let uri: Uri = format!("https://{server}").parse().expect("a URI");
        let stream = OwnConnector::new(known.clone())
            .oneshot(uri)
            .await
            .expect("connects");
        let (_, client) = listener.accept().await.expect("accepts");
        let key = FlowKey {
            pod: client.ip(),
            peer: server.ip(),
            pod_port: client.port(),
            peer_port: server.port(),
            protocol: Protocol::TCP,
        };
        assert_eq!(known.seen(), [(true, key)]);

        tokio::time::pause();
        drop(stream);
        tokio::time::sleep(FORGET_AFTER / 2).await;
        assert_eq!(known.seen().len(), 1, "its last segments must pass");
        tokio::time::sleep(FORGET_AFTER).await;
        assert_eq!(known.seen(), [(true, key), (false, key)]);
    }

    #[tokio::test]
    async fn a_refused_connection_is_forgotten_too() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("listens");
        let server = listener.local_addr().expect("an address");
        drop(listener);
        let known = Arc::new(Known::default());
        let uri: Uri = format!("http://{server}").parse().expect("a URI");
        let refused = OwnConnector::new(known.clone()).oneshot(uri).await;
        assert!(refused.is_err());
        tokio::time::pause();
        tokio::time::sleep(FORGET_AFTER * 2).await;
        assert_eq!(known.seen().len(), 2);
    }

    #[tokio::test]
    async fn a_name_without_an_address_says_what_to_do() {
        // RFC 2606: .invalid never resolves.
        let uri: Uri = "https://api.invalid:6443".parse().expect("a URI");
        let connector = OwnConnector::new(Arc::new(Known::default()));
        let error = connector
            .oneshot(uri)
            .await
            .err()
            .expect("fails")
            .to_string();
        assert!(error.contains("/etc/hosts"), "{error}");
    }

    #[tokio::test]
    async fn literals_of_both_families_are_taken_as_they_are() {
        let v6 = resolve("[fd00::1]", 6443).await.expect("an address");
        assert_eq!(v6, ["[fd00::1]:6443".parse().expect("an address")]);
        let v4 = resolve("10.96.0.1", 443).await.expect("an address");
        assert_eq!(v4, ["10.96.0.1:443".parse().expect("an address")]);
    }
}
