//! The system calls that are left: an allow-list, and death for everything else.
//!
//! It covers what runs after the start: reading and writing the TUN device, tokio, TLS to the API
//! server, name resolution, listing sockets (sock_diag), reading files, writing those that are open
//! already, memory and threads. No new programs, no new namespaces, no file opened for writing, no raw
//! or packet sockets.
//!
//! A call outside the list ends the process with SIGSYS; the kernel logs its number (type=1326 in
//! the audit log). The list is exercised whole by the scenario tests, which run with it.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, apply_filter_all_threads,
};

use super::Maps;
use crate::steering::bpf_sys::Command;

/// Installs the filter in every thread, present and future, with no_new_privs.
///
/// # Errors
/// When the kernel has no seccomp filters, or a thread has another filter than this one.
pub fn install(maps: Maps) -> Result<(), seccompiler::Error> {
    let programs = [without_clone3()?, allow_list(maps)?];
    programs
        .iter()
        .try_for_each(|program| apply_filter_all_threads(program))
}

/// `clone3` takes its flags in memory, where no filter sees them: it is said not to exist, and the C
/// library falls back to `clone`, whose flags are checked.
fn without_clone3() -> Result<BpfProgram, seccompiler::Error> {
    let errno = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    program(
        BTreeMap::from([(libc::SYS_clone3, Vec::new())]),
        SeccompAction::Allow,
        errno,
    )
}

fn allow_list(maps: Maps) -> Result<BpfProgram, seccompiler::Error> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = ALLOWED
        .iter()
        .chain(ALLOWED_HERE)
        .map(|call| (*call, Vec::new()))
        .collect();
    // The kernel still asks this program when the other one has answered ENOSYS; the stricter wins.
    rules.insert(libc::SYS_clone3, Vec::new());
    rules.insert(libc::SYS_clone, vec![only_threads()?]);
    rules.insert(libc::SYS_openat, vec![for_reading(2)?]);
    #[cfg(target_arch = "x86_64")]
    rules.insert(libc::SYS_open, vec![for_reading(1)?]);
    rules.insert(libc::SYS_socket, families()?);
    if maps == Maps::Used {
        rules.insert(libc::SYS_bpf, elements_of_maps()?);
    }
    program(rules, SeccompAction::KillProcess, SeccompAction::Allow)
}

fn program(
    rules: BTreeMap<i64, Vec<SeccompRule>>,
    otherwise: SeccompAction,
    on_match: SeccompAction,
) -> Result<BpfProgram, seccompiler::Error> {
    let architecture = std::env::consts::ARCH.try_into()?;
    Ok(SeccompFilter::new(rules, otherwise, on_match, architecture)?.try_into()?)
}

/// A thread of this process, in its namespaces.
fn only_threads() -> Result<SeccompRule, seccompiler::Error> {
    const NAMESPACES: i32 = libc::CLONE_NEWUSER
        | libc::CLONE_NEWNET
        | libc::CLONE_NEWNS
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWCGROUP;
    masked(0, libc::CLONE_THREAD | NAMESPACES, libc::CLONE_THREAD)
}

fn for_reading(argument: u8) -> Result<SeccompRule, seccompiler::Error> {
    masked(
        argument,
        libc::O_ACCMODE | libc::O_CREAT | libc::O_TRUNC,
        libc::O_RDONLY,
    )
}

/// The API server and DNS, the C library's name service, and netlink (sock_diag; getaddrinfo() asks
/// for addresses).
fn families() -> Result<Vec<SeccompRule>, seccompiler::Error> {
    let families = [
        libc::AF_INET,
        libc::AF_INET6,
        libc::AF_UNIX,
        libc::AF_NETLINK,
    ];
    families
        .into_iter()
        .map(|family| masked(0, -1, family))
        .collect()
}

/// Nothing that makes, loads, attaches or finds anything.
fn elements_of_maps() -> Result<Vec<SeccompRule>, seccompiler::Error> {
    let commands = Command::ALL.into_iter();
    commands
        .map(|command| masked(0, -1, command as i32))
        .collect()
}

fn masked(argument: u8, mask: i32, value: i32) -> Result<SeccompRule, seccompiler::Error> {
    let bits = |number: i32| u64::from(number.cast_unsigned());
    let condition = SeccompCondition::new(
        argument,
        SeccompCmpArgLen::Dword,
        SeccompCmpOp::MaskedEq(bits(mask)),
        bits(value),
    )?;
    Ok(SeccompRule::new(vec![condition])?)
}

/// Calls of every architecture.
const ALLOWED: &[i64] = &[
    // the device, files, standard output
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_pread64,
    libc::SYS_preadv,
    libc::SYS_write,
    libc::SYS_writev,
    // the list that is kept, in files that are open already
    libc::SYS_pwrite64,
    libc::SYS_ftruncate,
    libc::SYS_fdatasync,
    libc::SYS_close,
    libc::SYS_lseek,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_statfs,
    libc::SYS_fstatfs,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_getdents64,
    libc::SYS_getcwd,
    libc::SYS_readlinkat,
    libc::SYS_fcntl,
    libc::SYS_fadvise64,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_ioctl,
    libc::SYS_inotify_init1,
    libc::SYS_inotify_add_watch,
    libc::SYS_inotify_rm_watch,
    // waiting
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_eventfd2,
    libc::SYS_pipe2,
    libc::SYS_ppoll,
    libc::SYS_pselect6,
    libc::SYS_timerfd_create,
    libc::SYS_timerfd_settime,
    libc::SYS_nanosleep,
    libc::SYS_clock_nanosleep,
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_gettimeofday,
    libc::SYS_restart_syscall,
    // sockets
    libc::SYS_socketpair,
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_connect,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
    libc::SYS_sendto,
    libc::SYS_recvfrom,
    libc::SYS_sendmsg,
    libc::SYS_recvmsg,
    libc::SYS_sendmmsg,
    libc::SYS_recvmmsg,
    libc::SYS_shutdown,
    // memory
    libc::SYS_brk,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_membarrier,
    // threads, signals, the process itself
    libc::SYS_futex,
    libc::SYS_set_robust_list,
    libc::SYS_get_robust_list,
    libc::SYS_set_tid_address,
    libc::SYS_rseq,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_setaffinity,
    libc::SYS_getcpu,
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_tgkill,
    libc::SYS_sigaltstack,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_prctl,
    libc::SYS_prlimit64,
    libc::SYS_getrusage,
    libc::SYS_sysinfo,
    libc::SYS_uname,
    libc::SYS_getrandom,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// Older spellings of the same, which only this architecture has.
#[cfg(target_arch = "x86_64")]
const ALLOWED_HERE: &[i64] = &[
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_access,
    libc::SYS_readlink,
    libc::SYS_dup2,
    libc::SYS_poll,
    libc::SYS_select,
    libc::SYS_epoll_create,
    libc::SYS_epoll_wait,
    libc::SYS_eventfd,
    libc::SYS_pipe,
    libc::SYS_arch_prctl,
    libc::SYS_time,
    libc::SYS_getrlimit,
];

#[cfg(not(target_arch = "x86_64"))]
const ALLOWED_HERE: &[i64] = &[];
