//! Which system calls the process may make: those of the engine, of one thread of tokio and of files.
//!
//! What is not on the list fails with `EPERM` and does not end the process: a newer C library tries
//! calls that it can do without, and ending here would end other items' visits too. What is refused is
//! refused either way. Nothing on the list makes a process, a program, a socket or a name in the network.

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Len, SeccompCmpOp as Op, SeccompCondition,
    SeccompFilter, SeccompRule, apply_filter, apply_filter_all_threads,
};
use std::collections::BTreeMap;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Allowed whatever their arguments are.
const PLAIN: &[i64] = &[
    // memory
    libc::SYS_brk,
    libc::SYS_madvise,
    libc::SYS_membarrier,
    libc::SYS_memfd_create,
    libc::SYS_mincore,
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_munmap,
    // threads and time
    libc::SYS_clock_getres,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_futex,
    libc::SYS_get_robust_list,
    libc::SYS_getcpu,
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_getrandom,
    libc::SYS_gettid,
    libc::SYS_getrusage,
    libc::SYS_nanosleep,
    libc::SYS_restart_syscall,
    libc::SYS_rseq,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_set_robust_list,
    libc::SYS_set_tid_address,
    // the engine's traps
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    // waiting, and the one socket that is there
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_eventfd2,
    libc::SYS_pipe2,
    libc::SYS_ppoll,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_sendmsg,
    libc::SYS_sendto,
    libc::SYS_shutdown,
    // files, which Landlock confines
    libc::SYS_close,
    libc::SYS_close_range,
    libc::SYS_copy_file_range,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_fadvise64,
    libc::SYS_fallocate,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_fdatasync,
    libc::SYS_flock,
    libc::SYS_fstat,
    libc::SYS_fstatfs,
    libc::SYS_fsync,
    libc::SYS_ftruncate,
    libc::SYS_getcwd,
    libc::SYS_getdents64,
    libc::SYS_geteuid,
    libc::SYS_getuid,
    libc::SYS_linkat,
    libc::SYS_lseek,
    libc::SYS_mkdirat,
    libc::SYS_newfstatat,
    libc::SYS_openat,
    libc::SYS_openat2,
    libc::SYS_pread64,
    libc::SYS_preadv,
    libc::SYS_preadv2,
    libc::SYS_pwrite64,
    libc::SYS_pwritev,
    libc::SYS_pwritev2,
    libc::SYS_read,
    libc::SYS_readlinkat,
    libc::SYS_readv,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_sendfile,
    libc::SYS_splice,
    libc::SYS_statx,
    libc::SYS_symlinkat,
    libc::SYS_sync_file_range,
    libc::SYS_unlinkat,
    libc::SYS_utimensat,
    libc::SYS_write,
    libc::SYS_writev,
];

/// Older forms of the same, which other machines do not have.
#[cfg(target_arch = "x86_64")]
const OLDER: &[i64] = &[
    libc::SYS_access,
    libc::SYS_chmod,
    libc::SYS_dup2,
    libc::SYS_epoll_wait,
    libc::SYS_link,
    libc::SYS_lstat,
    libc::SYS_mkdir,
    libc::SYS_open,
    libc::SYS_poll,
    libc::SYS_readlink,
    libc::SYS_rename,
    libc::SYS_rmdir,
    libc::SYS_stat,
    libc::SYS_symlink,
    libc::SYS_time,
    libc::SYS_unlink,
];
#[cfg(not(target_arch = "x86_64"))]
const OLDER: &[i64] = &[];

/// `PAGEMAP_SCAN`: which pages a visit touched.
const PAGEMAP_SCAN: u64 = 0xc060_6610;

