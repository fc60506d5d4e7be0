//! The last list on disk, so that a sidecar which starts again need not wait for anybody.
//!
//! Two files in a directory that lives as long as the pod, opened before privileges are dropped
//! (nothing may be opened for writing later) and written in turn: while one is written the other
//! still holds the list before, and when it is done the other is emptied. So at rest there is one
//! list or none, and never an older one that damage to the newer could bring back. What the bytes
//! are, and what makes them unusable, is [`sidewall::lists::kept`]'s business.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sidewall::lists::held::Held;
use sidewall::lists::kept::{self, Kept, NotKept, Owner};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::metrics::Metrics;

/// The names of the two files.
const NAMES: [&str; 2] = ["list.0", "list.1"];

/// Between two writes at least: under churn a list changes many times a second. Short, because a
/// sidecar that is killed meanwhile begins with the list before, until the controller answers.
const BETWEEN: Duration = Duration::from_millis(100);

/// And this many times as long as the last write took, so that a slow disk is not kept busy.
const SHARE: u32 = 20;

/// The two files.
#[derive(Debug)]
pub struct Cache {
    directory: PathBuf,
    slots: [File; 2],
}

/// What was found in them.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The list.
    pub(super) kept: Option<Kept>,
    /// Its number, and which file it is in.
    place: Option<(u64, usize)>,
    /// What was there and of no use.
    pub(super) refused: Vec<String>,
}

/// A list to be kept, and where its stream goes on from.
pub(super) type Current = Option<(Option<String>, Arc<Held>)>;

impl Cache {
    /// Opens the files, and makes what is missing.
    ///
    /// # Errors
    /// When the directory cannot be written to.
    pub fn open(directory: &Path) -> io::Result<Self> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)?;
        let open = |name| {
            OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC)
                .open(directory.join(name))
        };
        let [first, second] = NAMES.map(open);
        Ok(Self {
            directory: directory.to_owned(),
            slots: [first?, second?],
        })
    }

    /// The newest list in the files that is this owner's.
    pub(super) fn load(&self, owner: &Owner) -> Found {
        let mut found = Found::default();
        for (slot, file) in self.slots.iter().enumerate() {
            let read = bytes(file).map_err(|error| error.to_string());
            let read = read.and_then(|bytes| match kept::read(&bytes, owner) {
                Err(NotKept::Empty) => Ok(None),
                other => other.map(Some).map_err(|why| why.to_string()),
            });
            match read {
                Ok(None) => {}
                Ok(Some(kept)) => {
                    if found.place.is_none_or(|(before, _)| before < kept.number) {
                        found.place = Some((kept.number, slot));
                        found.kept = Some(kept);
                    }
                }
                Err(why) => {
                    let file = self.directory.join(NAMES[slot]);
                    found.refused.push(format!("{}: {why}", file.display()));
                }
            }
        }
        found
    }

    /// Writes one file, and then empties the other.
    fn write(&self, slot: usize, bytes: &[u8]) -> io::Result<()> {
        let file = &self.slots[slot];
        file.write_all_at(bytes, 0)?;
        file.set_len(bytes.len() as u64)?;
        file.sync_data()?;
        self.slots[1 - slot].set_len(0)
    }

    /// Keeps what is current, until nobody tells what is.
    pub(super) async fn keep(
        self,
        owner: Owner,
        found: Found,
        mut current: watch::Receiver<Current>,
        metrics: Arc<Metrics>,
    ) {
        let cache = Arc::new(self);
        // The file that holds the list stays as it is while the other is written.
        let (mut number, mut slot) = found.place.map_or((0, 0), |(number, at)| (number, 1 - at));
        let mut failing = false;
        while current.changed().await.is_ok() {
            let Some((version, held)) = current.borrow_and_update().clone() else {
                continue;
            };
            number += 1;
            let began = Instant::now();
            let (files, owner) = (Arc::clone(&cache), owner.clone());
            let written = tokio::task::spawn_blocking(move || {
                let bytes = kept::write(&owner, number, now(), version.as_deref(), &held)
                    .map_err(io::Error::other)?;
                drop(held);
                files.write(slot, &bytes)
            });
            let written = written
                .await
                .unwrap_or_else(|panic| Err(io::Error::other(panic)));
            metrics.list_kept(written.is_ok());
            match written {
                Ok(()) => {
                    slot = 1 - slot;
                    failing = false;
                }
                Err(error) if !std::mem::replace(&mut failing, true) => {
                    let directory = cache.directory.display();
                    tracing::warn!("the list cannot be kept in {directory}: {error}");
                }
                Err(_) => {}
            }
            sleep(BETWEEN.max(began.elapsed() * SHARE)).await;
        }
    }
}

/// A whole file; more than is ever written is not read.
fn bytes(file: &File) -> io::Result<Vec<u8>> {
    let length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    if length > kept::MOST {
        return Err(io::Error::other(NotKept::TooLarge));
    }
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

/// Milliseconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}

/// How long ago that was; a clock that went back says now.
pub(super) fn age(at: u64) -> Duration {
    Duration::from_millis(now().saturating_sub(at))
}
