//! Audit mode: nothing is blocked, and the log tells what would have been.

use sidewall::engine::Mode;
use sidewall::flow::Millis;
use sidewall::net::{Direction, Protocol};
use sidewall::packet::{Malformed, TcpFlags};
use sidewall::record::RecordKind;
use sidewall::verdict::{Because, Reason, Verdict};

use crate::support::*;
use Direction::{Egress, Ingress};

const CLIENT: End<'_> = (PEER, 40_000);
const SERVER: End<'_> = (POD, 80);
const NO_RULE: Verdict = Verdict::Block(Reason::NoRule);

#[test]
fn everything_passes_with_the_verdict_it_would_have_had() {
    let engine = engine(64);
    let audit = policy(&closed(), 1, Mode::Audit);
    for (name, direction, bytes, wanted) in [
        ("no rule", Ingress, syn(CLIENT, SERVER), Reason::NoRule),
        (
            "no SYN",
            Ingress,
            tcp((OTHER, 1), SERVER, TcpFlags::ACK, 1, 1),
            Reason::NoSyn,
        ),
        (
            "spoofed",
            Ingress,
            udp((POD, 1), (POD, 2), b""),
            Reason::SpoofedSource,
        ),
        (
            "multicast",
            Egress,
            udp((POD, 1), ("224.0.0.1", 2), b""),
            Reason::Multicast,
        ),
        (
            "stray",
            Ingress,
            fragments(&udp(CLIENT, SERVER, &[0; 99]), 1, 48)[1].clone(),
            Reason::StrayFragment,
        ),
        (
            "unrelated",
            Ingress,
            too_big(OTHER, POD, &udp(SERVER, CLIENT, b"")),
            Reason::UnrelatedError,
        ),
    ] {
        let judgement = judge(&engine, Some(&audit), direction, &bytes, 0);
        assert!(judgement.pass, "{name}");
        assert_eq!(judgement.verdict, Verdict::Block(wanted), "{name}");
        let record = judgement.record.expect("a record");
        assert!(record.audit, "{name}");
        assert_eq!(record.verdict, judgement.verdict, "{name}");
    }
    let broken = judge(&engine, Some(&audit), Ingress, &[0x45], 0);
    assert!(broken.pass);
    assert_eq!(
        broken.verdict,
        Verdict::Block(Reason::Malformed(Malformed::Truncated))
    );
}

#[test]
fn a_flow_that_would_have_been_blocked_is_one_record_and_passes_to_its_end() {
    let engine = engine(64);
    let audit = policy(&closed(), 1, Mode::Audit);
    assert!(
        judge(&engine, Some(&audit), Ingress, &syn(CLIENT, SERVER), 0)
            .record
            .is_some()
    );
    let reply = tcp(SERVER, CLIENT, TcpFlags::SYN | TcpFlags::ACK, 1, 101);
    let judgement = judge(&engine, Some(&audit), Egress, &reply, 1);
    assert_eq!((judgement.verdict, judgement.pass), (NO_RULE, true));
    assert_eq!(judgement.record, None);
    let mut ended = Vec::new();
    engine.sweep(Some(&audit), Millis(100_000), &mut |record| {
        ended.push(record)
    });
    assert_eq!(ended.len(), 1);
    assert!(ended[0].audit);
    assert_eq!(
        (ended[0].kind, ended[0].verdict),
        (RecordKind::End, NO_RULE)
    );
}

#[test]
fn what_is_allowed_is_not_marked() {
    let engine = engine(64);
    let list = allow(closed(), Ingress, &[ip(PEER)], Protocol::TCP, 80);
    let audit = policy(&list, 1, Mode::Audit);
    let judgement = judge(&engine, Some(&audit), Ingress, &syn(CLIENT, SERVER), 0);
    assert!(judgement.verdict.is_allowed());
    assert_eq!(judgement.record.map(|record| record.audit), Some(false));
}

#[test]
fn enforcing_takes_away_what_was_only_audited() {
    for same_generation in [1, 2] {
        let engine = engine(64);
        let audit = policy(&closed(), 1, Mode::Audit);
        let enforce = policy(&closed(), same_generation, Mode::Enforce);
        assert!(judge(&engine, Some(&audit), Ingress, &syn(CLIENT, SERVER), 0).pass);
        let reply = tcp(SERVER, CLIENT, TcpFlags::SYN | TcpFlags::ACK, 1, 101);
        let judgement = judge(&engine, Some(&enforce), Egress, &reply, 1);
        assert_eq!(judgement.verdict, Verdict::Block(Reason::PolicyChanged));
        assert!(!judgement.pass);
        assert_eq!(judgement.record.map(|record| record.audit), Some(false));
        assert!(engine.flows().is_empty());
    }
}

#[test]
fn a_policy_change_is_told_once_and_the_flow_goes_on() {
    let engine = engine(64);
    let list = allow(closed(), Ingress, &[ip(PEER)], Protocol::TCP, 80);
    let before = policy(&list, 1, Mode::Audit);
    let after = policy(&closed(), 2, Mode::Audit);
    assert!(judge(&engine, Some(&before), Ingress, &syn(CLIENT, SERVER), 0).pass);
    let reply = tcp(SERVER, CLIENT, TcpFlags::SYN | TcpFlags::ACK, 1, 101);
    let judgement = judge(&engine, Some(&after), Egress, &reply, 1);
    assert!(judgement.pass);
    let record = judgement.record.expect("a record");
    assert_eq!((record.kind, record.audit), (RecordKind::Revoked, true));
    let again = judge(&engine, Some(&after), Egress, &reply, 2);
    assert_eq!((again.pass, again.record), (true, None));
    let back = policy(&list, 3, Mode::Audit);
    let allowed = judge(&engine, Some(&back), Egress, &reply, 3);
    assert_eq!(allowed.verdict, Verdict::Allow(Because::Established));
}

#[test]
fn a_conversation_that_began_unseen_never_gets_permission_by_being_audited() {
    let engine = engine(64);
    let audit = policy(&open(), 1, Mode::Audit);
    let enforce = policy(&open(), 2, Mode::Enforce);
    let middle = tcp(CLIENT, SERVER, TcpFlags::ACK, 1, 1);
    assert!(judge(&engine, Some(&audit), Ingress, &middle, 0).pass);
    assert!(
        judge(&engine, Some(&audit), Ingress, &middle, 1)
            .record
            .is_none(),
        "told once"
    );
    assert!(!judge(&engine, Some(&enforce), Ingress, &middle, 2).pass);
}
