//! The last list in bytes, for the time between two runs of a sidecar.
//!
//! [`write()`] makes the bytes and [`read`] takes them back, or says why not: cut short, changed,
//! another version's, another pod's. Whatever is wrong with them, no list comes of it, and the pod
//! stays closed until one comes from the controller.
//!
//! Layout, numbers in network byte order: 8 bytes that say what this is and in which version, 8
//! bytes number of the write, 8 bytes length of the content, 32 bytes SHA-256 over all else, and the
//! content as JSON. Not here: files, and when they are written (the sidecar's `lists/cache`).

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::held::{Held, NotItsName};
use crate::policy::allow_list::ObjectRef;

/// What this is, and in which version.
const MAGIC: [u8; 8] = *b"swlist\0\x01";

/// How many bytes of [`MAGIC`] say what this is; the rest is the version.
const NAME: usize = 6;

/// Before the content.
const HEAD: usize = 8 + 8 + 8 + 32;

/// Most bytes that are written. A list that admits ten thousand pods is some 5 MB; what is larger is
/// not kept, because the volume has a limit and a pod that exceeds it is evicted.
pub const MOST: usize = 64 << 20;

/// Whose list it is: all of it must be as it was for the list to be used again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Owner {
    /// The pod.
    pub pod: ObjectRef,
    /// Its uid, where the sidecar was told.
    pub uid: Option<String>,
    /// The addresses of its interface, sorted.
    pub addresses: Vec<IpAddr>,
}

/// What is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Counts up with each write: of two, the higher is the newer.
    pub number: u64,
    /// When it was written, in milliseconds since 1970.
    pub at: u64,
    /// Where the stream goes on from.
    pub version: Option<String>,
    /// The list with its slices.
    pub held: Held,
}

/// Why kept bytes are of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotKept {
    /// Nothing was written, or it was taken back.
    #[error("it is empty")]
    Empty,
    /// Something else altogether.
    #[error("it is not a list that was kept")]
    Foreign,
    /// Another version of this program wrote it.
    #[error("another version of sidewall wrote it")]
    OtherVersion,
    /// Fewer or other bytes than were written.
    #[error("it is damaged: {0}")]
    Damaged(&'static str),
    /// It is sound and cannot be read all the same.
    #[error("it cannot be read: {0}")]
    Unreadable(String),
    /// It is not this pod's.
    #[error("it is of {0}")]
    OtherOwner(String),
    /// A slice is not what its name says.
    #[error(transparent)]
    NotItsName(#[from] NotItsName),
    /// More than [`MOST`].
    #[error("it is larger than {MOST} bytes")]
    TooLarge,
}

/// The content.
#[derive(Serialize)]
struct Written<'a> {
    owner: &'a Owner,
    at: u64,
    version: Option<&'a str>,
    held: &'a Held,
    digest: String,
}

#[derive(Deserialize)]
struct Read {
    owner: Owner,
    at: u64,
    version: Option<String>,
    held: Held,
    digest: String,
}

/// The bytes of a list. `at` is in milliseconds since 1970.
///
/// # Errors
/// [`NotKept::TooLarge`].
pub fn write(
    owner: &Owner,
    number: u64,
    at: u64,
    version: Option<&str>,
    held: &Held,
) -> Result<Vec<u8>, NotKept> {
    let mut bytes = vec![0; HEAD];
    let content = Written {
        owner,
        at,
        version,
        held,
        digest: held.digest(),
    };
    serde_json::to_writer(&mut bytes, &content)
        .map_err(|error| NotKept::Unreadable(error.to_string()))?;
    if bytes.len() > MOST {
        return Err(NotKept::TooLarge);
    }
    let length = u64::try_from(bytes.len() - HEAD).map_err(|_| NotKept::TooLarge)?;
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..16].copy_from_slice(&number.to_be_bytes());
    bytes[16..24].copy_from_slice(&length.to_be_bytes());
    let sum = checksum(&bytes[..24], &bytes[HEAD..]);
    bytes[24..HEAD].copy_from_slice(&sum);
    Ok(bytes)
}

/// What the bytes hold, if they are whole and of this owner.
///
/// # Errors
/// See [`NotKept`].
pub fn read(bytes: &[u8], owner: &Owner) -> Result<Kept, NotKept> {
    if bytes.iter().take(MAGIC.len()).all(|byte| *byte == 0) {
        return Err(NotKept::Empty);
    }
    let (magic, rest) = split::<8>(bytes)?;
    if magic[..NAME] != MAGIC[..NAME] {
        return Err(NotKept::Foreign);
    }
    if magic != MAGIC {
        return Err(NotKept::OtherVersion);
    }
    let (number, rest) = split::<8>(rest)?;
    let (length, rest) = split::<8>(rest)?;
    let (sum, content) = split::<32>(rest)?;
    let length = usize::try_from(u64::from_be_bytes(length)).unwrap_or(usize::MAX);
    let content = content.get(..length);
    let content = content.ok_or(NotKept::Damaged("it is cut short"))?;
    if checksum(&bytes[..24], content) != sum {
        return Err(NotKept::Damaged("its checksum is another"));
    }
    let read: Read =
        serde_json::from_slice(content).map_err(|error| NotKept::Unreadable(error.to_string()))?;
    read.owner.is(owner)?;
    let mut held = Held {
        list: read.held.list,
        ..Held::default()
    };
    for (name, slice) in read.held.slices {
        held.put(name, (*slice).clone())?;
    }
    if held.digest() != read.digest {
        return Err(NotKept::Damaged("its parts do not add up"));
    }
    let Some(list) = &held.list else {
        return Err(NotKept::Empty);
    };
    if list.pod != owner.pod {
        return Err(NotKept::OtherOwner(format!("pod {}", list.pod)));
    }
    let mut addresses = list.addresses.iter();
    if let Some(other) = addresses.find(|address| !owner.addresses.contains(address)) {
        return Err(NotKept::OtherOwner(format!("a pod with address {other}")));
    }
    Ok(Kept {
        number: u64::from_be_bytes(number),
        at: read.at,
        version: read.version,
        held,
    })
}

impl Owner {
    fn is(&self, now: &Self) -> Result<(), NotKept> {
        let other = if self.pod != now.pod {
            format!("pod {}", self.pod)
        } else if self.uid != now.uid {
            let uid = self.uid.as_deref().unwrap_or("none that was told");
            format!("another pod of this name, with uid {uid}")
        } else if self.addresses != now.addresses {
            format!("a pod with the addresses {:?}", self.addresses)
        } else {
            return Ok(());
        };
        Err(NotKept::OtherOwner(other))
    }
}

fn split<const N: usize>(bytes: &[u8]) -> Result<([u8; N], &[u8]), NotKept> {
    let (first, rest) = bytes
        .split_first_chunk::<N>()
        .ok_or(NotKept::Damaged("it is cut short"))?;
    Ok((*first, rest))
}

fn checksum(head: &[u8], content: &[u8]) -> [u8; 32] {
    let mut sum = Sha256::new();
    sum.update(head);
    sum.update(content);
    sum.finalize().into()
}
