//! The ioctls of `/dev/net/tun`, and how memory is given back: with `steering/bpf_sys.rs` the only
//! file of this workspace with `unsafe`.
//!
//! Not here: what the flags mean together (see [`super::tun`]). Every function takes the owner
//! of a descriptor or returns an [`OwnedFd`], passes libc's own structs, and is safe to call with
//! anything its types admit; the kernel checks the rest and answers with an error.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_short, c_uint, c_void};
use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The clone device: every open descriptor of it becomes one queue of one TUN device.
pub(super) const TUN_CLONE_DEVICE: &str = "/dev/net/tun";

// include/uapi/linux/if_tun.h declares all of these with `int` or `unsigned int` as the size,
// whatever is really passed.
const TUNSETIFF: libc::Ioctl =
    nix::request_code_write!(b'T', 202, size_of::<c_int>()) as libc::Ioctl;
const TUNGETIFF: libc::Ioctl =
    nix::request_code_read!(b'T', 210, size_of::<c_uint>()) as libc::Ioctl;

nix::ioctl_write_ptr_bad!(tun_set_iff, TUNSETIFF, libc::ifreq);
nix::ioctl_read_bad!(tun_get_iff, TUNGETIFF, libc::ifreq);
nix::ioctl_write_int!(tun_set_owner, b'T', 204);
nix::ioctl_write_int!(tun_set_offload, b'T', 208);

/// The largest page of Linux's architectures: a multiple of every other.
const PAGE: usize = 64 * 1024;

/// Gives memory that was freed back to the kernel. glibc keeps what lies between allocations that
/// live on, and a list of pods leaves several times as much of that as of pods. Other allocators
/// give back by themselves.
pub fn give_back_free_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim takes a number, locks each arena itself, and touches free chunks only.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Unmaps the pages of the program's own file; those that are used again come back from the page
/// cache. Most are code that only the start needs: arguments, TLS, eBPF, lists are read once.
pub fn give_back_program() {
    // SAFETY: the callback has the type that is asked for, and the pointer is for it alone.
    unsafe {
        libc::dl_iterate_phdr(Some(give_back_pages), std::ptr::null_mut());
    }
}

/// Gives the read-only pages of one program or library back; what is used of them is mapped again
/// from the page cache, where it is for all processes.
///
/// # Safety
/// As `dl_iterate_phdr` calls it.
unsafe extern "C" fn give_back_pages(
    object: *mut libc::dl_phdr_info,
    _size: libc::size_t,
    _nothing: *mut c_void,
) -> c_int {
    // SAFETY: the loader hands out a pointer to its own live struct.
    let object = unsafe { &*object };
    // SAFETY: the loader's own table, of this length; loaded objects stay loaded.
    let segments =
        unsafe { std::slice::from_raw_parts(object.dlpi_phdr, object.dlpi_phnum.into()) };
    let page = PAGE;
    for segment in segments {
        if segment.p_type != libc::PT_LOAD || segment.p_flags & libc::PF_W != 0 {
            continue;
        }
        let begin = object.dlpi_addr.wrapping_add(segment.p_vaddr) as usize;
        let end = (begin + segment.p_memsz as usize) / page * page;
        let begin = begin.next_multiple_of(page);
        if begin < end {
            // SAFETY: whole pages of a segment that nothing may write to, so that they are what the
            // file says, before and after. A refusal changes nothing.
            unsafe {
                libc::madvise(
                    std::ptr::with_exposed_provenance_mut(begin),
                    end - begin,
                    libc::MADV_DONTNEED,
                );
            }
        }
    }
    0
}

/// Opens the clone device, non-blocking and closed on exec.
pub(super) fn open_clone_device(path: &Path) -> io::Result<OwnedFd> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
        .open(path)?;
    Ok(file.into())
}

/// Makes the descriptor a queue of the device of this name, creating the device if there is none.
pub(super) fn attach_queue(queue: &impl AsRawFd, name: &str, flags: c_short) -> io::Result<()> {
    let request = request_for(name, flags)?;
    // SAFETY: TUNSETIFF reads one `ifreq` at the pointer, which comes from a live reference to
    // libc's own struct of the size the kernel copies (40 bytes, include/uapi/linux/if.h).
    unsafe { tun_set_iff(queue.as_raw_fd(), &raw const request) }?;
    Ok(())
}

/// Which device the descriptor is a queue of, and with which flags.
pub(super) fn device_of(queue: &impl AsRawFd) -> io::Result<(String, c_short)> {
    let mut request = request_for("", 0)?;
    // SAFETY: TUNGETIFF writes one `ifreq` at the pointer, which comes from a live exclusive
    // reference to libc's own struct.
    unsafe { tun_get_iff(queue.as_raw_fd(), &raw mut request) }?;
    // SAFETY: the union was zeroed and the kernel stored the flags; any bits are a valid c_short.
    let flags = unsafe { request.ifr_ifru.ifru_flags };
    let name = request.ifr_name.iter().take_while(|byte| **byte != 0);
    // `c_char` is i8 or u8 by platform; the bits are the same.
    let name: Vec<u8> = name
        .map(|byte| u8::from_ne_bytes(byte.to_ne_bytes()))
        .collect();
    Ok((String::from_utf8_lossy(&name).into_owned(), flags))
}

/// Which offloads the reader of the device can take (`TUN_F_*`).
pub(super) fn set_offload(queue: &impl AsRawFd, offload: c_uint) -> io::Result<()> {
    // SAFETY: TUNSETOFFLOAD takes a number by value and touches no memory of ours.
    unsafe { tun_set_offload(queue.as_raw_fd(), offload.into()) }?;
    Ok(())
}

/// Who else may attach a queue without CAP_NET_ADMIN: only this user.
pub(super) fn set_owner(queue: &impl AsRawFd, user: libc::uid_t) -> io::Result<()> {
    // SAFETY: TUNSETOWNER takes a number by value and touches no memory of ours.
    unsafe { tun_set_owner(queue.as_raw_fd(), user.into()) }?;
    Ok(())
}

fn request_for(name: &str, flags: c_short) -> io::Result<libc::ifreq> {
    // SAFETY: `ifreq` is an array of integers and a union of plain integers and pointers: all
    // zeroes is a value of it.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // The last byte stays 0: the name must be terminated, and a longer one must not be cut.
    if name.len() >= request.ifr_name.len() {
        return Err(io::Error::from_raw_os_error(libc::ENAMETOOLONG));
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = std::ffi::c_char::from_ne_bytes([from]);
    }
    request.ifr_ifru.ifru_flags = flags;
    Ok(request)
}
