"""Adding and revoking keys changes nothing else in the file."""

import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from phiserve.access.key import Limits, digest_of
from phiserve.access.keys_editing import add_key, limit_owner, revoke_key
from phiserve.access.keys_file import read_entries, read_keys_file
from phiserve.errors import StartupError

WRITTEN = f"""\
# Keys of our team
keys:
  # the first
  - owner: alice  # since 2024
    sha256: '{"a" * 64}'
    tokens_per_minute: 1_000
  # the second
  - {{owner: bob, sha256: '{"b" * 64}'}}
# the end
"""


def test_add_to_nothing(tmp_path: Path) -> None:
    """The file is made, for its owner alone; it holds the hash of a secret of 256 random bits."""
    file = tmp_path / "keys.yaml"
    limits = Limits(60, 1000, 10, 4, "low")
    key = add_key(file, "alice", datetime(2027, 1, 31, tzinfo=UTC), limits)
    (entry,) = read_entries(file)
    assert (entry.owner, entry.expires, entry.key().limits) == (
        "alice",
        datetime(2027, 1, 31, tzinfo=UTC),
        limits,
    )
    assert entry.sha256 == digest_of(key.secret.encode()).hex()
    assert entry.sha256.startswith(key.id)
    assert key.secret not in file.read_text()
    assert len(key.secret.removeprefix("sk-phi-")) == 43  # base64 of 32 bytes
    assert file.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["keys.yaml"]


def test_the_rest_is_kept(tmp_path: Path) -> None:
    """Comments, order, quotes and entries of other people's hands."""
    file = tmp_path / "keys.yaml"
    file.write_text(WRITTEN)
    add_key(file, "carol", None, Limits())
    lines = file.read_text().splitlines()
    assert [line for line in WRITTEN.splitlines() if line not in lines] == []
    assert [entry.owner for entry in read_entries(file)] == ["alice", "bob", "carol"]


def test_limit_an_owner(tmp_path: Path) -> None:
    """Limits are added, and those of before stay; what other people wrote around them stays too."""
    file = tmp_path / "keys.yaml"
    file.write_text(WRITTEN)
    limit_owner(file, "alice", Limits(requests_per_minute=5, max_detail="low"))
    limit_owner(file, "on", Limits(tokens_per_minute=7))
    limit_owner(file, "alice", Limits(requests_per_minute=6, images_per_minute=1))
    content = read_keys_file(file)
    assert content.limits_of("alice") == Limits(6, None, 1, None, "low")
    assert content.limits_of("on") == Limits(tokens_per_minute=7)
    text = file.read_text()
    assert [line for line in WRITTEN.splitlines() if line not in text.splitlines()] == []
    file.write_text(text.replace("owners:", "# limits\nowners:").replace("keys:", "# all keys\nkeys:"))
    limit_owner(file, "alice", Limits(concurrent_requests=2))
    lines = file.read_text().splitlines()
    assert lines.index("# limits") == lines.index("owners:") - 1
    assert lines.index("# all keys") == lines.index("keys:") - 1
    assert len(read_entries(file)) == 2


def test_limits_of_owners_need_a_file(tmp_path: Path) -> None:
    """And a limit; nothing is written otherwise."""
    file = tmp_path / "keys.yaml"
    with pytest.raises(StartupError, match="does not exist"):
        limit_owner(file, "alice", Limits(requests_per_minute=5))
    file.write_text("keys: []\nowners: {}\n")
    with pytest.raises(StartupError, match="Give at least one limit"):
        limit_owner(file, "alice", Limits())
    assert file.read_text() == "keys: []\nowners: {}\n"
    limit_owner(file, "alice", Limits(requests_per_minute=5))
    assert read_keys_file(file).owners.keys() == {"alice"}


def test_owners_stay_texts(tmp_path: Path) -> None:
    """Whatever YAML makes of them without quotes."""
    for owner in ("on", "null", "1e5", "2027-01-31", "a: b # c", '"', "日本", "- x"):
        add_key(tmp_path / "k", owner, None, Limits())
    owners = [entry.owner for entry in read_entries(tmp_path / "k")]
    assert owners == ["on", "null", "1e5", "2027-01-31", "a: b # c", '"', "日本", "- x"]


def test_revoke(tmp_path: Path) -> None:
    """The entry is marked, the others stay as they were; a second time is an error."""
    file = tmp_path / "keys.yaml"
    file.write_text(WRITTEN)
    revoke_key(file, "A" * 8)
    alice, bob = read_entries(file)
    assert (alice.revoked is not None, bob.revoked) == (True, None)
    lines = file.read_text().splitlines()
    assert [line for line in WRITTEN.splitlines() if line not in lines] == []
    assert lines.index("  # the second") > next(i for i, line in enumerate(lines) if "revoked" in line)
    with pytest.raises(StartupError, match="was revoked before"):
        revoke_key(file, "aaaaaaaa")
    revoke_key(file, "bbbbbb")
    assert read_entries(file)[1].revoked is not None


@pytest.mark.parametrize(
    ("key_id", "told"),
    [("a", "at least 6"), ("cccccc", "No key has"), ("ababab", "Several keys have")],
)
def test_revoke_the_one_that_is_meant(tmp_path: Path, key_id: str, told: str) -> None:
    """Or none."""
    file = tmp_path / "keys.yaml"
    digests = ("ab" * 32, "ab" * 31 + "cd")
    file.write_text("keys:\n" + "".join(f"  - {{owner: a, sha256: '{digest}'}}\n" for digest in digests))
    before = file.read_text()
    with pytest.raises(StartupError, match=told):
        revoke_key(file, key_id)
    assert file.read_text() == before


def test_broken_files_stay_as_they_are(tmp_path: Path) -> None:
    """They are not written over, nor is one made broken."""
    file = tmp_path / "keys.yaml"
    file.write_text("keys: [{owner: a}]")
    with pytest.raises(StartupError, match=r"keys\[0\].sha256"):
        add_key(file, "b", None, Limits())
    assert file.read_text() == "keys: [{owner: a}]"
    file.write_text("keys: []")
    with pytest.raises(StartupError, match="printable"):
        add_key(file, "b\a", None, Limits())
    assert (file.read_text(), os.listdir(tmp_path)) == ("keys: []", ["keys.yaml"])


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    """What it points to is replaced."""
    real, link = tmp_path / "real.yaml", tmp_path / "keys.yaml"
    real.write_text("keys: []\n")
    link.symlink_to(real)
    add_key(link, "a", None, Limits())
    assert link.is_symlink()
    assert len(read_entries(real)) == 1


def test_many_at_once(tmp_path: Path) -> None:
    """No command undoes another's work."""
    file = tmp_path / "keys.yaml"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: add_key(file, f"owner {number}", None, Limits()), range(16)))
    assert {entry.owner for entry in read_entries(file)} == {f"owner {number}" for number in range(16)}
