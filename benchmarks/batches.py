"""Part `batch`: files of requests as a batch of ours, and the same requests by clients of chats."""

import json
import random
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.answers import summary
from benchmarks.bench import Bench
from benchmarks.load import Closed, send
from benchmarks.looks import CHAT_PATH
from benchmarks.metrics import change, read
from benchmarks.peers import PHISERVE, RunningPeer
from benchmarks.processes import memory, use
from benchmarks.records import Record
from benchmarks.session import WARM_UP_NUMBER, images_and_caches
from benchmarks.workloads import chat, image, text, texts

PART = "batch"
BATCH = "batch"
CLIENTS = 64
CHATS = f"{CLIENTS} clients"
FULL = "256 clients"
"""More than run at once: our engine's batch is always full."""

ALONE, BESIDE = "alone", "beside a batch"
WAITING = "a text that somebody waits for"
READING = "an input that is read"
"""What the report calls the workloads of these ways."""

POLL_S = 0.2
PART_BYTES = 60 * 2**20
ENDED = ("completed", "failed", "expired", "cancelled")
_PATH = "/v1/batches"


@dataclass(frozen=True, slots=True)
class Questions:
    """So many requests about so many images of `images.KINDS`, in no order; numbers begin with `first`."""

    name: str
    kind: str
    images: int
    requests: int
    first: int
    answer_tokens: int = 8

    def bodies(self, requests: int, repetition: int) -> list[dict[str, Any]]:
        """The requests, the same for every peer; each repetition's images are others."""
        first = self.first + repetition * self.requests
        of_image = max(1, self.requests // self.images)
        asked = [
            chat(
                [
                    image(self.kind, first + number // of_image),
                    {"type": "text", "text": text(12, first + number)},
                ],
                self.answer_tokens,
            )
            for number in range(requests)
        ]
        random.Random(repetition).shuffle(asked)  # noqa: S311 - an order, no secret
        return asked


SMALL = Questions("1,000 small pictures", "small PNG", 1000, 1000, 0)
PHOTOS = Questions("200 questions about 10 photos, shuffled", "1 MP", 10, 200, 100_000)
MOST_LINES = 100_000
LINE_BYTES = 20_000
"""Of an input of two gigabytes."""


def batches(bench: Bench) -> None:
    """On the small checkpoint, each peer in its turn."""

    def measure(server: RunningPeer, repetition: int) -> Iterator[Record]:
        """Both workloads in each way; then a text beside a batch, and memory over a long input."""
        send(Closed(1), server.url, [texts().body(WARM_UP_NUMBER)])
        for number, questions in enumerate((SMALL, PHOTOS)):
            requests = bench.count(questions.requests, 20)
            ways = (BATCH, FULL) if server.name == PHISERVE else (CHATS,)
            for way_number, way in enumerate(ways):
                turn = repetition * 4 + way_number * 2 + number
                bodies = questions.bodies(requests, turn)
                print(f"  {questions.name}, {way}", flush=True)
                yield Record(PART, server.name, questions.name, way, repetition, _asked(server, way, bodies))
        if server.name == PHISERVE:
            yield from _beside(server, repetition, bench.count(200, 5), bench.count(1000, 40))

    with TemporaryDirectory(dir=bench.work) as folder:
        kept = {"PHISERVE_STATE_URL": f"sqlite:///{folder}/state.db"}
        bench.in_turn(PART, "small", measure, {PHISERVE: kept})
        long = kept | {"PHISERVE_BATCH_MAX_LINES": str(MOST_LINES)}
        with bench.serving(PHISERVE, "small", None, **long) as server:
            bench.results.add([_long_input(server, 1000 if bench.short else MOST_LINES)])


def _asked(server: RunningPeer, way: str, bodies: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Requests as a batch, or by so many clients; bodies are made before the clock starts."""
    counted = read(server.url)
    if way == BATCH:
        measures = _batch(server.url, bodies)
    else:
        clients = Closed(int(way.partition(" ")[0]))
        measures = summary(send(clients, server.url, [json.dumps(body).encode() for body in bodies]))
    return measures | images_and_caches(change(counted, read(server.url)))


def _batch(url: str, bodies: Sequence[dict[str, Any]]) -> dict[str, float]:
    """From the request for the batch to its files. Raises RuntimeError where it does not come to its end."""
    file_id = _upload(url, _lines(bodies))
    began = time.monotonic()
    batch = _until(url, _begin(url, file_id))
    seconds = time.monotonic() - began
    counts = batch["request_counts"]
    if batch["status"] != "completed":
        raise RuntimeError(f"the batch is {batch['status']}: {batch['errors']}")
    return {
        "requests": counts["total"],
        "failed": counts["failed"],
        "seconds": seconds,
        "requests_per_s": counts["completed"] / seconds,
        "output_tokens_per_s": batch["usage"]["output_tokens"] / seconds,
    }


def _beside(server: RunningPeer, repetition: int, requests: int, lines: int) -> Iterator[Record]:
    """The first token of texts, one after the other, alone and while a batch runs."""
    numbers = 500_000 + repetition * 10_000
    workload = texts(40, 16)
    answers = send(Closed(1), server.url, workload.bodies(requests, numbers))
    yield Record(PART, server.name, WAITING, ALONE, repetition, summary(answers))
    file_id = _upload(server.url, _lines(SMALL.bodies(lines, 100 + repetition)))
    batch_id = _begin(server.url, file_id)
    _until(server.url, batch_id, "in_progress", "completed")
    answers = send(Closed(1), server.url, workload.bodies(requests, numbers + 5000))
    if (ran := _until(server.url, batch_id, "in_progress"))["status"] != "in_progress":
        raise RuntimeError(f"the batch was {ran['status']} before the texts were answered")
    yield Record(PART, server.name, WAITING, BESIDE, repetition, summary(answers))
    _json(server.url, "POST", f"{_PATH}/{batch_id}/cancel")
    _until(server.url, batch_id, *ENDED)


def _long_input(server: RunningPeer, lines: int) -> Record:
    """Peak memory of the API process before, and after it has read a file of so many lines."""
    before = memory(use(server.pid).values())["peak_api_bytes"]
    filler = "x" * LINE_BYTES
    content = _lines([chat(f"{number} {filler}", 1) for number in range(lines)])
    batch_id = _begin(server.url, _upload(server.url, content))
    began = time.monotonic()
    _until(server.url, batch_id, "in_progress", "completed")
    measures = {
        "input_bytes": float(len(content)),
        "lines_per_s": lines / (time.monotonic() - began),
        "grown_api_bytes": memory(use(server.pid).values())["peak_api_bytes"] - before,
    }
    _json(server.url, "POST", f"{_PATH}/{batch_id}/cancel")
    _until(server.url, batch_id, *ENDED)
    return Record(PART, server.name, READING, f"{lines} lines", 0, measures)


def _lines(bodies: Sequence[dict[str, Any]]) -> bytes:
    """A batch's file. Nothing of a batch is streamed."""
    lines = []
    for number, body in enumerate(bodies):
        asked = {name: value for name, value in body.items() if name not in ("stream", "stream_options")}
        line = {"custom_id": str(number), "method": "POST", "url": CHAT_PATH, "body": asked}
        lines.append(json.dumps(line).encode())
    return b"\n".join(lines)


def _upload(url: str, content: bytes) -> str:
    """The id of a new file, which comes in parts."""
    told = {
        "filename": "a.jsonl",
        "purpose": "batch",
        "bytes": len(content),
        "mime_type": "application/jsonl",
    }
    upload_id = _json(url, "POST", "/v1/uploads", told)["id"]
    parts = [
        _json(url, "POST", f"/v1/uploads/{upload_id}/parts", _form(content[start : start + PART_BYTES]))["id"]
        for start in range(0, len(content), PART_BYTES)
    ]
    completed = _json(url, "POST", f"/v1/uploads/{upload_id}/complete", {"part_ids": parts})
    file_id: str = completed["file"]["id"]
    return file_id


def _begin(url: str, file_id: str) -> str:
    """The id of a new batch."""
    told = {"input_file_id": file_id, "endpoint": CHAT_PATH, "completion_window": "24h"}
    batch_id: str = _json(url, "POST", _PATH, told)["id"]
    return batch_id


def _until(url: str, batch_id: str, *states: str) -> dict[str, Any]:
    """The batch, once it is in one of these states, or has ended."""
    while True:
        batch = _json(url, "GET", f"{_PATH}/{batch_id}")
        if batch["status"] in (*states, *ENDED):
            return batch
        time.sleep(POLL_S)


def _form(data: bytes) -> tuple[str, bytes]:
    """A form with one field, and its media type."""
    head = b'--b\r\nContent-Disposition: form-data; name="data"; filename="p"\r\n\r\n'
    return "multipart/form-data; boundary=b", head + data + b"\r\n--b--\r\n"


def _json(
    url: str, method: str, path: str, told: dict[str, Any] | tuple[str, bytes] | None = None
) -> dict[str, Any]:
    """What a request is answered with. Raises RuntimeError for an error."""
    kind, body = told if isinstance(told, tuple) else ("application/json", json.dumps(told or {}).encode())
    headers = {"Content-Type": kind} if method == "POST" else {}
    request = urllib.request.Request(
        url + path, data=body if method == "POST" else None, headers=headers, method=method
    )
    try:
        with urllib.request.urlopen(request, timeout=600) as response:
            found: dict[str, Any] = json.load(response)
    except urllib.error.HTTPError as error:
        raise RuntimeError(f"{method} {path}: {error.code} {error.read()[:300]!r}") from None
    return found
