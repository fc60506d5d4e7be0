//! A receiver as a sidecar is one: it has what it was sent, in the words it was sent in.

use proptest::prelude::*;
use sidewall::lists::catalogue::{Catalogue, Revision};
use sidewall::lists::held::Held;
use sidewall::lists::wire::{PeerSlice, PodList};
use sidewall::policy::allow_list::ObjectRef;

#[derive(Debug, Clone, Default)]
pub(super) struct Receiver {
    pub(super) held: Held,
    at: Revision,
}

impl Receiver {
    /// Asks what is new, and takes it in.
    pub(super) fn ask(
        &mut self,
        catalogue: &Catalogue,
        pod: &ObjectRef,
    ) -> Result<(), TestCaseError> {
        let news = catalogue.news(pod, self.at).expect("not so long ago");
        for name in &news.removed {
            self.held.remove(name);
        }
        for stored in &news.added {
            let slice: PeerSlice = sent(&stored.slice);
            prop_assert_eq!(&slice, &stored.slice);
            self.held.put(stored.name.clone(), slice).expect("its name");
        }
        if let Some(list) = &news.list {
            let received: PodList = sent(list);
            prop_assert_eq!(&received, list);
            self.held.list = Some(received);
        }
        if news.gone {
            self.held.list = None;
        }
        self.held.tidy();
        self.at = news.revision;
        prop_assert_eq!(self.held.digest(), news.digest, "{}", pod);
        Ok(())
    }
}

fn sent<T: serde::Serialize + serde::de::DeserializeOwned>(value: &T) -> T {
    let text = serde_json::to_string(value).expect("JSON");
    serde_json::from_str(&text).expect("the same again")
}
