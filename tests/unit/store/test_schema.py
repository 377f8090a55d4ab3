"""The database before it is used: its file, its tables, their version, and what else may be there."""

import sqlite3
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import create_engine, inspect, update

from phiserve.errors import StartupError
from phiserve.store.location import Location, locate
from phiserve.store.schema import prepare
from phiserve.store.tables import CONVERSATIONS, METADATA, SCHEMA, SCHEMA_VERSION, size

if TYPE_CHECKING:
    from unit.store.conftest import PostgresServer


NEWER = (
    "_blobs",
    "_files",
    "_uploads",
    "_upload_parts",
    "_receiving",
    "_batches",
    "_batch_lines",
    "_batch_suspects",
    "_batches_left",
    "_place",
)
"""How names of tables end that version 1 does not have."""

CONVERSATION = {
    "id": "conv_1",
    "owner": "",
    "created_at": 0,
    "used_at": 0,
    "bytes": 2,
    "metadata": "{}",
}


def place(url: str) -> Location:
    """A URL's location."""
    location = locate(url)
    assert location is not None
    return location


def synchronous(location: Location) -> str:
    """The URL for an engine without an event loop."""
    return location.url.render_as_string(hide_password=False).replace("+aiosqlite", "")


def test_tables_are_made_once(state_url: str) -> None:
    """By one of eight servers that start at once; by none later."""
    location = place(state_url)
    with ThreadPoolExecutor(8) as pool:
        assert [*pool.map(lambda _: prepare(location), range(8))] == [None] * 8
    prepare(location)
    engine = create_engine(synchronous(location))
    assert {*inspect(engine).get_table_names()} == {*METADATA.tables}
    with engine.begin() as connection:
        assert [*connection.scalars(SCHEMA.select())] == [SCHEMA_VERSION]
    engine.dispose()


def test_older_tables_get_what_they_lack(state_url: str) -> None:
    """By one of eight servers that start at once; what they have stays."""
    location = place(state_url)
    prepare(location)
    engine = create_engine(synchronous(location))
    newer = [table for name, table in METADATA.tables.items() if name.endswith(NEWER)]
    with engine.begin() as connection:
        METADATA.drop_all(connection, newer)
        connection.execute(update(SCHEMA).values(version=1))
        connection.execute(CONVERSATIONS.insert().values(CONVERSATION))
    assert {*inspect(engine).get_table_names()} == {*METADATA.tables} - {table.name for table in newer}
    with ThreadPoolExecutor(8) as pool:
        assert [*pool.map(lambda _: prepare(location), range(8))] == [None] * 8
    assert {*inspect(engine).get_table_names()} == {*METADATA.tables}
    with engine.begin() as connection:
        assert [*connection.scalars(SCHEMA.select())] == [SCHEMA_VERSION]
        assert connection.scalar(CONVERSATIONS.select().with_only_columns(CONVERSATIONS.c.id)) == "conv_1"
    engine.dispose()


def test_newer_tables_are_refused(state_url: str) -> None:
    """Where, and what to do."""
    location = place(state_url)
    prepare(location)
    engine = create_engine(synchronous(location))
    with engine.begin() as connection:
        connection.execute(update(SCHEMA).values(version=SCHEMA_VERSION + 1))
    engine.dispose()
    with pytest.raises(StartupError, match="a newer one wrote it") as caught:
        prepare(location)
    assert str(location) in str(caught.value)


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    """Its folder too, and the files beside it while it is open."""
    file = tmp_path / "new" / "state.db"
    prepare(place(f"sqlite:///{file}"))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    connection = sqlite3.connect(file)
    connection.execute("UPDATE phiserve_schema SET version = 1")
    beside = [path for path in file.parent.iterdir() if path != file]
    assert {path.name for path in beside} == {"state.db-wal", "state.db-shm"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in beside} == {0o600}
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    """Which file, why, and the remedy."""
    text = tmp_path / "notes.txt"
    text.write_text("Not a database at all. " * 100)
    foreign = tmp_path / "foreign.db"
    connection = sqlite3.connect(foreign)
    connection.execute("CREATE TABLE bookmarks (url TEXT)")
    connection.commit()
    connection.close()
    for file, reason in (
        (text, "file is not a database"),
        (foreign, "another program's database"),
        (tmp_path, "Is a directory"),
        (text / "state.db", "Not a directory|File exists"),
        (Path("/proc/phiserve/state.db"), "No such file or directory"),
    ):
        with pytest.raises(StartupError, match=reason) as caught:
            prepare(place(f"sqlite:///{file}"))
        assert str(file) in str(caught.value)
        assert "set state_url to another place" in str(caught.value)
    assert text.read_text() == "Not a database at all. " * 100


def test_a_damaged_file(tmp_path: Path) -> None:
    """Told at the start, where the part at fault is read."""
    file = tmp_path / "state.db"
    prepare(place(f"sqlite:///{file}"))
    content = bytearray(file.read_bytes())
    content[100:4096] = b"\xff" * 3996
    file.write_bytes(content)
    with pytest.raises(StartupError, match="malformed"):
        prepare(place(f"sqlite:///{file}"))


def test_a_database_that_cannot_be_used(postgresql: "PostgresServer") -> None:
    """Which one and why, without the password."""
    nowhere = "postgresql://me:open%20sesame@127.0.0.1:9/state"
    for url, reason in (
        (postgresql.url("postgres", "wrong"), "password authentication failed"),
        (postgresql.url("nosuch"), 'database "nosuch" does not exist'),
        (nowhere, "Connection refused"),
    ):
        with pytest.raises(StartupError, match=reason) as caught:
            prepare(place(url))
        assert str(place(url)) in str(caught.value)
        assert not any(word in str(caught.value) for word in ("wrong", "sesame"))


def test_sizes() -> None:
    """Bytes, not characters."""
    assert size("abc", None, "é", "€") == 8
