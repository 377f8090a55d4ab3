"""Requests as spans, seen by a collector: names, parents, times, outcomes, and nothing private."""

import asyncio
import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from collector import Collector, Taken, collecting
from images import encode, image_part, noise, text_part
from key_files import bearer, secret_of, write_keys
from phiserve.api.app import create_app
from phiserve.api.services import Services
from phiserve.errors import EngineFailure, Overloaded
from phiserve.span_export import SpanExport
from scripted import ScriptedEngine, delta
from wire import ANSWER, BODY, call, post

MakeServices = Callable[..., Services]
CHAT = "POST /v1/chat/completions"
TRACE_ID, CLIENT_SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED = f"00-{TRACE_ID}-{CLIENT_SPAN}-01"
PRIVATE_TEXT = "What only the user may know"


class Traced:
    """Services whose spans arrive at a collector."""

    def __init__(self, services: Services, collector: Collector) -> None:
        self._export = SpanExport(collector.url)
        self._collector = collector
        self.services = dataclasses.replace(services, tracer=self._export.tracer)

    def spans(self) -> list[Taken]:
        """All that has been made; further ones are not taken."""
        asyncio.run(self._export.close())
        return self._collector.spans

    def request_span(self) -> Taken:
        """The span of the only request."""
        (span,) = [span for span in self.spans() if span.is_server]
        return span


@pytest.fixture
def collector() -> Iterator[Collector]:
    """A collector of this test's own."""
    with collecting() as collector:
        yield collector


@pytest.fixture
def traced(make_services: MakeServices, collector: Collector) -> Callable[..., Traced]:
    """Builds traced services around a scripted engine."""
    return lambda engine, **settings: Traced(make_services(engine, **settings), collector)


def with_image(**fields: object) -> dict[str, Any]:
    """A body that shows an image."""
    content = [image_part(encode(noise(30, 20))), text_part(PRIVATE_TEXT)]
    return BODY | {"messages": [{"role": "user", "content": content}]} | fields


@pytest.mark.parametrize("stream", [False, True])
def test_a_request(traced: Callable[..., Traced], stream: bool) -> None:
    """One span for all of it, in the client's trace, and one for each part of the work within it."""
    made = traced(ScriptedEngine(ANSWER))
    headers = {"traceparent": SAMPLED, "x-request-id": "abc-1"}
    assert post(made.services, with_image(stream=stream), headers=headers).status_code == 200
    spans = {span.name: span for span in made.spans()}
    whole = spans.pop(CHAT)
    generating = ["generate first token", "generate other tokens"] if stream else ["generate"]
    assert sorted(spans) == sorted(["read body", "prepare prompt", "decode image", *generating])
    assert (whole.trace_id, whole.parent_id) == (TRACE_ID, CLIENT_SPAN)
    assert (whole.is_server, whole.is_error) == (True, False)
    for part in spans.values():
        assert (part.trace_id, part.parent_id, part.is_server) == (TRACE_ID, whole.span_id, False)
        assert whole.began_ns <= part.began_ns <= part.ended_ns <= whole.ended_ns
    order = ["read body", "prepare prompt", *generating]
    assert [spans[name].began_ns for name in order] == sorted(spans[name].began_ns for name in order)


def test_attributes(traced: Callable[..., Traced], tmp_path: Any) -> None:
    """OpenTelemetry's own names where it has them."""
    made = traced(ScriptedEngine(ANSWER), keys_file=write_keys(tmp_path / "k", alice={}))
    headers = bearer("alice") | {"x-request-id": "abc-1"}
    post(made.services, with_image(stream=True), headers=headers)
    attributes = dict(made.request_span().attributes)
    image_tokens, time_to_first = (
        attributes.pop(name) for name in ("phiserve.image_tokens", "gen_ai.response.time_to_first_chunk")
    )
    assert 0 < int(image_tokens) < int(attributes.pop("gen_ai.usage.input_tokens"))
    assert float(time_to_first) > 0
    assert attributes == {
        "http.request.method": "POST",
        "http.route": "/v1/chat/completions",
        "http.response.status_code": 200,
        "network.protocol.version": "1.1",
        "url.scheme": "http",
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "phiserve",
        "gen_ai.request.model": "m",
        "gen_ai.request.stream": True,
        "gen_ai.usage.output_tokens": 3,
        "gen_ai.usage.cache_read.input_tokens": 0,
        "phiserve.request_id": "abc-1",
        "phiserve.owner": "alice",
        "phiserve.outcome": "ok",
        "phiserve.images": 1,
    }


