"""vLLM's processes end with the server that started them.

They do so even when SIGKILL ends it, which leaves it no time to end them itself.

The server calls `tied_processes`, its children `end_with_server`.
"""

import os
import select
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache

import psutil

_SERVER = "_PHISERVE_SERVER"
"""Environment variable with the server's process id, for the processes that vLLM starts and for no others."""


@contextmanager
def tied_processes() -> Iterator[None]:
    """Tie the processes started within this context to this one.

    Those that call `end_with_server` end with it.
    """
    os.environ[_SERVER] = str(os.getpid())
    try:
        yield
    finally:
        del os.environ[_SERVER]


def end_with_server() -> None:
    """Kill this process as soon as its server has ended, or now if it has already.

    Does nothing in processes that were not started within `tied_processes`, the server's own among them.
    """
    server = os.environ.get(_SERVER)
    if server is not None and int(server) != os.getpid():
        _watch(int(server), os.getpid())


@cache
def _watch(server: int, me: int) -> None:
    """Watch the server from a thread of process `me`, started once in each process, forked ones included.

    Not by PR_SET_PDEATHSIG: that fires when the *thread* that started this process ends, and is silent if it
    ended before.
    """
    threading.Thread(target=_end_after, args=(server, me), daemon=True, name="phiserve-lifeline").start()


def _end_after(server: int, me: int) -> None:
    _wait_for(server)
    os.kill(me, signal.SIGKILL)  # not SIGTERM: nobody is left for whom to finish anything


def _wait_for(pid: int) -> None:
    """Wait until a process has ended.

    Returns even if its parent has not collected it yet, unlike psutil's `wait`.
    """
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    except OSError:  # not on Linux before 5.3, nor where a sandbox forbids it
        with suppress(psutil.NoSuchProcess):
            psutil.Process(pid).wait()
        return
    waiting = select.poll()
    waiting.register(descriptor, select.POLLIN)
    waiting.poll()
    os.close(descriptor)
