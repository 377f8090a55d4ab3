"""Whoever uses a feature first stops nobody."""

import itertools
import statistics
import threading
import time

import httpx

from e2e.conftest import MODEL
from e2e.running import server_process

LONGEST_GAP_S = 1.0
"""Most seconds between two tokens, usually milliseconds. First log-probabilities used to take over two."""

BODY = {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}], "ignore_eos": True}
SCHEMA = {"type": "object", "properties": {"a": {"enum": ["b"]}}, "required": ["a"]}
FEATURES: list[dict[str, object]] = [
    {"logprobs": True},
    {"logprobs": True, "top_logprobs": 5},
    {"temperature": 0.7, "top_p": 0.5, "seed": 1},
    {"top_k": 5, "min_p": 0.1},
    {"frequency_penalty": 1, "presence_penalty": 1, "repetition_penalty": 1.2},
    {"logit_bias": {"5": 1}, "stop": ["x"]},
    {"n": 2, "temperature": 1},
    {"response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": SCHEMA}}},
    {"structured_outputs": {"regex": "[a-c]{3}"}},
]


def test_no_first_use_stops_a_stream() -> None:
    """A fresh server, one stream, and each feature for the first time beside it."""
    with server_process() as server:
        server.wait_until_ready()
        url = f"{server.url}/v1/chat/completions"
        moments: list[float] = []
        enough = threading.Event()

        def stream() -> None:
            body = BODY | {"stream": True, "max_tokens": 3900, "temperature": 0}
            with httpx.stream("POST", url, json=body, timeout=120) as response:
                for line in response.iter_lines():
                    if line:
                        moments.append(time.monotonic())
                    if enough.is_set():
                        return

        streaming = threading.Thread(target=stream)
        streaming.start()
        for feature in FEATURES:
            answer = httpx.post(
                url, json=BODY | {"max_tokens": 12, "ignore_eos": False} | feature, timeout=120
            )
            assert answer.status_code == 200, answer.text
        assert streaming.is_alive()
        enough.set()
        streaming.join(60)
    gaps = [later - earlier for earlier, later in itertools.pairwise(moments)]
    assert max(gaps) < max(LONGEST_GAP_S, 5 * statistics.median(gaps))
