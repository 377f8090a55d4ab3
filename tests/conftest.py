"""Where the golden vectors are, and a tokenizer and images that need no download."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from _pytest.nodeid import coerce_node_id

from phiserve.chat.encoder import PromptEncoder
from phiserve.chat.vocabulary import Vocabulary
from phiserve.checkpoint.tokenizer_files import write_tokenizer

_SHARED = Path(os.environ.get("GOLDEN_VECTORS", Path(__file__).parents[2] / "shared"))
_REQUIRED = "GOLDEN_VECTORS_REQUIRED" in os.environ

# Before torch is imported: after each parallel operation its threads would spin on cores that others need.
os.environ.setdefault("GOMP_SPINCOUNT", "2000")

hypothesis.settings.register_profile("untimed", deadline=None)  # how fast a shared machine is says nothing
hypothesis.settings.load_profile("untimed")


def _folder(name: str) -> Path:
    folder = _SHARED / name
    if folder.is_dir():
        return folder
    reason = f"{name} vectors are not on this machine; GOLDEN_VECTORS names the folder that holds them"
    if _REQUIRED:
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of a file are one group unless they have another: a worker of pytest-xdist runs all of it."""
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.path.stem))
        if "PYTEST_XDIST_WORKER" in os.environ:
            _tell_group(item)


def _tell_group(item: pytest.Item) -> None:
    """Put a test's group where pytest-xdist's scheduler looks for it: behind the test's name.

    pytest-xdist 3.8 does so itself with pytest up to 9.1; where pytest 9.2 keeps the name it does not know.
    """
    marker = item.get_closest_marker("xdist_group")
    assert marker is not None
    suffix = f"@{marker.args[0]}"
    if not item.nodeid.endswith(suffix):
        item._id = coerce_node_id(item.nodeid + suffix)


@pytest.fixture(scope="session", autouse=True)
def no_settings_of_the_developer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The PHISERVE_… variables of whoever runs the tests are none of theirs, nor of the processes they
    start; nor are the responses that their own server has stored.
    """
    with pytest.MonkeyPatch.context() as environment:
        for name in [name for name in os.environ if name.startswith("PHISERVE_")]:
            environment.delenv(name)
        environment.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(scope="session", autouse=True)
def ctrl_c_is_heard() -> None:
    """A shell's background jobs ignore SIGINT, and hand that on: tests that send it to their own processes
    need it heard.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def golden() -> Path:
    """Folder of vectors computed with the reference implementation."""
    return _folder("golden")


@pytest.fixture(scope="session")
def reference() -> Path:
    """Folder of the model repository's data files and OpenAI's specification."""
    return _folder("reference")


@pytest.fixture(scope="session")
def tokenizer_json(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The assembled tokenizer of blank checkpoints."""
    folder = tmp_path_factory.mktemp("tokenizer")
    write_tokenizer(folder)
    return folder / "tokenizer.json"


@pytest.fixture(scope="session")
def encoder(tokenizer_json: Path) -> PromptEncoder:
    """A prompt encoder on the assembled tokenizer."""
    return PromptEncoder.load(tokenizer_json)


@pytest.fixture(scope="session")
def vocabulary(tokenizer_json: Path) -> Vocabulary:
    """Token bytes of the assembled tokenizer."""
    return Vocabulary.load(tokenizer_json)
