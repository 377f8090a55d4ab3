"""What the file of keys may say, and the errors that name the entry at fault."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from key_files import secret_of, write_keys
from phiserve.access.key import Key, Limits, digest_of
from phiserve.access.keys_file import moment_of, parse_keys_file, read_entries
from phiserve.errors import StartupError
from snippets import all_snippets

FILE = Path("keys.yaml")
ENTRY = f"owner: a, sha256: '{'0' * 64}'"


def test_all_fields(tmp_path: Path) -> None:
    """An entry with everything."""
    limits: dict[str, object] = {
        "requests_per_minute": 1,
        "tokens_per_minute": 2,
        "images_per_minute": 3,
        "concurrent_requests": 4,
        "max_detail": "auto",
        "expires": datetime(2027, 1, 31, tzinfo=UTC),
    }
    (entry,) = read_entries(write_keys(tmp_path / "k", alice=limits))
    digest = digest_of(secret_of("alice").encode())
    expires_at = datetime(2027, 1, 31, tzinfo=UTC).timestamp()
    assert entry.key() == Key("alice", digest, expires_at, Limits(1, 2, 3, 4, "auto"))


def test_only_an_owner(tmp_path: Path) -> None:
    """Everything else is optional, and limits nothing."""
    (entry,) = read_entries(write_keys(tmp_path / "k", alice={}))
    assert entry.key().limits == Limits()


def test_the_documented_file() -> None:
    """The example in docs/keys.md is one."""
    (example,) = (snippet.code for snippet in all_snippets() if snippet.code.startswith("keys:\n"))
    plain, limited = parse_keys_file(example, FILE).keys
    assert plain.key().limits == Limits()
    assert limited.key().limits == Limits(600, 100000, 300, 4, "low")


def test_the_documented_owners() -> None:
    """The other example has limits of an owner, which its keys get beside their own."""
    (example,) = (snippet.code for snippet in all_snippets() if snippet.code.startswith("owners:\n"))
    content = parse_keys_file(example, FILE)
    limits = content.limits_of("alice")
    assert limits == Limits(requests_per_minute=100, concurrent_requests=8)
    first, second = (entry.key(limits) for entry in content.keys)
    assert (first.limits, second.limits) == (Limits(requests_per_minute=60), Limits())
    assert {first.owner_limits, second.owner_limits} == {limits}
    assert content.limits_of("bob") == Limits()


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("2027-01-31", datetime(2027, 1, 31, tzinfo=UTC)),
        ("'2027-01-31'", datetime(2027, 1, 31, tzinfo=UTC)),
        ("2027-01-31 12:00:00", datetime(2027, 1, 31, 12, tzinfo=UTC)),
        ("2027-01-31T12:00:00+02:00", datetime(2027, 1, 31, 10, tzinfo=UTC)),
        ("'2027-01-31T12:00+02:00'", datetime(2027, 1, 31, 10, tzinfo=UTC)),
    ],
)
def test_moments(written: str, moment: datetime) -> None:
    """Dates and times as people and YAML write them; in UTC unless they say otherwise."""
    (entry,) = parse_keys_file(f"keys: [{{{ENTRY}, expires: {written}}}]", FILE).keys
    assert entry.expires == moment


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "the file: "),
        ("keys:", "keys: "),
        ("other: []", "keys: field required"),
        ("keys: [", "is not valid YAML"),
        ("keys: [{owner: a}]", "keys[0].sha256: field required"),
        (f"keys: [{{sha256: '{'0' * 64}'}}]", "keys[0].owner: field required"),
        ("keys: [{owner: a, sha256: abc}]", "keys[0].sha256: "),
        (f"keys: [{{owner: on, sha256: '{'0' * 64}'}}]", "keys[0].owner: "),
        (f'keys: [{{owner: "a\\n", sha256: "{"0" * 64}"}}]', "only printable characters"),
        (f"keys: [{{{ENTRY}, requests_per_minute: 0}}]", "keys[0].requests_per_minute: "),
        (f"keys: [{{{ENTRY}, tokens_per_minute: '5'}}]", "keys[0].tokens_per_minute: "),
        (f"keys: [{{{ENTRY}, max_detail: full}}]", "keys[0].max_detail: "),
        (f"keys: [{{{ENTRY}, expires: soon}}]", "keys[0].expires: "),
        (f"keys: [{{{ENTRY}, expires: 2027-02-31}}]", "is not valid YAML"),
        (f"keys: [{{{ENTRY}, rpm: 5}}]", "keys[0].rpm: "),
        ("keys: []\nowners: [a]", "owners: "),
        ("keys: []\nowners: {a: {rpm: 5}}", "owners.a.rpm: "),
        ("keys: []\nowners: {a: {tokens_per_minute: 0}}", "owners.a.tokens_per_minute: "),
        ("keys: []\nowners: {on: {tokens_per_minute: 1}}", "owners[1]: input should be a valid string"),
        (f"keys: [{{{ENTRY}}}, {{{ENTRY}}}]", "keys[1].sha256: it is there twice"),
    ],
)
def test_mistakes(text: str, told: str) -> None:
    """Each is one sentence with the file and the path of the value."""
    with pytest.raises(StartupError) as caught:
        parse_keys_file(text, FILE)
    assert str(caught.value).startswith("The keys file keys.yaml")
    assert told in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """A missing one comes with the command that makes it."""
    with pytest.raises(StartupError, match="phiserve keys add OWNER --keys-file"):
        read_entries(tmp_path / "k")
    with pytest.raises(StartupError, match="cannot be read: Is a directory"):
        read_entries(tmp_path)
    (tmp_path / "b").write_bytes(b"\xff")
    with pytest.raises(StartupError, match="is not text in UTF-8"):
        read_entries(tmp_path / "b")


def test_no_moment() -> None:
    """A number is none."""
    with pytest.raises(ValueError, match="a date or a time is expected"):
        moment_of(5)
