"""A registry that can't be reached, and one that lacks what is asked for, are told apart."""

import os
import sys
from pathlib import Path

import pytest

from registry import fetch_by
from servers import WebServer, web_server

NOWHERE = "https://127.0.0.1:9/simple"


def download(index: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask pip for a package, of this registry and no other."""
    for name in [name for name in os.environ if name.startswith("PIP_") or name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    command = (sys.executable, "-m", "pip", "download", "--no-deps", "--no-cache-dir", "--index-url", index)
    fetch_by(*command, "--dest", str(folder), "phiserve-no-such-package==1")


def test_a_registry_that_cannot_be_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test that wants something of it is skipped, with what pip says of the connection."""
    with pytest.raises(pytest.skip.Exception, match=r"can't be reached: .*Connection"):
        download(NOWHERE, tmp_path, monkeypatch)


def test_a_pin_that_does_not_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The registry answers: the test fails, and nothing is skipped."""
    for reply in (
        (404, "text/html", b"no"),
        (200, "text/html", b"<!DOCTYPE html><html><body></body></html>"),
    ):
        with (
            web_server(WebServer(get=reply)) as server,
            pytest.raises(AssertionError, match="from versions: none"),
        ):
            download(server.url.replace("/v1", "/simple"), tmp_path, monkeypatch)
        assert "/simple/phiserve-no-such-package/" in server.paths
