"""One real vLLM engine behind `phiserve serve` for the whole session, and the real openai client."""

from collections.abc import Iterator

import openai
import pytest

from e2e.running import ServerProcess, server_process


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder needs an engine."""
    for item in items:
        if "e2e" in item.path.parts:
            item.add_marker(pytest.mark.e2e)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """The embedded default as a user gets it."""
    cache = tmp_path_factory.mktemp("cache")
    with server_process(XDG_CACHE_HOME=str(cache)) as process:
        process.wait_until_ready()
        yield process


@pytest.fixture(scope="session")
def url(server: ServerProcess) -> str:
    """Address of the session's server."""
    return server.url


@pytest.fixture(scope="session")
def client(url: str) -> Iterator[openai.OpenAI]:
    """The synchronous client."""
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        yield client


MODEL = "phiserve-blank"
