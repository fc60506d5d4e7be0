//! The hooks of interfaces over rtnetlink: clsact, and sets of filters that replace one another with
//! no moment without a filter.
//!
//! A set is complete in itself: its last filter catches everything, comes first and goes last. It
//! stands in one of two places; the new one is complete in the free place before the old one goes.
//! Old sets lead to devices that are gone, so they drop. Sets of either kind of steering follow each
//! other like this. Not here: which filters ([`super::tc`], [`super::bpf`]).

use futures::{StreamExt, TryStreamExt};
use rtnetlink::Handle;
use rtnetlink::packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::tc::{TcAttribute, TcHandle, TcMessage};

use super::filter::{Filter, Hook, is_own, place, placed};
use super::{SteeringError, errno};

/// First preferences of the two places that a set can have: the new one is complete before the old
/// one goes.
const PLACES: [u16; 2] = [1, 11];

/// Preferences of a set.
pub(super) const SET: u16 = 4;

/// The hooks of interfaces, over rtnetlink.
pub(super) struct Hooks<'a> {
    pub(super) netlink: &'a Handle,
}

impl Hooks<'_> {
    /// Gives an interface its two hooks, if it has none yet.
    pub(super) async fn clsact(&self, interface: u32, name: &str) -> Result<(), SteeringError> {
        const CLSACT: &str = "clsact";
        let mut qdisc = TcMessage::with_index(interface.cast_signed());
        qdisc.header.parent = TcHandle::CLSACT;
        qdisc.header.handle = TcHandle {
            major: TcHandle::CLSACT.major,
            minor: 0,
        };
        qdisc.attributes.push(TcAttribute::Kind(CLSACT.to_owned()));
        let made = self.send(
            RouteNetlinkMessage::NewQueueDiscipline(qdisc),
            NLM_F_CREATE | NLM_F_EXCL,
        );
        match made.await {
            Ok(()) => Ok(()),
            Err(error) if errno(&error) == Some(libc::EEXIST) => {
                let there = self.qdisc(interface).await;
                let there = there.map_err(|source| failed("listing qdiscs", name, source))?;
                match there {
                    Some(kind) if kind != CLSACT => Err(SteeringError::Foreign {
                        interface: name.to_owned(),
                        what: format!("qdisc of kind {kind}"),
                    }),
                    _ => Ok(()),
                }
            }
            Err(source) => Err(failed("adding clsact", name, source)),
        }
    }

    /// Puts a new set in force on a hook and removes what was there, in that order. Answers
    /// whether something was there.
    pub(super) async fn replace(
        &self,
        interface: u32,
        name: &str,
        hook: Hook,
        set: impl FnOnce(u16) -> Vec<Filter>,
    ) -> Result<bool, SteeringError> {
        let present = self.filters(interface, name, hook).await?;
        let is_in = |place: u16, preference: u16| (place..place + SET).contains(&preference);
        let used = |place: u16| {
            present
                .iter()
                .any(|(preference, _)| is_in(place, *preference))
        };
        // Two sets: a predecessor died while it took over. The first is complete, whatever the
        // second is.
        let [one, other] = PLACES;
        let free = if used(one) { other } else { one };
        self.remove(
            interface,
            name,
            hook,
            present.iter().filter(|(p, _)| is_in(free, *p)),
        )
        .await?;
        for filter in set(free) {
            let message = RouteNetlinkMessage::NewTrafficFilter(filter.message(interface, hook));
            let added = self.send(message, NLM_F_CREATE | NLM_F_EXCL).await;
            added.map_err(|source| failed("adding a filter", name, source))?;
        }
        self.remove(
            interface,
            name,
            hook,
            present.iter().filter(|(p, _)| !is_in(free, *p)),
        )
        .await?;
        Ok(!present.is_empty())
    }

    /// The preferences of a hook and their protocols, first to last. Fails on filters that are not
    /// ours and come before or between ours: they could let packets pass.
    async fn filters(
        &self,
        interface: u32,
        name: &str,
        hook: Hook,
    ) -> Result<Vec<(u16, u16)>, SteeringError> {
        let list = self.netlink.traffic_filter(interface.cast_signed()).get();
        let list = match hook {
            Hook::Ingress => list.ingress().execute().try_collect::<Vec<_>>().await,
            Hook::Egress => list.egress().execute().try_collect::<Vec<_>>().await,
        };
        let list = list.map_err(|source| failed("listing filters", name, source))?;
        let mut found = Vec::new();
        for message in &list {
            let (preference, protocol) = placed(message);
            if preference >= PLACES[1] + SET {
                continue;
            }
            is_own(message).map_err(|kind| SteeringError::Foreign {
                interface: name.to_owned(),
                what: format!("filter of kind {kind} at preference {preference}"),
            })?;
            found.push((preference, protocol));
        }
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    /// Removes filters, first to last: the one that catches everything goes last.
    async fn remove(
        &self,
        interface: u32,
        name: &str,
        hook: Hook,
        which: impl Iterator<Item = &(u16, u16)>,
    ) -> Result<(), SteeringError> {
        for (preference, protocol) in which {
            let message = place(interface, hook, *preference, *protocol);
            let removed = self
                .send(RouteNetlinkMessage::DelTrafficFilter(message), 0)
                .await;
            removed.map_err(|source| failed("removing an old filter", name, source))?;
        }
        Ok(())
    }

    async fn qdisc(&self, interface: u32) -> Result<Option<String>, rtnetlink::Error> {
        let all = self
            .netlink
            .qdisc()
            .get()
            .index(interface.cast_signed())
            .execute();
        let all: Vec<TcMessage> = all.try_collect().await?;
        let hooks = all.into_iter().find(|qdisc| {
            qdisc.header.index == interface.cast_signed() && qdisc.header.parent == TcHandle::CLSACT
        });
        let attributes = hooks.map(|qdisc| qdisc.attributes).unwrap_or_default();
        Ok(attributes
            .into_iter()
            .find_map(|attribute| match attribute {
                TcAttribute::Kind(kind) => Some(kind),
                _ => None,
            }))
    }

    async fn send(&self, message: RouteNetlinkMessage, flags: u16) -> Result<(), rtnetlink::Error> {
        let mut request = NetlinkMessage::from(message);
        request.header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
        let mut answers = self.netlink.clone().request(request)?;
        while let Some(answer) = answers.next().await {
            if let NetlinkPayload::Error(error) = answer.payload {
                return Err(rtnetlink::Error::NetlinkError(error));
            }
        }
        Ok(())
    }
}

fn failed(action: &str, interface: &str, source: rtnetlink::Error) -> SteeringError {
    SteeringError::from_netlink(format!("{action} on {interface}"), source)
}
