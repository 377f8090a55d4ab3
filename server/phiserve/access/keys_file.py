"""Reads the YAML file of keys (setting `keys_file`), with errors that name the entry at fault."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from phiserve.access.key import Key, Limits
from phiserve.core import Detail
from phiserve.errors import StartupError

_LOADER: type[yaml.SafeLoader] | type[yaml.CSafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's where it is there: ten times faster, which counts where a file of thousands is read again."""


def moment_of(value: object) -> datetime:
    """A date, a time, or a text of one as ISO 8601 writes it; in UTC unless it says otherwise.

    A date alone is its beginning. Raises ValueError.
    """
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day, tzinfo=UTC)
    if not isinstance(value, datetime):
        raise ValueError("a date or a time is expected, as 2027-01-31")  # noqa: TRY004 - pydantic's way
    return value if value.tzinfo is not None else value.replace(tzinfo=UTC)


def _readable(text: str) -> str:
    """Owners are shown in logs and terminals. Raises ValueError."""
    if not text.isprintable():
        raise ValueError("only printable characters are allowed")
    return text


Count = Annotated[int, Field(strict=True, ge=1)]
Moment = Annotated[datetime, BeforeValidator(moment_of)]
OwnerName = Annotated[str, Field(strict=True, min_length=1, max_length=128), AfterValidator(_readable)]
DigestText = Annotated[str, Field(strict=True, pattern=r"^[0-9a-f]{64}$")]


class KeyEntry(BaseModel):
    """An entry of the file. Only `owner` and `sha256`, the secret's hash, must be there."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    owner: OwnerName
    sha256: DigestText
    created: Moment | None = None
    expires: Moment | None = None
    revoked: Moment | None = None
    requests_per_minute: Count | None = None
    tokens_per_minute: Count | None = None
    images_per_minute: Count | None = None
    concurrent_requests: Count | None = None
    max_detail: Detail | None = None

    def key(self) -> Key:
        """The key as the server holds it."""
        limits = Limits(
            self.requests_per_minute,
            self.tokens_per_minute,
            self.images_per_minute,
            self.concurrent_requests,
            self.max_detail,
        )
        expires_at = None if self.expires is None else self.expires.timestamp()
        return Key(self.owner, bytes.fromhex(self.sha256), expires_at, limits)


class _KeysFile(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    keys: tuple[KeyEntry, ...]


def read_entries(file: Path) -> tuple[KeyEntry, ...]:
    """All entries in the file's order, revoked and expired ones too. Raises StartupError."""
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise StartupError(
            f"The keys file {file} does not exist; make it with: phiserve keys add OWNER --keys-file {file}"
        ) from None
    except OSError as error:
        raise StartupError(f"The keys file {file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise StartupError(f"The keys file {file} is not text in UTF-8") from None
    return parse_entries(text, file)


def parse_entries(text: str, file: Path) -> tuple[KeyEntry, ...]:
    """The entries of the file's text. Raises StartupError, which names `file`."""
    try:
        content = yaml.load(text, _LOADER)  # noqa: S506 - both are safe loaders
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date that no calendar has
        raise StartupError(f"The keys file {file} is not valid YAML: {error}") from None
    try:
        entries = _KeysFile.model_validate(content).keys
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in detail["loc"])
        where = path.removeprefix(".") or "the file"
        raise StartupError(f"The keys file {file}, {where}: {detail['msg'].lower()}") from None
    _check_unique(entries, file)
    return entries


def _check_unique(entries: tuple[KeyEntry, ...], file: Path) -> None:
    """Two entries for one secret would contradict each other."""
    seen: set[str] = set()
    for index, entry in enumerate(entries):
        if entry.sha256 in seen:
            raise StartupError(f"The keys file {file}, keys[{index}].sha256: it is there twice")
        seen.add(entry.sha256)
