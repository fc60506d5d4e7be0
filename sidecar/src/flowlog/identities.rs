//! Whose labels an explanation looks at: from the index where the sidecar has one, and else asked of
//! the controller.
//!
//! A ready-made list names the peers that it admits, and not the labels of their namespaces. So to
//! say why a flow was blocked, its peer (and of a Service the first endpoints) is asked about; what
//! is allowed is explained by what is known. While an answer is under way its line waits, in
//! [`super::FlowLog`]. Without one the explanation is left out: it would say what is not known.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::sync::Arc;

use sidewall::policy::allow_list::AllowList;
use sidewall::policy::cluster::Identity;
use sidewall::policy::explain::{Explanation, PeerOutcome, Question, explain_verdict};
use sidewall::policy::lookup::LookupOptions;
use sidewall::record::FlowRecord;
use sidewall::verdict::Verdict;

use crate::directory::Directory;
use crate::lists::who::{Known, Who};

/// Addresses that one line may ask about: the peer, or the first endpoints of a Service.
const MOST_ASKED: usize = 4;

/// Who knows whose an address is.
pub(super) struct Identities<'a> {
    pub(super) directory: &'a Directory,
    /// Nobody where the directory knows the whole cluster.
    pub(super) who: Option<&'a Who>,
}

/// An explanation, as far as there is one.
#[derive(Debug, Default)]
pub(super) struct Explained {
    pub(super) why: Option<Explanation>,
    /// Addresses that are being asked about: their answers would make it better.
    pub(super) asked: Vec<IpAddr>,
    /// Why it is not known who the peer is.
    pub(super) unknown: Option<Arc<str>>,
}

impl Identities<'_> {
    /// Explains the verdict of a record that policies decided.
    pub(super) fn explain(
        &self,
        record: &FlowRecord,
        list: &AllowList,
        options: LookupOptions,
    ) -> Explained {
        let question = Question {
            direction: record.originator.direction(),
            peer: record.key.peer,
            protocol: record.key.protocol,
            port: record.key.destination_port(record.originator),
        };
        let Some(who) = self.who else {
            let identify = |address| self.directory.identify(address);
            return Explained {
                why: Some(explain_verdict(
                    list,
                    options,
                    question,
                    record.verdict,
                    &identify,
                )),
                ..Explained::default()
            };
        };
        match record.verdict {
            Verdict::Allow(_) => self.allowed(who, list, options, question, record.verdict),
            Verdict::Block(_) => blocked(who, list, options, question, record.verdict),
        }
    }

    /// By what is known. What else the rule admits is left out: it may be about labels that are not.
    fn allowed(
        &self,
        who: &Who,
        list: &AllowList,
        options: LookupOptions,
        question: Question,
        verdict: Verdict,
    ) -> Explained {
        let answered = |address| match who.look(address) {
            Some(Known::Answer(answer)) => answer.identity.clone(),
            _ => None,
        };
        let identify = |address| answered(address).or_else(|| self.directory.identify(address));
        let mut why = explain_verdict(list, options, question, verdict, &identify);
        if answered(question.peer).is_none() {
            for peers in why.rules.iter_mut().filter_map(|rule| rule.peers.as_mut()) {
                peers.retain(|peer| peer.outcome == PeerOutcome::Matches);
            }
        }
        Explained {
            why: Some(why),
            ..Explained::default()
        }
    }
}

/// By who the peer is, which is asked.
fn blocked(
    who: &Who,
    list: &AllowList,
    options: LookupOptions,
    question: Question,
    verdict: Verdict,
) -> Explained {
    let is_service = |address| {
        let mut services = list.services.iter();
        services.any(|service| service.addresses.contains(&address))
    };
    let (asked, under_way) = (Cell::new(0), RefCell::new(Vec::new()));
    let unknown = RefCell::new(None);
    let left_out = RefCell::new(Vec::new());
    let identify = |address: IpAddr| -> Option<Identity> {
        // A Service's address is nobody's, and the list says whose.
        if is_service(address) {
            return None;
        }
        let known = if asked.get() < MOST_ASKED {
            asked.set(asked.get() + 1);
            Some(who.ask(address))
        } else {
            who.look(address)
        };
        match known {
            Some(Known::Answer(answer)) => return answer.identity.clone(),
            Some(Known::Asked) => under_way.borrow_mut().push(address),
            Some(Known::Not(why)) if asked.get() <= 1 => {
                unknown.borrow_mut().get_or_insert(why);
            }
            Some(Known::Not(_)) | None => {}
        }
        left_out.borrow_mut().push(address);
        None
    };
    let mut why = explain_verdict(list, options, question, verdict, &identify);
    let left_out = left_out.into_inner();
    if let Some(service) = &mut why.service {
        service
            .endpoints
            .retain(|endpoint| !left_out.contains(&endpoint.address));
    }
    let of_peer = left_out.contains(&question.peer);
    let of_all = why.service.as_ref().is_some_and(|service| {
        service.known_port && service.blocked > 0 && service.blocked_endpoint().is_none()
    });
    Explained {
        why: (!of_peer && !of_all).then_some(why),
        asked: under_way.into_inner(),
        unknown: unknown.into_inner(),
    }
}
