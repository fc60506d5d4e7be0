//! A new connection from within a pod, and what came of it.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use sidewall::net::Protocol;
use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, UdpSocket};
use tokio::time::{sleep_until, timeout_at};

use super::{Pod, resolve};
use crate::outcome::{Outcome, Target};
use crate::serve::{dns, kernel_has_sctp, raw, raw_payload};
use crate::wire::sctp::{Chunk, Packet};

/// What a client says first. A line, so that line-based servers answer it.
const HELLO: &[u8] = b"hello\n";
/// What it says to port 53 instead: a question for the root's name servers (RFC 1035 §4.1), because a
/// DNS server answers nothing but questions.
const QUESTION: &[u8] = b"\0\x01\x01\0\0\x01\0\0\0\0\0\0\0\0\x02\0\x01";

pub(super) async fn connect(
    pod: &Pod,
    target: &Target,
    protocol: Protocol,
    timeout: Duration,
) -> Outcome {
    let deadline = tokio::time::Instant::now() + timeout;
    let address = match target {
        Target::Address(address) => *address,
        Target::Name { host, port } => match resolve::resolve(pod, host, timeout).await {
            Ok(addresses) => SocketAddr::new(preferred(pod, &addresses), *port),
            Err(error) => return Outcome::NameNotResolved(error),
        },
    };
    let attempt = async {
        match protocol {
            Protocol::TCP => stream(pod, address, None, deadline).await,
            Protocol::UDP => datagram(pod, address).await,
            Protocol::SCTP if kernel_has_sctp() => {
                let number = i32::from(Protocol::SCTP.0).into();
                stream(pod, address, Some(number), deadline).await
            }
            Protocol::SCTP => association(pod, address).await,
            other => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                format!("{other} has no connections"),
            )),
        }
    };
    match timeout_at(deadline, attempt).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(error)) => classify(&error),
        Err(_) => Outcome::TimedOut,
    }
}

/// An address of a family that the pod has; the resolver lists IPv4 first.
fn preferred(pod: &Pod, addresses: &[IpAddr]) -> IpAddr {
    let own = pod.addresses();
    let mut usable = addresses
        .iter()
        .filter(|address| own.iter().any(|own| own.is_ipv4() == address.is_ipv4()));
    usable.next().copied().unwrap_or(addresses[0])
}

/// TCP, or the kernel's SCTP, which has the same face.
async fn stream(
    pod: &Pod,
    address: SocketAddr,
    protocol: Option<socket2::Protocol>,
    deadline: tokio::time::Instant,
) -> io::Result<Outcome> {
    let local = local(pod, address.ip());
    let socket = within(pod, move || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, protocol)?;
        socket.set_nonblocking(true)?;
        if let Some(local) = local {
            socket.bind(&SocketAddr::new(local, 0).into())?;
        }
        Ok(TcpSocket::from_std_stream(socket.into()))
    })
    .await?;
    let began = Instant::now();
    let mut stream = socket.connect(address).await?;
    let took = began.elapsed();
    // Accepted is connected: what it says afterwards is for people.
    let talk = async {
        stream.write_all(HELLO).await?;
        let mut buffer = [0; 1024];
        let mut filled = 0;
        while filled < buffer.len() && !buffer[..filled].contains(&b'\n') {
            match stream.read(&mut buffer[filled..]).await? {
                0 => break,
                read => filled += read,
            }
        }
        io::Result::Ok(first_line(&buffer[..filled]))
    };
    let reply = tokio::select! {
        reply = talk => reply.unwrap_or_default(),
        () = sleep_until(deadline - Duration::from_millis(1)) => String::new(),
    };
    Ok(Outcome::Connected { reply, took })
}

