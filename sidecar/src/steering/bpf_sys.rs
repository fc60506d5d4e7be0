//! The maps of the eBPF programs, by the `bpf` system call: flows are entered, taken out and read in
//! pages; the lease is moved on.
//!
//! The second file of this crate with `unsafe`. The loader's own map type knows neither "look up and
//! delete" (the counts of a flow that ends) nor pages (thousands of flows in a few calls). Not here:
//! loading ([`super::bpf`]), and which flows are carried (`offload/`). The two structs repeat those
//! of `ebpf/steer.bpf.c`; the tests of the programs read back what was noted.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// Which flow; addresses and ports in network byte order. IPv4 addresses fill the first four bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub(crate) struct RawKey {
    pub(crate) pod: [u8; 16],
    pub(crate) peer: [u8; 16],
    pub(crate) pod_port: [u8; 2],
    pub(crate) peer_port: [u8; 2],
    pub(crate) protocol: u8,
    /// 4 or 6.
    pub(crate) family: u8,
    pub(crate) zero: [u8; 2],
}

/// What the kernel notes of a flow while it carries it. Pairs are ingress, egress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub(crate) struct RawFlow {
    pub(crate) packets: [u64; 2],
    pub(crate) bytes: [u64; 2],
    /// The latest packet, in nanoseconds of CLOCK_MONOTONIC.
    pub(crate) seen: u64,
    /// From when on packets come back, in the same.
    pub(crate) review: u64,
    pub(crate) pod_ack: u32,
    pub(crate) peer_next: u32,
    /// Which entry of the flow this is.
    pub(crate) serial: u64,
    /// The step that a handshake lacks ([`LAST_ACK`], [`ANSWER`]) + the direction in which it comes; 0:
    /// none.
    pub(crate) opening: u32,
    /// What that step acknowledges when it is the peer's.
    pub(crate) expects: u32,
}

/// `enum opening`: the acknowledgment of the side that asked for the connection.
pub(crate) const LAST_ACK: u32 = 1;
/// The SYN ACK of the side that was asked.
pub(crate) const ANSWER: u32 = 3;

// Without padding: every byte is a field's, so the kernel may read and write them as bytes.
const _: () = assert!(size_of::<RawKey>() == 16 + 16 + 2 + 2 + 1 + 1 + 2);
const _: () = assert!(size_of::<RawFlow>() == 2 * 16 + 2 * 8 + 2 * 4 + 8 + 2 * 4);

/// How many flows are read in one call. A page must have room for the fullest bucket of the kernel's
/// hash table, which has as many buckets as flows: a few.
pub(crate) const PAGE: usize = 512;

/// A page of flows, and where the next one begins.
#[derive(Debug)]
pub(crate) struct Page {
    keys: Box<[RawKey; PAGE]>,
    flows: Box<[RawFlow; PAGE]>,
    filled: usize,
    /// The kernel's own mark: a bucket's number.
    next: Option<u32>,
}

/// The map of carried flows, by its descriptor.
#[derive(Debug)]
pub(crate) struct FlowMap(OwnedFd);

/// The map with the lease.
#[derive(Debug)]
pub(crate) struct LeaseMap(OwnedFd);

/// `BPF_MAP_*` of `enum bpf_cmd` (include/uapi/linux/bpf.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub(crate) enum Command {
    Lookup = 1,
    Update = 2,
    Delete = 3,
    LookupAndDelete = 21,
    LookupBatch = 24,
}

impl Command {
    /// Everything that is called after the start.
    pub(crate) const ALL: [Self; 5] = [
        Self::Lookup,
        Self::Update,
        Self::Delete,
        Self::LookupAndDelete,
        Self::LookupBatch,
    ];
}

/// `bpf_attr` for one element. The kernel takes a shorter struct for one that ends in zeroes.
#[repr(C)]
struct Element {
    map: u32,
    padding: u32,
    key: u64,
    value: u64,
    flags: u64,
}

/// `bpf_attr` for many.
#[repr(C)]
struct Batch {
    from: u64,
    next: u64,
    keys: u64,
    values: u64,
    count: u32,
    map: u32,
    element_flags: u64,
    flags: u64,
}

