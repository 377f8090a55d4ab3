"""Connections to the database: transactions, whole or not at all, and one failure for whatever it says."""

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import event, func, select
from sqlalchemy.engine import Engine
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from phiserve.errors import StoreFailure
from phiserve.store.location import Location

_LOG = logging.getLogger(__name__)
_Result = TypeVar("_Result")
Work = Callable[[AsyncConnection], Awaitable[_Result]]
"""What is done in a transaction."""

TIMEOUT_S = 30.0
"""Seconds that a call may take. A write to a slow disk takes long; nothing of ours takes this long."""

BUSY_TIMEOUT_S = 10.0
"""Seconds that SQLite waits for another process's transaction."""

CONNECT_TIMEOUT_S = 10
"""Seconds that PostgreSQL gets for a new connection."""

_READERS = 4
"""Connections to SQLite that read beside the one that writes."""

_IDLE_MS = 60_000
"""After this, PostgreSQL ends a transaction whose server is gone with its host, and frees its locks."""

_PRAGMAS = (
    f"busy_timeout = {int(BUSY_TIMEOUT_S * 1000)}",
    "foreign_keys = ON",
    "synchronous = FULL",  # what has been acknowledged is on the disk, whatever happens to the power
    "journal_size_limit = 67108864",
)


def engine_options(location: Location) -> dict[str, Any]:  # SQLAlchemy's own
    """What every engine is made with. Parameters, which hold what users said, are in no error's text."""
    options: dict[str, Any] = {"hide_parameters": True}
    if location.file is not None:
        return {**options, "connect_args": {"isolation_level": None}}  # we begin transactions ourselves
    defaults = {
        "connect_timeout": CONNECT_TIMEOUT_S,
        "tcp_user_timeout": int(TIMEOUT_S * 1000),
        "application_name": "phiserve",
    }
    given = location.url.query
    arguments = {name: value for name, value in defaults.items() if name not in given}
    # No prepared statements: poolers between us and the database may not know them
    return {**options, "pool_pre_ping": True, "connect_args": {**arguments, "prepare_threshold": None}}


def on_sqlite_connect(engine: Engine, *, writes: bool) -> None:
    """Have each connection of an engine to SQLite set up, and its transactions begun.

    A transaction that will write says so at its begin: one that reads first, and then finds that another
    process has written, could only fail.
    """

    def set_up(connection: DBAPIConnection, _record: object) -> None:
        """Set what SQLite keeps for each connection."""
        cursor = connection.cursor()
        for pragma in _PRAGMAS:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    event.listen(engine, "connect", set_up)
    statement = "BEGIN IMMEDIATE" if writes else "BEGIN"
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(statement))


class Connections:
    """The connections of one server, made when they are first needed, by one event loop."""

    def __init__(self, location: Location) -> None:
        self.location = location
        self._running: set[asyncio.Task[object]] = set()
        options = engine_options(location)
        if location.file is None:
            self._writes = create_async_engine(location.url, isolation_level="READ COMMITTED", **options)
            self._reads = self._writes.execution_options(isolation_level="REPEATABLE READ")
            return
        # One connection writes, so that no two of a process wait for each other's locks
        self._writes = create_async_engine(location.url, pool_size=1, max_overflow=0, **options)
        self._reads = create_async_engine(location.url, pool_size=_READERS, max_overflow=0, **options)
        on_sqlite_connect(self._writes.sync_engine, writes=True)
        on_sqlite_connect(self._reads.sync_engine, writes=False)

    @property
    def file(self) -> Path | None:
        """SQLite's file; None for PostgreSQL."""
        return self.location.file

    @property
    def is_sqlite(self) -> bool:
        """Whether the database is a file."""
        return self.location.file is not None

    async def read(self, work: Work[_Result]) -> _Result:
        """Do some reading, all of it from one state of the database. Raises StoreFailure."""
        return await self._bounded(_in_transaction(self._reads, work))

    async def write(self, work: Work[_Result], owner: str | None = None) -> _Result:
        """Do all of some work or nothing; what returns is durable. Raises StoreFailure.

        Transactions about one `owner` follow one another, so that none removes an item to which another is
        about to refer. The work goes on where the caller is cancelled.
        """

        async def in_turn(connection: AsyncConnection) -> _Result:
            if owner is not None:
                await wait_for_turn(connection, owner)
            return await work(connection)

        return await self._bounded(_in_transaction(self._writes, in_turn))

    async def close(self) -> None:
        """Let what runs end, and close all connections."""
        if self._running:
            await asyncio.wait(self._running, timeout=TIMEOUT_S)
        await self._writes.dispose()
        if self.is_sqlite:
            await self._reads.dispose()

    async def _bounded(self, doing: Awaitable[_Result]) -> _Result:
        task = asyncio.ensure_future(doing)
        self._running.add(task)
        task.add_done_callback(self._ended)
        await asyncio.wait({task}, timeout=TIMEOUT_S)
        if not task.done():
            task.cancel()
            raise self._failure(f"no answer within {TIMEOUT_S:g} s")
        try:
            return task.result()
        except DBAPIError as error:
            raise self._failure(str(error.orig)) from None  # the rest of it is SQL
        except PoolTimeout:
            raise self._failure("all connections are in use") from None

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # known to whoever waits for it, if anybody still does

    def _failure(self, reason: str) -> StoreFailure:
        _LOG.warning("State (state_url) failed: %s", self.location.without_password(reason))
        return StoreFailure(
            "The server's store of responses, conversations and files does not answer; try again later"
        )


async def _in_transaction(engine: AsyncEngine, work: Work[_Result]) -> _Result:
    async with engine.begin() as connection:
        return await work(connection)


async def wait_for_turn(connection: AsyncConnection, what: str) -> None:
    """Wait until no other transaction of PostgreSQL is about the same; SQLite has one at a time anyway."""
    if connection.dialect.name != "postgresql":
        return
    number = int.from_bytes(hashlib.blake2b(what.encode(), digest_size=8).digest(), signed=True)
    timeout = func.set_config("idle_in_transaction_session_timeout", str(_IDLE_MS), True)
    await connection.execute(select(timeout, func.pg_advisory_xact_lock(number)))
