"""The demo model's weights lie in the package, and are told by their digest."""

import hashlib
from pathlib import Path

import pytest

from phiserve.checkpoint import demo_weights
from phiserve.checkpoint.demo_weights import WEIGHTS_FILE, packed_weights, weights_digest
from phiserve.errors import StartupError


def test_content_and_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the file has it; without the file, one sentence with the remedy."""
    monkeypatch.setattr(demo_weights, "files", lambda package: tmp_path)
    (tmp_path / WEIGHTS_FILE).write_bytes(b"weights")
    assert packed_weights() == b"weights"
    assert weights_digest() == hashlib.sha256(b"weights").hexdigest()
    (tmp_path / WEIGHTS_FILE).unlink()
    with pytest.raises(StartupError, match="install phiserve anew"):
        weights_digest()


def test_the_package_has_them() -> None:
    """Under the name that packing gives them."""
    assert Path(demo_weights.__file__).with_name(WEIGHTS_FILE).is_file()