/// The kernel's own number for "not for this kind of map", which no C library knows
/// (include/linux/errno.h).
const ENOTSUPP: i32 = 524;

impl FlowMap {
    /// # Errors
    /// When the map has other keys or values than a [`RawKey`] and a [`RawFlow`].
    pub(crate) fn new(map: &aya::maps::MapData) -> io::Result<Self> {
        sized::<RawKey, RawFlow>(map).map(Self)
    }

    /// Enters a flow, or puts it in the place of what is there.
    ///
    /// # Errors
    /// `E2BIG`: the map is full. `EPERM`: this kernel asks for a capability.
    pub(crate) fn insert(&self, key: &RawKey, flow: &RawFlow) -> io::Result<()> {
        let mut flow = *flow;
        self.element(Command::Update, key, Some(&mut flow))
    }

    /// Takes a flow out and answers what was noted; `None`: it was not there.
    ///
    /// # Errors
    /// `EPERM`: this kernel asks for a capability.
    pub(crate) fn take(&self, key: &RawKey) -> io::Result<Option<RawFlow>> {
        let mut flow = RawFlow::default();
        let taken = match self.element(Command::LookupAndDelete, key, Some(&mut flow)) {
            // Before Linux 5.14 (3e87f192b405) in two steps: what is counted between them is lost.
            Err(error) if matches!(error.raw_os_error(), Some(ENOTSUPP | libc::EINVAL)) => self
                .element(Command::Lookup, key, Some(&mut flow))
                .and_then(|()| self.element(Command::Delete, key, None)),
            taken => taken,
        };
        match taken {
            Ok(()) => Ok(Some(flow)),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads the next page; `false`: there was nothing more.
    ///
    /// # Errors
    /// `EPERM`: this kernel asks for a capability.
    pub(crate) fn read(&self, page: &mut Page) -> io::Result<bool> {
        let from = page.next;
        let mut next = 0_u32;
        let mut request = Batch {
            from: from.as_ref().map_or(0, address),
            next: (&raw mut next).expose_provenance() as u64,
            keys: page.keys.as_mut_ptr().expose_provenance() as u64,
            values: page.flows.as_mut_ptr().expose_provenance() as u64,
            count: PAGE as u32,
            map: self.0.as_raw_fd().cast_unsigned(),
            element_flags: 0,
            flags: 0,
        };
        // SAFETY: `request` is laid out as the kernel's `bpf_attr` for this command and lives
        // through the call. Its pointers are to exclusive borrows that do too: two arrays with room
        // for `count` elements of the sizes that `new` compared with the map's, and a u32 for the
        // mark, which is what a hash map writes there; `from` is null or points to such a mark.
        let answer = unsafe { call(Command::LookupBatch, &raw mut request, size_of::<Batch>()) };
        let ended = match answer {
            Ok(()) => false,
            // The last page: what it holds is valid.
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => true,
            Err(error) => return Err(error),
        };
        page.filled = (request.count as usize).min(PAGE);
        page.next = (!ended).then_some(next);
        Ok(!ended)
    }

    fn element(
        &self,
        command: Command,
        key: &RawKey,
        flow: Option<&mut RawFlow>,
    ) -> io::Result<()> {
        // SAFETY: `new` compared the sizes; any bytes are a valid `RawFlow`.
        unsafe { element(&self.0, command, key, flow) }
    }
}

impl LeaseMap {
    /// # Errors
    /// When the map has other keys or values than a u32 and a u64.
    pub(crate) fn new(map: &aya::maps::MapData) -> io::Result<Self> {
        sized::<u32, u64>(map).map(Self)
    }

    /// Flows may be carried until then, in nanoseconds of CLOCK_MONOTONIC.
    ///
    /// # Errors
    /// `EPERM`: this kernel asks for a capability.
    pub(crate) fn set(&self, mut until: u64) -> io::Result<()> {
        // SAFETY: `new` compared the sizes; the value is only read.
        unsafe { element(&self.0, Command::Update, &0_u32, Some(&mut until)) }
    }
}

/// Ties a map of devices to one device of this network namespace: the kernel strikes the entry when
/// the device goes.
///
/// # Errors
/// When the map is another, or there is no such device.
pub(crate) fn alive_with(map: &aya::maps::MapData, device: u32) -> io::Result<()> {
    // `struct bpf_devmap_val`: the index, and a program that is none.
    let mut value = [device, 0];
    let map = sized::<u32, [u32; 2]>(map)?;
    // SAFETY: `sized` compared the sizes; the value is only read.
    unsafe { element(&map, Command::Update, &0_u32, Some(&mut value)) }
}

/// The descriptor of a map whose keys and values have these sizes: by them the kernel copies.
fn sized<K, V>(map: &aya::maps::MapData) -> io::Result<OwnedFd> {
    let info = map.info().map_err(io::Error::other)?;
    let sizes = (info.key_size() as usize, info.value_size() as usize);
    if sizes != (size_of::<K>(), size_of::<V>()) {
        return Err(io::Error::other(format!("a map of other sizes: {sizes:?}")));
    }
    map.fd().as_fd().try_clone_to_owned()
}

/// A command on one element.
///
/// # Safety
/// Keys and values of the map must have the sizes of `K` and `V`, and any bytes be a valid `V`.
unsafe fn element<K, V>(
    map: &OwnedFd,
    command: Command,
    key: &K,
    value: Option<&mut V>,
) -> io::Result<()> {
    let mut request = Element {
        map: map.as_raw_fd().cast_unsigned(),
        padding: 0,
        key: address(key),
        value: value.map_or(0, |value| (&raw mut *value).expose_provenance() as u64),
        flags: 0,
    };
    // SAFETY: `request` is laid out as the kernel's `bpf_attr` for commands on one element and lives
    // through the call, and so do the key and the exclusively borrowed value that it points to; the
    // caller promises their sizes.
    unsafe { call(command, &raw mut request, size_of::<Element>()) }
}

impl Page {
    /// An empty page before the first flow.
    pub(crate) fn new() -> Self {
        Self {
            keys: Box::new([RawKey::default(); PAGE]),
            flows: Box::new([RawFlow::default(); PAGE]),
            filled: 0,
            next: None,
        }
    }

    /// What was read last.
    pub(crate) fn flows(&self) -> impl Iterator<Item = (&RawKey, &RawFlow)> {
        self.keys.iter().zip(self.flows.iter()).take(self.filled)
    }
}

fn address<T>(of: &T) -> u64 {
    (&raw const *of).expose_provenance() as u64
}

/// # Safety
/// `request` must be what the command reads and writes, with all that it points to.
unsafe fn call<T>(command: Command, request: *mut T, size: usize) -> io::Result<()> {
    // SAFETY: the caller's promise.
    let answer = unsafe { libc::syscall(libc::SYS_bpf, command as i32, request, size) };
    if answer < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Runs a program of a hook on one frame and answers what it said.
#[cfg(test)]
pub(crate) fn run_on(program: &OwnedFd, frame: &[u8]) -> io::Result<u32> {
    const BPF_PROG_TEST_RUN: i32 = 10;
    /// `bpf_attr` for this command, as far as it is used.
    #[repr(C)]
    struct Run {
        program: u32,
        answer: u32,
        length: u32,
        length_out: u32,
        frame: u64,
        frame_out: u64,
        repeat: u32,
        duration: u32,
    }
    let mut request = Run {
        program: program.as_raw_fd().cast_unsigned(),
        answer: 0,
        length: u32::try_from(frame.len()).map_err(io::Error::other)?,
        length_out: 0,
        frame: frame.as_ptr().expose_provenance() as u64,
        frame_out: 0,
        repeat: 1,
        duration: 0,
    };
    let (request_at, size) = (&raw mut request, size_of::<Run>());
    // SAFETY: laid out as the kernel's `bpf_attr`, and it lives through the call as the frame does,
    // which the kernel only reads.
    let answer = unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_TEST_RUN, request_at, size) };
    if answer < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(request.answer)
}
