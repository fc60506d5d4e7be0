//! A list's way from the controller to a sidecar: compiled by the catalogue of all pods, said in lines,
//! read and gathered as the sidecar does, and put together again.

use sidewall::lists::catalogue::{Catalogue, Revision};
use sidewall::lists::lines::Lines;
use sidewall::lists::say;
use sidewall::lists::stream::{Receiver, Step, StreamError};
use sidewall::policy::allow_list::{AllowList, ObjectRef};

/// The bytes come in pieces of this size, as from a connection: no line ends where a piece does.
const PIECE: usize = 1500;

/// What arrives of a pod's list.
pub(super) fn list(catalogue: &Catalogue, pod: &ObjectRef) -> Result<AllowList, String> {
    let news = catalogue
        .news(pod, Revision(0))
        .ok_or("the catalogue tells a newcomer nothing")?;
    let mut bytes = Vec::new();
    for stored in &news.added {
        bytes.extend(say::slice(&stored.name, &stored.slice));
    }
    bytes.extend(news.list.iter().flat_map(say::list));
    bytes.extend(say::bookmark(&news.revision.0.to_string(), &news.digest));

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
