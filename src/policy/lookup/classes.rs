//! Addresses to rules: which rules admit an address, decided once for all addresses alike.
//!
//! Addresses that the same rules admit form a class. A single host finds its class in a hash map;
//! any other address in an array of sorted, disjoint intervals made of all CIDR blocks. A class
//! names a few port tables ([`super::store`]).

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;

use foldhash::fast::RandomState;
use ipnet::IpNet;

use super::at;
use super::ports::{NO_RULE, PortTable};
use super::store::{Class, ClassId, NOBODY, Store, TableId};
use super::uses::Uses;
use crate::net::Protocol;
use crate::policy::allow_list::{PeerSet, Rule};

/// Rules by address and port.
#[derive(Debug, Clone)]
pub(super) struct AddressIndex {
    /// Rules without peers: they admit every address.
    anyone: PortTable,
    v4: Space<u32>,
    v6: Space<u128>,
    classes: Vec<Class>,
    tables: Vec<PortTable>,
}

/// The addresses of one family.
#[derive(Debug, Clone)]
struct Space<A> {
    hosts: HashMap<A, ClassId, RandomState>,
    /// Where an interval begins; it ends where the next begins. Below the first: nobody.
    starts: Vec<A>,
    /// The class of each interval.
    classes: Vec<ClassId>,
}

impl AddressIndex {
    /// Indexes rules over the sets they refer to.
    pub(super) fn new(sets: &[PeerSet], rules: &[Rule]) -> Self {
        let Uses {
            anyone,
            by_set,
            narrowed,
        } = Uses::new(sets, rules);
        let mut store = Store::default();
        let (mut hosts_v4, mut hosts_v6) = (Vec::new(), Vec::new());
        let (mut blocks_v4, mut blocks_v6) = (Vec::new(), Vec::new());

        let of_sets = sets.iter().zip(&by_set);
        let of_sets =
            of_sets.map(|(set, spans)| (set.hosts.as_slice(), set.blocks.as_slice(), spans));
        let of_names = narrowed
            .iter()
            .map(|(hosts, spans)| (hosts.as_slice(), [].as_slice(), spans));
        for (hosts, blocks, spans) in of_sets.chain(of_names) {
            if spans.is_empty() {
                continue;
            }
            let table = store.table(PortTable::new(spans));
            for host in hosts {
                match host {
                    IpAddr::V4(host) => hosts_v4.push((host.to_bits(), table)),
                    IpAddr::V6(host) => hosts_v6.push((host.to_bits(), table)),
                }
            }
            for block in blocks {
                match block {
                    IpNet::V4(net) => blocks_v4.push(Block {
                        start: net.network().to_bits(),
                        end: net.broadcast().to_bits(),
                        table,
                    }),
                    IpNet::V6(net) => blocks_v6.push(Block {
                        start: net.network().to_bits(),
                        end: net.broadcast().to_bits(),
                        table,
                    }),
                }
            }
        }
        let v4 = Space::new(hosts_v4, blocks_v4, &mut store, |address| {
            address.checked_add(1)
        });
        let v6 = Space::new(hosts_v6, blocks_v6, &mut store, |address| {
            address.checked_add(1)
        });
        Self {
            anyone: PortTable::new(&anyone),
            v4,
            v6,
            classes: store.classes,
            tables: store.tables,
        }
    }

    /// The lowest rule that admits this peer on this port.
    pub(super) fn first(&self, peer: IpAddr, protocol: Protocol, port: u16) -> Option<u32> {
        let class = match peer {
            IpAddr::V4(peer) => self.v4.class(peer.to_bits()),
            IpAddr::V6(peer) => self.v6.class(peer.to_bits()),
        };
        let mut lowest = self.anyone.first(protocol, port);
        if class != NOBODY
            && let Some(class) = self.classes.get(at(class))
        {
            for table in class.tables() {
                if let Some(table) = self.tables.get(at(table)) {
                    lowest = lowest.min(table.first(protocol, port));
                }
            }
        }
        (lowest != NO_RULE).then_some(lowest)
    }

