"""The database as it must be before it is used: its file, its tables, and their version."""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, create_engine, insert, inspect, select, text, update
from sqlalchemy.engine import URL, Engine
from sqlalchemy.exc import DBAPIError

from phiserve.errors import StartupError
from phiserve.store.connections import BUSY_TIMEOUT_S, engine_options, on_sqlite_connect
from phiserve.store.location import Location
from phiserve.store.tables import METADATA, SCHEMA, SCHEMA_VERSION

_LOCK = 0x7068_6973_6572_7665
"""PostgreSQL's advisory lock under which one server at a time makes the tables: `phiserve` in ASCII."""

_REMEDY = "set state_url to another place (or to off, to store nothing), or mend this one"


def prepare(location: Location) -> None:
    """Make file and tables where they are missing. Raises StartupError with the place and a remedy."""
    if location.file is not None:
        _make_file(location.file)
        _use_wal(location.file)
    with at_start(location) as connection:
        if location.file is None:
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
        _make_tables(connection, location)


@contextmanager
def at_start(location: Location) -> Iterator[Connection]:
    """A transaction without an event loop, which writes as the server does. Raises StartupError."""
    engine = _engine(location)
    try:
        with engine.begin() as connection:
            yield connection
    except DBAPIError as error:
        raise _unusable(location, error.orig) from None
    finally:
        engine.dispose()


def _engine(location: Location) -> Engine:
    if location.file is None:
        return create_engine(location.url, **engine_options(location))
    url: URL = location.url.set(drivername="sqlite+pysqlite")
    engine = create_engine(url, **engine_options(location))
    on_sqlite_connect(engine, writes=True)
    return engine


def _make_file(file: Path) -> None:
    """The folder and an empty file, for their owner alone; what is there already keeps its mode."""
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise StartupError(f"State can't be kept in {file}: {error.strerror}; {_REMEDY}") from None


def _use_wal(file: Path) -> None:
    """Make the file one with a write-ahead log, which readers and a writer can use at once.

    While other servers do the same SQLite refuses at once, without waiting as it does elsewhere.
    """
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    connection = sqlite3.connect(file, isolation_level=None)
    try:
        while True:
            try:
                connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # only where it is empty yet
                connection.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
            else:
                return
    except sqlite3.Error as error:
        raise StartupError(f"State can't be kept in {file}: {error}; {_REMEDY}") from None
    finally:
        connection.close()


def _make_tables(connection: Connection, location: Location) -> None:
    names = inspect(connection).get_table_names()
    if SCHEMA.name not in names:
        if location.file is not None and names:
            raise StartupError(f"State can't be kept in {location}: another program's database; {_REMEDY}")
        METADATA.create_all(connection)
        connection.execute(insert(SCHEMA).values(version=SCHEMA_VERSION))
    found = connection.scalar(select(SCHEMA.c.version))
    if found is not None and found < SCHEMA_VERSION:  # versions so far have only added tables
        METADATA.create_all(connection)
        connection.execute(update(SCHEMA).values(version=SCHEMA_VERSION))
        return
    if found != SCHEMA_VERSION:
        raise StartupError(
            f"State in {location} is of version {found}, and this phiserve knows only {SCHEMA_VERSION}: a "
            "newer one wrote it; use that, or set state_url to another place"
        )


def _unusable(location: Location, error: BaseException | None) -> StartupError:
    said = location.without_password(str(error))
    return StartupError(f"State can't be kept in {location}: {said}; {_REMEDY}")
