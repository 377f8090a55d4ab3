"""What was renewed ahead of this server's clock, as before that was set back, is not renewed for ever."""

import time
from collections.abc import Callable

from sqlalchemy import ColumnElement, Table, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from phiserve.store.connections import Connections


class RenewedAhead:
    """Rows of a table that are open and whose `renewed_at` lies ahead; since when it is the same."""

    def __init__(
        self, table: Table, is_open: ColumnElement[bool], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._table = table
        self._is_open = is_open
        self._clock = clock
        self._since: dict[tuple[int, int], float] = {}
        """Key and `renewed_at` -> when they were seen first."""

    async def let_go(self, connections: Connections, older_than_s: float) -> None:
        """Make those old that nobody has renewed while this server watched, for so many seconds by its clock.

        Clocks of servers may differ: what one renews that is ahead of this one changes meanwhile, and stays.
        """
        row, now = self._table.c, self._clock()
        is_ahead = self._is_open & (row.renewed_at > int(time.time()) + max(0, older_than_s))

        async def ahead(connection: AsyncConnection) -> list[tuple[int, int]]:
            """Keys and times."""
            found = await connection.execute(select(row.key, row.renewed_at).where(is_ahead))
            return [(int(key), int(renewed_at)) for key, renewed_at in found]

        self._since = {one: self._since.get(one, now) for one in await connections.read(ahead)}
        left = [one for one, since in self._since.items() if now - since >= older_than_s]

        async def make_old(connection: AsyncConnection) -> None:
            """Unless they were renewed since."""
            for key, renewed_at in left:
                is_it = (row.key == key) & (row.renewed_at == renewed_at)
                await connection.execute(update(self._table).where(is_it).values(renewed_at=0))

        if left:
            await connections.write(make_old)
