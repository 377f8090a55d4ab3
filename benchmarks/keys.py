"""A server's file of keys, for measurements with several owners."""

import hashlib
from pathlib import Path


def write_keys(file: Path, *owners: str) -> Path:
    """Write a file with one key for each owner, whose name is the secret too."""
    entries = "".join(
        f"- owner: {owner}\n  sha256: {hashlib.sha256(owner.encode()).hexdigest()}\n" for owner in owners
    )
    file.write_text(f"keys:\n{entries}", encoding="utf-8")
    return file
