//! The stream by which one pod's allow list comes: bytes in, complete states out.
//!
//! A stream is lines of JSON, each `{"type": …, "object": …}`: `ADDED` and `DELETED` slices, the one
//! list `ADDED`, `MODIFIED` or `DELETED`, and after each batch a `BOOKMARK` that says in a digest what
//! the receiver must hold by now. [`super::lines`] finds the lines, [`Receiver`] gathers a batch and takes
//! it over at its bookmark, whole or not at all: what is half told is never held.
//!
//! Not here: the connection, waiting, and what is done with a state (the sidecar's `lists/`).

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::held::Held;
use super::lines::MOST_LINE;
use super::wire::{PeerSlice, PodList, SliceName};
use crate::policy::allow_list::ObjectRef;
use crate::policy::cluster::Identity;

/// The API group of lists and slices.
pub const GROUP: &str = "allowlists.sidewall.dev";

/// Its version.
pub const VERSION: &str = "v1alpha1";

/// The annotation of a bookmark that says what the receiver must hold: [`Held::digest`].
pub const DIGEST_ANNOTATION: &str = "allowlists.sidewall.dev/digest";

/// What is wrong with a stream. Whatever it is: nothing of the batch is taken over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// A line does not end.
    #[error("a line of the stream is longer than {MOST_LINE} bytes")]
    TooLong,
    /// A line is not one of those that a stream has.
    #[error("a line of the stream cannot be read: {0}")]
    Unreadable(String),
    /// A slice's content is not what its name says.
    #[error(transparent)]
    NotItsName(#[from] super::held::NotItsName),
    /// The list is another pod's.
    #[error("the list is for pod {0}")]
    OtherPod(ObjectRef),
    /// What has come does not add up to what the sender says that it should.
    #[error(
        "what has come does not add up to what was sent; if this repeats, the controller and the \
         sidecar are of versions that do not go together"
    )]
    DoesNotAddUp,
}

/// What the sender ends a stream with: a Kubernetes Status.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Refusal {
    /// As in HTTP; 410: the version to go on from is too old.
    pub code: u16,
    /// One word.
    pub reason: String,
    /// A sentence.
    pub message: String,
}

/// Who an address belongs to, as the sender knows it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct PeerIdentity {
    /// The pod; `None`: no pod has the address.
    #[serde(default)]
    pub identity: Option<Identity>,
    /// The Service; `None`: no Service has the address.
    #[serde(default)]
    pub service: Option<ObjectRef>,
}

/// What a line meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The batch goes on.
    Gathering,
    /// The batch is complete and taken over: [`Receiver::held`] is current. Whether it is another
    /// state than before.
    Complete {
        /// Something came with it, or it is the first.
        changed: bool,
    },
    /// The sender ends the stream.
    Ended(Refusal),
}

/// Gathers batches and holds the last complete state.
#[derive(Debug)]
pub struct Receiver {
    pod: ObjectRef,
    held: Held,
    digest: String,
    /// Of the last complete state, if the next stream may go on from it.
    version: Option<String>,
    batch: Vec<Change>,
    /// The stream begins with everything.
    whole: bool,
}

#[derive(Debug)]
enum Change {
    Slice(SliceName, PeerSlice),
    /// One that is held already, under the name of its content.
    Keep(SliceName),
    Gone(SliceName),
    List(Option<Box<PodList>>),
}

impl Receiver {
    /// Holds nothing yet of this pod's list.
    #[must_use]
    pub fn new(pod: ObjectRef) -> Self {
        Self::resumed(pod, Held::default(), None)
    }

    /// Holds what was kept from an earlier run, and goes on from its version if there is one.
    #[must_use]
    pub fn resumed(pod: ObjectRef, held: Held, version: Option<String>) -> Self {
        Self {
            pod,
            digest: held.digest(),
            held,
            version,
            batch: Vec::new(),
            whole: true,
        }
    }

    /// The last complete state.
    #[must_use]
    pub fn held(&self) -> &Held {
        &self.held
    }

    /// The last complete state's digest ([`Held::digest`]).
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The version that the next stream goes on from; `None`: it begins with everything.
    #[must_use]
    pub fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// The next stream begins with everything. What is held stays until that is complete.
    pub fn start_over(&mut self) {
        self.version = None;
    }

    /// A new stream begins, which was asked to go on from [`Receiver::version`]. What came of a batch
    /// that was not completed is dropped.
    pub fn begin(&mut self) {
        self.batch.clear();
        self.whole = self.version.is_none();
    }

    /// Takes in a line.
    ///
    /// # Errors
    /// See [`StreamError`]: the stream is of no use any more, and the next one begins with everything.
    pub fn line(&mut self, line: &[u8]) -> Result<Step, StreamError> {
        let step = self.read(line);
        if step.is_err() {
            self.batch.clear();
            self.start_over();
        }
        step
    }

