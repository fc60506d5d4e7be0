//! One nftables transaction: messages between a batch's begin and end, all or nothing.

use std::io;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_APPEND, NLM_F_CREATE, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_netfilter::nftables::{
    ChainAttribute, ChainMessage, Expressions, Hook, HookNumber, InetHookNumber, NfTablesMessage,
    RuleAttribute, RuleMessage, TableAttribute, TableMessage,
};
use netlink_packet_netfilter::none::ControlMessage;
use netlink_packet_netfilter::{
    NetfilterHeader, NetfilterMessage, NetfilterMessageInner, NetfilterProtoFamily,
};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_NETFILTER};
use nix::sys::socket::{setsockopt, sockopt};

/// `NFNL_SUBSYS_NFTABLES` of linux/netfilter/nfnetlink.h: whom a batch is for.
const NFTABLES: u16 = 10;

/// What a base chain does.
#[derive(Debug, Clone, Copy)]
pub(super) enum ChainKind {
    /// Sees the first packet of each connection and may translate it.
    Nat,
    /// Sees every packet.
    Filter,
}

/// The new contents of a table, to be committed at once.
#[derive(Debug)]
pub(super) struct Transaction {
    table: String,
    chains: Vec<NfTablesMessage>,
    rules: Vec<NfTablesMessage>,
}

impl Transaction {
    /// The table will hold what is added here and nothing else.
    pub(super) fn replacing(table: &str) -> Self {
        Self {
            table: table.to_owned(),
            chains: Vec::new(),
            rules: Vec::new(),
        }
    }

    /// Adds a chain that others jump to.
    pub(super) fn chain(&mut self, name: &str) {
        let attributes = self.named_chain(name);
        self.chains
            .push(NfTablesMessage::NewChain(ChainMessage { attributes }));
    }

    /// Adds a chain that the kernel's hook enters.
    pub(super) fn base_chain(
        &mut self,
        name: &str,
        hook: InetHookNumber,
        kind: ChainKind,
        priority: i32,
    ) {
        let kind = match kind {
            ChainKind::Nat => "nat",
            ChainKind::Filter => "filter",
        };
        let mut attributes = self.named_chain(name);
        attributes.extend([
            ChainAttribute::Hook(vec![
                Hook::Number(HookNumber::Inet(hook)),
                Hook::Priority(priority.cast_unsigned()),
            ]),
            ChainAttribute::Type(kind.to_owned()),
        ]);
        self.chains
            .push(NfTablesMessage::NewChain(ChainMessage { attributes }));
    }

    /// Adds a rule at the end of a chain.
    pub(super) fn rule(&mut self, chain: &str, expressions: Vec<Expressions>) {
        let expressions = expressions.into_iter().map(Into::into).collect();
        let attributes = vec![
            RuleAttribute::Table(self.table.clone()),
            RuleAttribute::Chain(chain.to_owned()),
            RuleAttribute::Expressions(expressions),
        ];
        self.rules
            .push(NfTablesMessage::NewRule(RuleMessage { attributes }));
    }

    /// Sends it, in the calling thread's namespace, and waits for the kernel's answer.
    pub(super) fn commit(self) -> io::Result<()> {
        let mut socket = Socket::new(NETLINK_NETFILTER)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        let batch = self.into_batch();
        // The whole batch has to fit the send buffer. What the kernel refuses here it tells on send.
        let _ = setsockopt(&socket, sockopt::SndBufForce, &(2 * batch.bytes.len()));
        socket.send(&batch.bytes, 0)?;
        loop {
            let (answer, _) = socket.recv_from_full()?;
            let answer = NetlinkMessage::<NetfilterMessage>::deserialize(&answer)
                .map_err(|error| io::Error::other(format!("nftables' answer: {error}")))?;
            if let NetlinkPayload::Error(error) = answer.payload {
                if error.code.is_some() {
                    return Err(batch.explain(answer.header.sequence_number, error.to_io()));
                }
                if answer.header.sequence_number == batch.last {
                    return Ok(());
                }
            }
        }
    }

    fn named_chain(&self, name: &str) -> Vec<ChainAttribute> {
        vec![
            ChainAttribute::Table(self.table.clone()),
            ChainAttribute::Name(name.to_owned()),
        ]
    }

    fn into_batch(self) -> Batch {
        let table = || TableMessage {
            attributes: vec![TableAttribute::Name(self.table.clone())],
        };
        // Deleting needs it to be there, so it is made first: the way of `nft -f` too.
        let replaced = [
            NfTablesMessage::NewTable(table()),
            NfTablesMessage::DeleteTable(table()),
            NfTablesMessage::NewTable(table()),
        ];
        let messages: Vec<_> = replaced
            .into_iter()
            .chain(self.chains)
            .chain(self.rules)
            .collect();
        let mut batch = Batch::default();
        batch.push(ControlMessage::BatchBegin, NetfilterProtoFamily::Unspec, 0);
        let count = messages.len();
        for (n, message) in messages.into_iter().enumerate() {
            let create = NLM_F_CREATE | NLM_F_APPEND;
            let acknowledged = if n + 1 == count { NLM_F_ACK } else { 0 };
            let delete = matches!(message, NfTablesMessage::DeleteTable(_));
            let flags = if delete { 0 } else { create } | acknowledged;
            batch.push(message, NetfilterProtoFamily::Inet, flags);
        }
        batch.last = batch.next - 1;
        batch.push(ControlMessage::BatchEnd, NetfilterProtoFamily::Unspec, 0);
        batch
    }
}

/// Messages as bytes, one after the other.
#[derive(Debug, Default)]
struct Batch {
    bytes: Vec<u8>,
    kinds: Vec<String>,
    next: u32,
    last: u32,
}

impl Batch {
    fn push(
        &mut self,
        message: impl Into<NetfilterMessageInner>,
        family: NetfilterProtoFamily,
        flags: u16,
    ) {
        let message = message.into();
        // A batch names its subsystem in the resource id.
        let control = matches!(message, NetfilterMessageInner::None(_));
        let resource = if control { NFTABLES } else { 0 };
        self.kinds.push(format!("{message:?}"));
        let header = NetfilterHeader::new(family, 0, resource);
        let mut message = NetlinkMessage::from(NetfilterMessage::new(header, message));
        message.header.flags = NLM_F_REQUEST | flags;
        message.header.sequence_number = self.next;
        self.next += 1;
        message.finalize();
        let start = self.bytes.len();
        self.bytes.resize(start + message.buffer_len(), 0);
        message.serialize(&mut self.bytes[start..]);
    }

    fn explain(&self, sequence: u32, error: io::Error) -> io::Error {
        let which = usize::try_from(sequence)
            .ok()
            .and_then(|n| self.kinds.get(n))
            .map_or("", String::as_str);
        io::Error::new(error.kind(), format!("{error} at {which}"))
    }
}
