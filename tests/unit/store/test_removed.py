"""Who removes what they list goes on behind what they have removed, in SQLite and PostgreSQL."""

import time
from collections.abc import Awaitable, Callable

import pytest

from phiserve.store.batch_records import BatchRecords
from phiserve.store.file_records import FileRecords, WholeBlob
from phiserve.store.files import StoredFile
from phiserve.store.interface import Order
from phiserve.store.limits import DAY_S
from phiserve.store.sql_store import SqlStore
from stored import NOW, conversation, ids_in, items
from stored_batches import on_store

Page = Callable[[str | None], Awaitable[tuple[list[str], bool]]]
Remove = Callable[[str], Awaitable[object]]


async def add_file(records: FileRecords, file: StoredFile) -> None:
    """Store a file of three bytes."""
    name = f"content of {file.id}"
    await records.begin_blob(name)
    await records.add_file(file, WholeBlob(name, f"digest of {name}", 3), 10**9)


def file_named(file_id: str, owner: str = "") -> StoredFile:
    """A file of an owner."""
    return StoredFile(file_id, owner, NOW, None, "vision", "a.png", "image/png", 3)


async def removed_by_pages(page: Page, remove: Remove) -> list[str]:
    """What is removed by a client that asks for pages and removes all of each before the next one."""
    gone: list[str] = []
    after: str | None = None
    has_more = True
    while has_more:
        ids, has_more = await page(after)
        for one_id in ids:
            await remove(one_id)
        gone += ids
        after = ids[-1] if ids else None
        assert len(gone) < 20
    return gone


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_files(state_url: str, order: Order) -> None:
    """All of them, and no other owner's."""

    async def use(store: SqlStore, _records: BatchRecords) -> None:
        for n in range(5):
            await add_file(store.files, file_named(f"f{n}"))
            await add_file(store.files, file_named(f"g{n}", "bob"))

        async def page(after: str | None) -> tuple[list[str], bool]:
            found = await store.files.page("", None, after, 2, order)
            assert found is not None
            return [file.id for file in found.files], found.has_more

        gone = await removed_by_pages(page, lambda one_id: store.files.remove_file("", one_id))
        assert sorted(gone) == ["f0", "f1", "f2", "f3", "f4"]
        assert await store.files.page("bob", None, "f1", 2, order) is None

    on_store(state_url, use)


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_items(state_url: str, order: Order) -> None:
    """All of a conversation's; nothing comes after one that was never in it."""

    async def use(store: SqlStore, _records: BatchRecords) -> None:
        await store.create_conversation(conversation(), items("a", "b", "c", "d", "e"))

        async def page(after: str | None) -> tuple[list[str], bool]:
            found = await store.conversation_items("", "conv_1", after, 2, order)
            assert found is not None
            return [item.id for item in found.items], found.has_more

        gone = await removed_by_pages(page, lambda one_id: store.delete_item("", "conv_1", one_id))
        assert sorted(gone) == ["a", "b", "c", "d", "e"]
        await store.add_items("", "conv_1", items("f", "a"))
        assert await store.delete_item("", "conv_1", "a")  # a second time
        assert await ids_in(store) == ["f"]
        assert await page("never") == ([], False)

    on_store(state_url, use)


def test_forgotten(state_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a day."""

    async def use(store: SqlStore, _records: BatchRecords) -> None:
        for name in ("f0", "f1"):
            await add_file(store.files, file_named(name))
        await store.files.remove_file("", "f0")
        tomorrow = time.time() + DAY_S + 1
        monkeypatch.setattr(time, "time", lambda: tomorrow)
        await store.files.remove_file("", "f1")
        assert await store.files.page("", None, "f0", 2, "asc") is not None
        await store.clear_away()
        assert await store.files.page("", None, "f0", 2, "asc") is None
        assert await store.files.page("", None, "f1", 2, "asc") is not None

    on_store(state_url, use)