def test_a_completion_is_named_as_one(traced: Callable[..., Traced]) -> None:
    """By OpenTelemetry's word; its prompts are in one span."""
    made = traced(ScriptedEngine(ANSWER))
    post(made.services, {"model": "m", "prompt": [[5], [6, 7]]}, "/v1/completions")
    attributes = made.request_span().attributes
    assert attributes["gen_ai.operation.name"] == "text_completion"
    assert attributes["gen_ai.usage.input_tokens"] == 3


def test_the_engine_is_told(traced: Callable[..., Traced]) -> None:
    """Of the request's span, so that its own becomes a part of it, and of what other vendors added."""
    engine = ScriptedEngine(ANSWER)
    made = traced(engine)
    post(made.services, headers={"traceparent": SAMPLED, "tracestate": "vendor=1"})
    span = made.request_span()
    expected = {"traceparent": f"00-{TRACE_ID}-{span.span_id}-01", "tracestate": "vendor=1"}
    assert engine.generations[0].trace_headers == expected


@pytest.mark.parametrize("headers", [{}, {"traceparent": "no"}, {"traceparent": SAMPLED.upper()}])
def test_without_a_client_s_trace(traced: Callable[..., Traced], headers: dict[str, str]) -> None:
    """Or with one that is not well-formed: a trace begins here."""
    made = traced(ScriptedEngine(ANSWER))
    assert post(made.services, headers=headers).status_code == 200
    assert made.request_span().parent_id == ""


def test_a_trace_that_nobody_records(traced: Callable[..., Traced]) -> None:
    """The client has decided so: nothing is exported, and the engine knows it too."""
    engine = ScriptedEngine(ANSWER)
    made = traced(engine)
    post(made.services, headers={"traceparent": SAMPLED[:-1] + "0"})
    headers = engine.generations[0].trace_headers
    assert headers is not None
    assert headers["traceparent"].startswith(f"00-{TRACE_ID}-")
    assert headers["traceparent"].endswith("-00")
    assert made.spans() == []


@pytest.mark.parametrize(
    ("engine", "fields", "status", "outcome", "is_error"),
    [
        (ScriptedEngine(), {"temperature": "hot"}, 400, "invalid_type", False),
        (ScriptedEngine(refuse=Overloaded("full")), {}, 429, Overloaded.default_code, False),
        (ScriptedEngine([EngineFailure("no")]), {}, 500, EngineFailure.default_code, True),
        (
            ScriptedEngine([*ANSWER[:1], EngineFailure("no")]),
            {"stream": True},
            200,
            EngineFailure.default_code,
            True,
        ),
        (ScriptedEngine([ZeroDivisionError()]), {}, 500, "internal_error", True),
    ],
)
def test_failed(
    traced: Callable[..., Traced],
    engine: ScriptedEngine,
    fields: dict[str, Any],
    status: int,
    outcome: str,
    is_error: bool,
) -> None:
    """A client's mistake is no error of the server's; a stream that broke off is, whatever its status."""
    made = traced(engine)
    assert post(made.services, **fields).status_code == status
    span = made.request_span()
    assert (span.attributes["http.response.status_code"], span.attributes["phiserve.outcome"]) == (
        status,
        outcome,
    )
    assert span.is_error is is_error
    assert span.attributes.get("error.type") == (outcome if is_error else None)


