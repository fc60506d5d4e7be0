//! The eBPF programs, from the committed object into the kernel.
//!
//! Needs CAP_BPF and CAP_NET_ADMIN. What comes out is what attaching takes (programs) and what the
//! rest of the run takes (maps); nothing of the loader stays. Not here: where the programs are
//! attached ([`super::bpf`]), and what is done with the maps (`offload/`). The source of the object
//! is `ebpf/steer.bpf.c`; `.ci/check-ebpf` holds the two together.

use std::io;
use std::net::Ipv6Addr;
use std::os::fd::{AsFd, OwnedFd};

use aya::maps::{Map, MapError};
use aya::programs::{ProgramError, SchedClassifier};
use aya::{Ebpf, EbpfError, EbpfLoader};
use ipnet::IpNet;
use nix::sys::resource::{Resource, rlim_t, setrlimit};

use super::bpf_sys::{self, FlowMap, LeaseMap};
use super::turns::Turns;

static OBJECT: &[u8] = aya::include_bytes_aligned!("../../ebpf/steer.bpf.o");

/// The places for addresses in the object. A pod has one or two of each family, a link-local one
/// among them; of further ones, neighbour discovery is judged by user space, and a blocked packet is
/// not answered.
const ADDRESSES: usize = 4;

/// `struct ipv6_address` of the object: used or not, address, network, mask.
type RawIpv6 = [u32; 13];

/// What the programs are told, once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parameters {
    /// Index of the pod's interface.
    pub(crate) interface: u32,
    /// Index of the device for what it receives.
    pub(crate) ingress: u32,
    /// Index of the device for what leaves through it.
    pub(crate) egress: u32,
    /// The pod's addresses with the prefix that is on the link.
    pub(crate) addresses: Vec<IpNet>,
    /// How many flows may be carried at a time.
    pub(crate) flows: u32,
}

/// The programs, by function name.
#[derive(Debug)]
pub(crate) struct Programs {
    pub(crate) eth_in: OwnedFd,
    pub(crate) eth_out: OwnedFd,
    pub(crate) to_pod: OwnedFd,
    pub(crate) to_net: OwnedFd,
    pub(crate) guard: OwnedFd,
}

/// The maps that both sides see.
#[derive(Debug)]
pub struct Maps {
    pub(crate) flows: FlowMap,
    pub(crate) lease: LeaseMap,
    pub(crate) turns: Turns,
}

