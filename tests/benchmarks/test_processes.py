"""A server's processes by what they are, with what they have used."""

import os
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from benchmarks.processes import ProcessUse, cpu_seconds, memory, tree, use

SLEEP = "import sys; sys.stdin.read()"
FAMILY = (
    f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {SLEEP!r}]); print(flush=True); {SLEEP}"
)
ENGINE = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {FAMILY!r}]); {SLEEP}"


@pytest.fixture
def server() -> Iterator[int]:
    """A process with a child that has a child, as plain vLLM's server has on CPU."""
    command = [sys.executable, "-c", ENGINE]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:  # noqa: S603 - our own command
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid
        family = tree(process.pid)
        assert process.stdin is not None
        process.stdin.close()
        psutil.wait_procs(family[1:], timeout=30)


def test_roles_by_descent(server: int) -> None:
    """The API process, the engine, its worker; each has used some memory."""
    used = use(server)
    assert sorted(one.role for one in used.values()) == ["api", "engine", "worker"]
    assert used[server].role == "api"
    assert all(one.peak_bytes >= one.share_bytes > 0 for one in used.values())


def test_a_server_that_has_gone() -> None:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    assert use(done.pid) == {}


def test_cpu_between_two_looks() -> None:
    """By role; a process that is new had used nothing before."""
    before = {1: ProcessUse("api", 1.0, 0, 0)}
    after = {1: ProcessUse("api", 1.5, 0, 0), 2: ProcessUse("engine", 2.0, 0, 0)}
    assert cpu_seconds(before, after) == {"api": 0.5, "engine": 2.0, "worker": 0.0, "other": 0.0}


def test_memory_is_summed() -> None:
    measures = memory([ProcessUse("api", 0, 10, 8), ProcessUse("engine", 0, 20, 12)])
    assert (measures["peak_all_bytes"], measures["peak_engine_bytes"], measures["share_all_bytes"]) == (
        30,
        20,
        20,
    )


def test_this_process() -> None:
    """CPU time grows with work."""
    before = use(os.getpid())
    while cpu_seconds(before, use(os.getpid()))["api"] < 0.05:
        sum(range(100_000))
