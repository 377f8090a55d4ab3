"""What all batches of a server share: their room, and whether anything of them may be asked."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from phiserve.api.batches.parts import ENDS_LEFT, BatchParts
from phiserve.api.request_log import RequestLog
from phiserve.api.services import Services
from phiserve.api.shutdown import Shutdown
from scripted import MortalEngine

MakeServices = Callable[..., Services]


def parts_of(services: Services) -> BatchParts:
    """The parts of a server that stores."""
    parts = BatchParts.of(services, Shutdown(), RequestLog())
    assert parts is not None
    return parts


def test_one_by_itself(make_services: MakeServices, tmp_path: Path) -> None:
    """No other request of any batch runs beside it: those before it end first, those behind it wait."""

    async def run() -> list[str]:
        services = make_services(MortalEngine(), state=tmp_path)
        parts, told = parts_of(services), list[str]()

        async def work(name: str, *, alone: bool = False) -> None:
            async with parts.entered(alone=alone):
                told.append(f"{name} begins")
                for _ in range(3):
                    await asyncio.sleep(0)
                told.append(f"{name} ends")

        await asyncio.gather(work("a"), work("b"), work("suspect", alone=True), work("c"))
        await services.close()
        return told

    assert asyncio.run(run()) == [
        "a begins",
        "b begins",
        "a ends",
        "b ends",
        "suspect begins",
        "suspect ends",
        "c begins",
        "c ends",
    ]


def test_when_nothing_is_asked(make_services: MakeServices, tmp_path: Path) -> None:
    """While there is no engine, and when batches have ended as many as are not left for others."""

    async def run() -> None:
        engine = MortalEngine()
        services = make_services(engine, state=tmp_path, max_engine_restarts=ENDS_LEFT + 2)
        parts = parts_of(services)
        parts.ends.add(1)
        assert parts.may_ask
        parts.ends.add(2)
        assert not parts.may_ask
        again = parts_of(services)
        engine.end()
        assert not again.may_ask
        await services.close()

    asyncio.run(run())
