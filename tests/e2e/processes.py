"""Waiting for what other processes do, and for their end."""

import time
from collections.abc import Callable, Iterable

import psutil


def gone(processes: Iterable[psutil.Process]) -> bool:
    """Whether all have ended, whether or not anybody has asked for their exit status."""
    return all(map(_ended, processes))


def wait_until(condition: Callable[[], bool], timeout_s: float = 30) -> None:
    """Come back once it holds; a failure if it does not in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "condition not met in time"
        time.sleep(0.2)  # looking at all processes costs the tested ones a good part of a core


def _ended(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