/// Why the programs are not in the kernel.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The kernel or the object refused.
    #[error("loading the eBPF programs: {}", permitted(.0))]
    Load(#[from] EbpfError),
    /// The verifier refused a program.
    #[error("loading the eBPF program {name}")]
    Program {
        /// Which one.
        name: &'static str,
        /// The verifier's words.
        #[source]
        source: Box<ProgramError>,
    },
    /// A map of the object cannot be used.
    #[error("the eBPF map {name}")]
    Map {
        /// Which one.
        name: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Loads programs and maps; the flow map is empty and no flow may be carried yet.
///
/// # Errors
/// When a capability or a part of the kernel is missing; nothing is left behind.
pub(crate) fn load(parameters: &Parameters) -> Result<(Programs, Maps), LoadError> {
    raise_memlock();
    let ipv4 = raw_ipv4(&parameters.addresses);
    let ipv6 = raw_ipv6(&parameters.addresses).concat();
    // 0 is the mark of ordinary packets.
    let mark = rand::random_range(1..=u32::MAX);
    let mut object = EbpfLoader::new()
        .override_global("ETH", &parameters.interface, true)
        .override_global("SW_IN", &parameters.ingress, true)
        .override_global("SW_OUT", &parameters.egress, true)
        .override_global("MARK", &mark, true)
        .override_global("IPV4", &ipv4[..], true)
        .override_global("IPV6", &ipv6[..], true)
        .map_max_entries("FLOWS", parameters.flows.max(1))
        .load(OBJECT)?;
    let programs = Programs {
        eth_in: program(&mut object, "eth_in")?,
        eth_out: program(&mut object, "eth_out")?,
        to_pod: program(&mut object, "to_pod")?,
        to_net: program(&mut object, "to_net")?,
        guard: program(&mut object, "guard")?,
    };
    match object.map("ALIVE") {
        Some(Map::DevMap(data)) => {
            bpf_sys::alive_with(data, parameters.ingress).map_err(wrong("ALIVE"))?;
        }
        other => return Err(missing("ALIVE", other)),
    }
    let maps = Maps {
        flows: match object.map("FLOWS") {
            Some(Map::HashMap(data)) => FlowMap::new(data).map_err(wrong("FLOWS"))?,
            other => return Err(missing("FLOWS", other)),
        },
        lease: match object.map("LEASE") {
            Some(Map::Array(data)) => LeaseMap::new(data).map_err(wrong("LEASE"))?,
            other => return Err(missing("LEASE", other)),
        },
        turns: match object.take_map("TURNS") {
            Some(map @ Map::RingBuf(_)) => {
                let failed = |error: MapError| wrong("TURNS")(io::Error::other(error));
                Turns::new(map.try_into().map_err(failed)?)
            }
            other => return Err(missing("TURNS", other)),
        },
    };
    Ok((programs, maps))
}

fn program(object: &mut Ebpf, name: &'static str) -> Result<OwnedFd, LoadError> {
    let failed = |source| LoadError::Program {
        name,
        source: Box::new(source),
    };
    let Some(program) = object.program_mut(name) else {
        return Err(missing(name, None::<&Map>));
    };
    let program: &mut SchedClassifier = program.try_into().map_err(failed)?;
    program.load().map_err(failed)?;
    let owned = program.fd().map_err(failed)?.as_fd().try_clone_to_owned();
    owned.map_err(|source| LoadError::Map { name, source })
}

fn raw_ipv4(addresses: &[IpNet]) -> [u32; ADDRESSES] {
    let mut raw = [0; ADDRESSES];
    let own = addresses.iter().filter_map(|address| match address {
        IpNet::V4(net) => Some(u32::from_ne_bytes(net.addr().octets())),
        IpNet::V6(_) => None,
    });
    raw.iter_mut()
        .zip(own)
        .for_each(|(place, address)| *place = address);
    raw
}

fn raw_ipv6(addresses: &[IpNet]) -> [RawIpv6; ADDRESSES] {
    let mut raw = [RawIpv6::default(); ADDRESSES];
    let own = addresses.iter().filter_map(|address| match address {
        IpNet::V4(_) => None,
        IpNet::V6(net) => Some(net),
    });
    for (place, net) in raw.iter_mut().zip(own) {
        place[0] = 1;
        let [address, network, mask] =
            [net.addr(), net.network(), net.netmask()].map(as_in_a_packet);
        place[1..5].copy_from_slice(&address);
        place[5..9].copy_from_slice(&network);
        place[9..].copy_from_slice(&mask);
    }
    raw
}

fn as_in_a_packet(address: Ipv6Addr) -> [u32; 4] {
    let bytes = address.octets();
    [0, 4, 8, 12]
        .map(|at| u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]))
}

/// Before Linux 5.11 (d5299b67dd59) maps and programs count as locked memory, of which a container
/// may have little. Whether it helps shows when they are loaded.
fn raise_memlock() {
    const PLENTY: rlim_t = 64 << 20;
    let _ = setrlimit(Resource::RLIMIT_MEMLOCK, PLENTY, PLENTY);
}

fn permitted(error: &EbpfError) -> String {
    let mut source: Option<&dyn std::error::Error> = Some(error);
    while let Some(cause) = source {
        let refused = cause
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.raw_os_error() == Some(libc::EPERM));
        if refused {
            return "the container needs the capabilities BPF and NET_ADMIN (and before Linux 5.11, \
                    room under RLIMIT_MEMLOCK)"
                .to_owned();
        }
        source = cause.source();
    }
    error.to_string()
}

fn wrong(name: &'static str) -> impl FnOnce(io::Error) -> LoadError {
    move |source| LoadError::Map { name, source }
}

fn missing<T: std::fmt::Debug>(name: &'static str, found: Option<T>) -> LoadError {
    LoadError::Map {
        name,
        source: io::Error::other(format!("not in the object as such: {found:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_stand_as_in_a_packet_and_empty_places_match_nothing() {
        let own = ["10.1.0.7/24", "fd00:1::7/64"].map(|net| net.parse().unwrap());
        let ipv4 = raw_ipv4(&own);
        assert_eq!(ipv4[0].to_ne_bytes(), [10, 1, 0, 7]);
        assert_eq!(ipv4[1..], [0; 3]);
        let ipv6 = raw_ipv6(&own);
        assert_eq!(ipv6[0][0], 1);
        assert_eq!(ipv6[0][1].to_ne_bytes(), [0xfd, 0, 0, 1]);
        assert_eq!(ipv6[0][4].to_ne_bytes(), [0, 0, 0, 7]);
        assert_eq!(ipv6[0][8], 0, "the host part is not of the network");
        assert_eq!(ipv6[0][9..], [u32::MAX, u32::MAX, 0, 0]);
        assert_eq!(ipv6[1..], [RawIpv6::default(); 3]);
    }
}
