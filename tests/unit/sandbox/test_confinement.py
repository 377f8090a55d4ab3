"""What a process can do after `limit` and `close_off`, which have no way back: each in one of its own."""

import subprocess
import sys

import pytest

from phiserve.sandbox.confinement import has_filters

needs_filters = pytest.mark.skipif(not has_filters(), reason="the kernel has no seccomp filters")

CLOSED_OFF = """
import errno, os, socket
from phiserve.sandbox.confinement import close_off, has_filters, limit
ours, theirs = socket.socketpair()
has_filters()
"""


def outcome(*lines: str) -> str:
    """What a process prints to standard error that runs these lines after some imports."""
    command = [sys.executable, "-c", CLOSED_OFF + "\n".join(lines)]
    done = subprocess.run(  # noqa: S603 - our own lines
        command, capture_output=True, text=True, check=True, timeout=60
    )
    return done.stderr


def tried(statement: str) -> tuple[str, ...]:
    """Lines that try a statement, and print the name of the error or `done`."""
    return (
        "try:",
        f"    {statement}",
        "    result = b'done'",
        "except OSError as error:",
        "    result = errno.errorcode[error.errno].encode()",
        "os.write(2, result)",
    )


@pytest.mark.parametrize("statement", ["open('/dev/null')", "socket.socket()", "os.memfd_create('x')"])
def test_limits_alone_let_nothing_be_opened(statement: str) -> None:
    """Also where the kernel has no filters."""
    assert outcome("limit(2**30)", *tried(statement)) == "EMFILE"


def test_memory_has_a_limit() -> None:
    """What exceeds it is an exception; what does not is there."""
    eat = (
        "try:",
        "    bytearray(2**28)",
        "    bytearray(2**30)",
        "except MemoryError:",
        "    os.write(2, b'no')",
    )
    assert outcome("limit(2**29)", *eat) == "no"


def test_it_gives_way() -> None:
    """To everything that is as it was started."""
    assert (
        outcome("before = os.nice(0)", "limit(2**30)", "os.write(2, str(os.nice(0) - before).encode())")
        == "10"
    )


@needs_filters
def test_the_filter_lets_messages_through_its_channel_alone() -> None:
    """The other end, which another process would have, is closed to it."""
    lines = ("assert close_off(ours.fileno())", "ours.send(b'x')")
    assert outcome(*lines, *tried("theirs.recv(1)")) == "EPERM"
    assert outcome(*lines, *tried("theirs.send(b'x')")) == "EPERM"


@needs_filters
@pytest.mark.parametrize(
    "statement",
    [
        "os.kill(os.getppid(), 0)",
        "os.fork()",
        "os.execv('/bin/true', ['true'])",
        "os.stat('/')",
        "os.dup(2)",
        "os.setpriority(os.PRIO_PROCESS, 0, 0)",
        "os.sched_setaffinity(0, {0})",
    ],
)
def test_the_filter_refuses(statement: str) -> None:
    """Whatever concerns anything but the process itself, or would give it more than it has."""
    assert outcome("assert close_off(ours.fileno())", *tried(statement)) == "EPERM"


@needs_filters
def test_threads_may_start() -> None:
    """Some decoders have several."""
    lines = ("import threading", "thread = threading.Thread(target=os.write, args=(2, b'thread'))")
    assert outcome(*lines, "assert close_off(ours.fileno())", "thread.start()", "thread.join()") == "thread"
