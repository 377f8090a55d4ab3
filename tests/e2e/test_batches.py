"""Batches by openai's client on a real engine: of all routes, and whole whatever is killed."""

import base64
import json
import random
from pathlib import Path
from typing import Any

import httpx
import openai
from openai.types import Batch

from e2e.chaos import Chaos
from e2e.moments import ENDED, Victim
from e2e.processes import wait_until
from e2e.running import ServerProcess
from images import encode, noise

NUM_LINES = 60
VICTIMS: tuple[Victim, ...] = ("engine", "server")


def bodies(file_id: str, url: str) -> dict[str, list[dict[str, Any]]]:
    """Requests to each route, of which all but those for completions show images."""
    text = {"type": "text", "text": "What is this?"}
    by_url = {"type": "image_url", "image_url": {"url": url, "detail": "low"}}
    by_id = {"type": "image_file", "image_file": {"file_id": file_id, "detail": "low"}}
    asked = {"type": "input_text", "text": "What is this?"}
    shown = {"type": "input_image", "file_id": file_id, "detail": "low"}
    question = {"type": "predicate", "instructions": "Is it a chart?"}
    inline = {"type": "input_image", "image_url": url, "detail": "low"}
    greedy = {"temperature": 0}
    return {
        "/v1/chat/completions": [
            {"messages": [{"role": "user", "content": [image, text]}], "max_tokens": 12} | greedy
            for image in (by_url, by_id)
        ],
        "/v1/responses": [
            {"input": [{"role": "user", "content": [shown, asked]}], "max_output_tokens": 16} | greedy
        ],
        "/v1/completions": [{"prompt": ["Once upon", "A"], "max_tokens": 4} | greedy],
        "/v1/decisions": [
            {"input": [{"role": "user", "content": [image]}], "questions": [question]}
            for image in (inline, shown)
        ],
    }


def begun(client: openai.OpenAI, endpoint: str, requests: list[dict[str, Any]]) -> Batch:
    """A new batch of these requests."""
    lines = [
        {"custom_id": str(number), "method": "POST", "url": endpoint, "body": body}
        for number, body in enumerate(requests)
    ]
    content = "\n".join(map(json.dumps, lines)).encode()
    file = client.files.create(file=("lines.jsonl", content), purpose="batch")
    window: Any = "2h"
    route: Any = endpoint
    return client.batches.create(input_file_id=file.id, endpoint=route, completion_window=window)


def ended(client: openai.OpenAI, batch_id: str) -> Batch:
    """A batch, once it has ended."""
    wait_until(lambda: client.batches.retrieve(batch_id).status in ENDED, 240)
    return client.batches.retrieve(batch_id)


def answers(body: dict[str, Any]) -> Any:
    """What an answer of any route says."""
    if "output" in body:
        return [part["text"] for item in body["output"] for part in item["content"]]
    if "answers" in body:
        return body["answers"]
    return [choice.get("text") or choice["message"]["content"] for choice in body["choices"]]


def test_all_routes(demo_server: ServerProcess) -> None:
    """A batch of each, at once: every line is answered as its route answers it, pictures by file and URL."""
    client = openai.OpenAI(base_url=f"{demo_server.url}/v1", api_key="none", max_retries=0)
    image = encode(noise(60, 60, seed=5))
    file = client.files.create(file=("a.png", image), purpose="vision")
    asked = bodies(file.id, f"data:image/png;base64,{base64.b64encode(image).decode()}")
    batches = {endpoint: begun(client, endpoint, requests) for endpoint, requests in asked.items()}
    for endpoint, begun_batch in batches.items():
        batch = ended(client, begun_batch.id)
        Batch.model_validate_json(batch.model_dump_json(), strict=True)
        assert batch.status == "completed", batch
        assert batch.output_file_id is not None, batch
        lines = [json.loads(line) for line in client.files.content(batch.output_file_id).text.splitlines()]
        assert len(lines) == len(asked[endpoint])
        for line, body in zip(lines, asked[endpoint], strict=True):
            response = httpx.post(f"{demo_server.url}{endpoint}", json=body, timeout=120)
            assert answers(line["response"]["body"]) == answers(response.json())
    listed = [batch.id for batch in client.batches.list(limit=2)]  # by pages of two
    assert {batch.id for batch in batches.values()} <= {*listed}


def test_killed_in_the_middle(tmp_path: Path) -> None:
    """The engine, then the server with it: no line is lost, and none is answered twice in the output."""
    chaos = Chaos({"PHISERVE_STATE_URL": f"sqlite:///{tmp_path / 'state.db'}"}, random.Random(16))
    try:
        batch_id = chaos.begin(NUM_LINES)
        for victim in VICTIMS:
            wait_until(lambda: chaos.client.batches.retrieve(batch_id).status != "validating")
            assert chaos.client.batches.retrieve(batch_id).status == "in_progress"
            chaos.kill(victim)
        chaos.check(chaos.ended(batch_id), NUM_LINES)
    finally:
        chaos.end()