def test_a_client_that_hangs_up(traced: Callable[..., Traced]) -> None:
    """Its span ends, with the tokens until then; the server has not failed."""
    body = iter([{"type": "http.request", "body": json.dumps(BODY | {"stream": True}).encode()}])
    gone = asyncio.Event()

    async def forever() -> None:
        gone.set()
        await asyncio.Event().wait()

    made = traced(ScriptedEngine([delta("a", ids=[5]), forever]))  # type: ignore[list-item]

    async def receive() -> Any:
        if (message := next(body, None)) is not None:
            return message
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: object) -> None:
        """What is answered goes nowhere."""

    scope = {"type": "http", "method": "POST", "path": "/v1/chat/completions", "query_string": b""}
    scope |= {"headers": [], "scheme": "http", "server": ("t", 80), "client": ("c", 1), "http_version": "1.1"}
    asyncio.run(asyncio.wait_for(create_app(made.services)(scope, receive, send), 10))
    span = made.request_span()
    assert (span.attributes["phiserve.outcome"], span.is_error) == ("client_gone", False)
    assert span.attributes["gen_ai.usage.output_tokens"] == 1


def test_nothing_private(traced: Callable[..., Traced], collector: Collector, tmp_path: Any) -> None:
    """No content, no URL, no path that a client has made up, no key: not in a byte of what is sent."""
    engine = ScriptedEngine([delta("Secret answer", ids=[5], finish="stop")])
    made = traced(engine, keys_file=write_keys(tmp_path / "k", alice={}))
    url_part = {"type": "image_url", "image_url": {"url": "https://private.example/a.png"}}
    for body in (with_image(), BODY | {"messages": [{"role": "user", "content": [url_part]}]}):
        post(made.services, body, headers=bearer("alice"))
    call(made.services, "GET", "/nowhere/Secret?Secret=1", headers=bearer("alice"))
    call(made.services, "SECRET", "/v1/models", headers={"authorization": "Bearer Secret-wrong"})
    spans = made.spans()
    sent = b"".join(collector.bodies)
    assert sum(span.is_server for span in spans) == 4
    for private in ("Secret", "SECRET", PRIVATE_TEXT, "private.example", "base64", secret_of("alice")):
        assert private.encode() not in sent


def test_health_checks(traced: Callable[..., Traced]) -> None:
    """Have no span while all is well: they come every few seconds."""
    made = traced(ScriptedEngine())
    assert call(made.services, "GET", "/ready").status_code == 200
    assert call(made.services, "GET", "/v1/models").status_code == 200
    assert [span.name for span in made.spans()] == ["GET /v1/models"]


def test_tokenizing(traced: Callable[..., Traced]) -> None:
    """Has parts too, but none of the engine's."""
    made = traced(ScriptedEngine())
    assert post(made.services, path="/tokenize").status_code == 200
    assert sorted(span.name for span in made.spans()) == ["POST /tokenize", "prepare prompt", "read body"]


def test_off(make_services: MakeServices) -> None:
    """By default: the engine is told nothing, and what makes and sends spans is not imported. (OpenTelemetry
    itself is, by redis and vLLM.)
    """
    engine = ScriptedEngine(ANSWER)
    assert post(make_services(engine), headers={"traceparent": SAMPLED}).status_code == 200
    assert engine.generations[0].trace_headers is None
    program = (
        "import sys, phiserve.launcher, phiserve.cli.main;"
        "ours = {'phiserve.span_export', 'phiserve.api.tracing', 'opentelemetry.exporter'};"
        "sys.exit(not ours.isdisjoint(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=120, check=False).returncode == 0  # noqa: S603 - our own


def test_a_request_does_not_wait(make_services: MakeServices, monkeypatch: pytest.MonkeyPatch) -> None:
    """For a collector that is not there."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")  # seconds, or the SDK would outlive this test
    export = SpanExport("http://127.0.0.1:9")
    services = dataclasses.replace(make_services(ScriptedEngine(ANSWER)), tracer=export.tracer)

    async def ask_often() -> None:
        transport = httpx.ASGITransport(create_app(services))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            for _ in range(600):  # more than the SDK collects before it tries to send
                assert (await client.post("/v1/chat/completions", json=BODY)).status_code == 200

    asyncio.run(asyncio.wait_for(ask_often(), 60))
    asyncio.run(export.close())
