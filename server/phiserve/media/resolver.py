"""Names -> public addresses: looked up on a few threads of their own, and refused unless all are public."""

import asyncio
import socket
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from threading import Thread

from aiohttp.abc import AbstractResolver, ResolveResult

MAX_LOOK_UPS = 16
"""At a time; a look-up that nobody waits for any more counts until it ends."""

_Question = tuple[str, int, socket.AddressFamily]


class PrivateAddress(Exception):
    """A host name leads to an address that is not public."""


class SystemResolver(AbstractResolver):
    """Asks the system, `most` names at a time; who asks for one that is being looked up shares the answer.

    Each look-up has a daemon thread: it can't be interrupted, and a name server that does not answer must
    hold up neither the loop's default pool, which others work on, nor the end of the process, which waits for
    every pool.
    """

    def __init__(self, most: int = MAX_LOOK_UPS) -> None:
        self._places = asyncio.Semaphore(most)
        self._running: dict[_Question, Future[list[ResolveResult]]] = {}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Addresses of `host`. Raises OSError if there is none."""
        question = (host, port, family)
        if question not in self._running:
            await self._places.acquire()
            if question in self._running:  # someone else's turn came first
                self._places.release()
            else:
                self._begin(question)
        return await asyncio.wrap_future(self._running[question])

    async def close(self) -> None:
        """Nothing to close."""

    def _begin(self, question: _Question) -> None:
        found: Future[list[ResolveResult]] = Future()
        found.set_running_or_notify_cancel()  # from here on it can't be cancelled: its place is taken until it ends
        arguments = (asyncio.get_running_loop(), question, found)
        try:
            Thread(target=self._look_up, args=arguments, name="phiserve-resolve", daemon=True).start()
        except RuntimeError as error:
            self._places.release()
            raise OSError("no thread for a look-up") from error
        self._running[question] = found

    def _look_up(
        self, loop: asyncio.AbstractEventLoop, question: _Question, found: Future[list[ResolveResult]]
    ) -> None:
        try:
            found.set_result(_addresses(*question))
        except (OSError, ValueError) as error:
            found.set_exception(error)
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(self._end, question)

    def _end(self, question: _Question) -> None:
        del self._running[question]
        self._places.release()


def _addresses(host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
    return [
        ResolveResult(hostname=host, host=str(address[0]), port=port, family=kind, proto=protocol, flags=0)
        for kind, _, protocol, _, address in socket.getaddrinfo(
            host, port, family, socket.SOCK_STREAM, 0, socket.AI_ADDRCONFIG
        )
    ]


class PublicResolver(AbstractResolver):
    """Resolves through another resolver and refuses a name unless all its addresses are public.

    aiohttp connects to just the addresses returned here, so that a second look-up with another answer never
    happens.
    """

    def __init__(self, resolver: AbstractResolver, is_public: Callable[[str], bool]) -> None:
        self._resolver = resolver
        self._is_public = is_public

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Addresses of `host`, one at least. Raises OSError if there is none, PrivateAddress."""
        found = await self._resolver.resolve(host, port, family)
        if not found:
            raise OSError("a name without addresses")
        if not all(self._is_public(entry["host"]) for entry in found):
            raise PrivateAddress
        return found

    async def close(self) -> None:
        """Close the resolver underneath."""
        await self._resolver.close()
