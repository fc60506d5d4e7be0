//! "Kept": what is read is what was written for this pod, or nothing.

use proptest::prelude::*;
use sidewall::lists::held::Held;
use sidewall::lists::kept::{Kept, NotKept, Owner, read, write};

use crate::{address, held, list, named, pod, slice};

fn owner() -> Owner {
    Owner {
        pod: pod(),
        uid: Some("u-1".into()),
        addresses: vec![address("10.0.0.1"), address("fe80::1")],
    }
}

fn state() -> Held {
    let slices = [
        slice(&[("api-1", "10.0.0.2")]),
        slice(&[("api-2", "10.0.0.3")]),
    ];
    held(Some(list("deny")), &slices)
}

fn written() -> Vec<u8> {
    write(&owner(), 7, 1_700_000_000_000, Some("42"), &state()).expect("small")
}

#[test]
fn what_was_written_is_read() {
    let kept = read(&written(), &owner()).expect("sound");
    let wanted = Kept {
        number: 7,
        at: 1_700_000_000_000,
        version: Some("42".into()),
        held: state(),
    };
    assert_eq!(kept, wanted);
}

#[test]
fn what_follows_in_the_file_is_no_part_of_it() {
    let longer = [written(), vec![7; 100]].concat();
    assert_eq!(read(&longer, &owner()).expect("sound").held, state());
}

#[test]
fn another_owner_is_told_apart() {
    let now = |change: fn(&mut Owner)| {
        let mut now = owner();
        change(&mut now);
        match read(&written(), &now) {
            Err(NotKept::OtherOwner(other)) => other,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(now(|now| now.pod = named("web")), "pod shop/db");
    assert!(now(|now| now.uid = Some("u-2".into())).contains("u-1"));
    assert!(now(|now| now.uid = None).contains("u-1"));
    assert!(now(|now| now.addresses = vec![address("10.0.0.7")]).contains("10.0.0.1"));
}

#[test]
fn a_list_for_other_addresses_than_the_interface_has_is_refused() {
    let owner = Owner {
        addresses: vec![address("10.0.0.9")],
        ..owner()
    };
    let bytes = write(&owner, 1, 0, None, &state()).expect("small");
    let refused = read(&bytes, &owner).expect_err("another address");
    assert!(refused.to_string().contains("10.0.0.1"), "{refused}");
}

#[test]
fn a_state_without_a_list_is_nothing_to_begin_with() {
    let bytes = write(&owner(), 1, 0, None, &Held::default()).expect("small");
    assert_eq!(read(&bytes, &owner()), Err(NotKept::Empty));
    assert_eq!(read(&[], &owner()), Err(NotKept::Empty));
    assert_eq!(read(&[0; 100], &owner()), Err(NotKept::Empty));
}

#[test]
fn other_versions_and_other_files_are_named() {
    let mut other = written();
    other[7] += 1;
    assert_eq!(read(&other, &owner()), Err(NotKept::OtherVersion));
    assert_eq!(
        read(b"#!/bin/sh\nexit 1\n", &owner()),
        Err(NotKept::Foreign)
    );
}

#[test]
fn every_length_that_is_short_is_refused() {
    let bytes = written();
    for length in 0..bytes.len() {
        assert!(read(&bytes[..length], &owner()).is_err(), "{length}");
    }
}

/// A sound file around content that never was: the checksum protects against chance only, so what
/// stands in it is looked at all the same.
#[test]
fn a_slice_under_a_name_that_is_not_its_own_is_refused() {
    use sha2::{Digest as _, Sha256};
    let text = String::from_utf8(written()[56..].to_vec()).expect("JSON");
    let text = text.replace("10.0.0.3", "10.0.0.4");
    let mut bytes = written();
    bytes.truncate(56);
    bytes[16..24].copy_from_slice(&u64::try_from(text.len()).expect("small").to_be_bytes());
    bytes.extend_from_slice(text.as_bytes());
    let sum: [u8; 32] = Sha256::new()
        .chain_update(&bytes[..24])
        .chain_update(&bytes[56..])
        .finalize()
        .into();
    bytes[24..56].copy_from_slice(&sum);
    assert!(matches!(
        read(&bytes, &owner()),
        Err(NotKept::NotItsName(_))
    ));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn flipped_bits_never_make_another_list(
        flips in proptest::collection::vec((any::<prop::sample::Index>(), 0_u8..8), 1..4),
        cut in any::<prop::sample::Index>(),
        cuts in any::<bool>(),
    ) {
        let mut bytes = written();
        for (at, bit) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
        }
        if cuts {
            bytes.truncate(cut.index(bytes.len() + 1));
        }
        if bytes == written() {
            return Ok(());
        }
        prop_assert!(read(&bytes, &owner()).is_err());
    }
}
