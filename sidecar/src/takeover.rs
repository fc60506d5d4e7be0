//! After a restart the flow table is empty while the pod's connections live on; this finds them.
//!
//! A TCP packet without SYN that belongs to no flow is blocked, so established connections must be
//! entered before the first policy is in force. They are read from the kernel's own list of sockets
//! (NETLINK_SOCK_DIAG, which needs no capability): what is listed there exists, whatever packets
//! somebody sends. The policy decides over each as over a new one. Not here: which engine, which
//! policy, and when ([`crate::shared::Shared::publish`]).

use std::collections::HashSet;
use std::net::IpAddr;

use netlink_packet_sock_diag::inet::{
    ExtensionFlags, InetRequest, InetResponse, SocketId, StateFlags,
};
use netlink_packet_sock_diag::{SockDiagMessage, constants};
use netlink_sys::protocols::NETLINK_SOCK_DIAG;
use netlink_sys::{Socket, SocketAddr};
use rtnetlink::packet_core::{
    NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use sidewall::flow::FlowKey;
use sidewall::net::{Originator, Protocol};

/// A connection that exists, and who began it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connection {
    /// The pod's side and the peer's.
    pub key: FlowKey,
    /// The peer, if something in the pod listens on the pod's port.
    pub originator: Originator,
}

