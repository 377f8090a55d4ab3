"""The end of a server's parts."""

import asyncio

import pytest

from phiserve.closing import close_all, close_work
from phiserve.media.connector import MediaConnector


class HangingConnector(MediaConnector):
    """Whose end does not come."""

    async def close(self) -> None:
        await asyncio.Event().wait()


class FailingConnector(MediaConnector):
    """Whose end fails."""

    async def close(self) -> None:
        raise RuntimeError("connector")


def test_everything_is_closed_though_a_part_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads and engine end in their order; a failure is told after that, and what hangs is left behind."""
    monkeypatch.setattr("phiserve.closing.CLOSE_TIMEOUT_S", 0.01)
    ended: list[str] = []

    def images() -> None:
        ended.append("images")
        raise RuntimeError("images")

    async def engine() -> None:
        ended.append("engine")

    asyncio.run(close_work(HangingConnector(), lambda: ended.append("images"), engine))
    with pytest.raises(RuntimeError, match="connector"):
        asyncio.run(close_work(FailingConnector(), lambda: ended.append("images"), engine))
    with pytest.raises(RuntimeError, match="images"):
        asyncio.run(close_work(MediaConnector(), images, engine))
    assert ended == ["images", "engine"] * 3


class Part:
    """Notes its end."""

    def __init__(self, name: str, ended: list[str]) -> None:
        self.name, self.ended = name, ended

    async def close(self) -> None:
        self.ended.append(self.name)


def test_the_others_end_last() -> None:
    """In their order, also where the work before them does not end well; what is not there needs no end."""
    ended: list[str] = []
    others = (Part("gate", ended), None, Part("spans", ended))

    async def engine() -> None:
        ended.append("engine")

    with pytest.raises(RuntimeError, match="connector"):
        asyncio.run(close_all(FailingConnector(), lambda: None, engine, others))
    assert ended == ["engine", "gate", "spans"]
