//! "Receiver": a state is held whole or not at all, and only if it is what the sender says.

use proptest::prelude::*;
use sidewall::lists::held::Held;
use sidewall::lists::say;
use sidewall::lists::stream::{PeerIdentity, Receiver, Refusal, Step, StreamError, peer_identity};
use sidewall::lists::wire::{PeerSlice, PodList, SliceName};

use crate::{address, admitted, held, list, named, pod, slice};

/// Everything, as a sender tells it to somebody who has nothing.
fn whole(state: &Held, version: &str) -> Vec<Vec<u8>> {
    let slices = state
        .slices
        .iter()
        .map(|(name, slice)| say::slice(name, slice));
    let list = state.list.iter().map(say::list);
    let end = [say::bookmark(version, &state.digest())];
    slices.chain(list).chain(end).collect()
}

fn tell(receiver: &mut Receiver, lines: &[Vec<u8>]) -> Result<Step, StreamError> {
    let mut last = Step::Gathering;
    for line in lines {
        last = receiver.line(line)?;
    }
    Ok(last)
}

/// Holds api-1 and api-2 in one slice, at version 7.
fn current() -> (Receiver, Held) {
    let state = held(
        Some(list("old")),
        &[slice(&[("api-1", "10.0.0.2"), ("api-2", "10.0.0.3")])],
    );
    let mut receiver = Receiver::new(pod());
    receiver.begin();
    assert_eq!(
        tell(&mut receiver, &whole(&state, "7")),
        Ok(Step::Complete { changed: true })
    );
    assert_eq!(receiver.held(), &state);
    (receiver, state)
}

/// One slice in place of another.
fn replaced(state: &Held, members: &[(&str, &str)]) -> (Vec<Vec<u8>>, Held) {
    let (name, new) = slice(members);
    let old = state.slices.keys().next().expect("one").clone();
    let mut next = state.clone();
    next.remove(&old);
    next.put(name.clone(), new.clone()).expect("its name");
    let lines = vec![
        say::slice(&name, &new),
        say::slice_gone(&old),
        say::bookmark("8", &next.digest()),
    ];
    (lines, next)
}

#[test]
fn a_batch_is_taken_over_at_its_bookmark_and_not_before() {
    let (mut receiver, before) = current();
    let (lines, after) = replaced(&before, &[("api-1", "10.0.0.2")]);
    for line in &lines[..2] {
        assert_eq!(receiver.line(line), Ok(Step::Gathering));
        assert_eq!(receiver.held(), &before, "half a batch is never held");
    }
    assert_eq!(
        receiver.line(&lines[2]),
        Ok(Step::Complete { changed: true })
    );
    assert_eq!(receiver.held(), &after);
    assert_eq!(receiver.version(), Some("8"));
    let assembled = receiver.held().assemble(&[]).expect("a list");
    assert_eq!(admitted(&assembled), [address("10.0.0.2")]);
}

#[test]
fn half_a_batch_is_dropped_when_the_stream_is_cut_and_comes_again() {
    let (mut receiver, before) = current();
    let (lines, after) = replaced(&before, &[("api-3", "10.0.0.4")]);
    tell(&mut receiver, &lines[..2]).expect("gathered");
    receiver.begin();
    assert_eq!((receiver.held(), receiver.version()), (&before, Some("7")));
    tell(&mut receiver, &lines).expect("complete");
    assert_eq!(receiver.held(), &after);
}

#[test]
fn an_idle_bookmark_changes_nothing_but_the_version() {
    let (mut receiver, before) = current();
    let idle = say::bookmark("9", &before.digest());
    assert_eq!(receiver.line(&idle), Ok(Step::Complete { changed: false }));
    assert_eq!((receiver.held(), receiver.version()), (&before, Some("9")));
}

#[test]
fn what_does_not_add_up_is_not_taken_over_and_everything_is_asked_for_again() {
    let (mut receiver, before) = current();
    let (mut lines, after) = replaced(&before, &[("api-3", "10.0.0.4")]);
    // The line that takes the old slice away is lost.
    lines.remove(1);
    assert_eq!(tell(&mut receiver, &lines), Err(StreamError::DoesNotAddUp));
    assert_eq!((receiver.held(), receiver.version()), (&before, None));
    receiver.begin();
    tell(&mut receiver, &whole(&after, "8")).expect("complete");
    assert_eq!(receiver.held(), &after);
    // Also when nothing came at all.
    let idle = say::bookmark("9", &before.digest());
    assert_eq!(receiver.line(&idle), Err(StreamError::DoesNotAddUp));
    assert_eq!(receiver.version(), None);
}

