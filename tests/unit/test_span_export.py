"""Spans arrive at a collector, and nothing waits for one."""

import asyncio
import socket
import subprocess
import sys
import time

import pytest

from collector import collecting
from phiserve.span_export import CLOSE_TIMEOUT_S, SpanExport


def make_span(export: SpanExport, name: str = "work") -> None:
    """One span."""
    export.tracer.start_span(name).end()


@pytest.mark.parametrize("ending", ["/v1/traces", "", "/"])
def test_spans_arrive(ending: str) -> None:
    """At the end at the latest, as the server's; a URL without a path means OTLP's own."""
    with collecting() as collector:
        export = SpanExport(collector.url.removesuffix("/v1/traces") + ending)
        make_span(export)
        asyncio.run(export.close())
        (span,) = collector.spans
    assert span.name == "work"
    assert span.resource["service.name"] == "phiserve"


def test_the_environments_names_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenTelemetry's own variables say what a service is called."""
    monkeypatch.setenv("OTEL_SERVICE_NAME", "vision-a")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
    with collecting() as collector:
        export = SpanExport(collector.url)
        make_span(export)
        asyncio.run(export.close())
        (span,) = collector.spans
    assert span.resource["service.name"] == "vision-a"
    assert span.resource["deployment.environment.name"] == "test"


def test_a_collector_that_is_absent() -> None:
    """Costs the end of the process no more than its limit; the SDK alone would try for many times as long."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    export = SpanExport(f"http://127.0.0.1:{port}")
    make_span(export)
    began = time.monotonic()
    asyncio.run(export.close())
    assert time.monotonic() - began < CLOSE_TIMEOUT_S + 5
    began = time.monotonic()
    asyncio.run(export.close())
    assert time.monotonic() - began < CLOSE_TIMEOUT_S / 2  # waits once


def test_a_collector_that_never_answers() -> None:
    """The process ends all the same: no thread holds it up."""
    program = (
        "import asyncio, sys; from phiserve.span_export import SpanExport; export = SpanExport(sys.argv[1]);"
        "[export.tracer.start_span('work').end() for _ in range(5000)]; asyncio.run(export.close())"
    )
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        done = subprocess.run([sys.executable, "-c", program, url], timeout=60, capture_output=True)  # noqa: S603 - our own
    assert done.returncode == 0, done.stderr.decode()


def test_closing_twice() -> None:
    """Does no harm."""
    with collecting() as collector:
        export = SpanExport(collector.url)
        make_span(export)
        asyncio.run(export.close())
        asyncio.run(export.close())
        assert len(collector.spans) == 1
