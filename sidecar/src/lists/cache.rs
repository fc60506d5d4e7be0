//! The last list on disk, so that a sidecar which starts again need not wait for anybody.
//!
//! Two files in a directory that lives as long as the pod, opened before privileges are dropped
//! (nothing may be opened for writing later) and written in turn. A list that the pod has outgrown must
//! never come back, for it may admit more than the one after it:
//!
//! - Before another list is put in force, what is kept is taken back (`Cache::void`): eight bytes at the
//!   head of a file, and no waiting for the disk.
//! - A list is written without its head, and the head last, and only if nothing was taken back since.
//!
//! So there is one list or none: the one in force, or a start that waits for the controller. What a
//! process has written outlives that process, but not a node that loses power; the pod has new addresses
//! then, as a rule, and a list with others is not used. What the bytes are, and what makes them unusable,
//! is [`sidewall::lists::kept`]'s business.

#[cfg(test)]
mod tests;

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sidewall::lists::held::Held;
use sidewall::lists::kept::{self, Kept, NotKept, Owner};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::metrics::Metrics;

/// The names of the two files.
const NAMES: [&str; 2] = ["list.0", "list.1"];

/// Between two writes at least: under churn a list of some megabytes changes many times a second. Who is
/// killed before the next write starts closed, and waits for the controller: there is one, or nothing
/// would have changed.
const BETWEEN: Duration = Duration::from_secs(1);

/// And this many times as long as the last write took, so that a slow disk is not kept busy.
const SHARE: u32 = 20;

/// Zeroes in the place of this many bytes make a file empty to those who read it.
const HEAD: usize = 8;

/// The two files.
#[derive(Debug)]
pub struct Cache {
    directory: PathBuf,
    slots: [File; 2],
    state: Mutex<State>,
}

/// What the files hold.
#[derive(Debug)]
struct State {
    /// The number of the list in force: they count up.
    newest: Number,
    /// Which files may hold a list.
    holds: [bool; 2],
}

/// A list that was put in force.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Number(u64);

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

/// A list to be kept.
#[derive(Debug, Clone)]
pub(super) struct Current {
    /// As [`Cache::void`] gave it.
    pub(super) number: Number,
    /// Where its stream goes on from.
    pub(super) version: Option<String>,
    /// The list.
    pub(super) held: Arc<Held>,
}

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
        let slots = [first?, second?];
        let holds = |file: &File| file.metadata().is_ok_and(|about| about.len() > 0);
        let state = State {
            newest: Number::default(),
            holds: slots.each_ref().map(holds),
        };
        Ok(Self {
            directory: directory.to_owned(),
            slots,
            state: Mutex::new(state),
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

    /// Takes back what is kept, because another list comes in force next; that one's number.
    ///
    /// # Errors
    /// When a file cannot be written to: it may still hold what it held. The number counts all the same.
    pub(super) fn void(&self) -> (Number, io::Result<()>) {
        let mut state = self.state();
        state.newest = Number(state.newest.0 + 1);
        let mut voided = Ok(());
        for (holds, file) in state.holds.iter_mut().zip(&self.slots) {
            if *holds {
                match file.write_all_at(&[0; HEAD], 0) {
                    Ok(()) => *holds = false,
                    error => voided = error,
                }
            }
        }
        (state.newest, voided)
    }

    /// Writes one file without its head. What is in the other stays good.
    fn write(&self, slot: usize, bytes: &[u8]) -> io::Result<()> {
        let file = &self.slots[slot];
        file.write_all_at(&[0; HEAD], 0)?;
        self.state().holds[slot] = false;
        file.write_all_at(bytes.get(HEAD..).unwrap_or_default(), HEAD as u64)?;
        file.set_len(bytes.len() as u64)?;
        file.sync_data()
    }

    /// Makes good what was written, and then empties the other file; not if another list is in force by
    /// now. Whether it did.
    fn finish(&self, slot: usize, bytes: &[u8], number: Number) -> io::Result<bool> {
        {
            // Whoever puts another list in force waits for these eight bytes, and for no more.
            let mut state = self.state();
            if state.newest != number {
                return Ok(false);
            }
            state.holds[slot] = true;
            let head = bytes.get(..HEAD).unwrap_or_default();
            self.slots[slot].write_all_at(head, 0)?;
        }
        self.slots[slot].sync_data()?;
        self.slots[1 - slot].set_len(0)?;
        Ok(true)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what is current, until nobody tells what is.
    pub(super) async fn keep(
        self: Arc<Self>,
        owner: Owner,
        found: Found,
        mut current: watch::Receiver<Option<Current>>,
        metrics: Arc<Metrics>,
    ) {
        // The file that holds the list stays as it is while the other is written.
        let (mut write, mut slot) = found.place.map_or((0, 0), |(write, at)| (write, 1 - at));
        let mut failing = false;
        while current.changed().await.is_ok() {
            let Some(now) = current.borrow_and_update().clone() else {
                continue;
            };
            write += 1;
            let began = Instant::now();
            let (files, owner) = (Arc::clone(&self), owner.clone());
            let written = tokio::task::spawn_blocking(move || {
                let bytes = bytes_of(&owner, write, now.version.as_deref(), &now.held)?;
                drop(now.held);
                files.write(slot, &bytes)?;
                files.finish(slot, &bytes, now.number)
            });
            let written = written
                .await
                .unwrap_or_else(|panic| Err(io::Error::other(panic)));
            match written {
                Ok(false) => {}
                Ok(true) => {
                    metrics.list_kept(true);
                    slot = 1 - slot;
                    failing = false;
                }
                Err(error) => {
                    metrics.list_kept(false);
                    if !std::mem::replace(&mut failing, true) {
                        let directory = self.directory.display();
                        tracing::warn!("the list cannot be kept in {directory}: {error}");
                    }
                }
            }
            sleep(BETWEEN.max(began.elapsed() * SHARE)).await;
        }
    }
}

fn bytes_of(owner: &Owner, write: u64, version: Option<&str>, held: &Held) -> io::Result<Vec<u8>> {
    kept::write(owner, write, now(), version, held).map_err(io::Error::other)
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
