"""Where spans go: OpenTelemetry's SDK, which sends them in batches to a collector by OTLP over HTTP.

Import it only where traces are wanted: it brings the SDK.
"""

import asyncio
import logging
import time
from threading import Thread
from typing import Self
from urllib.parse import urlsplit

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Tracer

from phiserve import __version__

CLOSE_TIMEOUT_S = 3.0
"""How long the end of the process waits for the last spans to be taken."""

OTLP_PATH = "/v1/traces"
"""Where collectors take traces over HTTP, by the OTLP specification; for URLs that name no path."""

_POLL_S = 0.02


class SpanExport:
    """Sends spans to the collector at `url` from a thread of its own.

    Nothing waits for the collector: spans are kept while it is slow, 2048 of them, and dropped beyond that.
    The SDK's own environment variables hold: `OTEL_BSP_…`, `OTEL_TRACES_SAMPLER`, `OTEL_RESOURCE_ATTRIBUTES`,
    `OTEL_EXPORTER_OTLP_HEADERS` and others.
    """

    def __init__(self, url: str) -> None:
        # What clients send in `traceparent` and `tracestate` is no reason for lines in our log.
        logging.getLogger("opentelemetry.trace").setLevel(logging.ERROR)
        self._provider = TracerProvider(resource=_resource(), shutdown_on_exit=False)
        exporter = OTLPSpanExporter(endpoint=_endpoint(url))
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._is_closed = False

    @classmethod
    def of_process(cls, url: str) -> Self:
        """One that takes the spans of everything else in this process too, of vLLM above all.

        OpenTelemetry lets a process have one.
        """
        export = cls(url)
        trace.set_tracer_provider(export._provider)
        return export

    @property
    def tracer(self) -> Tracer:
        """What makes our spans."""
        return self._provider.get_tracer("phiserve", __version__)

    async def close(self) -> None:
        """Send what is left, for `CLOSE_TIMEOUT_S` at most; called again, it does nothing.

        The SDK's own shutdown waits half a minute for a collector that does not answer. It goes on on a
        thread that does not hold up the end of the process.
        """
        if self._is_closed:
            return
        self._is_closed = True
        ending = Thread(target=self._provider.shutdown, name="last-spans", daemon=True)
        ending.start()
        deadline = time.monotonic() + CLOSE_TIMEOUT_S
        while ending.is_alive() and time.monotonic() < deadline:
            await asyncio.sleep(_POLL_S)


def _endpoint(url: str) -> str:
    return url.rstrip("/") + OTLP_PATH if urlsplit(url).path in ("", "/") else url


def _resource() -> Resource:
    """What the spans are of; the environment's own names and attributes come before ours."""
    ours = {"service.name": "phiserve", "service.version": __version__}
    return Resource.create(ours).merge(OTELResourceDetector().detect())
