"""Servers are started on a port of their own, waited for, and ended with all that they started."""

import sys
from pathlib import Path

import psutil
import pytest

from benchmarks.local_http import ask
from benchmarks.peers import Launch, phiserve, plain_vllm, running
from benchmarks.processes import tree
from benchmarks.settings import EngineSettings
from e2e.processes import gone

SERVER = """
import http.server, subprocess, sys
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(sys.argv[-1])), Handler).serve_forever()
"""


def launch(code: str) -> Launch:
    return Launch("fake", (sys.executable, "-c", code), {})


def test_a_server_and_its_child_end(tmp_path: Path) -> None:
    """Even a child that has left the server's group."""
    with running(launch(SERVER), tmp_path / "logs" / "log") as server:
        assert ask(server.url, "GET", "/v1/models")[0] == 200
        assert server.ready_s > 0
        family = tree(server.pid)
        assert len(family) == 2
    assert gone(family)


def test_a_server_that_fails_is_told_with_its_log(tmp_path: Path) -> None:
    """And leaves nothing behind."""
    with (
        pytest.raises(RuntimeError, match="no weights"),
        running(launch("raise SystemExit('no weights')"), tmp_path / "log"),
    ):
        pytest.fail("it does not run")
    assert not [child for child in psutil.Process().children() if "no weights" in " ".join(child.cmdline())]


def test_our_plugin_is_off_for_plain_vllm_alone(tmp_path: Path) -> None:
    """Commands say so."""
    ours = phiserve(tmp_path, EngineSettings())
    plain = plain_vllm(tmp_path, EngineSettings(), tmp_path)
    assert "VLLM_PLUGINS" not in ours.told
    assert plain.told.startswith('VLLM_PLUGINS="" python -m vllm.entrypoints.openai.api_server --model ')
    assert plain.variables["VLLM_PLUGINS"] == ""