/// What [`PLAIN`] has not; the reason for each is that it might do more.
fn conditional() -> Result<Rules, String> {
    let mut rules = Rules::new();
    let mut allow = |call: i64, conditions: Vec<SeccompCondition>| {
        let rule = SeccompRule::new(conditions).map_err(|e| e.to_string())?;
        rules.entry(call).or_default().push(rule);
        Ok::<_, String>(())
    };
    for number in [PAGEMAP_SCAN, libc::FIONBIO, libc::FIOCLEX] {
        allow(libc::SYS_ioctl, vec![is(1, number)?])?;
    }
    // Not those that have another process signalled.
    for command in [
        libc::F_DUPFD,
        libc::F_DUPFD_CLOEXEC,
        libc::F_GETFD,
        libc::F_SETFD,
        libc::F_GETFL,
        libc::F_SETFL,
        libc::F_ADD_SEALS,
        libc::F_GET_SEALS,
    ] {
        allow(libc::SYS_fcntl, vec![is(1, command as u64)?])?;
    }
    // The name of a thread; and what a further filter takes, which only ever refuses more.
    allow(libc::SYS_prctl, vec![is(0, libc::PR_SET_NAME as u64)?])?;
    allow(
        libc::SYS_prctl,
        vec![is(0, libc::PR_SET_NO_NEW_PRIVS as u64)?],
    )?;
    allow(
        libc::SYS_seccomp,
        vec![is(0, u64::from(libc::SECCOMP_SET_MODE_FILTER))?],
    )?;
    // Threads, and no processes.
    let thread = libc::CLONE_THREAD as u64;
    let thread = SeccompCondition::new(0, Len::Qword, Op::MaskedEq(thread), thread);
    allow(libc::SYS_clone, vec![thread.map_err(|e| e.to_string())?])?;
    // Reading limits, its own.
    let new = SeccompCondition::new(2, Len::Qword, Op::Eq, 0).map_err(|e| e.to_string())?;
    allow(libc::SYS_prlimit64, vec![is(0, 0)?, new])?;
    // Ending itself.
    let own = u64::from(std::process::id());
    allow(libc::SYS_tgkill, vec![is(0, own)?])?;
    Ok(rules)
}

fn is(argument: u8, value: u64) -> Result<SeccompCondition, String> {
    SeccompCondition::new(argument, Len::Dword, Op::Eq, value).map_err(|e| e.to_string())
}

fn program(
    rules: Rules,
    other: SeccompAction,
    listed: SeccompAction,
) -> Result<BpfProgram, String> {
    let machine = std::env::consts::ARCH.try_into();
    let machine = machine.map_err(|_| format!("not for {}", std::env::consts::ARCH))?;
    SeccompFilter::new(rules, other, listed, machine)
        .and_then(BpfProgram::try_from)
        .map_err(|error| error.to_string())
}

pub(super) fn restrict() -> Result<String, String> {
    let mut rules = conditional()?;
    rules.extend(PLAIN.iter().chain(OLDER).map(|call| (*call, Vec::new())));
    // Its flags lie in memory, where no filter sees them: the C library falls back to `clone`.
    rules.insert(libc::SYS_clone3, Vec::new());
    let refused = SeccompAction::Errno(libc::EPERM as u32);
    let filters = [
        program(
            Rules::from([(libc::SYS_clone3, Vec::new())]),
            SeccompAction::Allow,
            SeccompAction::Errno(libc::ENOSYS as u32),
        )?,
        program(rules, refused, SeccompAction::Allow)?,
    ];
    for filter in filters {
        apply_filter(&filter).map_err(|error| error.to_string())?;
    }
    Ok(String::new())
}

/// No memory becomes code any more, in no thread.
pub(super) fn seal() -> Result<(), String> {
    let code = libc::PROT_EXEC as u64;
    let makes_code = || {
        SeccompCondition::new(2, Len::Qword, Op::MaskedEq(code), code)
            .and_then(|condition| SeccompRule::new(vec![condition]))
            .map_err(|error| error.to_string())
    };
    let mut rules = Rules::new();
    for call in [libc::SYS_mmap, libc::SYS_mprotect] {
        rules.insert(call, vec![makes_code()?]);
    }
    let filter = program(
        rules,
        SeccompAction::Allow,
        SeccompAction::Errno(libc::EPERM as u32),
    )?;
    apply_filter_all_threads(&filter).map_err(|error| error.to_string())
}
