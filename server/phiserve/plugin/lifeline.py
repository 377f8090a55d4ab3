"""vLLM's processes end with the server that started them, however that ended: SIGKILL leaves it no time to
end them itself.
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
    """Tie the processes that are started within to this one, wherever they call `end_with_server`."""
    os.environ[_SERVER] = str(os.getpid())
    try:
        yield
    finally:
        del os.environ[_SERVER]


def end_with_server() -> None:
    """From now on this process ends at once when its server has ended, or has already. Nothing happens in any
    other process.
    """
    server = os.environ.get(_SERVER)
    if server is not None and int(server) != os.getpid():
        _watch(int(server), os.getpid())


@cache
def _watch(server: int, me: int) -> None:
    """Once in a process, forked ones included.

    Not by PR_SET_PDEATHSIG: that fires when the *thread* that started this process ends, and is silent if it
    ended before.
    """
    threading.Thread(target=_end_after, args=(server, me), daemon=True, name="phiserve-lifeline").start()


def _end_after(server: int, me: int) -> None:
    _wait_for(server)
    os.kill(
        me, signal.SIGKILL
    )  # as the server ended: what should have been tidied up, it can no longer ask for


def _wait_for(pid: int) -> None:
    """Until a process has ended; its parent need not have noticed, as psutil's way of waiting wants it."""
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
