"""Where state is kept, by the setting `state_url`: a file of SQLite, or a database of PostgreSQL."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from phiserve.errors import StartupError

OFF = "off"
"""The setting's value where nothing is to be stored."""

_SQLITE = ("sqlite", "sqlite+aiosqlite")
_POSTGRESQL = ("postgresql", "postgres", "postgresql+psycopg")

_WRONG_URL = (
    "Setting state_url: sqlite:///folder/state.db, postgresql://user:password@host/database or off is "
    "expected; characters of a password such as @ : / ? # % are written as %40 %3A %2F %3F %23 %25"
)


@dataclass(frozen=True, slots=True)
class Location:
    """A database. `url` is SQLAlchemy's, with the password; `file` is None for PostgreSQL."""

    url: URL = field(repr=False)
    file: Path | None

    def __str__(self) -> str:
        """The file, or the URL without its password and options."""
        return str(self.file or self.url.set(query={}).render_as_string(hide_password=True))

    def without_password(self, text: str) -> str:
        """What a driver says, on one line and with the password taken out where it repeats it."""
        passwords = [self.url.password, *self.url.normalized_query.get("password", ())]
        for password in filter(None, passwords):
            text = text.replace(password, "***")
        return " ".join(text.split())


def locate(url: str | None) -> Location | None:
    """The database of a setting; None for `off`. Raises StartupError, which never repeats the URL."""
    if url == OFF:
        return None
    if url is None:
        return _in_file(default_file())
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # whose messages may repeat the URL's password
        raise StartupError(_WRONG_URL) from None
    if parsed.drivername in _SQLITE:
        if parsed.database in (None, "", ":memory:") or parsed.host or parsed.query:
            raise StartupError(_WRONG_URL)
        return _in_file(Path(str(parsed.database)).expanduser())
    if parsed.drivername not in _POSTGRESQL or "@" in (parsed.host or ""):
        raise StartupError(_WRONG_URL)
    # psycopg 3: SQLAlchemy's own default for PostgreSQL, released more often than asyncpg, with wheels; one
    # driver for the start, where there is no event loop, and for serving; libpq knows all that URLs can say.
    return Location(parsed.set(drivername="postgresql+psycopg"), None)


def default_file() -> Path:
    """`state.db` in the user's folder of state, as the XDG Base Directory Specification says."""
    given = os.environ.get("XDG_STATE_HOME", "")
    folder = Path(given) if given.startswith("/") else Path("~/.local/state").expanduser()
    return folder / "phiserve" / "state.db"


def _in_file(file: Path) -> Location:
    return Location(URL.create("sqlite+aiosqlite", database=str(file.absolute())), file.absolute())
