"""Files of keys whose secrets tests know."""

from pathlib import Path

import yaml

from phiserve.access.key import digest_of


def secret_of(owner: str) -> str:
    """The secret of the key that `write_keys` gives an owner."""
    return f"secret of {owner}"


def bearer(owner: str) -> dict[str, str]:
    """The header with which an owner comes."""
    return {"authorization": f"Bearer {secret_of(owner)}"}


def write_keys(file: Path, **limits_by_owner: dict[str, object]) -> Path:
    """Write a file with one key for each owner, with these fields besides owner and hash."""
    keys = [
        {"owner": owner, "sha256": digest_of(secret_of(owner).encode()).hex(), **limits}
        for owner, limits in limits_by_owner.items()
    ]
    file.write_text(yaml.safe_dump({"keys": keys}), encoding="utf-8")
    return file
