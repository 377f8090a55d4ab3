"""Names are looked up apart from everything else, and only public ones pass."""

import asyncio
import socket
import subprocess
import sys
import threading

import pytest

from phiserve.media.addresses import is_public
from phiserve.media.resolver import PrivateAddress, PublicResolver, SystemResolver
from web import Names, until

Address = tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[str | int, ...]]
"""As `socket.getaddrinfo` tells them."""


class SlowSystem:
    """Stands for a name server that does not answer until it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
        self.addresses = addresses
        self.asked = 0
        self.answers = threading.Event()
        monkeypatch.setattr(socket, "getaddrinfo", self.look_up)

    def look_up(self, host: str, port: int, *_: object, **__: object) -> list[Address]:
        """As the library's, for names that end in .example."""
        assert host.endswith(".example")
        self.asked += 1
        assert self.answers.wait(60)
        if not self.addresses:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        families = [socket.AF_INET6 if ":" in address else socket.AF_INET for address in self.addresses]
        return [
            (
                family,
                socket.SOCK_STREAM,
                6,
                "",
                (address, port, 0, 0) if family == socket.AF_INET6 else (address, port),
            )
            for family, address in zip(families, self.addresses, strict=True)
        ]


def test_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of both families, in the system's order, as aiohttp wants them."""
    system = SlowSystem(monkeypatch, "2606:4700::1111", "8.8.8.8")
    system.answers.set()
    found = asyncio.run(SystemResolver().resolve("a.example", 443))
    assert [(entry["host"], entry["port"], entry["family"]) for entry in found] == [
        ("2606:4700::1111", 443, socket.AF_INET6),
        ("8.8.8.8", 443, socket.AF_INET),
    ]


def test_no_such_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's error comes through."""
    SlowSystem(monkeypatch).answers.set()
    with pytest.raises(OSError, match="not known"):
        asyncio.run(SystemResolver().resolve("a.example"))


def test_slow_names_hold_up_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the loop's default pool, which others work on; only so many are looked up at a time, the others
    wait.
    """
    system = SlowSystem(monkeypatch, "8.8.8.8")

    async def run() -> None:
        resolver = SystemResolver(limit=3)
        looking = [asyncio.create_task(resolver.resolve(f"{number}.example")) for number in range(50)]
        await until(lambda: system.asked == 3)
        assert await asyncio.to_thread(lambda: "done") == "done"
        assert system.asked == 3
        system.answers.set()
        await asyncio.gather(*looking)
        assert system.asked == 50

    asyncio.run(run())


def test_a_slow_name_takes_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many ask for it, also those who give up: its own images wait, other names do not."""
    system = SlowSystem(monkeypatch, "8.8.8.8")

    async def run() -> None:
        resolver = SystemResolver(limit=2)
        looking = [asyncio.create_task(resolver.resolve("slow.example")) for _ in range(9)]
        await until(lambda: system.asked == 1)
        looking.pop().cancel()
        other = asyncio.create_task(resolver.resolve("other.example"))
        await until(lambda: system.asked == 2)
        queue = [asyncio.create_task(resolver.resolve("queued.example")) for _ in range(9)]
        system.answers.set()
        assert [len(found) for found in await asyncio.gather(*looking, other, *queue)] == [1] * 18
        assert len(await resolver.resolve("slow.example")) == 1

    asyncio.run(run())


def test_look_ups_given_up_count_until_they_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """They can't be interrupted, so that counting them as ended would mean threads without number."""
    system = SlowSystem(monkeypatch, "8.8.8.8")

    async def run() -> None:
        resolver = SystemResolver(limit=2)
        looking = [asyncio.create_task(resolver.resolve(f"{number}.example")) for number in range(2)]
        await until(lambda: system.asked == 2)
        for task in looking:
            task.cancel()
        await asyncio.gather(*looking, return_exceptions=True)
        waiting = asyncio.create_task(resolver.resolve("b.example"))
        await asyncio.to_thread(lambda: None)
        assert system.asked == 2
        system.answers.set()
        assert len(await waiting) == 1

    asyncio.run(run())


def test_threads_that_can_not_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    """Are an error of this look-up only; the next one may try again."""
    system = SlowSystem(monkeypatch, "8.8.8.8")
    system.answers.set()

    async def run() -> None:
        resolver = SystemResolver(limit=1)
        with monkeypatch.context() as without_threads:
            without_threads.setattr(threading.Thread, "start", _no_thread)
            with pytest.raises(OSError, match="no thread"):
                await resolver.resolve("a.example")
        assert len(await resolver.resolve("a.example")) == 1

    asyncio.run(run())


def _no_thread(thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


_PROGRAM = """
import asyncio, socket, threading
from phiserve.errors import DownloadFailed
from phiserve.media.url_gate import UrlGate
from phiserve.media.web import WebFetcher

socket.getaddrinfo = lambda *_, **__: threading.Event().wait()

async def run():
    fetcher = WebFetcher(UrlGate(("*",)), 0.01)
    try:
        await fetcher.fetch("http://a.example/", 1, lambda _: None)
    except DownloadFailed as error:
        print(error)
    await fetcher.close()

asyncio.run(run())
"""


def test_the_process_ends_without_an_answer() -> None:
    """A name server that never answers does not keep a server from ending."""
    command = [sys.executable, "-c", _PROGRAM]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)  # noqa: S603 - our own program
    assert (ended.stdout, ended.stderr) == ("the image was not downloaded within 0.01 s\n", "")


@pytest.mark.parametrize(
    ("addresses", "error"),
    [
        (["8.8.8.8", "2606:4700::1111"], None),
        (["8.8.8.8", "10.0.0.1"], PrivateAddress),
        (["fe80::1%eth0"], PrivateAddress),
        ([], OSError),
    ],
)
def test_public_names(addresses: list[str], error: type[Exception] | None) -> None:
    """One address inside, or none at all, is enough to refuse a name."""
    resolver = PublicResolver(Names({"a.example": [addresses]}), is_public)
    if error is None:
        assert [entry["host"] for entry in asyncio.run(resolver.resolve("a.example"))] == addresses
    else:
        with pytest.raises(error):
            asyncio.run(resolver.resolve("a.example"))
    asyncio.run(resolver.close())
