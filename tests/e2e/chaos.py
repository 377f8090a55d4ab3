"""Batches on a server whose processes are killed at some moments, and what became of each line."""

import json
import random
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import openai
import psutil
from openai.types import Batch

from e2e.moments import ENDED, Moment, Victim
from e2e.running import ServerProcess
from images import data_url, encode, noise

CHAT = "/v1/chat/completions"
SHORT = ("--engine", "max_model_len=1152", "--engine", "max_num_seqs=8")
"""What needs little memory; few lines at once, so that many moments fall into a batch."""

WAIT_S = 600


def line_of(number: int, images: Sequence[str]) -> dict[str, Any]:
    """A line: of every four the first asks about an image, and each seventh's image is none."""
    parts: list[dict[str, Any]] = [{"type": "text", "text": f"What is {number}?"}]
    url = "data:image/png;base64,AAAA" if number % 7 == 6 else images[number % len(images)]
    if number % 7 == 6 or number % 4 == 0:
        parts.append({"type": "image_url", "image_url": {"url": url, "detail": "low"}})
    body = {"messages": [{"role": "user", "content": parts}], "max_tokens": 8, "temperature": 0}
    return {"custom_id": str(number), "method": "POST", "url": CHAT, "body": body}


@dataclass
class Chaos:
    """A server that is killed and started again; what it stores stays. End it with `end`."""

    settings: dict[str, str]
    random: random.Random
    server: ServerProcess = field(init=False)
    killed: list[Victim] = field(default_factory=list)
    found: list[str] = field(default_factory=list)
    """How the batch stood at each moment."""

    def __post_init__(self) -> None:
        self.start()

    @property
    def client(self) -> openai.OpenAI:
        """openai's, for the server as it runs now."""
        return openai.OpenAI(base_url=f"{self.server.url}/v1", api_key="none", max_retries=0, timeout=60)

    def start(self) -> None:
        """Start it, where it is not to be reached any more under its old address."""
        self.server = ServerProcess(*SHORT, **self.settings, PHISERVE_MAX_ENGINE_RESTARTS="1000")
        self.server.wait_until_ready()

    def end(self) -> None:
        """End what runs."""
        if self.server.process.poll() is None:
            self.server.stop()
        self.server.forget()

    def kill(self, victim: Victim) -> None:
        """SIGKILL; a server that was killed is started again."""
        self.killed.append(victim)
        if victim in ("engine", "both"):
            for engine in engines_of(self.server):
                with suppress(psutil.NoSuchProcess):
                    engine.kill()
        if victim in ("server", "both"):
            self.server.stop(signal.SIGKILL)
            self.server.forget()
            self.start()

    def begin(self, num_lines: int) -> str:
        """The id of a new batch."""
        images = [data_url(encode(noise(40, 40, seed))) for seed in range(5)]
        lines = [line_of(number, images) for number in range(num_lines)]
        self.random.shuffle(lines)
        content = "\n".join(map(json.dumps, lines)).encode()
        file = self.client.files.create(file=("lines.jsonl", content), purpose="batch")
        batch = self.client.batches.create(
            input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
        )
        return batch.id

    def disturb(self, batch_id: str, moments: Sequence[Moment]) -> int:
        """Kill at the moments until the batch has passed the next of them; at how many that was."""
        num_done = 0
        for number, moment in enumerate(moments):
            if not self._wait_for(moment, batch_id, number, num_done):
                return number
            time.sleep(self.random.uniform(0, moment.most_s))
            batch = self.client.batches.retrieve(batch_id)
            if moment.stage == "in_progress" and batch.status in ENDED:
                return number
            num_done = _done(batch)
            self.found.append(batch.status)
            self.kill(moment.victim)
        return len(moments)

    def _wait_for(self, moment: Moment, batch_id: str, number: int, num_done: int) -> bool:
        """Whether a moment has come; False once it will not any more.

        Lines are answered again by then: what was killed is at work.
        """
        client, deadline = self.client, time.monotonic() + WAIT_S
        while True:
            batch = client.batches.retrieve(batch_id)
            has_come = moment.has_come(number, batch.status, goes_on=_done(batch) > num_done)
            if has_come or has_come is None:
                return bool(has_come)
            assert time.monotonic() < deadline, batch
            time.sleep(0.02)  # less than it takes to write files

    def ended(self, batch_id: str) -> Batch:
        """The batch, once it has ended."""
        deadline = time.monotonic() + WAIT_S
        while (batch := self.client.batches.retrieve(batch_id)).status not in ENDED:
            assert time.monotonic() < deadline, batch
            time.sleep(0.2)
        return batch

    def check(self, batch: Batch, num_lines: int) -> None:
        """Each line is in one of the files, once; errors are what they would be without any disturbance.

        But for lines over which an engine was killed twice, the second time while they were asked alone: they
        are blamed for it, one for each time at most.
        """
        assert batch.status == "completed", batch
        assert batch.output_file_id is not None
        assert batch.error_file_id is not None
        answered, errors = (
            [json.loads(line) for line in self.client.files.content(file_id).text.splitlines()]
            for file_id in (batch.output_file_id, batch.error_file_id)
        )
        blamed = [line for line in errors if line["response"]["status_code"] == 500]
        assert len(blamed) < max(1, len(self.killed) - self.killed.count("server"))
        errors = [line for line in errors if line not in blamed]
        numbers = {*range(num_lines)} - {int(line["custom_id"]) for line in blamed}
        assert sorted(int(line["custom_id"]) for line in answered) == sorted(n for n in numbers if n % 7 != 6)
        assert sorted(int(line["custom_id"]) for line in errors) == sorted(n for n in numbers if n % 7 == 6)
        assert {line["response"]["status_code"] for line in answered} == {200}
        assert {line["response"]["status_code"] for line in errors} == {400}
        assert batch.request_counts is not None
        counts = (batch.request_counts.total, batch.request_counts.completed, batch.request_counts.failed)
        assert counts == (num_lines, len(answered), len(errors) + len(blamed))
        listed = {file.id for file in self.client.files.list(purpose="batch_output")}
        assert {batch.output_file_id, batch.error_file_id} <= listed


def _done(batch: Batch) -> int:
    """How many lines of a batch are answered, and stored."""
    counts = batch.request_counts
    return 0 if counts is None else counts.completed + counts.failed


def engines_of(server: ServerProcess) -> list[psutil.Process]:
    """The engine's processes, of which there may be none for a moment."""
    with suppress(psutil.NoSuchProcess):
        return [
            child
            for child in psutil.Process(server.process.pid).children(recursive=True)
            if child.name().startswith("VLLM")
        ]
    return []
