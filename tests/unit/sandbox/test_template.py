"""The template does what it is told or says why not; it and its workers end with the server."""

import errno
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import psutil
import pytest

from phiserve.sandbox.messages import (
    MAX_MESSAGE_BYTES,
    Answer,
    Command,
    Ended,
    EndWorker,
    Failed,
    Ready,
    Setup,
    StartWorker,
    answers,
)
from phiserve.sandbox.template import Template

WAIT_S = 60
SERVER = """
import psutil, sys, threading
from phiserve.sandbox.decoder import WorkerDecoder
from phiserve.sandbox.limits import WorkerLimits
decoder = WorkerDecoder(WorkerLimits(least_cpu_s=1000), 2, sys.argv[1])
decoder.start()
print(*(child.pid for child in psutil.Process().children(recursive=True)), flush=True)
threading.Thread(target=decoder.open, args=(b"loop",)).start()
decoder.open(b"sleep")
"""


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_is_left_when_the_server_ends(monkeypatch: pytest.MonkeyPatch, by: signal.Signals) -> None:
    """Neither idle processes nor those that are at work."""
    monkeypatch.setenv("PYTHONPATH", "tests")
    command = [sys.executable, "-c", SERVER, "hostile_codecs:parse"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:  # noqa: S603 - our own
        assert server.stdout is not None
        children = [psutil.Process(int(pid)) for pid in server.stdout.readline().split()]
        assert len(children) == 3
        server.send_signal(by)
        server.wait(WAIT_S)
    gone, alive = psutil.wait_procs(children, WAIT_S)
    assert (len(gone), alive) == (3, [])


@contextmanager
def template() -> Iterator[socket.socket]:
    """The server's end of the channel to a template that runs here, in a thread, and has said it is ready."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.settimeout(WAIT_S)
    running = threading.Thread(target=Template(theirs, Setup("phiserve.codecs:parse", (), 0)).run)
    running.start()
    with theirs, ours:
        assert answers.decode(ours.recv(MAX_MESSAGE_BYTES)) == Ready()
        yield ours
        ours.shutdown(socket.SHUT_RDWR)
        running.join(WAIT_S)
    assert not running.is_alive()


def answer(channel: socket.socket, command: Command, *descriptors: int) -> Answer:
    """What a template says to a command."""
    socket.send_fds(channel, [msgspec.msgpack.encode(command)], descriptors)
    return answers.decode(channel.recv(MAX_MESSAGE_BYTES))


def test_processes_that_are_no_workers_are_let_be() -> None:
    """Neither one that has a worker's id by now is ended, nor does one that is gone end the template."""
    with subprocess.Popen(["/bin/sleep", "60"]) as other, template() as channel:
        assert answer(channel, EndWorker(other.pid)) == Ended(0)
        assert other.poll() is None
        other.kill()
        other.wait(WAIT_S)
        assert answer(channel, EndWorker(other.pid)) == Ended(0)


def test_a_worker_that_cannot_be_forked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Is told, and leaves no descriptor; the template goes on."""

    def fork() -> int:
        raise BlockingIOError(errno.EAGAIN, "no process left")

    monkeypatch.setattr(os, "fork", fork)
    with template() as channel, open(os.devnull) as file:
        before = psutil.Process().num_fds()
        for _ in range(2):
            failed = answer(channel, StartWorker(), file.fileno(), file.fileno())
            assert isinstance(failed, Failed)
            assert "no process left" in failed.reason
        assert psutil.Process().num_fds() == before


def test_descriptors_that_do_not_arrive() -> None:
    """Are told, and leave no descriptor; the template goes on."""
    with template() as channel, open(os.devnull) as file:
        before = psutil.Process().num_fds()
        for descriptors in ((), (file.fileno(),)):
            failed = answer(channel, StartWorker(), *descriptors)
            assert isinstance(failed, Failed)
            assert "did not arrive" in failed.reason
        assert psutil.Process().num_fds() == before