    /// The lowest rule that admits every peer on every port.
    pub(super) fn everything(&self) -> Option<u32> {
        (self.anyone.everything != NO_RULE).then_some(self.anyone.everything)
    }
}

impl<A: Copy + Ord + Hash> Space<A> {
    fn new(
        mut hosts: Vec<(A, TableId)>,
        blocks: Vec<Block<A>>,
        store: &mut Store,
        next: impl Fn(A) -> Option<A>,
    ) -> Self {
        let (starts, classes) = intervals(blocks, store, next);
        let mut space = Self {
            hosts: HashMap::default(),
            starts,
            classes,
        };
        hosts.sort_unstable();
        hosts.dedup();
        for group in hosts.chunk_by(|left, right| left.0 == right.0) {
            let Some(&(host, _)) = group.first() else {
                continue;
            };
            // A host may also lie in a block: it has the rules of both.
            let around = space.class_of_block(host);
            let class = store.extend(around, group.iter().map(|&(_, table)| table));
            space.hosts.insert(host, class);
        }
        space
    }

    fn class(&self, address: A) -> ClassId {
        match self.hosts.get(&address) {
            Some(&class) => class,
            None => self.class_of_block(address),
        }
    }

    fn class_of_block(&self, address: A) -> ClassId {
        let after = self.starts.partition_point(|&start| start <= address);
        after
            .checked_sub(1)
            .and_then(|index| self.classes.get(index))
            .copied()
            .unwrap_or(NOBODY)
    }
}

/// A CIDR block and the table of the rules that admit it.
struct Block<A> {
    start: A,
    end: A,
    table: TableId,
}

/// Flattens blocks into disjoint intervals. CIDR blocks nest or are disjoint, so in the order of
/// their starts, longest first, the open ones form a stack.
fn intervals<A: Copy + Ord>(
    mut blocks: Vec<Block<A>>,
    store: &mut Store,
    next: impl Fn(A) -> Option<A>,
) -> (Vec<A>, Vec<ClassId>) {
    blocks.sort_unstable_by(|left, right| {
        (left.start, right.end, left.table).cmp(&(right.start, left.end, right.table))
    });
    let mut found = Boundaries {
        starts: Vec::new(),
        classes: Vec::new(),
    };
    let mut open: Vec<(A, ClassId)> = Vec::new();
    let close = |open: &mut Vec<(A, ClassId)>, found: &mut Boundaries<A>| {
        if let Some((end, _)) = open.pop()
            && let Some(after) = next(end)
        {
            found.push(after, open.last().map_or(NOBODY, |&(_, class)| class));
        }
    };
    for group in blocks.chunk_by(|left, right| (left.start, left.end) == (right.start, right.end)) {
        let Some(block) = group.first() else { continue };
        while open.last().is_some_and(|&(end, _)| end < block.start) {
            close(&mut open, &mut found);
        }
        let around = open.last().map_or(NOBODY, |&(_, class)| class);
        let class = store.extend(around, group.iter().map(|block| block.table));
        found.push(block.start, class);
        open.push((block.end, class));
    }
    while !open.is_empty() {
        close(&mut open, &mut found);
    }
    (found.starts, found.classes)
}

/// Where classes change, in ascending order.
struct Boundaries<A> {
    starts: Vec<A>,
    classes: Vec<ClassId>,
}

impl<A: Copy + Ord> Boundaries<A> {
    /// From `start` on, `class` holds; a later word on the same address replaces an earlier one.
    fn push(&mut self, start: A, class: ClassId) {
        if self.starts.last() == Some(&start) {
            self.starts.pop();
            self.classes.pop();
        }
        if self.classes.last().copied().unwrap_or(NOBODY) != class {
            self.starts.push(start);
            self.classes.push(class);
        }
    }
}
