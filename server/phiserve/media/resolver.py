"""Host names -> public addresses: looked up by the system, and refused unless all of them are public."""

import asyncio
import socket
from collections.abc import Callable
from functools import partial

from aiohttp.abc import AbstractResolver, ResolveResult

from phiserve.media.daemon_threads import DaemonThreads

MAX_LOOK_UPS = 16
"""Look-ups at a time, including those that nobody waits for any more."""

_Question = tuple[str, int, socket.AddressFamily]


class PrivateAddress(Exception):
    """A host name leads to an address that is not public."""


class SystemResolver(AbstractResolver):
    """Asks the system's resolver for `limit` names at a time, on daemon threads (see `DaemonThreads`).

    Callers who ask for a name while it is being looked up share the answer.
    """

    def __init__(self, limit: int = MAX_LOOK_UPS) -> None:
        self._threads = DaemonThreads("phiserve-resolve", limit)
        self._running: dict[_Question, asyncio.Future[list[ResolveResult]]] = {}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Addresses of `host`. Raises OSError if there is none."""
        question = (host, port, family)
        if question not in self._running:
            await self._threads.reserve()
            if question in self._running:  # somebody else's turn came first
                self._threads.release()
            else:
                self._begin(question)
        return await asyncio.shield(self._running[question])

    async def close(self) -> None:
        """Nothing to close."""

    def _begin(self, question: _Question) -> None:
        found = self._threads.start(partial(_addresses, *question))
        found.add_done_callback(partial(self._end, question))
        self._running[question] = found

    def _end(self, question: _Question, found: asyncio.Future[list[ResolveResult]]) -> None:
        del self._running[question]
        found.exception()  # retrieved here, in case that nobody waits any more


def _addresses(host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
    found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, 0, socket.AI_ADDRCONFIG)
    return [
        ResolveResult(hostname=host, host=str(address[0]), port=port, family=kind, proto=protocol, flags=0)
        for kind, _, protocol, _, address in found
    ]


class PublicResolver(AbstractResolver):
    """Resolves through another resolver and refuses a name unless all its addresses are public.

    aiohttp connects to exactly the addresses returned here: there is no second look-up that could have
    another answer.
    """

    def __init__(self, resolver: AbstractResolver, is_public: Callable[[str], bool]) -> None:
        self._resolver = resolver
        self._is_public = is_public

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The addresses of `host`, at least one.

        Raises OSError if there is none, PrivateAddress if one of them is not public.
        """
        found = await self._resolver.resolve(host, port, family)
        if not found:
            raise OSError("a name without addresses")
        if not all(self._is_public(entry["host"]) for entry in found):
            raise PrivateAddress
        return found

    async def close(self) -> None:
        """Close the resolver underneath."""
        await self._resolver.close()
