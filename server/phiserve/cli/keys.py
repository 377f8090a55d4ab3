"""`phiserve keys`: make, list and revoke the keys of a server, and limit their owners."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, get_args

import typer
from rich.console import Console
from rich.table import Table

from phiserve.access.key import ID_LENGTH, Limits
from phiserve.access.keys_editing import add_key, limit_owner, revoke_key
from phiserve.access.keys_file import KeyEntry, LimitsEntry, moment_of, read_keys_file
from phiserve.access.keys_file import KeysFile as Content
from phiserve.core import Detail
from phiserve.errors import StartupError

app = typer.Typer(no_args_is_help=True, help="Make, list and revoke the keys of a server.")

KeysFile = Annotated[
    Path,
    typer.Option(envvar="PHISERVE_KEYS_FILE", help="File of keys, the server's setting keys_file."),
]
_PIPE_WIDTH = 240
"""Columns where no terminal says how many it has."""

PerMinute = Annotated[int | None, typer.Option(min=1, help="Most of them in a minute; default: no limit.")]
AtOnce = Annotated[int | None, typer.Option(min=1, help="Most requests at once; default: no limit.")]
LargestDetail = Annotated[
    str | None, typer.Option(help="How closely to look at images: low, auto or high; default: high.")
]


@app.command()
def add(
    owner: Annotated[str, typer.Argument(help="Whose key it is. Owners share no cached prompts and images.")],
    keys_file: KeysFile,
    expires: Annotated[
        str | None, typer.Option(help="When it ends: 2027-01-31 or 2027-01-31T12:00+01:00; default: never.")
    ] = None,
    requests_per_minute: PerMinute = None,
    tokens_per_minute: PerMinute = None,
    images_per_minute: PerMinute = None,
    concurrent_requests: AtOnce = None,
    max_detail: LargestDetail = None,
) -> None:
    """Make a key. Its secret is printed once and stored nowhere; running servers know it within a second."""
    counts = (requests_per_minute, tokens_per_minute, images_per_minute, concurrent_requests)
    limits = Limits(*counts, _detail(max_detail))
    key = add_key(keys_file, owner, None if expires is None else _moment(expires), limits)
    typer.echo(f"Key {key.id} of {owner}; this is its secret, which is never shown again:", err=True)
    typer.echo(key.secret)


@app.command()
def limit(
    owner: Annotated[str, typer.Argument(help="Whose keys are limited, all of them together.")],
    keys_file: KeysFile,
    requests_per_minute: PerMinute = None,
    tokens_per_minute: PerMinute = None,
    images_per_minute: PerMinute = None,
    concurrent_requests: AtOnce = None,
    max_detail: LargestDetail = None,
) -> None:
    """Limit what an owner may ask for with all keys together; limits that are not given stay as they are."""
    counts = (requests_per_minute, tokens_per_minute, images_per_minute, concurrent_requests)
    limit_owner(keys_file, owner, Limits(*counts, _detail(max_detail)))
    typer.echo(f"Limits of {owner}: {_limits_text(read_keys_file(keys_file).owners[owner])}", err=True)


@app.command("list")
def list_keys(keys_file: KeysFile) -> None:
    """Print all keys: whose they are, whether they are valid, their limits, and those of their owners.

    Secrets are not known.
    """
    content = read_keys_file(keys_file)
    table = Table("id", "owner", "state", "created", "expires", "limits", box=None, pad_edge=False)
    for entry in content.keys:
        table.add_row(
            entry.sha256[:ID_LENGTH],
            entry.owner,
            _state(entry),
            _day(entry.created),
            _day(entry.expires),
            _limits_text(entry),
        )
    width = None if sys.stdout.isatty() else _PIPE_WIDTH
    console = Console(highlight=False, markup=False, width=width)
    console.print(table)
    if content.owners:
        console.print("", _owners(content))


def _owners(content: Content) -> Table:
    """Owners with limits over all their keys, and how many of these are valid."""
    table = Table("owner", "valid keys", "limits of all keys together", box=None, pad_edge=False)
    for owner, entry in content.owners.items():
        valid = sum(key.owner == owner and _state(key) == "valid" for key in content.keys)
        table.add_row(owner, str(valid), _limits_text(entry))
    return table


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(help="Its id as `phiserve keys list` shows it, or the beginning.")],
    keys_file: KeysFile,
) -> None:
    """Revoke a key; a running server refuses it within a second. Its entry stays in the file, marked."""
    entry = revoke_key(keys_file, key_id)
    typer.echo(f"Revoked the key {entry.sha256[:ID_LENGTH]} of {entry.owner}", err=True)


def _detail(text: str | None) -> Detail | None:
    if text is None:
        return None
    found: Detail | None = next((detail for detail in get_args(Detail) if detail == text), None)
    if found is None:
        raise StartupError(f"--max-detail takes low, auto or high, not {text!r}")
    return found


def _moment(text: str) -> datetime:
    try:
        return moment_of(text)
    except ValueError:
        raise StartupError(f"--expires takes a date or time like 2027-01-31, not {text!r}") from None


def _state(entry: KeyEntry) -> str:
    if entry.revoked is not None:
        return "revoked"
    return "expired" if entry.expires is not None and entry.expires <= datetime.now(UTC) else "valid"


def _day(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d}"


def _limits_text(entry: LimitsEntry) -> str:
    counts = {
        "requests/min": entry.requests_per_minute,
        "tokens/min": entry.tokens_per_minute,
        "images/min": entry.images_per_minute,
        "at once": entry.concurrent_requests,
    }
    texts = [f"{count} {name}" for name, count in counts.items() if count is not None]
    return ", ".join([*texts, *([f"detail {entry.max_detail}"] if entry.max_detail else [])])
