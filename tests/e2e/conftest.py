"""Real vLLM engines behind `phiserve serve`, each shared by all tests that need its settings, and the openai
client.

A start costs half a minute of processor time. Tests of one server are a group, which pytest-xdist gives to
one worker; the tests of test_lifecycle.py come last in it: they end the server.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from e2e.running import InProcessServer, ServerProcess, server_process
from images import encode, noise
from phiserve.checkpoint.embedded import BLANK_NAME, embedded_checkpoint
from phiserve.config import Settings

MODEL = "phiserve-blank"

SHORT_CONTEXT = 1152
"""Tokens; Open WebUI reserves 1000 of them for a title. Random weights fill it where a request sets no
limit."""

ENGINES = ("server", "demo_server", "configured_server", "short_server", "counted")
"""Fixtures that start an engine for several files; all tests of one are a group, others a group by file."""

LONGEST_FIRST = (
    "server",
    "demo_server",
    "test_demo_mutations.py",
    "counted",
    "test_lifecycle.py",
    "test_cli.py",
)
"""Groups that are begun before others, so that no worker waits for another at the end."""


@pytest.hookimpl(tryfirst=True)  # before the other files' groups, and before pytest-xdist reads them
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder needs an engine, and comes first, in groups by the engine that it needs."""
    here = [item for item in items if "e2e" in item.path.parts]
    for item in here:
        item.add_marker(pytest.mark.e2e)
        item.add_marker(pytest.mark.xdist_group(_group(item)))
    items[:] = [*sorted(here, key=_rank), *(item for item in items if "e2e" not in item.path.parts)]


def _group(item: pytest.Item) -> str:
    fixtures: list[str] = getattr(item, "fixturenames", [])
    return next((name for name in ENGINES if name in fixtures), item.path.name)


def _rank(item: pytest.Item) -> tuple[int, str, bool]:
    group = _group(item)
    place = LONGEST_FIRST.index(group) if group in LONGEST_FIRST else len(LONGEST_FIRST)
    return place, group, item.path.name == "test_lifecycle.py"


@pytest.fixture(scope="session", autouse=True)
def cache_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The user's cache folder of all servers and commands: embedded checkpoints are written into it once, and
    vLLM keeps there what it found out about the model's class. pytest-xdist's workers share it.
    """
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "cache"
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("XDG_CACHE_HOME", str(folder))
        yield folder


@pytest.fixture(scope="session")
def server() -> Iterator[ServerProcess]:
    """A server of the blank checkpoint, for all else as a user gets it."""
    with server_process() as process:
        process.wait_until_ready()
        yield process


@pytest.fixture(scope="session")
def image_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that servers may read images from: with an image, and with what should not be read."""
    folder = tmp_path_factory.mktemp("images")
    (folder / "a.png").write_bytes(encode(noise(30, 20)))
    (folder / "link").symlink_to("/etc/passwd")
    os.mkfifo(folder / "pipe")
    return folder


@pytest.fixture(scope="session")
def demo_server(image_folder: Path) -> Iterator[ServerProcess]:
    """A server of the embedded default, the demo model, as a user gets it but for a folder of images and more
    patience at its end, so that a slow machine finishes its answers too.
    """
    settings = {"PHISERVE_IMAGE_FOLDER": str(image_folder), "PHISERVE_SHUTDOWN_GRACE_S": "50"}
    with server_process(model=None, **settings) as process:
        process.wait_until_ready()
        yield process


@pytest.fixture(scope="session")
def configured_server(
    image_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    """Set by a file, the environment and flags: images from everywhere, small limits, a long context."""
    settings = tmp_path_factory.mktemp("settings") / "settings.yaml"
    settings.write_text(
        "served_model_name: other\nshutdown_grace_s: 50\nengine: {max_model_len: 6000}\n"
        f'image_hosts: ["*"]\nimage_folder: {image_folder}\n'
        "max_images: 3\nmax_request_image_bytes: 4000\nmax_request_image_pixels: 1500\n"
    )
    flags = ["--config", str(settings), "--served-model-name", MODEL, "--engine", "max_num_seqs=5"]
    with server_process(*flags, PHISERVE_MAX_CROPS="4") as process:
        process.wait_until_ready()
        yield process


@pytest.fixture(scope="session")
def short_server() -> Iterator[ServerProcess]:
    """A server with a small context and little patience with running answers at its end."""
    with server_process(
        "--engine", f"max_model_len={SHORT_CONTEXT}", PHISERVE_SHUTDOWN_GRACE_S="1"
    ) as process:
        process.wait_until_ready()
        yield process


@pytest.fixture(scope="session")
def counted(cache_home: Path) -> Iterator[InProcessServer]:
    """A blank model inside this process, with a worker that counts crops and an image cache that holds one
    photograph: what is sent, decoded and encoded. In float32, so that answers do not differ with what else is
    in a batch: one step of bfloat16 is 0.016 of a log-probability.
    """
    folder = embedded_checkpoint(BLANK_NAME, print)
    engine = {
        "worker_cls": "e2e.counting.CountingWorker",
        "mm_processor_cache_gb": 0.01,
        "dtype": "float32",
    }
    server = InProcessServer(Settings(model=str(folder), served_model_name=("m",), engine=engine))
    yield server
    server.close()


@pytest.fixture(scope="session")
def demo_url(demo_server: ServerProcess) -> str:
    """Address of the demo model's server."""
    return demo_server.url


@pytest.fixture(scope="session")
def url(server: ServerProcess) -> str:
    """Address of the blank model's server."""
    return server.url


@pytest.fixture(scope="session")
def client(url: str) -> Iterator[openai.OpenAI]:
    """The synchronous client."""
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        yield client
