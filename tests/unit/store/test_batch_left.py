"""How often servers left a batch without a word, and over which line, in SQLite and PostgreSQL."""

from sqlalchemy import update

from phiserve.store.batch_lines import LineResult
from phiserve.store.batch_records import BatchRecords
from phiserve.store.batches import StoredBatch
from phiserve.store.sql_store import SqlStore
from phiserve.store.tables import BATCHES
from stored_batches import batch, changed, claimed, line, on_store


async def taken_up(records: BatchRecords, runner: str) -> StoredBatch:
    """The batch, claimed at once to be answered."""
    found = await records.claim(runner, "in_progress", ["m"], (), -1)
    assert found is not None
    return found


def test_servers_that_leave(state_url: str) -> None:
    """They are counted until a line is answered; the line that was alone has failed once more each time."""

    async def use(store: SqlStore, records: BatchRecords) -> None:
        await batch(store)
        it = await claimed(store, "a")
        assert await records.add_lines(it, "a", [line(1), line(2)])
        await changed(store, update(BATCHES).values(status="in_progress", runner=None))
        assert (await taken_up(records, "b")).num_left == 0
        assert await records.set_alone(it, "b", 1)
        assert (await taken_up(records, "c")).num_left == 1
        assert not await records.set_alone(it, "b", 2)
        assert await records.set_alone(it, "c", 1)
        await records.release("c")
        assert (await taken_up(records, "d")).num_left == 1
        assert await failures(records, it) == {1: 1}
        assert await records.set_alone(it, "d", 1)
        assert (await taken_up(records, "e")).num_left == 2
        assert await failures(records, it) == {1: 2}
        assert await records.set_alone(it, "e", 2)
        assert await records.set_alone(it, "e", None)
        assert await records.save_results(it, "e", [LineResult(1, "{}", is_error=True)])
        assert (await taken_up(records, "f")).num_left == 1
        assert await failures(records, it) == {}

    on_store(state_url, use)


async def failures(records: BatchRecords, it: StoredBatch) -> dict[int, int]:
    """How often lines that are not answered have failed, by their numbers."""
    return {one.number: one.num_failures for one in await records.suspects(it, ("", 0), 9)}
