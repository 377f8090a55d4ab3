"""Files of keys are as the server reads them."""

from pathlib import Path

from benchmarks.keys import write_keys
from phiserve.access.key import digest_of
from phiserve.access.keys_file import read_entries


def test_each_owner_has_a_key(tmp_path: Path) -> None:
    entries = read_entries(write_keys(tmp_path / "keys.yaml", "a", "b"))
    assert [(entry.owner, bytes.fromhex(entry.sha256)) for entry in entries] == [
        (owner, digest_of(owner.encode())) for owner in ("a", "b")
    ]
