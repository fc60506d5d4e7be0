//! Addresses to rules: which rules admit an address, decided once for all addresses alike.
//!
//! Addresses that the same rules admit form a class. A single host finds its class in a hash map;
//! any other address in an array of sorted, disjoint intervals made of all CIDR blocks. A class
//! names at most [`WIDTH`] port tables, shared between classes; more are merged into one, so that a
//! look-up stays short, and a table that thousands of classes have in common exists once.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;

use foldhash::fast::RandomState;
use ipnet::IpNet;

use super::ports::{NO_RULE, PortTable, Span};
use crate::net::Protocol;
use crate::policy::allow_list::{PeerSet, PortCriterion, PortRule, Rule};

/// Port tables that a class may name before they are merged. Four are one cache line of answers,
/// and cover "all pods" + "this namespace" + "this app" + a block without any copy.
const WIDTH: usize = 4;

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

type TableId = u32;
type ClassId = u32;

/// The class of addresses that no rule with peers admits.
const NOBODY: ClassId = 0;

/// Positions in [`AddressIndex::tables`], sorted; unused ones are [`Class::UNUSED`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Class([TableId; WIDTH]);

impl Class {
    const UNUSED: TableId = TableId::MAX;
    const EMPTY: Self = Self([Self::UNUSED; WIDTH]);

    fn tables(&self) -> impl Iterator<Item = TableId> + '_ {
        self.0
            .iter()
            .copied()
            .take_while(|&table| table != Self::UNUSED)
    }
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

/// What the rules say, sorted by the set they say it of.
struct Uses {
    anyone: Vec<Span>,
    by_set: Vec<Vec<Span>>,
    /// Named ports of single pods, where the rule's peers leave some of the pods out.
    narrowed: Vec<(Vec<IpAddr>, Vec<Span>)>,
}

impl Uses {
    fn new(sets: &[PeerSet], rules: &[Rule]) -> Self {
        let mut uses = Self {
            anyone: Vec::new(),
            by_set: vec![Vec::new(); sets.len()],
            narrowed: Vec::new(),
        };
        for (index, rule) in (0..NO_RULE).zip(rules) {
            let for_all = spans_for_all(rule, index);
            match &rule.peers {
                None => uses.anyone.extend(&for_all),
                Some(peers) => {
                    let mut named: Vec<usize> = peers.iter().map(|peer| at(peer.set)).collect();
                    named.sort_unstable();
                    named.dedup();
                    for set in named {
                        if let Some(spans) = uses.by_set.get_mut(set) {
                            spans.extend(&for_all);
                        }
                    }
                }
            }
            uses.add_named_ports(sets, rule, index);
        }
        uses
    }

    /// Named ports that mean another number for each peer: only pods have them, so only the hosts
    /// of their sets count, and of those the ones that the rule's peers admit.
    fn add_named_ports(&mut self, sets: &[PeerSet], rule: &Rule, index: u32) {
        for entry in rule.ports.iter().flatten() {
            let PortCriterion::Named { resolved, .. } = &entry.port else {
                continue;
            };
            for port in resolved {
                let Some(id) = port.set.map(at) else { continue };
                let Some(set) = sets.get(id) else { continue };
                let span = Span {
                    ports: Some((entry.protocol, port.port, port.port)),
                    rule: index,
                };
                let admitted = set.hosts.iter().filter(|host| rule.admits(sets, **host));
                let admitted: Vec<IpAddr> = admitted.copied().collect();
                if admitted.len() == set.hosts.len() && set.blocks.is_empty() {
                    self.by_set[id].push(span);
                } else {
                    self.narrowed.push((admitted, vec![span]));
                }
            }
        }
    }
}

/// The ports that a rule admits for all of its peers alike.
fn spans_for_all(rule: &Rule, index: u32) -> Vec<Span> {
    let Some(ports) = &rule.ports else {
        return vec![Span {
            ports: None,
            rule: index,
        }];
    };
    let span = |protocol, from, to| Span {
        ports: Some((protocol, from, to)),
        rule: index,
    };
    let mut spans = Vec::with_capacity(ports.len());
    for PortRule { protocol, port } in ports {
        match port {
            PortCriterion::All => spans.push(span(*protocol, 0, u16::MAX)),
            PortCriterion::Range { from, to } => spans.push(span(*protocol, *from, *to)),
            PortCriterion::Named { resolved, .. } => {
                let own = resolved.iter().filter(|port| port.set.is_none());
                spans.extend(own.map(|port| span(*protocol, port.port, port.port)));
            }
        }
    }
    spans
}

/// Tables and classes, each kept once.
struct Store {
    tables: Vec<PortTable>,
    table_ids: HashMap<PortTable, TableId, RandomState>,
    classes: Vec<Class>,
    class_ids: HashMap<Class, ClassId, RandomState>,
    /// Which class a collection of tables became.
    merged: HashMap<Box<[TableId]>, ClassId, RandomState>,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            tables: Vec::new(),
            table_ids: HashMap::default(),
            classes: vec![Class::EMPTY],
            class_ids: HashMap::from_iter([(Class::EMPTY, NOBODY)]),
            merged: HashMap::default(),
        }
    }
}

impl Store {
    fn table(&mut self, table: PortTable) -> TableId {
        if let Some(&id) = self.table_ids.get(&table) {
            return id;
        }
        let id = id_of(self.tables.len());
        self.tables.push(table.clone());
        self.table_ids.insert(table, id);
        id
    }

    /// The class with the tables of `class` and these.
    fn extend(&mut self, class: ClassId, more: impl Iterator<Item = TableId>) -> ClassId {
        let mut tables: Vec<TableId> = more.collect();
        if let Some(class) = self.classes.get(at(class)) {
            tables.extend(class.tables());
        }
        tables.sort_unstable();
        tables.dedup();
        tables.retain(|&table| {
            self.tables
                .get(at(table))
                .is_some_and(|table| !table.is_empty())
        });
        if tables.len() <= WIDTH {
            return self.class(&tables);
        }
        if let Some(&class) = self.merged.get(tables.as_slice()) {
            return class;
        }
        let spans: Vec<Span> = tables
            .iter()
            .filter_map(|&table| self.tables.get(at(table)))
            .flat_map(PortTable::spans)
            .collect();
        let all = self.table(PortTable::new(&spans));
        let class = self.class(&[all]);
        self.merged.insert(tables.into(), class);
        class
    }

    fn class(&mut self, tables: &[TableId]) -> ClassId {
        let mut class = Class::EMPTY;
        for (slot, &table) in class.0.iter_mut().zip(tables) {
            *slot = table;
        }
        if let Some(&id) = self.class_ids.get(&class) {
            return id;
        }
        let id = id_of(self.classes.len());
        self.classes.push(class);
        self.class_ids.insert(class, id);
        id
    }
}

/// An id as an index. On targets narrower than 32 bits no such index exists, and `get` says so.
fn at(id: u32) -> usize {
    usize::try_from(id).unwrap_or(usize::MAX)
}

/// An index as an id. Four billion tables do not fit into memory; were there so many, the id would
/// be the one that no look-up finds, which blocks.
fn id_of(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}
