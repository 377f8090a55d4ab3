"""Places for files: a folder, or a bucket of moto's server; what is known of them in SQLite or PostgreSQL."""

import json
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path

import obstore
import pytest
from obstore.store import S3Store

from kept_files import Place, in_folder
from phiserve.files.blobs import MARKER_NAME
from unit.store.conftest import postgresql, state_url

__all__ = ["postgresql", "state_url"]  # fixtures of the store's tests

START_TIMEOUT_S = 60.0


class S3Server:
    """moto's server of S3 on a free port of 127.0.0.1."""

    def __init__(self) -> None:
        with closing(socket.create_server(("127.0.0.1", 0))) as probe:
            self.url = f"http://127.0.0.1:{probe.getsockname()[1]}"
        self._numbers = count()
        self.process = subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", self.url.rpartition(":")[2]],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._answers():
            assert self.process.poll() is None, "moto's server ended"
            assert time.monotonic() < deadline, "moto's server does not answer"
            time.sleep(0.05)

    def stop(self) -> None:
        """End it, and all that it has."""
        self.process.kill()
        self.process.wait()

    def new_bucket(self) -> str:
        """The name of a new one."""
        name = f"bucket-{next(self._numbers)}"
        request = urllib.request.Request(f"{self.url}/{name}", method="PUT")  # noqa: S310
        urllib.request.urlopen(request).close()  # noqa: S310 - our own server
        return name

    def deny(self, bucket: str, action: str) -> None:
        """Let nobody do something with a bucket's objects: `GetObject`, say."""
        what = {"Action": f"s3:{action}", "Resource": f"arn:aws:s3:::{bucket}/*"}
        policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Principal": "*", **what}]}
        url, body = f"{self.url}/{bucket}?policy", json.dumps(policy).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(url, body, headers, method="PUT")  # noqa: S310
        urllib.request.urlopen(request).close()  # noqa: S310 - our own server

    def _answers(self) -> bool:
        try:
            urllib.request.urlopen(self.url).close()  # noqa: S310 - our own server
        except OSError:
            return False
        return True


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """The S3 of all tests of this process."""
    server = S3Server()
    yield server
    server.stop()


@pytest.fixture
def s3(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """The same, where clients of S3 look for it."""
    variables = {"ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": "b", "REGION": "us-east-1"}
    for name, value in (variables | {"ENDPOINT_URL": s3_server.url}).items():
        monkeypatch.setenv(f"AWS_{name}", value)
    return s3_server


@pytest.fixture(params=["folder", "bucket"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A place where nothing is yet: one of each kind in turn, beside SQLite."""
    state = f"sqlite:///{tmp_path / 'state.db'}"
    return folder_place(tmp_path, state) if request.param == "folder" else bucket_place(request, state)


@pytest.fixture(params=["folder, sqlite", "bucket, postgresql"])
def shared_place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A place that several processes may share: on one machine, or on many."""
    if request.param == "folder, sqlite":
        return folder_place(tmp_path, f"sqlite:///{tmp_path / 'state.db'}")
    return bucket_place(request, request.getfixturevalue("postgresql").new_place())


def folder_place(folder: Path, state: str) -> Place:
    """Files in a folder."""
    return Place(state, f"file://{folder}/files", in_folder(folder / "files"))


def bucket_place(request: pytest.FixtureRequest, state: str) -> Place:
    """Files in a bucket, below a prefix."""
    url = f"s3://{request.getfixturevalue('s3').new_bucket()}/some/prefix"
    store = S3Store.from_url(url, client_options={"allow_http": True})

    def contents() -> list[str]:
        return sorted(meta["path"] for meta in obstore.list(store).collect() if meta["path"] != MARKER_NAME)

    return Place(state, url, contents)
