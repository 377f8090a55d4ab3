"""Size arithmetic equals the reference's."""

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phiserve.vision.sizes import CROP_SIDE, MAX_ASPECT_RATIO, most_image_tokens, num_image_tokens, plan_crops


def test_golden_sizes(golden: Path) -> None:
    """Every line of sizes.csv: padded size and tokens."""
    with (golden / "sizes.csv").open() as file:
        rows = [{key: int(value) for key, value in row.items()} for row in csv.DictReader(file)]
    for row in rows:
        plan = plan_crops(row["width"], row["height"], row["num_crops"])
        assert (*plan.padded, plan.num_tokens) == (
            row["padded_width"],
            row["padded_height"],
            row["num_image_tokens"],
        ), row
    assert len(rows) == 400


@pytest.mark.parametrize(
    ("size", "max_crops", "grid", "tokens"),
    [
        ((640, 480), 16, (4, 3), 1921),
        ((480, 640), 16, (3, 4), 1933),
        ((1344, 1344), 16, (4, 4), 2509),
        ((1, 1), 4, (2, 2), 757),
        ((640, 480), 1, (1, 1), 313),
        ((8000, 50), 16, (16, 1), 2473),
        ((50, 8000), 16, (1, 16), 2653),
    ],
)
def test_known_plans(size: tuple[int, int], max_crops: int, grid: tuple[int, int], tokens: int) -> None:
    """Plans worked out by hand."""
    plan = plan_crops(*size, max_crops)
    assert ((plan.columns, plan.rows), plan.num_tokens) == (grid, tokens)


sides = st.integers(1, 20_000)


@given(sides, sides, st.integers(1, 32))
def test_bounds(width: int, height: int, max_crops: int) -> None:
    """No plan exceeds its max_crops or the largest count; within the aspect limit something is left of the
    short side.
    """
    plan = plan_crops(width, height, max_crops)
    assert plan.num_crops <= max_crops
    assert plan.num_tokens <= most_image_tokens(max_crops)
    if max(width, height) <= MAX_ASPECT_RATIO * min(width, height):
        assert min(plan.resized) >= 1
        assert all(
            padded - CROP_SIDE < size <= padded
            for size, padded in zip(plan.resized, plan.padded, strict=True)
        )


@pytest.mark.parametrize("max_crops", [1, 4, 9, 16])
def test_most_tokens(max_crops: int) -> None:
    """The largest count is reached, and by one column of crops."""
    assert max(
        num_image_tokens(c, r) for c in range(1, 17) for r in range(1, 17) if c * r <= max_crops
    ) == most_image_tokens(max_crops)


@pytest.mark.parametrize("arguments", [(0, 1, 1), (1, 0, 1), (1, 1, 0)])
def test_nonsense_is_refused(arguments: tuple[int, int, int]) -> None:
    """Sizes and limits are positive."""
    with pytest.raises(ValueError, match="positive"):
        plan_crops(*arguments)
