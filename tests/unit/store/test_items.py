"""Items are rows of their own: where only ids are asked for, no payload is read."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import event

from phiserve.errors import Overloaded
from phiserve.store import items as module
from phiserve.store import responses
from phiserve.store.connections import Connections
from phiserve.store.interface import Store
from phiserve.store.location import locate
from stored import conversation, item, items, on_store, opened, response


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


def test_how_much_is_loaded_is_told_before(state_url: str) -> None:
    """Of items by their ids, of one, of pages and of whole conversations: what is refused is not loaded."""
    three = [item(name, "x" * 1000) for name in "abc"]
    of_one = module.counted(three[0])

    async def use(store: Store) -> None:
        await store.create_conversation(conversation(), three)
        await store.save_response(response(context=["a", "b"]), three[:2])
        told: list[int] = []
        assert await store.items("", ["c", "gone", "a", "a"], told.append) == (three[2], *[three[0]] * 2)
        assert await store.conversation_item("", "conv_1", "a", told.append) == three[0]
        await store.conversation_items("", "conv_1", None, None, "asc", told.append)
        await store.input_items("", "resp_1", None, 1, "asc", told.append)
        assert told == [3 * of_one, of_one, 3 * of_one, of_one]

        def refuse(_num_bytes: int) -> None:
            raise Overloaded("No room")

        for loading in (
            store.items("", ["a"], refuse),
            store.conversation_item("", "conv_1", "a", refuse),
            store.conversation_items("", "conv_1", None, None, "asc", refuse),
            store.input_items("", "resp_1", None, 1, "asc", refuse),
        ):
            with pytest.raises(Overloaded):
                await loading

    on_store(state_url, use)


def test_pages_end_before_they_are_too_large(state_url: str) -> None:
    """And have one item at least; the next begins behind it."""
    four = [item(name, "x" * (1000 if name < "d" else 5000)) for name in "abcd"]

    async def use(store: Store) -> None:
        await store.create_conversation(conversation(), four)
        shown, after, has_more = [], None, True
        while has_more:
            page = await store.conversation_items("", "conv_1", after, 3, "asc", max_bytes=2500)
            assert page is not None
            shown.append("".join(found.id for found in page.items))
            after, has_more = page.items[-1].id, page.has_more
        assert shown == ["ab", "c", "d"]
        empty = await store.conversation_items("", "conv_1", "d", 3, "asc", max_bytes=2500)
        assert empty is not None
        assert (empty.items, empty.has_more) == ((), False)

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
        asked = module.PageAsked(None, 1, "asc")
        page = await connections.read(
            lambda connection: responses.input_items(connection, "", "resp_1", asked)
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
