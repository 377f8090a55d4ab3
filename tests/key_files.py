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


def limit_owners(file: Path, **limits_by_owner: dict[str, object]) -> Path:
    """Add limits of owners to a file."""
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    file.write_text(yaml.safe_dump({"owners": limits_by_owner, **content}), encoding="utf-8")
    return file


def write_two_keys(file: Path, owner: str, first: dict[str, object], second: dict[str, object]) -> Path:
    """Write a file with two keys of one owner; their secrets are those of `first` and `second`."""
    keys = [
        {"owner": owner, "sha256": digest_of(secret_of(name).encode()).hex(), **limits}
        for name, limits in (("first", first), ("second", second))
    ]
    file.write_text(yaml.safe_dump({"keys": keys}), encoding="utf-8")
    return file
