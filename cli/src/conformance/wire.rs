//! A list's way from the controller to a sidecar: compiled by the catalogue of all pods, in the
//! controller's own lines, read and gathered as the sidecar does, and put together again.

use std::collections::BTreeMap;

use sidewall::lists::catalogue::{Catalogue, Revision};
use sidewall::lists::lines::Lines;
use sidewall::lists::stream::{Receiver, Step, StreamError};
use sidewall::policy::allow_list::{AllowList, ObjectRef};
use sidewall::policy::cluster::objects::Object;
use sidewall_controller::lists::serve::access::Resource;
use sidewall_controller::lists::serve::object::{self, Type};
use sidewall_controller::lists::version::Epoch;

/// The bytes come in pieces of this size, as from a connection: no line ends where a piece does.
const PIECE: usize = 1500;

/// A controller that has read a case.
pub(super) struct Controller {
    catalogue: Catalogue,
    epoch: Epoch,
}

impl Controller {
    /// One that has read these objects.
    pub(super) fn new(objects: impl Iterator<Item = Object>) -> Self {
        let mut catalogue = Catalogue::default();
        objects.for_each(|object| catalogue.apply(object));
        catalogue.publish();
        Self {
            catalogue,
            epoch: Epoch::random(),
        }
    }

    /// What arrives of a pod's list.
    pub(super) fn list(&self, pod: &ObjectRef) -> Result<AllowList, String> {
        let bytes = self.stream(pod)?;
        let (mut lines, mut receiver) = (Lines::default(), Receiver::new(pod.clone()));
        receiver.begin();
        let mut complete = false;
        for piece in bytes.chunks(PIECE) {
            let fed = lines.feed(piece, |line| {
                complete = matches!(receiver.line(line)?, Step::Complete { .. });
                Ok::<_, StreamError>(())
            });
            fed.map_err(|error| error.to_string())?;
        }
        if !complete {
            return Err("the stream ended before its bookmark".to_owned());
        }
        let list = receiver.held().assemble(&[]);
        list.ok_or_else(|| format!("the catalogue has no list for pod {pod}"))
    }

    /// What a sidecar that has nothing is sent.
    fn stream(&self, pod: &ObjectRef) -> Result<Vec<u8>, String> {
        let news = self
            .catalogue
            .news(pod, Revision(0))
            .ok_or("the catalogue tells a newcomer nothing")?;
        let (epoch, revision) = (self.epoch, news.revision);
        let mut bytes = Vec::new();
        for stored in &news.added {
            bytes.extend_from_slice(&object::added(epoch, stored));
        }
        if let Some(list) = &news.list {
            let list = object::list(epoch, pod, None, revision, Some(list));
            bytes.extend_from_slice(&object::line(Type::Added, list));
        }
        let digest = BTreeMap::from([(object::DIGEST, news.digest.as_str())]);
        let bookmark = object::bookmark(epoch, Resource::AllowLists, revision, digest);
        bytes.extend_from_slice(&bookmark);
        Ok(bytes)
    }
}
