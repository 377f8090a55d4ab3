"""Times ahead of the clock, as after it was set back: who does not renew them has left, in every table."""

from sqlalchemy import update

from phiserve.store.ahead import RenewedAhead
from phiserve.store.batch_records import BatchRecords
from phiserve.store.sql_store import SqlStore
from phiserve.store.tables import BATCHES, BLOBS, RESPONSES
from stored import NOW, response
from stored_batches import batch, changed, claimed, on_store


def test_who_does_not_renew(state_url: str) -> None:
    """Is watched for as long as it might; a time that changes is that of a server with another clock."""

    async def use(store: SqlStore, records: BatchRecords) -> None:
        await batch(store)
        await claimed(store)
        clock = [100.0]
        ahead = RenewedAhead(BATCHES, BATCHES.c.runner.is_not(None), lambda: clock[0])
        for renewed_at in (NOW + 3600, NOW + 3605, NOW + 3605):
            await changed(store, update(BATCHES).values(renewed_at=renewed_at))
            await ahead.let_go(store._connections, 20)
            assert await records.claim("s", "validating", ["m"], (), 20) is None
            clock[0] += 19
        clock[0] += 1
        await ahead.let_go(store._connections, 20)
        assert (await claimed(store, "s", 20)).id == "batch_1"

    on_store(state_url, use)


def test_wherever_it_is(state_url: str) -> None:
    """Batches, responses and contents alike."""

    async def use(store: SqlStore, records: BatchRecords) -> None:
        await batch(store)
        await claimed(store)
        await store.save_response(response("resp_1", status="queued"), [])
        await store.files.begin_blob("received")
        for table in (BATCHES, RESPONSES, BLOBS):
            await changed(store, update(table).values(renewed_at=NOW + 3600))
        await records.let_go_of_ahead(0)
        assert (await claimed(store, "s", 20)).id == "batch_1"
        assert [one.id for one in await store.claim_unfinished(0, 9)] == ["resp_1"]
        await store.files.give_up_stale_blobs(0)
        assert await store.files.dead_blobs() == ["received"]

    on_store(state_url, use)
