"""What is due of batches, and that one server at a time works on each, in SQLite and PostgreSQL."""

from dataclasses import replace

from sqlalchemy import update

from phiserve.store.batch_lines import LineResult
from phiserve.store.batch_records import BatchRecords
from phiserve.store.batches import Stage
from phiserve.store.interface import BatchStatus
from phiserve.store.sql_store import SqlStore
from phiserve.store.tables import BATCHES
from stored import NOW
from stored_batches import batch, changed, claimed, line, on_store


def test_one_server_at_a_time(state_url: str) -> None:
    """A batch is another's once it has not been renewed; until then nobody else has a say."""

    async def use(store: SqlStore, records: BatchRecords) -> None:
        await batch(store)
        await batch(store, "batch_2", "x", model="n")
        first = await claimed(store)
        assert first.id == "batch_1"
        assert await records.claim("s", "validating", ["m"], (), 60) is None
        assert await records.claim("s", "validating", ["n"], ("x",), 60) is None
        assert (await records.claim("s", "validating", ["m", "n"], (), 60)).id == "batch_2"  # type: ignore[union-attr]
        assert await records.renew(["r", "?"]) == {"r": "validating"}
        assert await records.change("", "batch_1", lambda found: found, "s") is None
        assert await claimed(store, "s", -1) == first
        assert await records.renew(["r"]) == {}
        assert not await records.save_results(first, "r", [LineResult(1, "{}", is_error=False)])
        assert await records.finish(first, lambda found: replace(found, status="completed"), (), "r") is None
        await records.release("r")
        assert await records.claim("t", "validating", ["m"], (), 60) is None
        await records.release("s")
        assert await claimed(store, "t") == first

    on_store(state_url, use)


def test_what_is_due(state_url: str) -> None:
    """Servers of a model validate and answer its batches; any server ends what is over, whoever made it."""

    async def use(store: SqlStore, records: BatchRecords) -> None:
        due: list[tuple[str, BatchStatus, str, int]] = [
            ("new", "validating", "m", 86_400),
            ("ready", "in_progress", "m", 86_400),
            ("other", "in_progress", "n", 86_400),
            ("cancelled", "cancelling", "n", 86_400),
            ("answered", "finalizing", "n", 86_400),
            ("late", "validating", "n", 0),
            ("too late", "in_progress", "m", -60),
        ]
        for batch_id, status, model, left_s in due:
            changes = {"status": status, "model": model, "expires_at": NOW + left_s}
            await batch(store, batch_id, batch_id, 1, **changes)
        stages: list[tuple[Stage, list[str]]] = [
            ("validating", ["new"]),
            ("in_progress", ["ready"]),
            ("ending", ["cancelled", "answered", "late", "too late"]),
        ]
        for stage, expected in stages:
            for batch_id in expected:
                found = await records.claim(f"{stage} {batch_id}", stage, ["m"], (), 60)
                assert found is not None
                assert found.id == batch_id
            assert await records.claim("?", stage, ["m"], (), 60) is None

    on_store(state_url, use)


def test_what_cannot_be_ended(state_url: str) -> None:
    """It does not hold up the others: the one that nobody has tried for longest comes first."""

    async def use(store: SqlStore, records: BatchRecords) -> None:
        for batch_id in ("batch_1", "batch_2"):
            await batch(store, batch_id, num_bytes=1, status="cancelling")
        await changed(store, update(BATCHES).values(renewed_at=NOW - 5))
        for expected in ("batch_1", "batch_2"):
            found = await records.claim("r", "ending", [], (), 60)
            assert found is not None
            assert found.id == expected
            await records.release("r")

    on_store(state_url, use)


def test_who_was_away_changes_nothing(state_url: str) -> None:
    """What another has taken over is its own: lines are neither added nor removed, and the batch stays."""

    async def use(store: SqlStore, records: BatchRecords) -> None:
        await batch(store)
        it = await claimed(store, "away")
        assert await records.add_lines(it, "away", [line(1), line(2)])
        await claimed(store, "s", -1)
        assert await records.remove_lines(it.key, "s")
        assert await records.add_lines(it, "s", [line(1)])
        assert not await records.add_lines(it, "away", [line(2)])
        assert not await records.remove_lines(it.key, "away")
        assert not await records.remove_lines(it.key)
        assert await records.admit(it, lambda found: replace(found, num_lines=2), "away", 5) is None
        assert [one.number for one in await records.unanswered(it, ("", 0), 10)] == [1]
        assert await records.batch("", "batch_1") == it
        await records.finish(it, lambda found: replace(found, status="failed"), (), "s")
        assert not await records.remove_lines(it.key, "s")
        assert await records.remove_lines(it.key)
        assert await records.count_lines(it) == 0

    on_store(state_url, use)
