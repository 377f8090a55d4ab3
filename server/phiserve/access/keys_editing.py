"""Changes the file of keys: adds and revokes keys, sets limits of owners, and keeps all else and comments."""

import fcntl
import io
import os
import secrets
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from phiserve.access.key import ID_LENGTH, Limits, digest_of
from phiserve.access.keys_file import KeyEntry, parse_keys_file, read_entries, read_keys_file
from phiserve.errors import StartupError

SECRET_PREFIX = "sk-phi-"  # noqa: S105 - what every secret begins with
MIN_ID_LENGTH = 6
"""Digits of an id that `revoke` needs at least."""

_HEADING = """\
# Keys of a phiserve server (setting keys_file). The server reads this file again when it changes.
# Secrets are not here, only their SHA-256 hashes: `phiserve keys add` shows a secret once.
keys: []
"""


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just added. `secret` is stored nowhere."""

    id: str
    secret: str


def add_key(file: Path, owner: str, expires: datetime | None, limits: Limits) -> NewKey:
    """Make a key and append its entry, in a new file if there is none. Raises StartupError and OSError."""
    secret = SECRET_PREFIX + secrets.token_urlsafe(32)
    digest = digest_of(secret.encode()).hex()
    values: dict[str, object] = {
        "owner": owner,
        "sha256": digest,
        "created": _timestamp(),
        "expires": None if expires is None else expires.isoformat(timespec="seconds"),
        **asdict(limits),
    }
    with _edited(file) as content:
        if not content["keys"]:  # written as [], which would go on in one line
            content["keys"] = CommentedSeq()
        content["keys"].append(CommentedMap(_given(values)))
    return NewKey(digest[:ID_LENGTH], secret)


def limit_owner(file: Path, owner: str, limits: Limits) -> None:
    """Set limits of an owner over all keys; those that are None stay as they are.

    Raises StartupError where there is no file or no limit, and OSError.
    """
    given = _given(asdict(limits))
    if not given:
        raise StartupError("Give at least one limit; to remove one, delete its line in the file")
    read_keys_file(file)  # unlike a key, limits make no file
    with _edited(file) as content:
        if not content.get("owners"):
            content.pop("owners", None)
            content.insert(0, "owners", CommentedMap())
        owners = content["owners"]
        if owner not in owners:
            owners.insert(0, _quoted(owner), CommentedMap())
        for name, value in given.items():
            if name in owners[owner]:
                owners[owner][name] = value
            else:  # at the end it would come after what follows the owner
                owners[owner].insert(0, name, value)


def revoke_key(file: Path, key_id: str) -> KeyEntry:
    """Mark one key as revoked; its entry stays, for the record. Returns the entry as it was.

    `key_id`: the first digits of its hash, as `list` shows them, at least six. Raises StartupError unless
    exactly one key is meant, and OSError.
    """
    with _edited(file) as content:
        entry = _entry_of(read_entries(file), key_id)
        if entry.revoked is not None:
            raise StartupError(f"The key {key_id} was revoked before, on {entry.revoked:%Y-%m-%d}")
        item = next(item for item in content["keys"] if item["sha256"] == entry.sha256)
        item.insert(1, "revoked", _quoted(_timestamp()))  # at the end it would come after what follows it
    return entry


def _entry_of(entries: tuple[KeyEntry, ...], key_id: str) -> KeyEntry:
    if len(key_id) < MIN_ID_LENGTH:
        raise StartupError(f"A key is named by at least {MIN_ID_LENGTH} digits of its id")
    found = [entry for entry in entries if entry.sha256.startswith(key_id.lower())]
    if len(found) != 1:
        raise StartupError(f"{'No key has' if not found else 'Several keys have'} the id {key_id}")
    return found[0]


@contextmanager
def _edited(file: Path) -> Iterator[CommentedMap]:
    """The content to change in place; written back at the end, checked and in one step.

    A lock on the folder keeps two commands from undoing each other's work. Where the file is a link, what it
    points to is replaced. Raises StartupError for a file that is broken, before and after.
    """
    file = file.expanduser().resolve()
    with _locked(file.parent):
        text = file.read_text(encoding="utf-8") if file.exists() else _HEADING
        parse_keys_file(text, file)
        yaml = _round_trip()
        content: CommentedMap = yaml.load(text)
        yield content
        changed = io.StringIO()
        yaml.dump(content, changed)
        parse_keys_file(changed.getvalue(), file)
        _write_whole(file, changed.getvalue())


def _round_trip() -> YAML:
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 1000
    yaml.indent(mapping=2, sequence=4, offset=2)
    return yaml


def _given(values: Mapping[str, object]) -> dict[str, object]:
    return {name: _quoted(value) for name, value in values.items() if value is not None}


def _quoted(value: object) -> object:
    """Texts in quotes: digits of a hash, or an owner called `on`, are no texts to every YAML parser."""
    return DoubleQuotedScalarString(value) if isinstance(value, str) else value


def _timestamp() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _write_whole(file: Path, text: str) -> None:
    """Replace the file in one step, readable for its owner alone (mode 0600, as mkstemp makes files)."""
    descriptor, part = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        Path(part).replace(file)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise
