"""A pytest plugin for vLLM's own tests: their server is the one that runs already, their images are ours, as
data: URLs.

Tests that ask no server, but vLLM's own classes, are left out, and counted.
"""

import base64
import importlib
import os
import sys
from types import TracebackType
from typing import Any, Self

import openai
import pytest

from conformance.plugins.images import image
from phiserve.plugin.register import register


class RunningServer:
    """Stands for `RemoteOpenAIServer`: whatever is to be started runs already."""

    DUMMY_API_KEY = "none"

    def __init__(self, model: str, arguments: list[str], **options: Any) -> None:
        self.url_root = os.environ["CONFORMANCE_URL"]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def url_for(self, *parts: str) -> str:
        """The address of a route."""
        return "/".join([self.url_root, *parts])

    def get_async_client(self, **options: Any) -> openai.AsyncOpenAI:
        """The openai client."""
        return openai.AsyncOpenAI(
            base_url=self.url_for("v1"), api_key=self.DUMMY_API_KEY, max_retries=0, **options
        )


def pytest_sessionstart() -> None:
    """Before their files are imported; they may load our checkpoint's configuration too, by the name that
    stands for it.
    """
    importlib.import_module("tests.utils").RemoteOpenAIServer = RunningServer  # type: ignore[attr-defined]
    register()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what asks no server; give images as data: URLs, since fetching is off by default."""
    config.hook.pytest_deselected(items=[item for item in items if not _asks_a_server(item)])
    items[:] = filter(_asks_a_server, items)
    for item in items:
        item._nodeid = item.nodeid  # type: ignore[attr-defined] # noqa: SLF001 - schemathesis reads it; pytest 9.2 has it no more
    sys.modules["tests.conftest"].LocalAssetServer.url_for = _data_url


def _asks_a_server(item: pytest.Item) -> bool:
    return not {"server", "client", "get_schema"}.isdisjoint(getattr(item, "fixturenames", ()))


def _data_url(server: object, name: str) -> str:
    extension = name.rsplit(".", 1)[1]
    content = base64.b64encode(image(extension)).decode()
    return f"data:image/{'jpeg' if extension == 'jpg' else 'png'};base64,{content}"
