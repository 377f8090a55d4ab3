"""The template and its workers end with the server, whatever ended that."""

import signal
import subprocess
import sys

import psutil
import pytest

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