#[test]
fn a_new_whole_state_replaces_the_old_one_at_its_first_bookmark() {
    let (mut receiver, before) = current();
    receiver.start_over();
    receiver.begin();
    // One slice is the same, one is new, and the policy is another.
    let mut slices: Vec<_> = before
        .slices
        .iter()
        .map(|(name, slice)| (name.clone(), (**slice).clone()))
        .collect();
    slices.push(slice(&[("api-9", "10.0.0.9")]));
    let after = held(Some(list("new")), &slices);
    let lines = whole(&after, "1");
    for line in &lines[..lines.len() - 1] {
        receiver.line(line).expect("gathered");
        assert_eq!(receiver.held(), &before);
    }
    receiver.line(&lines[lines.len() - 1]).expect("complete");
    assert_eq!(receiver.held(), &after);
}

#[test]
fn a_pod_that_is_not_known_has_no_list_and_gets_one_when_it_comes() {
    let mut receiver = Receiver::new(pod());
    receiver.begin();
    let nothing = say::bookmark("1", &Held::default().digest());
    assert_eq!(
        receiver.line(&nothing),
        Ok(Step::Complete { changed: true })
    );
    assert_eq!(receiver.held().assemble(&[]), None);
    let state = held(Some(list("deny")), &[]);
    tell(&mut receiver, &whole(&state, "2")).expect("complete");
    assert!(receiver.held().assemble(&[]).is_some());
    let gone = [
        say::list_gone(&pod()),
        say::bookmark("3", &Held::default().digest()),
    ];
    tell(&mut receiver, &gone).expect("complete");
    assert_eq!(receiver.held().assemble(&[]), None);
}

#[test]
fn slices_of_sets_that_the_list_names_no_more_go_without_a_word() {
    let (mut receiver, before) = current();
    let mut open = list("open");
    open.shared = Default::default();
    let after = held(Some(open.clone()), &[]);
    let lines = [say::list(&open), say::bookmark("8", &after.digest())];
    tell(&mut receiver, &lines).expect("complete");
    assert_eq!(receiver.held(), &after);
    assert!(!before.slices.is_empty());
}

#[test]
fn a_slice_that_is_not_its_name_ends_the_stream() {
    let (mut receiver, before) = current();
    let ((name, _), (_, other)) = (slice(&[("a", "10.9.9.1")]), slice(&[("b", "10.9.9.2")]));
    let error = receiver
        .line(&say::slice(&name, &other))
        .expect_err("refused");
    assert!(matches!(error, StreamError::NotItsName(_)), "{error}");
    assert_eq!((receiver.held(), receiver.version()), (&before, None));
}

#[test]
fn another_pods_list_is_refused() {
    let (mut receiver, before) = current();
    let other = PodList {
        pod: named("web"),
        ..list("allow-all")
    };
    assert_eq!(
        receiver.line(&say::list(&other)),
        Err(StreamError::OtherPod(named("web")))
    );
    assert_eq!(receiver.held(), &before);
}

#[test]
fn what_cannot_be_read_is_never_passed_over() {
    let bookmark = |object: &str| format!("{{\"type\":\"BOOKMARK\",\"object\":{object}}}");
    for line in [
        "{}".to_owned(),
        "not json".to_owned(),
        "{\"type\":\"RENAMED\",\"object\":{\"kind\":\"AllowList\"}}".to_owned(),
        "{\"type\":\"ADDED\",\"object\":{\"kind\":\"Pod\"}}".to_owned(),
        "{\"type\":\"ADDED\",\"object\":{\"kind\":\"AllowList\"}}".to_owned(),
        bookmark("{\"kind\":\"AllowList\",\"metadata\":{\"resourceVersion\":\"8\"}}"),
        bookmark(
            "{\"kind\":\"AllowList\",\"metadata\":{\"annotations\":{\"allowlists.sidewall.dev/digest\":\"x\"}}}",
        ),
        bookmark("{\"kind\":\"PeerSlice\",\"metadata\":{\"resourceVersion\":\"8\"}}"),
    ] {
        let (mut receiver, before) = current();
        let error = receiver.line(line.as_bytes()).expect_err(&line);
        assert!(
            matches!(error, StreamError::Unreadable(_)),
            "{line}: {error}"
        );
        assert_eq!((receiver.held(), receiver.version()), (&before, None));
    }
}

