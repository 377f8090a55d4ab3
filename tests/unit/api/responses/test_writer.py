"""The events of a response in OpenAI's order, and the same answer whole, as others define them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from images import data_url, encode, noise
from phiserve.api.services import Services
from phiserve.engine.interface import Candidate, Delta, Position
from phiserve.errors import EngineFailure, EngineUnavailable, RequestError
from phiserve.protocol.responses.request import LOGPROBS
from responses_types import TEXT_EVENTS, Specification, strict_response, typed_events
from scripted import ScriptedEngine, delta
from wire import ANSWER, post

MakeServices = Callable[..., Services]
PATH = "/v1/responses"
IMAGE = [
    {
        "role": "user",
        "content": [
            {"type": "input_image", "image_url": data_url(encode(noise(40, 40))), "detail": "low"},
            {"type": "input_text", "text": "What is it?"},
        ],
    }
]
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
FORMAT = {"format": {"type": "json_schema", "name": "n", "schema": SCHEMA, "strict": True}}


def scored(text: str, token: int, finish: str | None = None) -> Delta:
    """A delta with log-probabilities."""
    position = Position(Candidate(token, -0.5), (Candidate(token, -0.5), Candidate(13, -1.5)))
    return Delta(0, text, (token,), (position,), finish, 0)  # type: ignore[arg-type]


SCORED = [scored(" time", 931), scored("", 29871), scored("s", 29879, "stop")]
JSON = [delta(' {"a": 1}', ids=[5], finish="stop")]
CASES: dict[str, tuple[dict[str, Any], list[Delta], str]] = {
    "text": ({"input": "Hi"}, ANSWER, "Hello"),
    "image": ({"input": IMAGE, "instructions": "Be brief"}, ANSWER, "Hello"),
    "json_schema": (
        {"input": "Hi", "text": FORMAT},
        [delta('{"a": 1}', ids=[5], finish="stop")],
        '{"a": 1}',
    ),
    "cut": ({"input": "Hi", "max_output_tokens": 2}, [delta(" a", ids=[5, 6], finish="length")], "a"),
    "logprobs": ({"input": "Hi", "include": [LOGPROBS], "top_logprobs": 2}, SCORED, "times"),
    "silent": ({"input": "Hi"}, [delta("", ids=[5], finish="stop")], ""),
}


def asked(services: Services, body: dict[str, Any], **fields: Any) -> Any:
    return post(services, body | fields, path=PATH)


@pytest.mark.parametrize("case", CASES)
def test_an_answer_in_events(make_services: MakeServices, case: str) -> None:
    """Each kind once and in order, but for the deltas, which add up; what begins is what ends."""
    body, steps, text = CASES[case]
    events = typed_events(asked(make_services(ScriptedEngine(steps)), body, stream=True))
    kinds = [event["type"] for event in events]
    deltas = [event for event in events if event["type"] == "response.output_text.delta"]
    last = "response.incomplete" if case == "cut" else "response.completed"
    before, after = [*TEXT_EVENTS[:4]], [*TEXT_EVENTS[5:8], last]
    assert kinds == before + ["response.output_text.delta"] * len(deltas) + after
    assert "".join(event["delta"] for event in deltas) == text
    done, part, item, end = events[-4:]
    assert done["text"] == part["part"]["text"] == text
    assert item["item"]["content"] == [part["part"]]
    assert end["response"]["output"] == [item["item"]]
    assert len({event["item_id"] for event in events if "item_id" in event} | {item["item"]["id"]}) == 1
    assert len({event["response"]["id"] for event in events if "response" in event}) == 1


@pytest.mark.parametrize("case", CASES)
def test_an_answer_as_a_whole(make_services: MakeServices, case: str) -> None:
    """The same as the last event of the stream, but for ids and times."""
    body, steps, text = CASES[case]
    services = make_services(ScriptedEngine(steps))
    response = strict_response(asked(services, body).json())
    streamed = typed_events(asked(services, body, stream=True))[-1]["response"]
    assert response.output_text == text
    assert response.status == ("incomplete" if case == "cut" else "completed")
    assert (response.completed_at is None) == (case == "cut")
    varying = ("id", "created_at", "completed_at", "output")
    whole = asked(services, body).json()
    assert {k: v for k, v in whole.items() if k not in varying} == {
        k: v for k, v in streamed.items() if k not in varying
    }
    assert whole["output"][0]["content"] == streamed["output"][0]["content"]


@pytest.mark.parametrize("case", CASES)
def test_openai_s_specification(make_services: MakeServices, case: str, reference: Path) -> None:
    """Every event and every response is what it says."""
    specification = Specification(reference)
    body, steps, _ = CASES[case]
    services = make_services(ScriptedEngine(steps))
    specification.validate("Response", asked(services, body).json())
    for event in typed_events(asked(services, body, stream=True)):
        specification.validate("ResponseStreamEvent", event)


def test_usage_is_exact(make_services: MakeServices) -> None:
    """The prompt's tokens as `/tokenize` counts them, the answer's as the engine gave them."""
    services = make_services(ScriptedEngine(ANSWER))
    usage = asked(services, {"input": "Hi"}).json()["usage"]
    prompt = post(services, path="/tokenize").json()["count"]
    assert usage == {
        "input_tokens": prompt,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": 3,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": prompt + 3,
    }


def test_an_answer_that_was_cut_says_where(make_services: MakeServices) -> None:
    """At the limit: response and item are incomplete."""
    body, steps, _ = CASES["cut"]
    response = asked(make_services(ScriptedEngine(steps)), body).json()
    assert response["incomplete_details"] == {"reason": "max_output_tokens"}
    assert response["output"][0]["status"] == "incomplete"


def test_log_probabilities(make_services: MakeServices) -> None:
    """As many in the deltas as in the whole, with bytes in the whole; none where none are asked for."""
    body, steps, _ = CASES["logprobs"]
    services = make_services(ScriptedEngine(steps))
    whole = asked(services, body).json()["output"][0]["content"][0]["logprobs"]
    assert [len(entry["bytes"]) > 0 for entry in whole] == [True] * 3
    assert [len(entry["top_logprobs"]) for entry in whole] == [2, 2, 2]
    events = typed_events(asked(services, body, stream=True))
    streamed = [
        entry["logprob"]
        for event in events
        if event["type"] == "response.output_text.delta"
        for entry in event["logprobs"]
    ]
    assert streamed == [entry["logprob"] for entry in whole]
    unasked = asked(make_services(ScriptedEngine(ANSWER)), {"input": "Hi"}).json()
    assert unasked["output"][0]["content"][0]["logprobs"] == []


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (EngineFailure("broken"), "engine_error"),
        (EngineUnavailable("gone"), "engine_unavailable"),
        (ValueError("secret"), "engine_error"),
    ],
)
def test_failure_in_mid_stream(make_services: MakeServices, failure: Exception, code: str) -> None:
    """What was said stays said; then the error with its code, then the response that failed."""
    response = asked(make_services(ScriptedEngine([ANSWER[0], failure])), {"input": "Hi"}, stream=True)
    *_, spoken, error, failed = typed_events(response)
    assert spoken["delta"] == "Hel"
    assert (error["type"], error["code"]) == ("error", code)
    assert failed["type"] == "response.failed"
    assert failed["response"]["status"] == "failed"
    assert failed["response"]["error"]["code"] == "server_error"
    assert failed["response"]["output"][0]["content"][0]["text"] == "Hel"
    assert "secret" not in response.text


@pytest.mark.parametrize("stream", [False, True])
def test_failure_before_the_first_token_has_its_status(make_services: MakeServices, stream: bool) -> None:
    """Nothing has been sent yet."""
    failure: RequestError = EngineUnavailable("gone")
    response = asked(make_services(ScriptedEngine([failure])), {"input": "Hi"}, stream=stream)
    assert (response.status_code, response.json()["error"]["code"]) == (503, "engine_unavailable")


def test_failure_after_a_comment(make_services: MakeServices) -> None:
    """The response is told to have begun before it is told to have failed."""
    import asyncio

    async def silent() -> None:
        for _ in range(1000):
            await asyncio.sleep(0)

    engine = ScriptedEngine([silent, EngineFailure("broken")])  # type: ignore[list-item]
    response = asked(make_services(engine, sse_keepalive_s=1e-6), {"input": "Hi"}, stream=True)
    assert response.text.startswith(": keep-alive\n\n")
    kinds = [event["type"] for event in typed_events(response)]
    assert kinds == ["response.created", "response.in_progress", "error", "response.failed"]
