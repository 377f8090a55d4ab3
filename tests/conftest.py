"""Where the golden vectors are, and a tokenizer and pictures that need no download."""

import os
from pathlib import Path

import pytest

from phiserve.chat.encoder import PromptEncoder
from phiserve.chat.vocabulary import Vocabulary
from phiserve.checkpoint.tokenizer_files import write_tokenizer

_SHARED = Path(os.environ.get("PHISERVE_GOLDEN", Path(__file__).parents[2] / "shared"))


@pytest.fixture(scope="session")
def golden() -> Path:
    """Folder of vectors computed with the reference implementation."""
    folder = _SHARED / "golden"
    if not folder.is_dir():
        pytest.skip("the golden vectors are not on this machine (PHISERVE_GOLDEN names their folder)")
    return folder


@pytest.fixture(scope="session")
def reference() -> Path:
    """Folder of the model repository's data files and OpenAI's specification."""
    folder = _SHARED / "reference"
    if not folder.is_dir():
        pytest.skip("the reference files are not on this machine (PHISERVE_GOLDEN names their folder)")
    return folder


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
