"""Part `burst`: what running text streams notice when many images come at once."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace

import aiohttp

from benchmarks.answers import gaps_ms, percentiles
from benchmarks.bench import Bench
from benchmarks.load import Answer, Closed, ask, with_session
from benchmarks.peers import RunningPeer
from benchmarks.processes import use
from benchmarks.records import Record
from benchmarks.session import warm_up
from benchmarks.workloads import Workload, images, texts

STREAMS = 8
IMAGES = 32
LONGEST_S = 1200
QUIET = "no burst"
SMALL, REAL = "burst", "burst23"
"""Names of the records: on the small checkpoint, and on the one with CLIP's 23 layers."""

LONG_SLICES = "phiserve, encode_slice_ms 1000"
"""Ours, which encodes several whole crops before a step: hardly anything else delays the burst."""


def burst(bench: Bench) -> None:
    """Time between tokens of 8 text streams, alone and while 32 images are answered.

    On CLIP's 23 layers ours alone, with short and with long slices, and few images where the processor does
    not multiply bf16: each takes more than a minute there.
    """
    count, quiet_s = bench.count(IMAGES, 4), bench.count(10, 3)
    bench.in_turn(SMALL, "small", lambda server, turn: _measure(SMALL, server, turn, count, quiet_s))
    if bench.settings.dtype != "bfloat16":
        count = min(count, 4)
    replace(bench, code=None).in_turn(
        REAL,
        "clip23",
        lambda server, turn: _measure(REAL, server, turn, count, quiet_s),
        {LONG_SLICES: {"PHISERVE_ENCODE_SLICE_MS": "1000"}},
    )


def _measure(part: str, server: RunningPeer, repetition: int, count: int, quiet_s: int) -> Iterator[Record]:
    photo, stream = images("1 MP"), texts(answer_tokens=256)
    warm_up(server, photo)
    warm_up(server, stream, 1)
    alone, _ = _run(server, stream, [], quiet_s, first=0)
    yield Record(part, server.name, "8 text streams", QUIET, repetition, percentiles("itl", alone))
    during, answers = _run(server, stream, photo.bodies(count, first=repetition * count), 0, first=100_000)
    measures = percentiles("itl", during)
    if during and answers:
        measures["gaps"] = float(len(during))
        measures["longest_ms"] = max(during)
        measures["burst_s"] = max(answer.ended_s for answer in answers) - min(
            answer.began_s for answer in answers
        )
        measures["failed"] = float(sum(not answer.succeeded for answer in answers))
        measures["peak_all_bytes"] = float(sum(used.peak_bytes for used in use(server.pid).values()))
    yield Record(part, server.name, "8 text streams", f"{count} pictures", repetition, measures)


def _run(
    server: RunningPeer, stream: Workload, bodies: list[bytes], least_s: float, first: int
) -> tuple[list[float], list[Answer]]:
    """Gaps (ms) of all text streams while `bodies` are answered or for `least_s` seconds, and the answers to
    `bodies`.
    """

    async def work(session: aiohttp.ClientSession) -> tuple[list[float], list[Answer]]:
        """Text streams all the time, images in the midst."""
        texts_seen: list[Answer] = []
        over = asyncio.Event()
        streams = [
            asyncio.create_task(
                _keep_streaming(session, server.url, stream, first + 1000 * number, over, texts_seen)
            )
            for number in range(STREAMS)
        ]
        await asyncio.sleep(1.0)  # until all of them stream: a span of time is what is measured here
        began = time.monotonic()
        answers: list[Answer] = []
        if bodies:
            answers = await asyncio.wait_for(Closed(len(bodies)).send(session, server.url, bodies), LONGEST_S)
        await asyncio.sleep(max(0.0, began + least_s - time.monotonic()))
        ended = time.monotonic()
        over.set()
        await asyncio.gather(*streams)
        return [gap for answer in texts_seen for gap in gaps_ms(answer, began, ended)], answers

    return with_session(work)


async def _keep_streaming(
    session: aiohttp.ClientSession,
    url: str,
    stream: Workload,
    first: int,
    over: asyncio.Event,
    seen: list[Answer],
) -> None:
    """One text answer after another until it is over; the last one to its end."""
    number = first
    while not over.is_set():
        seen.append(await ask(session, url, stream.body(number)))
        number += 1
