"""Items are rows of their own: where only ids are asked for, no payload is read."""

import asyncio
from pathlib import Path

from sqlalchemy import event

from phiserve.store import items as module
from phiserve.store import responses
from phiserve.store.connections import Connections
from phiserve.store.interface import Store
from phiserve.store.location import locate
from stored import item, items, on_store, opened, response


def test_an_item_is_stored_once(state_url: str) -> None:
    """However often it is given and referred to; another payload replaces the one before."""

    async def use(store: Store) -> None:
        await store.save_response(response("first", ["a", "a"]), items("a", "a"))
        await store.save_response(response("second", ["a"]), [item("a", "new")])
        assert await store.items("", ["a"]) == (item("a", "new"),)
        found = await store.response("", "first")
        assert found is not None
        assert found.context == ("a", "a")

    on_store(state_url, use)


def test_payloads_are_read_where_they_are_asked_for(tmp_path: Path) -> None:
    """A response, its deletion, a page's end: no statement names the payloads of items that are not shown."""
    url = f"sqlite:///{tmp_path / 'state.db'}"
    statements: list[str] = []

    async def run() -> None:
        store = opened(url)
        await store.save_response(response(context=["a", "b", "c"]), items("a", "b", "c"))
        await store.close()
        location = locate(url)
        assert location is not None
        connections = Connections(location)
        for engine in (connections._reads, connections._writes):
            event.listen(
                engine.sync_engine,
                "before_cursor_execute",
                lambda *arguments: statements.append(f"{arguments[2]} {arguments[3]}"),
            )
        await connections.read(lambda connection: responses.load(connection, "", "resp_1"))
        assert not any("items.payload" in statement for statement in statements)
        page = await connections.read(
            lambda connection: responses.input_items(connection, "", "resp_1", None, 1, "asc")
        )
        assert page is not None
        assert page.has_more
        loaded = [statement for statement in statements if "items.payload" in statement]
        assert [statement.count("?") for statement in loaded] == [1]
        statements.clear()
        await connections.write(lambda connection: responses.delete_one(connection, "", "resp_1"))
        assert not any("items.payload" in statement for statement in statements)
        await connections.close()

    asyncio.run(run())


def test_possible_ids() -> None:
    """ASCII without NUL."""
    assert module.is_possible("msg_1-é".replace("é", "e"))
    assert not any(module.is_possible(odd) for odd in ("é", "a\0b", "\ud800"))
