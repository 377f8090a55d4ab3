"""Size arithmetic equals the reference's."""

import csv
import math
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from phiserve.vision.fitting import STEPS
from phiserve.vision.sizes import (
    CROP_SIDE,
    MAX_ASPECT_RATIO,
    most_image_tokens,
    num_image_tokens,
    page_size,
    plan_crops,
    plan_image,
)


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


def rounding(short_side: int) -> float:
    """How far a size may be from a page's proportions: it is rounded down, up to four times, or nine."""
    return 4.1 / short_side + 0.003


@given(
    width=st.floats(0.1, 20_000),
    ratio=st.floats(1 / 330, 330),
    max_crops=st.integers(1, 64),
)
@example(width=1.0, ratio=147.0, max_crops=50)
@example(width=1.0, ratio=21_504 / 914, max_crops=64)
def test_a_page_is_as_large_as_the_model_sees_it(width: float, ratio: float, max_crops: int) -> None:
    """Its picture needs no resizing, and has the page's proportions but for rounding."""
    size = page_size(width, width * ratio, max_crops)
    if max(size) > MAX_ASPECT_RATIO * min(size):
        return  # it is refused
    plan = plan_crops(*size, max_crops)
    assert plan.resized == size
    assert plan.num_crops <= max_crops
    assert math.isclose(size[1] / size[0], ratio, rel_tol=rounding(min(size)))


@given(
    width=st.floats(0.1, 20_000),
    ratio=st.floats(1 / 330, 330),
    max_crops=st.integers(1, 64),
    step=st.sampled_from(STEPS),
)
@example(width=595.0, ratio=1.2, max_crops=16, step=1)
def test_a_page_seen_less_closely_needs_no_resizing_either(
    width: float, ratio: float, max_crops: int, step: int
) -> None:
    """Its picture of the size that it is drawn in has the same plan, though sizes are rounded down."""
    size = page_size(width, width * ratio, max_crops)
    if max(size) > MAX_ASPECT_RATIO * min(size):
        return  # it is refused
    plan = plan_image(size, step)
    assert plan_crops(*plan.resized, step) == plan
    assert plan.num_crops <= step
    assert math.isclose(
        plan.resized[1] / plan.resized[0], ratio, rel_tol=rounding(min(size)) + rounding(min(plan.resized))
    )
    assert plan_image((*size,), step) == plan_crops(*size, step)


@pytest.mark.parametrize(
    ("points", "pixels"),
    [
        ((595, 842), (949, 1344)),
        ((612, 792), (1038, 1344)),
        ((960, 540), (1680, 945)),
        ((1, 400), (13, 5376)),
    ],
)
def test_sizes_of_usual_pages(points: tuple[float, float], pixels: tuple[int, int]) -> None:
    """A4, US letter, a slide, and one that is refused; at lower detail, what is drawn needs no resizing."""
    assert page_size(*points, 16) == pixels
    for step in STEPS if max(pixels) < MAX_ASPECT_RATIO * min(pixels) else ():
        drawn = plan_crops(*pixels, step).resized
        assert plan_crops(*drawn, step) == plan_crops(*pixels, step)
