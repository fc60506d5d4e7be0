//! The engine beside a second, deliberately simple one: a list of flows and sentences about them.

use proptest::prelude::*;
use sidewall::engine::{Engine, Mode, Policy};
use sidewall::flow::{Millis, lifetime};
use sidewall::net::{Direction, Originator, Protocol};
use sidewall::packet::TcpFlags;
use sidewall::verdict::{Because, Reason, Verdict};

use crate::support::*;

/// What may happen. Ports are 1 and 2 on either side.
#[derive(Debug, Clone)]
enum Event {
    Datagram {
        direction: Direction,
        pod_port: u16,
        peer_port: u16,
    },
    Wait(u64),
    Sweep,
    /// Which of the ports 1 and 2 are open, inwards and outwards; 3 is both.
    Policy {
        inwards: u16,
        outwards: u16,
    },
}

fn event() -> impl Strategy<Value = Event> {
    let port = 1_u16..3;
    let direction = prop_oneof![Just(Direction::Ingress), Just(Direction::Egress)];
    prop_oneof![
        8 => (direction, port.clone(), port).prop_map(|(direction, pod_port, peer_port)| {
            Event::Datagram { direction, pod_port, peer_port }
        }),
        2 => prop_oneof![1_u64..1_500, 4_000_u64..6_000, 29_000_u64..32_000, 118_000_u64..122_000].prop_map(Event::Wait),
        1 => Just(Event::Sweep),
        1 => (0_u16..4, 0_u16..4).prop_map(|(inwards, outwards)| Event::Policy { inwards, outwards }),
    ]
}

fn policy_of(inwards: u16, outwards: u16, generation: u64) -> Policy {
    let mut list = closed();
    for (direction, open) in [(Direction::Ingress, inwards), (Direction::Egress, outwards)] {
        for port in [1, 2] {
            if open & port != 0 {
                list = allow(list, direction, &[ip(PEER)], Protocol::UDP, port);
            }
        }
    }
    policy(&list, generation, Mode::Enforce)
}

#[derive(Debug)]
struct SimpleFlow {
    pod_port: u16,
    peer_port: u16,
    originator: Originator,
    begun: u64,
    seen: u64,
    answered: bool,
    lasting: bool,
}

#[derive(Debug, Default)]
struct Simple {
    flows: Vec<SimpleFlow>,
    /// What lost its permission: ports, who began, when.
    revoked: Vec<(u16, u16, Originator, u64)>,
    inwards: u16,
    outwards: u16,
    now: u64,
}

impl Simple {
    fn may_begin(&self, originator: Originator, pod_port: u16, peer_port: u16) -> bool {
        match originator {
            Originator::Peer => self.inwards & pod_port != 0,
            Originator::Pod => self.outwards & peer_port != 0,
        }
    }

    fn revoke(&mut self, flow: &SimpleFlow) {
        let (pod_port, peer_port) = (flow.pod_port, flow.peer_port);
        self.revoked
            .retain(|(pod, peer, ..)| (*pod, *peer) != (pod_port, peer_port));
        self.revoked
            .push((pod_port, peer_port, flow.originator, self.now));
    }

    fn is_late_answer(&self, sender: Originator, ports: (u16, u16)) -> bool {
        self.revoked.iter().any(|&(pod, peer, originator, at)| {
            (pod, peer) == ports && originator != sender && self.now - at <= 5_000
        })
    }

    fn forget_the_silent(&mut self) {
        let now = self.now;
        self.flows
            .retain(|flow| now - flow.seen <= if flow.lasting { 120_000 } else { 30_000 });
    }

    /// Whether it passes, and why.
    fn judge(
        &mut self,
        direction: Direction,
        pod_port: u16,
        peer_port: u16,
    ) -> Result<bool, Reason> {
        self.forget_the_silent();
        let now = self.now;
        let sender = direction.sender();
        let found = self
            .flows
            .iter()
            .position(|flow| (flow.pod_port, flow.peer_port) == (pod_port, peer_port));
        if let Some(at) = found {
            if !self.may_begin(self.flows[at].originator, pod_port, peer_port) {
                let flow = self.flows.remove(at);
                self.revoke(&flow);
                return Err(Reason::PolicyChanged);
            }
            let flow = &mut self.flows[at];
            flow.lasting |= flow.answered && now - flow.begun > 2_000;
            flow.answered |= sender != flow.originator;
            flow.seen = now;
            return Ok(true);
        }
        if !self.may_begin(sender, pod_port, peer_port) {
            return Err(Reason::NoRule);
        }
        if self.is_late_answer(sender, (pod_port, peer_port)) {
            return Err(Reason::PolicyChanged);
        }
        self.flows.push(SimpleFlow {
            pod_port,
            peer_port,
            originator: sender,
            begun: now,
            seen: now,
            answered: false,
            lasting: false,
        });
        Ok(false)
    }