#[test]
fn the_senders_end_is_told_and_keeps_everything() {
    let (mut receiver, before) = current();
    let ended = receiver
        .line(&say::end(410, "Expired", "too old"))
        .expect("read");
    let refusal = Refusal {
        code: 410,
        reason: "Expired".into(),
        message: "too old".into(),
    };
    assert_eq!(ended, Step::Ended(refusal));
    assert_eq!((receiver.held(), receiver.version()), (&before, Some("7")));
}

#[test]
fn whose_an_address_is_comes_in_one_line() {
    let line = br#"{"type":"ADDED","object":{"apiVersion":"allowlists.sidewall.dev/v1alpha1","kind":"PeerIdentity",
        "identity":{"namespace":"shop","name":"api","labels":{"app":"api"},"namespaceLabels":{"team":"a"}},"service":null}}"#;
    let answer = peer_identity(line).expect("read").expect("an answer");
    assert_eq!(
        answer.identity.expect("a pod").namespace_labels["team"],
        "a"
    );
    let nobody =
        br#"{"type":"ADDED","object":{"kind":"PeerIdentity","identity":null,"service":null}}"#;
    assert_eq!(peer_identity(nobody), Ok(Ok(PeerIdentity::default())));
    let refused = peer_identity(&say::end(429, "TooManyRequests", "slower")).expect("read");
    assert_eq!(refused.expect_err("refused").code, 429);
    assert!(peer_identity(&say::bookmark("1", "x")).is_err());
}

/// Any state of three slices and two policies.
fn state() -> impl Strategy<Value = Held> {
    let slices: Vec<(SliceName, PeerSlice)> = ["10.0.0.2", "10.0.0.3", "10.0.0.4"]
        .map(|ip| slice(&[("api", ip)]))
        .to_vec();
    (proptest::sample::subsequence(slices, 0..=3), 0..3).prop_map(|(slices, policy)| {
        let policy = ["", "one", "two"][usize::try_from(policy).expect("small")];
        if policy.is_empty() {
            Held::default()
        } else {
            held(Some(list(policy)), &slices)
        }
    })
}

/// What a receiver of one state is told so that it gets to another.
fn news(from: &Held, to: &Held, version: &str) -> Vec<Vec<u8>> {
    let mut lines = Vec::new();
    for (name, slice) in &to.slices {
        if !from.slices.contains_key(name) {
            lines.push(say::slice(name, slice));
        }
    }
    for name in from.slices.keys() {
        if !to.slices.contains_key(name) {
            lines.push(say::slice_gone(name));
        }
    }
    if from.list != to.list {
        lines.push(
            to.list
                .as_ref()
                .map_or_else(|| say::list_gone(&pod()), say::list),
        );
    }
    lines.push(say::bookmark(version, &to.digest()));
    lines
}

proptest! {
    /// Cuts, lost lines and new beginnings: whatever is held was a state of the sender's, and after a
    /// stream without loss it is the last one.
    #[test]
    fn only_states_that_the_sender_had_are_ever_held(
        states in proptest::collection::vec(state(), 1..6),
        losses in proptest::collection::vec(0_usize..12, 0..4),
    ) {
        let mut receiver = Receiver::new(pod());
        receiver.begin();
        let mut told = Held::default();
        let mut counter = 0;
        for (number, next) in states.iter().enumerate() {
            let version = number.to_string();
            let lines = match receiver.version() {
                None => whole(next, &version),
                Some(_) => news(&told, next, &version),
            };
            for line in lines {
                counter += 1;
                if losses.contains(&counter) {
                    continue;
                }
                if receiver.line(&line).is_err() {
                    receiver.begin();
                    break;
                }
            }
            if receiver.version() == Some(version.as_str()) {
                told = next.clone();
            } else if receiver.version().is_some() {
                // Its bookmark was lost: the sender notices nothing, and the receiver's stream is cut.
                receiver.begin();
            }
            let allowed = receiver.held() == &Held::default() || states[..=number].contains(receiver.held());
            prop_assert!(allowed);
        }
        receiver.start_over();
        receiver.begin();
        let last = states.last().expect("one");
        tell(&mut receiver, &whole(last, "end")).expect("complete");
        prop_assert_eq!(receiver.held(), last);
    }
}
