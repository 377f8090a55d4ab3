"""Limits and closes off the process that calls it, for the rest of its life."""

import errno
import os
import resource
import signal
from functools import cache

import seccompy
from seccompy import ArgCmp, CmpOp

NICENESS = 10
"""How far workers give way to the event loop and the engine."""

_ALLOWED = (
    *("brk", "munmap", "mremap", "madvise", "futex", "membarrier", "set_robust_list", "rseq"),
    *("rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "restart_syscall", "setitimer"),
    *("clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep", "gettimeofday", "getrandom"),
    *("getpid", "gettid", "sched_yield", "sched_getaffinity", "getcpu", "sysinfo", "uname"),
    *("close", "exit", "exit_group"),
)
"""System calls that touch nothing but the process itself: its memory, threads, signals and clocks."""

_PROT_EXEC = 4
_CLONE_THREAD = 0x10000
_PR_SET_NAME = 15
_STDERR = 2


def limit(memory_bytes: int) -> None:
    """Limit this process to `memory_bytes` more of address space than it has now, and make it give way.

    It can open nothing from here on, what it could write to has no length, and its end leaves no core file.
    """
    taken = _address_space()
    for kind, most in (
        (resource.RLIMIT_AS, taken + memory_bytes),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, 0),
    ):
        resource.setrlimit(kind, (most, most))
    os.nice(NICENESS)


@cache
def has_filters() -> bool:
    """Whether the kernel has filters, and its system calls have numbers that are known here.

    The library looks for the C library when it is first asked, which no process can after `limit`.
    """
    try:
        seccompy.audit_arch()
        return seccompy.supported()
    except (seccompy.SeccompError, OSError):
        return False


def close_off(channel: int) -> bool:
    """Have the kernel refuse every system call (EPERM) that decoding does not need, where it can.

    Messages pass through the socket `channel` alone. No file, socket or other process can be reached, no
    program started, and no memory made executable. Returns whether the filter holds.
    """
    if not has_filters():
        return False
    try:
        _filter(channel).load()
    except (seccompy.SeccompError, OSError):
        return False
    return True


def end_with_parent(parent: int) -> None:
    """Have the kernel kill this process when `parent`, which has one thread, ends; now if it has ended."""
    import ctypes

    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


def _filter(channel: int) -> seccompy.Filter:
    filter_ = seccompy.Filter(seccompy.Action.ERRNO | errno.EPERM)
    for name in _ALLOWED:
        filter_.allow(name)
    for name in ("mmap", "mprotect"):
        filter_.allow(name, args=[ArgCmp(2, CmpOp.MASKED_EQ, 0, mask=_PROT_EXEC)])
    # Threads, which some decoders start, and no processes. glibc falls back from clone3, whose flags a filter
    # cannot see, where that does not exist.
    filter_.allow("clone", args=[ArgCmp(0, CmpOp.MASKED_EQ, _CLONE_THREAD, mask=_CLONE_THREAD)])
    filter_.errno("clone3", errno.ENOSYS)
    filter_.allow("prctl", args={0: _PR_SET_NAME})
    filter_.allow("tgkill", args={0: os.getpid()})  # abort() does
    filter_.allow("write", args={0: _STDERR})
    for name in ("sendto", "recvfrom"):
        filter_.allow(name, args={0: channel})
    return filter_


def _address_space() -> int:
    """Bytes of address space that this process has. Source: proc(5), /proc/self/statm."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * resource.getpagesize()
