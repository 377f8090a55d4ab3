"""Pictures of every kind are drawn, by the shares that are asked for."""

import random

import pytest

from demo.kinds import EASY, USUAL, Shares, draw_scene
from demo.style import four_fonts
from drawings import KINDS


@pytest.mark.parametrize("shares", [EASY, USUAL])
def test_kinds_are_drawn_by_their_shares(shares: Shares) -> None:
    """All kinds occur, each about as often as it should."""
    rng = random.Random(0)
    drawn = [draw_scene(rng, four_fonts(), shares).kind for _ in range(200)]
    assert {kind: drawn.count(kind) / 200 for kind in KINDS} == pytest.approx(shares, abs=0.1)
