"""The part's requests are the same for all, its batches come to their end, and failures are told."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from benchmarks import batches as part
from benchmarks.batches import ALONE, BATCH, BESIDE, CHATS, FULL, PHOTOS, READING, SMALL, WAITING
from benchmarks.bench import Bench
from benchmarks.load import Answer, Closed
from benchmarks.peers import PHISERVE, VLLM, RunningPeer
from benchmarks.records import ResultsFile
from runs import CONTEXT


class Served:
    """Answers what the part asks of a server's files and batches."""

    def __init__(self) -> None:
        self.statuses: dict[str, list[str]] = {}
        self.lines: list[dict[str, Any]] = []
        self.last = "completed"

    def json(self, url: str, method: str, path: str, told: Any = None) -> dict[str, Any]:
        """As the routes do."""
        if path.endswith("/parts"):
            content = told[1].split(b"\r\n\r\n")[1].removesuffix(b"\r\n--b--\r\n")
            self.lines = [json.loads(line) for line in content.splitlines()]
            return {"id": "part"}
        if path.startswith("/v1/uploads"):
            return {"id": "upload", "file": {"id": "file"}}
        if method == "POST" and not path.endswith("/cancel"):
            self.statuses["b"] = ["validating", "in_progress", "in_progress", self.last]
            return {"id": "b"}
        status = self.statuses["b"].pop(0) if len(self.statuses["b"]) > 1 else self.statuses["b"][0]
        counts = {"total": len(self.lines), "completed": len(self.lines), "failed": 0}
        return {"status": status, "request_counts": counts, "usage": {"output_tokens": 8}, "errors": None}


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Served:
    """Servers that are none."""

    @contextmanager
    def serving(self: Bench, peer: str, *options: object, **own: str) -> Iterator[RunningPeer]:
        yield RunningPeer(peer, "http://127.0.0.1:9", os.getpid(), 1.5)

    def send(load: Closed, url: str, bodies: list[bytes]) -> list[Answer]:
        return [Answer(number, (number + 0.5,), number + 1.0, 8, True) for number in range(len(bodies))]

    served = Served()
    monkeypatch.setattr(Bench, "serving", serving)
    monkeypatch.setattr(part, "send", send)
    monkeypatch.setattr(part, "read", lambda url: {"pictures_decoded": 1.0})
    monkeypatch.setattr(part, "_json", served.json)
    monkeypatch.setattr(part, "POLL_S", 0.0)
    return served


def test_a_short_run(served: Served, tmp_path: Path) -> None:
    """Each is asked in its own ways; then a text beside a batch, and a long input."""
    bench = Bench(ResultsFile(tmp_path / "run.json", CONTEXT), tmp_path, tmp_path, short=True, repeat=1)
    part.batches(bench)
    found = [(one.peer, one.workload, one.load) for one in bench.results.results.records]
    ours = [(PHISERVE, questions.name, way) for questions in (SMALL, PHOTOS) for way in (BATCH, FULL)]
    theirs = [(VLLM, questions.name, CHATS) for questions in (SMALL, PHOTOS)]
    beside = [(PHISERVE, WAITING, way) for way in (ALONE, BESIDE)]
    session = [(peer, "session", "") for peer in (PHISERVE, VLLM)]
    long_input = [(PHISERVE, READING, "1000 lines")]
    assert found == [*ours, *beside, session[0], *theirs, session[1], *long_input]
    assert len(served.lines) == 1000
    assert served.lines[0]["body"].keys().isdisjoint({"stream", "stream_options"})


def test_a_batch_that_fails(served: Served, tmp_path: Path) -> None:
    """Nothing is written down of it."""
    served.last = "failed"
    bench = Bench(ResultsFile(tmp_path / "run.json", CONTEXT), tmp_path, None, short=True, repeat=1)
    with pytest.raises(RuntimeError, match="the batch is failed"):
        part.batches(bench)
    assert not bench.results.results.records


def test_requests() -> None:
    """Each image's in no order, the same for all peers, others in another turn."""
    asked = PHOTOS.bodies(200, 1)
    assert asked == PHOTOS.bodies(200, 1)
    urls = [body["messages"][0]["content"][0]["image_url"]["url"] for body in asked]
    assert len(set(urls)) == 10
    assert urls != sorted(urls, key=urls.index)
    other = PHOTOS.bodies(200, 2)[0]["messages"][0]["content"][0]["image_url"]["url"]
    assert other not in urls
