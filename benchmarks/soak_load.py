"""The load of the soak, in a process of its own, until its standard input is closed; requests that have begun
are then waited for.

usage: python -m benchmarks.soak_load URL KEY SEED READ_TIMEOUT_S. Prints a JSON line when it begins, one for
each request that has ended, and at the end one with how many were begun.
"""

import asyncio
import json
import os
import random
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict

import aiohttp
import openai

from benchmarks.load import with_session
from benchmarks.soak_bodies import crowd, draw_all, drawn, endless, one_image, photo, stream
from benchmarks.soak_clients import LONGEST_S, Clients

GOOD_CLIENTS = 10
NICENESS = 5
CROWD = 24
CROWD_EVERY_S = 60.0

Turn = Callable[[Clients, random.Random], Awaitable[None]]


async def good(clients: Clients, chance: random.Random) -> None:
    """Any request, read by our client or by openai's."""
    asked = drawn(chance)
    if asked.path != "/tokenize" and chance.random() < 0.25:
        await clients.by_openai(asked)
    else:
        await clients.well(asked)


async def hanging_up(clients: Clients, chance: random.Random) -> None:
    """A stream that nobody reads to its end."""
    await clients.hanging_up(chance.choice((stream, one_image, endless))(chance), chance)
    await clients.pause(chance.uniform(1, 5))


async def wrong_key(clients: Clients, chance: random.Random) -> None:
    """Large bodies and small ones."""
    await clients.without_key(chance.choice((stream, photo))(chance))
    await clients.pause(chance.uniform(1, 5))


async def half(clients: Clients, chance: random.Random) -> None:
    """Half a body, large or small."""
    await clients.half(chance.choice((stream, photo))(chance), waits=chance.random() < 0.5)
    await clients.pause(chance.uniform(0, 5))


async def crowding(clients: Clients, chance: random.Random) -> None:
    """Now and then more than the engine has room for."""
    await clients.pause(CROWD_EVERY_S * chance.uniform(0.5, 1.5))
    await asyncio.gather(*(clients.well(crowd(chance)) for _ in range(CROWD)))


def slow(read_timeout_s: float, *, stops: bool) -> Turn:
    """Readers that are slow, or stop."""

    async def turn(clients: Clients, chance: random.Random) -> None:
        """One long answer."""
        await clients.slowly(endless(chance), stops=stops, read_timeout_s=read_timeout_s)

    return turn


def main(arguments: Sequence[str]) -> None:
    """Load until standard input ends."""
    url, key, seed, read_timeout = arguments
    read_timeout_s = float(read_timeout)
    os.nice(NICENESS)
    draw_all()
    turns: list[Turn] = [good] * GOOD_CLIENTS
    turns += [hanging_up, hanging_up, wrong_key, half, crowding]
    turns += [slow(read_timeout_s, stops=False), slow(read_timeout_s, stops=True)]

    async def work(session: aiohttp.ClientSession) -> None:
        """All of them at once."""
        async with openai.AsyncOpenAI(
            base_url=f"{url}/v1", api_key=key, max_retries=0, timeout=LONGEST_S
        ) as chat:
            print(json.dumps({"ready": True}), flush=True)
            clients = Clients(url, session, chat, key)
            running = [
                asyncio.create_task(_repeat(turn, clients, random.Random(f"{seed} {number}")))  # noqa: S311 - draws a load
                for number, turn in enumerate(turns)
            ]
            printing = asyncio.create_task(_print_fates(clients))
            await asyncio.to_thread(sys.stdin.read)
            clients.over.set()
            await asyncio.gather(*running)
            printing.cancel()
            _print(clients)
            print(json.dumps({"begun": clients.begun}), flush=True)

    with_session(work, key)


async def _repeat(turn: Turn, clients: Clients, chance: random.Random) -> None:
    while not clients.over.is_set():
        await turn(clients, chance)


async def _print_fates(clients: Clients) -> None:
    while True:
        await asyncio.sleep(1)
        _print(clients)


def _print(clients: Clients) -> None:
    told, clients.fates = clients.fates, []
    for fate in told:
        print(json.dumps(asdict(fate)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
