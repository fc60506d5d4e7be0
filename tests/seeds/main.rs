//! The fuzz targets' seeds, replayed. Each seed is an attack or a corner that has bitten somebody;
//! the list below is where they come from, and the files are checked against it.
//!
//! `SIDEWALL_WRITE_SEEDS=1 cargo test --test seeds` writes them anew after a change here.

#[path = "../../fuzz/drivers.rs"]
mod drivers;
mod lists;
mod packets;
mod sequences;
#[path = "../support/mod.rs"]
mod support;

use std::path::{Path, PathBuf};

use self::lists::{kept_lists, streams};
use self::packets::packets;
use self::sequences::sequences;
use self::support::{End, PEER, PEER6, POD, POD6};

const CLIENT: End<'_> = (PEER, 40_000);
const SERVER: End<'_> = (POD, 80);
const CLIENT6: End<'_> = (PEER6, 40_000);
const SERVER6: End<'_> = (POD6, 80);

fn directory(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/seeds")
        .join(target)
}

fn replay(target: &str, listed: Vec<(&str, Vec<u8>)>, drive: fn(&[u8])) {
    let directory = directory(target);
    if std::env::var_os("SIDEWALL_WRITE_SEEDS").is_some() {
        std::fs::create_dir_all(&directory).expect("the directory can be made");
        for (name, bytes) in &listed {
            std::fs::write(directory.join(name), bytes).expect("the seed can be written");
        }
    }
    for (name, bytes) in listed {
        let committed = std::fs::read(directory.join(name)).expect("every seed is committed");
        assert_eq!(committed, bytes, "{name}: see the top of this file");
        drive(&bytes);
        for len in 0..bytes.len() {
            drive(&bytes[..len]);
        }
    }
}

#[test]
fn every_packet_of_the_seeds_is_read() {
    replay("packet", packets(), drivers::packet);
}

#[test]
fn every_sequence_of_the_seeds_is_judged() {
    replay("engine", sequences(), drivers::engine);
    replay("packet", packets(), drivers::engine);
}

#[test]
fn every_stream_of_the_seeds_is_read() {
    replay("stream", streams(), drivers::stream);
}

#[test]
fn every_kept_list_of_the_seeds_is_read_or_refused() {
    replay("kept", kept_lists(), drivers::kept);
}
