"""The template forks when it is told to and says why it cannot; what it forks becomes what it is sent."""

import errno
import os
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from phiserve.engine import template
from phiserve.engine.template import Failed, Template, place

COUNTED = """
import threading
from phiserve.engine.template import num_threads
print(num_threads())
threading.Thread(target=threading.Event().wait, daemon=True).start()
print(num_threads())
"""


def test_how_many_threads() -> None:
    """Before and after another has begun."""
    ran = subprocess.run([sys.executable, "-c", COUNTED], capture_output=True, text=True, check=True)  # noqa: S603 - our own
    assert ran.stdout.split() == ["1", "2"]


def test_it_refuses_to_fork_with_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread's locks would stay locked, and OpenMP would wait for threads that are not there."""
    monkeypatch.setattr(template, "num_threads", lambda: 2)
    channel = os.open(os.devnull, os.O_RDONLY)
    with socket.socket() as control:
        answer = Template(control)._answer([channel])
    assert isinstance(answer, Failed)
    assert "several threads" in answer.reason
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(channel)


def test_what_fails_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """And leaves no descriptor: a fork that the system refuses, a channel that does not arrive."""

    def fork() -> int:
        raise BlockingIOError(errno.EAGAIN, "no process left")

    monkeypatch.setattr(template, "num_threads", lambda: 1)
    monkeypatch.setattr(os, "fork", fork)
    with socket.socket() as control:
        forking = Template(control)
        before = psutil.Process().num_fds()
        refused = forking._answer([os.open(os.devnull, os.O_RDONLY)])
        assert psutil.Process().num_fds() == before
        missing = forking._answer([])
    assert isinstance(refused, Failed)
    assert "no process left" in refused.reason
    assert missing == Failed("the channel did not arrive")


def test_descriptors_change_places(tmp_path: Path) -> None:
    """Also with each other."""
    files = [(tmp_path / name).open("w") for name in "ab"]
    first, second = (os.dup(file.fileno()) for file in files)
    place([first, second], [second, first])
    assert [os.fstat(number).st_ino for number in (second, first)] == [
        os.fstat(file.fileno()).st_ino for file in files
    ]
    assert not os.get_inheritable(first)
    for number in (first, second):
        os.close(number)
    for file in files:
        file.close()