async fn datagram(pod: &Pod, address: SocketAddr) -> io::Result<Outcome> {
    let local = local(pod, address.ip()).unwrap_or(unspecified(address.ip()));
    let socket = within(pod, move || {
        let socket = std::net::UdpSocket::bind(SocketAddr::new(local, 0))?;
        socket.set_nonblocking(true)?;
        // Connected, so that ICMP errors come back as errors.
        socket.connect(address)?;
        UdpSocket::from_std(socket)
    })
    .await?;
    let began = Instant::now();
    let first = if address.port() == dns::PORT {
        QUESTION
    } else {
        HELLO
    };
    socket.send(first).await?;
    let mut buffer = [0; 2048];
    let read = socket.recv(&mut buffer).await?;
    Ok(Outcome::Connected {
        reply: first_line(&buffer[..read]),
        took: began.elapsed(),
    })
}

/// SCTP's handshake by hand: INIT, INIT ACK, COOKIE ECHO, COOKIE ACK; then ABORT, so that the
/// association ends for whoever tracks it.
async fn association(pod: &Pod, address: SocketAddr) -> io::Result<Outcome> {
    let ip = address.ip();
    let local = local(pod, ip).unwrap_or(unspecified(ip));
    let socket = within(pod, move || raw(local, Some(ip))).await?;
    let port: u16 = rand::random_range(32_768..=60_999);
    let tag: u32 = rand::random_range(1..=u32::MAX);
    let packet = |tag, chunk| Packet {
        source: port,
        destination: address.port(),
        tag,
        chunk,
    };
    let began = Instant::now();
    socket
        .send(&packet(0, Chunk::Init { tag }).to_bytes())
        .await?;
    let (mut reply, mut peer_tag, mut buffer) = (String::new(), 0, [0; 2048]);
    loop {
        let read = socket.recv(&mut buffer).await?;
        let answer = Packet::parse(raw_payload(&buffer[..read], ip));
        // A raw socket sees everyone's packets from that peer.
        let Some(answer) = answer.filter(|p| p.destination == port && p.tag == tag) else {
            continue;
        };
        match answer.chunk {
            Chunk::InitAck { tag, cookie } => {
                peer_tag = tag;
                // Our own server puts its line there, behind the tag; others what they like.
                reply = first_line(cookie.get(4..).unwrap_or_default());
                let echo = packet(peer_tag, Chunk::CookieEcho(cookie));
                socket.send(&echo.to_bytes()).await?;
            }
            Chunk::CookieAck => {
                let took = began.elapsed();
                socket
                    .send(&packet(peer_tag, Chunk::Abort).to_bytes())
                    .await?;
                return Ok(Outcome::Connected { reply, took });
            }
            Chunk::Abort => return Ok(Outcome::Refused),
            Chunk::Init { .. } | Chunk::CookieEcho(_) => {}
        }
    }
}

/// Pods on the node's network speak from the address they are known by; others have only one each.
fn local(pod: &Pod, peer: IpAddr) -> Option<IpAddr> {
    let mut own = pod.addresses().iter().filter(|_| pod.is_on_node());
    own.find(|own| own.is_ipv4() == peer.is_ipv4()).copied()
}

async fn within<T: Send + 'static>(
    pod: &Pod,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    pod.within(work).await.map_err(io::Error::other)?
}

fn classify(error: &io::Error) -> Outcome {
    match error.kind() {
        // A peer without SCTP: ENOPROTOOPT is what an ICMP protocol unreachable becomes, EPROTO what
        // ICMPv6's parameter problem does.
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset => Outcome::Refused,
        _ if matches!(error.raw_os_error(), Some(libc::ENOPROTOOPT | libc::EPROTO)) => {
            Outcome::Refused
        }
        io::ErrorKind::TimedOut => Outcome::TimedOut,
        _ => Outcome::Unreachable(error.to_string()),
    }
}

fn first_line(bytes: &[u8]) -> String {
    let line = bytes.split(|byte| *byte == b'\n').next();
    String::from_utf8_lossy(line.unwrap_or_default()).into_owned()
}

const fn unspecified(like: IpAddr) -> IpAddr {
    match like {
        IpAddr::V4(_) => IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED),
    }
}
