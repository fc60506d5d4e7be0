//! What a process that begins finds in the files, wherever the one before was stopped.

use sidewall::lists::wire::PodList;
use sidewall::policy::allow_list::ObjectRef;
use tempfile::TempDir;

use super::*;

/// Files of shop/db, and the numbers of the writes.
struct Files {
    _directory: TempDir,
    cache: Cache,
    written: u64,
}

impl Files {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let cache = Cache::open(directory.path()).expect("opened");
        Self {
            _directory: directory,
            cache,
            written: 0,
        }
    }

    /// A list of this node, in bytes.
    fn bytes(&mut self, node: &str) -> Vec<u8> {
        self.written += 1;
        let list = PodList {
            pod: owner().pod,
            addresses: Vec::new(),
            node_addresses: Vec::new(),
            node: Some(node.to_owned()),
            modes: Default::default(),
            shared: Default::default(),
        };
        let held = Held {
            list: Some(list),
            ..Held::default()
        };
        bytes_of(&owner(), self.written, None, &held).expect("written")
    }

    /// What a process that begins now finds.
    fn found(&self) -> Option<String> {
        let again = Cache::open(&self.cache.directory).expect("opened");
        let found = again.load(&owner());
        assert_eq!(found.refused, [""; 0]);
        found.kept?.held.list?.node
    }

    fn void(&self) -> Number {
        let (number, voided) = self.cache.void();
        voided.expect("voided");
        number
    }

    fn keep(&mut self, slot: usize, node: &str) {
        let number = self.void();
        let bytes = self.bytes(node);
        self.cache.write(slot, &bytes).expect("written");
        assert!(self.cache.finish(slot, &bytes, number).expect("finished"));
        assert_eq!(self.found().as_deref(), Some(node));
    }
}

fn owner() -> Owner {
    Owner {
        pod: ObjectRef {
            namespace: "shop".into(),
            name: "db".into(),
        },
        uid: None,
        addresses: Vec::new(),
    }
}

#[test]
fn what_another_list_follows_is_taken_back_before_that_is_written() {
    let mut files = Files::new();
    files.keep(0, "old");
    files.void();
    assert_eq!(files.found(), None);
    files.keep(1, "new");
    files.void();
    assert_eq!(files.found(), None);
}

#[test]
fn a_new_process_takes_back_what_the_one_before_kept() {
    let mut files = Files::new();
    files.keep(1, "old");
    let again = Cache::open(&files.cache.directory).expect("opened");
    again.void().1.expect("voided");
    assert_eq!(files.found(), None);
}

#[test]
fn a_slow_writer_that_ends_late_brings_no_older_list_back() {
    let mut files = Files::new();
    files.keep(0, "oldest");
    let old = files.void();
    let bytes = files.bytes("old");
    files.cache.write(1, &bytes).expect("written");
    assert_eq!(files.found(), None, "it has no head yet");
    let new = files.void();
    assert!(!files.cache.finish(1, &bytes, old).expect("no error"));
    assert_eq!(files.found(), None, "another one is in force");

    let newest = files.bytes("new");
    files.cache.write(1, &newest).expect("written");
    assert!(files.cache.finish(1, &newest, new).expect("finished"));
    assert_eq!(files.found().as_deref(), Some("new"));
    let again = files.cache.finish(1, &bytes, old);
    assert!(!again.expect("no error"), "however late");
    assert_eq!(files.found().as_deref(), Some("new"));
}

#[test]
fn while_the_same_list_is_written_again_the_one_before_stays() {
    let mut files = Files::new();
    files.keep(0, "same");
    let bytes = files.bytes("same");
    let number = files.cache.state().newest;
    files.cache.write(1, &bytes).expect("written");
    assert_eq!(files.found().as_deref(), Some("same"));
    assert!(files.cache.finish(1, &bytes, number).expect("finished"));
    assert_eq!(files.found().as_deref(), Some("same"));
    assert_eq!(files.cache.slots[0].metadata().expect("there").len(), 0);
}

#[test]
fn wherever_a_newer_list_comes_in_between_an_older_one_is_not_found_any_more() {
    for stop in 0..4 {
        let mut files = Files::new();
        files.keep(0, "old");
        let first = files.void();
        let (one, two) = (files.bytes("first"), files.bytes("second"));
        let mut second = None;
        for step in 0..4 {
            if step == stop {
                second = Some(files.void());
            }
            match step {
                1 => files.cache.write(1, &one).expect("written"),
                2 => drop(files.cache.finish(1, &one, first).expect("finished")),
                _ => {}
            }
            let found = files.found();
            assert!(second.is_none() || found.is_none(), "{stop} {step}");
        }
        let second = second.expect("voided");
        files.cache.write(0, &two).expect("written");
        assert!(files.cache.finish(0, &two, second).expect("finished"));
        assert_eq!(files.found().as_deref(), Some("second"), "{stop}");
    }
}
