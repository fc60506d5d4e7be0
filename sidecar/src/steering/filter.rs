//! tc filters as values: which packets (u32 keys, incoming device), and what then (pass, or mirred
//! to a device), and their shape on netlink.
//!
//! u32 and mirred are all that is used: both are in every kernel that tc steering was seen on,
//! while matchall, flower, gact and skbedit are not. Offsets count from the network header, on
//! ingress and egress alike (u32_classify() starts at skb_network_offset()). Next: `tc.rs` says
//! which filters there are, and in what order they come and go.

use std::net::Ipv6Addr;
use std::os::fd::RawFd;

use ipnet::Ipv6Net;
use rtnetlink::packet_route::tc::{
    TcAction, TcActionAttribute, TcActionMirror, TcActionMirrorOption, TcActionOption,
    TcActionType, TcAttribute, TcBpfFlags, TcFilterBpf, TcFilterBpfOption, TcFilterU32,
    TcFilterU32Option, TcHandle, TcHeader, TcMessage, TcMirror, TcMirrorActionType, TcOption,
    TcU32Key, TcU32Selector, TcU32SelectorFlags,
};

/// The two hooks of an interface's clsact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Hook {
    /// What the interface receives, before the IP stack sees it.
    Ingress,
    /// What leaves through the interface, after routing.
    Egress,
}

/// EtherTypes by which tc sorts filters (include/uapi/linux/if_ether.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum Protocol {
    /// Every packet (ETH_P_ALL).
    All = 0x0003,
    /// ARP.
    Arp = 0x0806,
    /// IPv6.
    Ipv6 = 0x86dd,
}

/// What a filter does with the packets it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Lets them go on, past all later filters.
    Pass,
    /// Sends them out through the device of this index; drops them once that device is gone
    /// (tcf_mirred_act() answers TC_ACT_SHOT without a target).
    Redirect(u32),
    /// What an eBPF program says, which the filter keeps in the kernel.
    Program {
        /// Its descriptor.
        descriptor: RawFd,
        /// Its name, by which the filter is recognised later: see [`PROGRAM_PREFIX`].
        name: &'static str,
    },
}

/// One filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// Its place: smaller is asked earlier; one protocol a preference.
    pub preference: u16,
    /// The EtherType it is asked about.
    pub protocol: Protocol,
    /// All must match; none: every packet does.
    pub keys: Vec<Key>,
    /// Only packets that came into the pod through this device.
    pub incoming: Option<String>,
    /// What then.
    pub action: Action,
}

/// 32 bits at an offset from the network header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// Where, in bytes.
    pub offset: i32,
    /// Which bits count.
    pub mask: u32,
    /// What they must be.
    pub value: u32,
}

impl Filter {
    /// The message that installs it.
    #[must_use]
    pub fn message(&self, interface: u32, hook: Hook) -> TcMessage {
        if let Action::Program { descriptor, name } = self.action {
            return self.program(interface, hook, descriptor, name);
        }
        let mut options = vec![TcFilterU32Option::Selector(selector(&self.keys))];
        if let Some(device) = &self.incoming {
            // A string of the kernel: with its closing zero.
            options.push(TcFilterU32Option::Indev(
                [device.as_bytes(), b"\0"].concat(),
            ));
        }
        options.extend(match self.action {
            // A class that nobody has: the filter matches and does nothing. `action pass` would need
            // act_gact.
            Action::Pass => Some(TcFilterU32Option::ClassId(TcHandle { major: 1, minor: 1 })),
            Action::Redirect(device) => Some(TcFilterU32Option::Action(vec![mirred(device)])),
            Action::Program { .. } => None,
        });
        let mut message = place(interface, hook, self.preference, self.protocol as u16);
        message.attributes = vec![
            TcAttribute::Kind(TcFilterU32::KIND.to_owned()),
            TcAttribute::Options(options.into_iter().map(TcOption::U32).collect()),
        ];
        message
    }

