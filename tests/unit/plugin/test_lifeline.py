"""Processes that are tied to a server end with it, whenever they begin to watch; no others do."""

import os
import pickle
import signal
import subprocess
import sys
import threading

import pytest

from phiserve.plugin import lifeline
from phiserve.plugin.hf_config import Phi3VConfig
from phiserve.plugin.lifeline import end_with_server, tied_processes

WATCHING = "from phiserve.plugin.lifeline import end_with_server; end_with_server(); input('watching')"


def child(server: int) -> "subprocess.Popen[bytes]":
    """A process that believes itself started by this server, and waits for input that does not come."""
    environment = os.environ | {lifeline._SERVER: str(server)}
    return subprocess.Popen(  # noqa: S603 - our own command
        [sys.executable, "-c", WATCHING], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    )


def sleeper() -> "subprocess.Popen[bytes]":
    """A process that ends when it is killed."""
    return subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)


def test_a_process_ends_with_its_server() -> None:
    """Killed, and not even waited for by its own parent: a process is gone when it has ended."""
    with sleeper() as server, child(server.pid) as watching:
        assert watching.stdout is not None
        assert watching.stdout.read(8) == b"watching"
        assert watching.poll() is None
        server.kill()
        assert watching.wait(60) == -signal.SIGKILL


def test_a_server_that_has_ended_already() -> None:
    """Whoever begins to watch too late ends too."""
    with sleeper() as server:
        server.kill()
    with child(server.pid) as watching:
        assert watching.wait(60) == -signal.SIGKILL


def watchers() -> list[threading.Thread]:
    """Threads of this process that wait for a server."""
    return [thread for thread in threading.enumerate() if thread.name == "phiserve-lifeline"]


def test_only_what_a_server_starts_is_tied(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the server itself nor any other user of vLLM watches anything; the variable lasts as long as
    the start.
    """
    monkeypatch.delenv(lifeline._SERVER, raising=False)
    end_with_server()
    with tied_processes():
        assert os.environ[lifeline._SERVER] == str(os.getpid())
        end_with_server()
    assert lifeline._SERVER not in os.environ
    assert watchers() == []


def test_the_configuration_brings_it_along(monkeypatch: pytest.MonkeyPatch) -> None:
    """vLLM sends its configuration to every process it starts, before anything else of ours; nothing of it is
    lost.
    """
    watched: list[tuple[int, int]] = []
    monkeypatch.setattr(lifeline, "_watch", lambda server, me: watched.append((server, me)))
    monkeypatch.setenv(lifeline._SERVER, "1")
    config = Phi3VConfig(hidden_size=64)
    assert pickle.loads(pickle.dumps(config)).to_dict() == config.to_dict()  # noqa: S301 - our own
    assert watched == [(1, os.getpid())]
