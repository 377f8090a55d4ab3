"""A flood of one owner beside another's requests, on a real engine. Here, owners are clients' addresses."""

import asyncio
import json
from collections import Counter
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import httpx

from e2e.running import InProcessServer

FLOOD, OTHER = "127.0.0.2", "127.0.0.3"
"""Addresses of this machine from which clients come."""

STREAMS = 24
FLOOD_TOKENS = 400
TOKENS = 30
LEAD_TOKENS = 5
"""Tokens of a flood's stream with which it has begun."""


@dataclass
class Stream:
    """A greedy answer as it comes."""

    ids: list[int] = field(default_factory=list)

    async def read(self, client: httpx.AsyncClient, text: str, max_tokens: int, **options: Any) -> None:
        """Ask, and read until the answer ends. By bytes: httpx takes U+2028 for the end of a line."""
        body = {
            "model": "m",
            "messages": [{"role": "user", "content": text}],
            "temperature": 0,
            "max_tokens": max_tokens,
            "stream": True,
            "return_token_ids": True,
            "ignore_eos": True,
        }
        rest = b""
        async with client.stream("POST", "/v1/chat/completions", json=body | options) as response:
            assert response.status_code == 200, await response.aread()
            async for received in response.aiter_bytes():
                *events, rest = (rest + received).split(b"\n\n")
                for event in events[: -1 if events[-1:] == [b"data: [DONE]"] else None]:
                    for choice in json.loads(event.removeprefix(b"data: "))["choices"]:
                        self.ids += choice.get("token_ids") or ()


def client_at(address: str, url: str) -> httpx.AsyncClient:
    """A client that comes from an address of its own."""
    transport = httpx.AsyncHTTPTransport(local_address=address, limits=httpx.Limits(max_connections=None))
    return httpx.AsyncClient(base_url=url, transport=transport, timeout=300)


def steps_of(server: InProcessServer) -> list[list[str]]:
    """The requests in each of the engine's steps since this was asked last. The engine tells: what a client
    has read by then hangs on how busy the machine is.
    """
    (steps,) = server.run(server.engine._llm.collective_rpc("steps"))
    return list(steps)


def beside_the_shortest(steps: list[list[str]]) -> list[int]:
    """In how many of the steps from the first to the last of the request that is in the fewest each of the
    others was.
    """
    (shortest, _), *others = reversed(Counter(chain(*steps)).most_common())
    asked = [number for number, requests in enumerate(steps) if shortest in requests]
    meanwhile = Counter(chain(*steps[asked[0] : asked[-1] + 1]))
    return [meanwhile[name] for name, _ in others]


async def begun(streams: list[Stream]) -> None:
    while not all(len(stream.ids) >= LEAD_TOKENS for stream in streams):
        await asyncio.sleep(0.01)


def test_a_flood_gives_way(counted: InProcessServer) -> None:
    """While another's answer is written, the flood's streams get a fraction of the tokens that they would get
    in the same steps; all answers are those that they would be alone.
    """

    async def run() -> None:
        async with client_at(FLOOD, counted.url) as flooding, client_at(OTHER, counted.url) as other:
            alone = [Stream(), Stream()]
            await alone[0].read(flooding, "Flood 0", FLOOD_TOKENS)
            await alone[1].read(other, "Hello", TOKENS)
            steps_of(counted)
            flood = [Stream() for _ in range(STREAMS)]
            reading = [
                asyncio.create_task(stream.read(flooding, f"Flood {number}", FLOOD_TOKENS))
                for number, stream in enumerate(flood)
            ]
            await begun(flood)
            answer = Stream()
            await answer.read(other, "Hello", TOKENS)
            await asyncio.gather(*reading)
        beside = beside_the_shortest(steps_of(counted))
        assert len(beside) == STREAMS
        assert 0 < sum(beside) / STREAMS < TOKENS * 0.7
        assert answer.ids == alone[1].ids
        assert flood[0].ids == alone[0].ids
        assert all(len(stream.ids) == FLOOD_TOKENS for stream in flood)

    asyncio.run(run())


def test_batch_work_gives_way(counted: InProcessServer) -> None:
    """To the same owner's interactive request as well; both names of it are understood."""

    async def run() -> None:
        steps_of(counted)
        async with client_at(FLOOD, counted.url) as client:
            batch = [Stream(), Stream()]
            reading = [
                asyncio.create_task(batch[0].read(client, "Batch", FLOOD_TOKENS, service_tier="flex")),
                asyncio.create_task(batch[1].read(client, "Batch", FLOOD_TOKENS, priority=5)),
            ]
            await begun(batch)
            await Stream().read(client, "Hello", 2 * TOKENS)
            await asyncio.gather(*reading)
        beside = beside_the_shortest(steps_of(counted))
        assert len(beside) == len(batch)
        assert max(beside) < TOKENS
        assert all(len(stream.ids) == FLOOD_TOKENS for stream in batch)

    asyncio.run(run())
