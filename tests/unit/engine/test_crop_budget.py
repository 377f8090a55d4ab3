"""Decoded images wait for room, in turn, and not for ever."""

import asyncio

import pytest

from phiserve.engine.crop_budget import CropBudget
from phiserve.errors import Overloaded
from phiserve.turns import Line


def test_room_and_its_end() -> None:
    """Requests without new images need none; others wait, are refused in time, and find room again."""

    async def check() -> None:
        budget = CropBudget(max_bytes=10, max_wait_s=0.05)
        async with budget.hold(Line(0, "a"), 8):
            async with budget.hold(Line(0, "a"), 0), budget.hold(Line(0, "b"), 2):
                pass
            with pytest.raises(Overloaded):
                async with budget.hold(Line(0, "b"), 3):
                    pytest.fail("there is no room for three")
        with pytest.raises(ZeroDivisionError):
            async with budget.hold(Line(0, "b"), 100):
                raise ZeroDivisionError
        async with budget.hold(Line(0, "a"), 10):
            pass

    asyncio.run(check())