    fn read(&mut self, line: &[u8]) -> Result<Step, StreamError> {
        let head: Head = parse(line)?;
        let Head { what, object } = head;
        match (what, object.kind.as_str()) {
            (What::Error, _) => {
                return Ok(Step::Ended(parse::<Object<Refusal>>(line)?.object));
            }
            (What::Bookmark, "AllowList") => return self.complete(object.metadata),
            (What::Added | What::Modified, "PeerSlice") => {
                let change = self.slice(SliceName(object.metadata.name.into()), line)?;
                self.batch.push(change);
            }
            (What::Deleted, "PeerSlice") => {
                let name = SliceName(object.metadata.name.into());
                self.batch.push(Change::Gone(name));
            }
            (What::Added | What::Modified, "AllowList") => {
                let list = parse::<Object<Spec<PodList>>>(line)?.object.spec;
                if list.pod != self.pod {
                    return Err(StreamError::OtherPod(list.pod));
                }
                self.batch.push(Change::List(Some(Box::new(list))));
            }
            (What::Deleted, "AllowList") => self.batch.push(Change::List(None)),
            (what, kind) => {
                let other = format!("{what:?} of kind {kind:?}");
                return Err(StreamError::Unreadable(other));
            }
        }
        Ok(Step::Gathering)
    }

    fn slice(&self, name: SliceName, line: &[u8]) -> Result<Change, StreamError> {
        // Names say the content: what is held under one need not be read again.
        if self.held.slices.contains_key(&name) {
            return Ok(Change::Keep(name));
        }
        let slice = parse::<Object<Spec<PeerSlice>>>(line)?.object.spec;
        if slice.name() != name {
            return Err(super::held::NotItsName(name).into());
        }
        Ok(Change::Slice(name, slice))
    }

    /// Takes the batch over, if it makes what the bookmark says.
    fn complete(&mut self, bookmark: Metadata) -> Result<Step, StreamError> {
        let told = bookmark.annotations.digest;
        let told = told.ok_or_else(|| {
            StreamError::Unreadable(format!("a bookmark without {DIGEST_ANNOTATION}"))
        })?;
        if bookmark.resource_version.is_empty() {
            let without = "a bookmark without resourceVersion".to_owned();
            return Err(StreamError::Unreadable(without));
        }
        let changed = self.whole || !self.batch.is_empty();
        if changed {
            let next = self.next();
            let digest = next.digest();
            if digest != told {
                return Err(StreamError::DoesNotAddUp);
            }
            (self.held, self.digest) = (next, digest);
        } else if self.digest != told {
            return Err(StreamError::DoesNotAddUp);
        }
        self.whole = false;
        self.version = Some(bookmark.resource_version);
        Ok(Step::Complete { changed })
    }

    /// What is held once the batch is taken over. What is held now stays as it is until it is known
    /// that this is right.
    fn next(&mut self) -> Held {
        let mut next = if self.whole {
            Held::default()
        } else {
            self.held.clone()
        };
        for change in self.batch.drain(..) {
            match change {
                Change::Slice(name, slice) => {
                    // Its name was looked at when it came.
                    next.slices.insert(name, slice.into());
                }
                Change::Keep(name) => {
                    if let Some(slice) = self.held.slices.get(&name) {
                        next.slices.insert(name, slice.clone());
                    }
                }
                Change::Gone(name) => {
                    next.remove(&name);
                }
                Change::List(list) => next.list = list.map(|list| *list),
            }
        }
        // Slices of sets that the list names no more go without a word.
        next.tidy();
        next
    }
}

/// The one line that answers whose an address is.
///
/// # Errors
/// [`StreamError::Unreadable`] for any other line.
pub fn peer_identity(line: &[u8]) -> Result<Result<PeerIdentity, Refusal>, StreamError> {
    let Head { what, object } = parse(line)?;
    match (what, object.kind.as_str()) {
        (What::Error, _) => Ok(Err(parse::<Object<Refusal>>(line)?.object)),
        (What::Added, "PeerIdentity") => Ok(Ok(parse::<Object<PeerIdentity>>(line)?.object)),
        (what, kind) => {
            let other = format!("{what:?} of kind {kind:?}");
            Err(StreamError::Unreadable(other))
        }
    }
}

/// What kind of line it is. Its other parts are passed over without being built.
#[derive(Deserialize)]
struct Head {
    #[serde(rename = "type")]
    what: What,
    object: HeadObject,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum What {
    Added,
    Modified,
    Deleted,
    Bookmark,
    Error,
}

#[derive(Deserialize)]
struct HeadObject {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    metadata: Metadata,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Metadata {
    name: String,
    resource_version: String,
    annotations: Annotations,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Annotations {
    #[serde(rename = "allowlists.sidewall.dev/digest")]
    digest: Option<String>,
}

#[derive(Deserialize)]
struct Object<T> {
    object: T,
}

#[derive(Deserialize)]
struct Spec<T> {
    spec: T,
}

fn parse<T: DeserializeOwned>(line: &[u8]) -> Result<T, StreamError> {
    serde_json::from_slice(line).map_err(|error| StreamError::Unreadable(error.to_string()))
}