    /// The program's answer is the filter's action ("direct action").
    fn program(&self, interface: u32, hook: Hook, descriptor: RawFd, name: &str) -> TcMessage {
        let options = [
            TcFilterBpfOption::ProgFd(descriptor.cast_unsigned()),
            TcFilterBpfOption::ProgName(format!("{PROGRAM_PREFIX}{name}")),
            TcFilterBpfOption::Flags(TcBpfFlags::DirectAction),
        ];
        let mut message = place(interface, hook, self.preference, self.protocol as u16);
        message.attributes = vec![
            TcAttribute::Kind(TcFilterBpf::KIND.to_owned()),
            TcAttribute::Options(options.into_iter().map(TcOption::Bpf).collect()),
        ];
        message
    }
}

/// Names of programs begin so.
pub const PROGRAM_PREFIX: &str = "sidewall/";

/// The message that names all filters of one preference.
#[must_use]
pub fn place(interface: u32, hook: Hook, preference: u16, protocol: u16) -> TcMessage {
    TcMessage::from_parts(
        TcHeader {
            index: interface.cast_signed(),
            parent: TcHandle {
                major: TcHandle::CLSACT.major,
                minor: match hook {
                    Hook::Ingress => TcHandle::MIN_INGRESS,
                    Hook::Egress => TcHandle::MIN_EGRESS,
                },
            },
            info: u32::from(preference) << 16 | u32::from(protocol.to_be()),
            ..TcHeader::default()
        },
        Vec::new(),
    )
}

/// Whether a filter that the kernel reports is of one of our kinds; else its kind.
///
/// # Errors
/// The kind of a filter that is not ours.
pub fn is_own(message: &TcMessage) -> Result<(), String> {
    let mut kind = "without a kind";
    let mut program = None;
    for attribute in &message.attributes {
        match attribute {
            TcAttribute::Kind(said) => kind = said,
            TcAttribute::Options(options) => {
                program = program.or_else(|| options.iter().find_map(name_of_program));
            }
            _ => {}
        }
    }
    let own = match kind {
        TcFilterU32::KIND => true,
        // The kernel reports a preference first (handle 0, no options), then its filters.
        TcFilterBpf::KIND if u32::from(message.header.handle) == 0 => true,
        TcFilterBpf::KIND => program.is_some_and(|name| name.starts_with(PROGRAM_PREFIX)),
        _ => false,
    };
    if own { Ok(()) } else { Err(kind.to_owned()) }
}

fn name_of_program(option: &TcOption) -> Option<&str> {
    match option {
        TcOption::Bpf(TcFilterBpfOption::ProgName(name)) => Some(name),
        _ => None,
    }
}

/// Preference and protocol of a filter that the kernel reports.
#[must_use]
pub fn placed(message: &TcMessage) -> (u16, u16) {
    let TcHandle { major, minor } = TcHandle::from(message.header.info);
    (major, u16::from_be(minor))
}

/// Neighbour discovery (RFC 4861) that no router has forwarded: hop limit 255. These types only.
pub fn neighbour_discovery(types: &[TypeRange], to: Option<Ipv6Net>) -> Vec<Vec<Key>> {
    const ICMPV6_HOP_LIMIT_255: Key = Key {
        offset: 4,
        mask: 0x0000_ffff,
        value: 0x0000_3aff,
    };
    let to = to.map(destination).unwrap_or_default();
    let rule = |range: &TypeRange| {
        let mut keys = vec![ICMPV6_HOP_LIMIT_255, range.at(IPV6_HEADER)];
        keys.extend(&to);
        keys
    };
    types.iter().map(rule).collect()
}

/// Multicast listener messages (RFC 2710, RFC 3810): hop limit 1, a hop-by-hop header of eight
/// bytes with the router alert, ICMPv6 behind it, to a group.
pub fn listener_messages(types: &[TypeRange]) -> Vec<Vec<Key>> {
    const HOP_BY_HOP_HOP_LIMIT_1: Key = Key {
        offset: 4,
        mask: 0x0000_ffff,
        value: 0x0000_0001,
    };
    const ICMPV6_AFTER_EIGHT_BYTES: Key = Key {
        offset: IPV6_HEADER,
        mask: 0xffff_0000,
        value: 0x3a00_0000,
    };
    let groups = Ipv6Net::new_assert(Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8);
    let rule = |range: &TypeRange| {
        let mut keys = vec![HOP_BY_HOP_HOP_LIMIT_1, ICMPV6_AFTER_EIGHT_BYTES];
        keys.push(range.at(IPV6_HEADER + 8));
        keys.extend(destination(groups));
        keys
    };
    types.iter().map(rule).collect()
}