    fn sweep(&mut self) {
        self.forget_the_silent();
        for flow in std::mem::take(&mut self.flows) {
            if self.may_begin(flow.originator, flow.pod_port, flow.peer_port) {
                self.flows.push(flow);
            } else {
                self.revoke(&flow);
            }
        }
    }
}

/// The table's counts are what one finds by going through it.
fn assert_counts(engine: &Engine) {
    let (mut all, mut half_open) = (0, [0, 0]);
    engine.flows().retain(|_, flow| {
        all += 1;
        half_open[usize::from(flow.originator == Originator::Peer)] +=
            usize::from(flow.tracker.is_half_open());
        true
    });
    assert_eq!(engine.flows().len(), all);
    assert_eq!(engine.flows().half_open(Originator::Pod), half_open[0]);
    assert_eq!(engine.flows().half_open(Originator::Peer), half_open[1]);
    assert!(all <= engine.flows().capacity());
    assert!(
        half_open
            .iter()
            .all(|&held| held <= engine.flows().half_open_limit())
    );
}

proptest! {
    #[test]
    fn datagrams_are_judged_as_by_the_simple_engine(events in prop::collection::vec(event(), 1..120)) {
        let engine = engine(64);
        let mut simple = Simple { inwards: 1, outwards: 2, ..Simple::default() };
        let mut generation = 1;
        let mut policy = policy_of(1, 2, generation);
        for event in events {
            match event {
                Event::Wait(milliseconds) => simple.now += milliseconds,
                Event::Sweep => {
                    simple.sweep();
                    engine.sweep(Some(&policy), Millis(simple.now), &mut |_| ());
                    prop_assert_eq!(engine.flows().len(), simple.flows.len());
                }
                Event::Policy { inwards, outwards } => {
                    (simple.inwards, simple.outwards) = (inwards, outwards);
                    generation += 1;
                    policy = policy_of(inwards, outwards, generation);
                }
                Event::Datagram { direction, pod_port, peer_port } => {
                    let (pod, peer) = ((POD, pod_port), (PEER, peer_port));
                    let bytes = match direction {
                        Direction::Ingress => udp(peer, pod, b""),
                        Direction::Egress => udp(pod, peer, b""),
                    };
                    let got = judge(&engine, Some(&policy), direction, &bytes, simple.now);
                    let wanted = simple.judge(direction, pod_port, peer_port);
                    prop_assert_eq!(got.pass, wanted.is_ok());
                    match (got.verdict, wanted) {
                        (Verdict::Allow(Because::Established), Ok(known)) => prop_assert!(known),
                        (Verdict::Allow(_), Ok(known)) => prop_assert!(!known),
                        (Verdict::Block(got), Err(wanted)) => prop_assert_eq!(got, wanted),
                        (got, wanted) => prop_assert!(false, "{:?} is not {:?}", got, wanted),
                    }
                }
            }
            assert_counts(&engine);
        }
    }

    #[test]
    fn whatever_comes_the_counts_stay_true(
        packets in prop::collection::vec(
            (any::<bool>(), 0_u8..5, 0_u16..40, any::<u8>(), 0_u32..4, 0_u32..4, 0_u64..9_000),
            1..200,
        ),
    ) {
        let engine = engine(32);
        let policies = [policy(&open(), 1, Mode::Enforce), policy(&closed(), 2, Mode::Audit)];
        let mut now = 0;
        for (at, (inwards, kind, port, flags, seq, ack, wait)) in packets.into_iter().enumerate() {
            now += wait;
            let (pod, peer) = ((POD, 80), (PEER, port));
            let (direction, from, to) = if inwards {
                (Direction::Ingress, peer, pod)
            } else {
                (Direction::Egress, pod, peer)
            };
            let bytes = match kind {
                0 | 1 => tcp(from, to, TcpFlags(flags & 0x17), seq, ack),
                2 => sctp(from, to, seq, flags % 16, &[0, 0, 0, 1, 0, 0, 0, 0]),
                3 => udp(from, to, b""),
                _ => ping(from.0, to.0, port),
            };
            let policy = &policies[at / 50 % 2];
            let judgement = judge(&engine, Some(policy), direction, &bytes, now);
            prop_assert_eq!(judgement.pass, judgement.verdict.is_allowed() || policy.mode == Mode::Audit);
            if at % 10 == 0 {
                engine.sweep(Some(policy), Millis(now), &mut |_| ());
            }
            assert_counts(&engine);
        }
        engine.sweep(None, Millis(now + lifetime::TCP_ESTABLISHED + 1), &mut |_| ());
        prop_assert!(engine.flows().is_empty());
        assert_counts(&engine);
    }
}