/// Why the sockets cannot be listed.
#[derive(Debug, thiserror::Error)]
pub enum TakeoverError {
    /// The socket to the kernel failed.
    #[error("asking the kernel for the sockets of this network namespace")]
    Io(#[from] std::io::Error),
    /// The kernel's answer is none, or an error.
    #[error("the kernel's list of sockets: {0}")]
    Answer(String),
}

/// TCP states in which data or the end of data is still to come (net/tcp_states.h). Not SYN_SENT:
/// its SYN is repeated. Not TIME_WAIT: nothing is lost with it.
const ALIVE: StateFlags = StateFlags::ESTABLISHED
    .union(StateFlags::FIN_WAIT1)
    .union(StateFlags::FIN_WAIT2)
    .union(StateFlags::CLOSE_WAIT)
    .union(StateFlags::LAST_ACK);

/// Answers come in parts of at most 32 KB (NLMSG_GOODSIZE and netlink_dump()).
const PART: usize = 32 * 1024;

/// The pod's TCP connections of both families, those within the pod left out.
///
/// # Errors
/// See [`TakeoverError`].
pub fn connections(pod: &[IpAddr]) -> Result<Vec<Connection>, TakeoverError> {
    let mut listening = HashSet::new();
    let mut alive = Vec::new();
    for family in [constants::AF_INET, constants::AF_INET6] {
        let listeners = sockets(family, StateFlags::LISTEN)?;
        listening.extend(
            listeners
                .iter()
                .map(|socket| socket.header.socket_id.source_port),
        );
        alive.extend(sockets(family, ALIVE)?);
    }
    let found = alive.iter().map(|socket| connection(socket, &listening));
    let leaves_pod = |key: &FlowKey| pod.contains(&key.pod) && !pod.contains(&key.peer);
    Ok(found.filter(|one| leaves_pod(&one.key)).collect())
}

fn connection(socket: &InetResponse, listening: &HashSet<u16>) -> Connection {
    let id = &socket.header.socket_id;
    let key = FlowKey {
        // A socket of both families carries IPv4 as mapped addresses; packets do not.
        pod: id.source_address.to_canonical(),
        peer: id.destination_address.to_canonical(),
        pod_port: id.source_port,
        peer_port: id.destination_port,
        protocol: Protocol::TCP,
    };
    let accepted = listening.contains(&key.pod_port);
    Connection {
        key,
        originator: if accepted {
            Originator::Peer
        } else {
            Originator::Pod
        },
    }
}

fn sockets(family: u8, states: StateFlags) -> Result<Vec<InetResponse>, TakeoverError> {
    let mut socket = Socket::new(NETLINK_SOCK_DIAG)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    socket.send(&question(family, states), 0)?;
    let mut found = Vec::new();
    let mut part = Vec::with_capacity(PART);
    loop {
        part.clear();
        socket.recv(&mut part, 0)?;
        let mut rest = &part[..];
        while !rest.is_empty() {
            let message = NetlinkMessage::<SockDiagMessage>::deserialize(rest)
                .map_err(|error| TakeoverError::Answer(error.to_string()))?;
            // Lengths are padded to four bytes (NLMSG_ALIGN).
            let length = (message.header.length as usize).next_multiple_of(4);
            match message.payload {
                NetlinkPayload::InnerMessage(SockDiagMessage::InetResponse(one)) => {
                    found.push(*one)
                }
                NetlinkPayload::Done(_) => return Ok(found),
                NetlinkPayload::Error(error) if error.code.is_some() => {
                    return match -error.raw_code() {
                        // This kernel has no such family.
                        libc::ENOENT | libc::EAFNOSUPPORT => Ok(found),
                        _ => Err(TakeoverError::Answer(error.to_string())),
                    };
                }
                _ => {}
            }
            rest = rest.get(length..).unwrap_or_default();
        }
        if part.is_empty() {
            return Err(TakeoverError::Answer("it ends before its end".to_owned()));
        }
    }
}

fn question(family: u8, states: StateFlags) -> Vec<u8> {
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_DUMP;
    let request = InetRequest {
        family,
        protocol: constants::IPPROTO_TCP,
        extensions: ExtensionFlags::empty(),
        states,
        socket_id: match family {
            constants::AF_INET6 => SocketId::new_v6(),
            _ => SocketId::new_v4(),
        },
    };
    let mut message = NetlinkMessage::new(
        header,
        NetlinkPayload::from(SockDiagMessage::InetRequest(request)),
    );
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    /// Loopback stands for the pod's address here: both ends are sockets of this process.
    fn connections_of(address: &str) -> (TcpListener, TcpStream, TcpStream, Vec<Connection>) {
        let listener = TcpListener::bind((address, 0)).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        let own: IpAddr = client.local_addr().unwrap().ip();
        // Another address is "the pod" for the filter of connections within it.
        let mut found = connections_unfiltered(&[own]);
        let ports = [
            client.local_addr().unwrap().port(),
            server.local_addr().unwrap().port(),
        ];
        found.retain(|one| ports.contains(&one.key.pod_port) && ports.contains(&one.key.peer_port));
        (listener, client, server, found)
    }

    fn connections_unfiltered(pod: &[IpAddr]) -> Vec<Connection> {
        let mut found = Vec::new();
        for family in [constants::AF_INET, constants::AF_INET6] {
            let listening: HashSet<u16> = sockets(family, StateFlags::LISTEN)
                .unwrap()
                .iter()
                .map(|socket| socket.header.socket_id.source_port)
                .collect();
            for socket in sockets(family, ALIVE).unwrap() {
                found.push(connection(&socket, &listening));
            }
        }
        found.retain(|one| pod.contains(&one.key.pod));
        found
    }

    #[test]
    fn both_ends_are_found_and_the_listening_one_was_called() {
        for address in ["127.0.0.1", "::1"] {
            let (_listener, client, server, found) = connections_of(address);
            assert_eq!(found.len(), 2, "{address}: {found:?}");
            let end = |port: u16| found.iter().find(|one| one.key.pod_port == port).unwrap();
            let (client, server) = (client.local_addr().unwrap(), server.local_addr().unwrap());
            assert_eq!(end(client.port()).originator, Originator::Pod);
            assert_eq!(end(server.port()).originator, Originator::Peer);
            assert_eq!(end(server.port()).key.peer_port, client.port());
        }
    }

    #[test]
    fn connections_within_the_pod_are_left_out() {
        let (_listener, client, _server, _) = connections_of("127.0.0.1");
        let own = client.local_addr().unwrap();
        let found = connections(&[own.ip()]).unwrap();
        assert!(
            found.iter().all(|one| one.key.pod_port != own.port()),
            "{found:?}"
        );
    }
}
