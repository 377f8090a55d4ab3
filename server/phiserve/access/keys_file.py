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


_NO_LIMITS = Limits()

Count = Annotated[int, Field(strict=True, ge=1)]
Moment = Annotated[datetime, BeforeValidator(moment_of)]
OwnerName = Annotated[str, Field(strict=True, min_length=1, max_length=128), AfterValidator(_readable)]
DigestText = Annotated[str, Field(strict=True, pattern=r"^[0-9a-f]{64}$")]


class LimitsEntry(BaseModel):
    """Limits as the file has them, of a key or an owner."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    requests_per_minute: Count | None = None
    tokens_per_minute: Count | None = None
    images_per_minute: Count | None = None
    concurrent_requests: Count | None = None
    max_detail: Detail | None = None

    def limits(self) -> Limits:
        """The limits as the server holds them."""
        return Limits(
            self.requests_per_minute,
            self.tokens_per_minute,
            self.images_per_minute,
            self.concurrent_requests,
            self.max_detail,
        )


class KeyEntry(LimitsEntry):
    """An entry for a key. Only `owner` and `sha256`, the secret's hash, must be there."""

    owner: OwnerName
    sha256: DigestText
    created: Moment | None = None
    expires: Moment | None = None
    revoked: Moment | None = None

    def key(self, owner_limits: Limits = _NO_LIMITS) -> Key:
        """The key as the server holds it, with the limits of its owner."""
        expires_at = None if self.expires is None else self.expires.timestamp()
        return Key(self.owner, bytes.fromhex(self.sha256), expires_at, self.limits(), owner_limits)


class KeysFile(BaseModel):
    """The whole file: keys, revoked and expired ones too, and limits of owners over all their keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    keys: tuple[KeyEntry, ...]
    owners: dict[OwnerName, LimitsEntry] = Field(default_factory=dict)

    def limits_of(self, owner: str) -> Limits:
        """The limits of an owner, none where the file says nothing."""
        entry = self.owners.get(owner)
        return _NO_LIMITS if entry is None else entry.limits()


def read_entries(file: Path) -> tuple[KeyEntry, ...]:
    """All keys in the file's order, revoked and expired ones too. Raises StartupError."""
    return read_keys_file(file).keys


def read_keys_file(file: Path) -> KeysFile:
    """The file's content. Raises StartupError."""
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
    return parse_keys_file(text, file)


def parse_keys_file(text: str, file: Path) -> KeysFile:
    """The content of the file's text. Raises StartupError, which names `file`."""
    try:
        content = yaml.load(text, _LOADER)  # noqa: S506 - both are safe loaders
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date that no calendar has
        raise StartupError(f"The keys file {file} is not valid YAML: {error}") from None
    try:
        parsed = KeysFile.model_validate(content)
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        steps = (step for step in detail["loc"] if step != "[key]")  # pydantic's word for a mapping's key
        path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
        where = path.removeprefix(".") or "the file"
        raise StartupError(f"The keys file {file}, {where}: {detail['msg'].lower()}") from None
    _check_unique(parsed.keys, file)
    return parsed


def _check_unique(entries: tuple[KeyEntry, ...], file: Path) -> None:
    """Two entries for one secret would contradict each other."""
    seen: set[str] = set()
    for index, entry in enumerate(entries):
        if entry.sha256 in seen:
            raise StartupError(f"The keys file {file}, keys[{index}].sha256: it is there twice")
        seen.add(entry.sha256)