/// Length of the fixed IPv6 header (RFC 8200 §3).
const IPV6_HEADER: i32 = 40;

/// ICMPv6 types that share their upper bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TypeRange {
    /// The first.
    pub first: u8,
    /// Which bits count.
    pub mask: u8,
}

impl TypeRange {
    /// One type.
    #[must_use]
    pub const fn one(number: u8) -> Self {
        Self {
            first: number,
            mask: 0xff,
        }
    }

    /// This type, which is even, and the next.
    #[must_use]
    pub const fn pair(even: u8) -> Self {
        Self {
            first: even,
            mask: 0xfe,
        }
    }

    fn at(self, offset: i32) -> Key {
        Key {
            offset,
            mask: u32::from(self.mask) << 24,
            value: u32::from(self.first) << 24,
        }
    }
}

/// The destination address is in this block.
fn destination(block: Ipv6Net) -> Vec<Key> {
    const DESTINATION: i32 = 24;
    let words = |address: Ipv6Addr| {
        let bits = address.to_bits();
        [96, 64, 32, 0].map(|shift| (bits >> shift & u128::from(u32::MAX)) as u32)
    };
    let places = (DESTINATION..).step_by(4);
    let keys = words(block.netmask())
        .into_iter()
        .zip(words(block.network()))
        .zip(places);
    keys.map(|((mask, value), offset)| Key {
        offset,
        mask,
        value,
    })
    .filter(|key| key.mask != 0)
    .collect()
}

fn selector(keys: &[Key]) -> TcU32Selector {
    let mut selector = TcU32Selector::default();
    // Without it u32 would go on to a further hash table instead of answering.
    selector.flags = TcU32SelectorFlags::Terminal;
    selector.keys = keys
        .iter()
        .map(|key| {
            let mut made = TcU32Key::default();
            (made.mask, made.val, made.off) = (key.mask, key.value, key.offset);
            made
        })
        .collect();
    if selector.keys.is_empty() {
        // One key with an empty mask: what `match u32 0 0` says.
        selector.keys.push(TcU32Key::default());
    }
    selector.nkeys = selector.keys.len() as u8;
    selector
}

fn mirred(device: u32) -> TcAction {
    let mut mirror = TcMirror::default();
    mirror.generic.action = TcActionType::Stolen;
    mirror.eaction = TcMirrorActionType::EgressRedir;
    mirror.ifindex = device;
    let mut action = TcAction::default();
    action.attributes = vec![
        TcActionAttribute::Kind(TcActionMirror::KIND.to_owned()),
        TcActionAttribute::Options(vec![TcActionOption::Mirror(TcActionMirrorOption::Parms(
            mirror,
        ))]),
    ];
    action
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_on_the_wire_is_what_the_kernel_reports_back() {
        let message = place(7, Hook::Egress, 3, Protocol::Ipv6 as u16);
        assert_eq!(placed(&message), (3, Protocol::Ipv6 as u16));
        assert_eq!(u32::from(message.header.parent), 0xffff_fff3);
    }

    #[test]
    fn a_block_matches_by_whole_words_and_one_partial_one() {
        let keys = destination("fd00:10:0:5::/50".parse().unwrap());
        let expected = [(24, u32::MAX, 0xfd00_0010), (28, 0xffff_c000, 0)];
        assert_eq!(
            keys.iter()
                .map(|k| (k.offset, k.mask, k.value))
                .collect::<Vec<_>>(),
            expected
        );
    }

    #[test]
    fn a_filter_without_keys_matches_everything() {
        assert_eq!(selector(&[]).keys, [TcU32Key::default()]);
        assert_eq!(selector(&[]).nkeys, 1);
    }

    #[test]
    fn neighbour_discovery_needs_a_hop_limit_that_no_router_passed_on() {
        let [solicitation] = &neighbour_discovery(&[TypeRange::one(135)], None)[..] else {
            panic!("one rule for one type")
        };
        assert_eq!(solicitation[0].value, 0x3aff);
        assert_eq!(
            (solicitation[1].offset, solicitation[1].value),
            (40, 135 << 24)
        );
    }
}
