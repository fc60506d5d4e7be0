//! What docs/allow-lists.md shows is what is sent.

use sidewall_watch::kind::Kind;
use sidewall_watch::reflector::Event;

use super::{DB, OWN};
use crate::lists::testing::{Replica, pod};

#[tokio::test]
async fn the_page_shows_a_stream_as_it_is() {
    let page = include_str!("../../../../docs/allow-lists.md");
    let mut blocks = page.split("```jsonl\n").skip(1);
    let mut shown = || {
        let block = blocks.next().expect("a block");
        block.split("```").next().unwrap_or_default().to_owned()
    };
    let replica = Replica::serving(1).await;
    let mut lines = replica.stream(DB, OWN).await;
    assert_eq!(lines.text_of_batch().await, shown());
    replica
        .send(Kind::Pods, Event::Apply(pod("web", "10.0.0.9", "u-web")))
        .await;
    assert_eq!(lines.text_of_batch().await, shown());
    let peer = OWN.replace("slices=true", "peer=10.0.0.9");
    assert_eq!(replica.stream(DB, &peer).await.text().await, shown());
}
