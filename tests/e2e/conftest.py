"""One real vLLM engine behind `phiserve serve` for the whole session, and the real openai client."""

from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from e2e.running import ServerProcess, server_process


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder needs an engine."""
    for item in items:
        if "e2e" in item.path.parts:
            item.add_marker(pytest.mark.e2e)


@pytest.fixture(scope="session")
def cache_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The user's cache folder of the session's server, and of commands that would otherwise write into the
    real one.
    """
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def server(cache_home: Path) -> Iterator[ServerProcess]:
    """A server of the blank checkpoint, for all else as a user gets it."""
    with server_process(XDG_CACHE_HOME=str(cache_home)) as process:
        process.wait_until_ready()
        yield process


@pytest.fixture(scope="session")
def image_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the demo model's server may read images from."""
    return tmp_path_factory.mktemp("images")


@pytest.fixture(scope="session")
def demo_url(image_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a server of the embedded default, the demo model, as a user gets it but for a folder of
    images.
    """
    cache = str(tmp_path_factory.mktemp("demo"))
    with server_process(model=None, XDG_CACHE_HOME=cache, PHISERVE_IMAGE_FOLDER=str(image_folder)) as process:
        process.wait_until_ready()
        yield process.url


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
