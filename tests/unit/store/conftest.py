"""SQLite's files, and Debian's PostgreSQL, started once for all tests of a process and ended with them."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path

import psycopg
import pytest

START_TIMEOUT_S = 60.0

_WORDS = "open sesame: %/@"
"""The password, which a URL must spell in %-codes."""

IN_URL = "open%20sesame%3A%20%25%2F%40"

_OPTIONS = ("fsync=off", "max_connections=60", "shared_buffers=16MB", "log_min_messages=fatal")


def _binaries() -> Path | None:
    """Where PostgreSQL's own programs are: Debian keeps them out of the path."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    program = found[-1] if found else shutil.which("initdb")
    return None if program is None else Path(program).resolve().parent


class PostgresServer:
    """A PostgreSQL on a free port of 127.0.0.1, which runs as another user where root may not run it."""

    def __init__(self, folder: Path, binaries: Path) -> None:
        with closing(socket.create_server(("127.0.0.1", 0))) as probe:
            self.port: int = probe.getsockname()[1]
        self._folder, self._binaries, self._numbers = folder, binaries, count()
        self._user = pwd.getpwnam("postgres") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
        self._make_cluster()
        self.start()

    def start(self) -> None:
        """Start it, on the same port each time, and wait until it answers."""
        options = [f"--{option}" for option in (*_OPTIONS, f"unix_socket_directories={self._folder}")]
        where = ["-D", str(self._folder / "data"), "-p", str(self.port)]
        self.process = self._run("postgres", *where, *options)
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._answers():
            assert self.process.poll() is None, "postgres ended"
            assert time.monotonic() < deadline, "postgres does not answer"
            time.sleep(0.02)

    def stop(self) -> None:
        """End this server, with all its connections."""
        self.process.send_signal(signal.SIGQUIT)  # at once, without a checkpoint
        self.process.wait()

    def hold(self) -> list[int]:
        """Stop all its processes where they stand; their ids, for `release`."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        held = [self.process.pid, *map(int, children)]
        for process_id in held:
            os.kill(process_id, signal.SIGSTOP)
        return held

    def release(self, held: list[int]) -> None:
        """Let processes go on."""
        for process_id in held:
            os.kill(process_id, signal.SIGCONT)

    def url(self, database: str = "postgres", password: str = IN_URL) -> str:
        """The URL of a database."""
        return f"postgresql://postgres:{password}@127.0.0.1:{self.port}/{database}"

    def new_place(self) -> str:
        """The URL of the database with a schema of its own, which is empty: sooner made than a database."""
        name = f"test_{next(self._numbers)}"
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {name}".encode())
        return f"{self.url()}?options=-csearch_path%3D{name}"

    def _make_cluster(self) -> None:
        os.chown(self._folder, self._user.pw_uid, self._user.pw_gid)
        secret = self._folder / "password"
        secret.write_text(f"{_WORDS}\n")
        os.chown(secret, self._user.pw_uid, self._user.pw_gid)
        where = ["-D", str(self._folder / "data"), "-U", "postgres"]
        options = ["--no-sync", "--no-locale", "-E", "UTF8", "-A", "scram-sha-256", f"--pwfile={secret}"]
        assert self._run("initdb", *where, *options).wait() == 0

    def _run(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603 - our own command
            [str(self._binaries / program), *arguments],
            user=self._user.pw_uid,
            group=self._user.pw_gid,
            extra_groups=[],
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url(), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True


def _started() -> Iterator[PostgresServer]:
    binaries = _binaries()
    if binaries is None:
        pytest.skip("PostgreSQL is not installed (Debian's package postgresql)")
    with tempfile.TemporaryDirectory(prefix="phiserve-postgresql-") as folder:
        server = PostgresServer(Path(folder), binaries)
        yield server
        server.stop()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresServer]:
    """The PostgreSQL of all tests of this process: nobody stops it."""
    yield from _started()


@pytest.fixture
def own_postgresql() -> Iterator[PostgresServer]:
    """A PostgreSQL of the test's own, to be stopped and started."""
    yield from _started()


@pytest.fixture(params=["sqlite", "postgresql"])
def state_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A place for state, where nothing is yet: one of each kind in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'state.db'}"
    server: PostgresServer = request.getfixturevalue("postgresql")
    return server.new_place()
