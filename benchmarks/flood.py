"""One owner's flood, kept up by a process of its own until its standard input is closed: heavy text streams,
photos of 12 megapixels, or both.

usage: python -m benchmarks.flood URL KEY KIND FIRST. Prints a line when all clients have begun, and ends in
one JSON line: what became of the requests.
"""

import asyncio
import base64
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count

import aiohttp

from benchmarks.figures import percentile
from benchmarks.images import draw, redrawn
from benchmarks.load import Answer, ask, with_session
from benchmarks.workloads import chat, text, texts

NICENESS = 10
"""The client must not take from the one whose latency is measured."""

HEAVY_WORDS = 1110
"""Some 1,500 tokens of the demo model."""

HEAVY_ANSWER_TOKENS = 512
PAUSE_S = 0.25
"""After a refusal: less than servers ask for, since a flood is not polite."""

_HEAD_BYTES = 300
"""Of a photo, with what differs; three of them are four characters in base64."""

_MARK = "<photo>"

BEGUN_AFTER_S = 3.0
"""Seconds after the first requests; by then they are being answered, or refused."""


@dataclass(frozen=True, slots=True)
class Flood:
    """How many clients keep up streams, and how many photos."""

    streams: int
    photos: int


FLOODS = {
    "32 streams": Flood(32, 0),
    "16 photos": Flood(0, 16),
    "32 streams, 16 photos": Flood(32, 16),
    "100 streams": Flood(100, 0),
}
"""The last are more than the engine has room for."""


@dataclass
class Tally:
    """What became of the requests that were answered or refused; those that were cut off at the end are not
    counted.
    """

    answered: int = 0
    refused_ms: list[float] = field(default_factory=list)
    failures: dict[str, int] = field(default_factory=dict)

    def add(self, answer: Answer) -> None:
        """Count one answer by how it ended."""
        if answer.succeeded:
            self.answered += 1
        elif answer.failure.startswith("429"):
            self.refused_ms.append((answer.ended_s - answer.began_s) * 1000)
        else:
            self.failures[answer.failure] = self.failures.get(answer.failure, 0) + 1

    def told(self) -> dict[str, object]:
        """For the JSON line."""
        longest = {"refusal_p99_ms": percentile(self.refused_ms, 99)} if self.refused_ms else {}
        return {"answered": self.answered, "refused": len(self.refused_ms), **longest} | {
            "failures": self.failures
        }


def main(arguments: Sequence[str]) -> None:
    """Flood until standard input ends."""
    url, key, kind, first = arguments
    os.nice(NICENESS)
    flood = FLOODS[kind]
    photo = draw("12 MP", 0) if flood.photos else b""
    tally = Tally()

    async def work(session: aiohttp.ClientSession) -> None:
        """All clients at once."""
        numbers = count(int(first))
        heavy = texts(HEAVY_WORDS, HEAVY_ANSWER_TOKENS)
        makers: list[Callable[[int], bytes]] = [heavy.body] * flood.streams
        makers += [photo_bodies(photo)] * flood.photos
        clients = [asyncio.create_task(_keep_asking(session, url, make, numbers, tally)) for make in makers]
        await asyncio.sleep(BEGUN_AFTER_S)
        print("begun", flush=True)
        await asyncio.to_thread(sys.stdin.read)
        for client in clients:
            if client.done():
                client.result()  # they never end by themselves but with an exception
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)

    with_session(work, key)
    print(json.dumps(tally.told()), flush=True)


def photo_bodies(photo: bytes) -> Callable[[int], bytes]:
    """Number -> a request with a photo unlike any other number's, and a short question. Only what differs is
    made anew: a flood must not be held up by its own client.
    """
    rest = base64.b64encode(photo[_HEAD_BYTES:])

    def body(number: int) -> bytes:
        """Of this number."""
        shown = {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{_MARK}"}}
        request = json.dumps(chat([shown, {"type": "text", "text": text(8, number)}], 16)).encode()
        head = base64.b64encode(redrawn(photo[:_HEAD_BYTES], number))
        return request.replace(_MARK.encode(), head + rest)

    return body


async def _keep_asking(
    session: aiohttp.ClientSession,
    url: str,
    make: Callable[[int], bytes],
    numbers: "count[int]",
    tally: Tally,
) -> None:
    while True:
        answer = await ask(session, url, make(next(numbers)))
        tally.add(answer)
        if not answer.succeeded:
            await asyncio.sleep(PAUSE_S)


if __name__ == "__main__":
    main(sys.argv[1:])
