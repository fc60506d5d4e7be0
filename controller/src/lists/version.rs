//! Resource versions: which process, and which of its revisions.
//!
//! Nothing is written down, so a revision means nothing to another process. A version therefore
//! carries a random number of the process, and one that carries another's is expired: who comes from
//! another replica, or from before a restart, starts over.

use sidewall::lists::catalogue::Revision;

use super::serve::refusal::Refusal;

/// Revisions take the lower 40 bits: fifty a second last for seven hundred years. 23 bits are the
/// epoch's, so that all of it stays below 2^63 (etcd's versions are signed, and clients know that).
const REVISION_BITS: u32 = 40;
const EPOCH_BITS: u32 = 23;

/// A process, by a random number. Two replicas have the same with a chance of one in eight million,
/// and then their digests tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Epoch(u64);

/// Where a watch begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// With everything there is.
    Start,
    /// After this revision.
    At(Revision),
}

impl Epoch {
    /// This process's own.
    #[must_use]
    pub fn random() -> Self {
        Self(rand::random_range(1..1 << EPOCH_BITS))
    }

    /// A certain one.
    #[cfg(test)]
    pub(crate) const fn of(number: u64) -> Self {
        Self(number)
    }

    /// A revision as clients see it.
    #[must_use]
    pub const fn version(self, revision: Revision) -> u64 {
        self.0 << REVISION_BITS | revision.0
    }

    /// What a client gives back: nothing and `0` are the start.
    ///
    /// # Errors
    /// 400 for what is no version, 410 for one of another process.
    pub fn read(self, text: Option<&str>) -> Result<Since, Refusal> {
        let Some(text) = text.filter(|text| !matches!(*text, "" | "0")) else {
            return Ok(Since::Start);
        };
        let Ok(version) = text.parse::<u64>() else {
            return Err(Refusal::bad_request(format!(
                "resourceVersion: Invalid value: {text:?}: must be a decimal number that this server gave out"
            )));
        };
        if version >> REVISION_BITS != self.0 {
            return Err(Refusal::expired(
                "the resourceVersion is of another replica, or from before a restart: start over without it",
            ));
        }
        Ok(Since::At(Revision(version & ((1 << REVISION_BITS) - 1))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_comes_back_as_the_revision_that_it_was() {
        let epoch = Epoch::of(5);
        for revision in [0, 1, 77, (1 << REVISION_BITS) - 1] {
            let text = epoch.version(Revision(revision)).to_string();
            let read = epoch.read(Some(&text)).unwrap();
            assert_eq!(read, Since::At(Revision(revision)));
            let other = Epoch::of(6).read(Some(&text)).unwrap_err();
            assert_eq!(other.code(), 410);
        }
        for start in [None, Some(""), Some("0")] {
            assert_eq!(epoch.read(start).unwrap(), Since::Start);
        }
        for nonsense in ["x", "-1", "1e3", "99999999999999999999999"] {
            assert_eq!(epoch.read(Some(nonsense)).unwrap_err().code(), 400);
        }
    }

    #[test]
    fn no_epoch_is_zero_and_none_is_too_large() {
        for _ in 0..1000 {
            let version = Epoch::random().version(Revision((1 << REVISION_BITS) - 1));
            assert!(version >> REVISION_BITS != 0);
            assert!(i64::try_from(version).is_ok());
        }
    }
}
