"""Bars stand for the values written above them, and answers tell them."""

import numpy as np
import pytest

from demo.canvas import CLEARANCE
from demo.chart import COUNT, HIGHEST, LOWEST, NUMBERS, VALUE
from demo.scene import Copied, Scene, text_of
from drawings import readings, scenes

CHARTS = scenes("chart", count=40)


def bars(scene: Scene) -> list[tuple[Copied, Copied]]:
    """Label and value of each bar."""
    _, *rest = readings(scene.exchanges[0])
    return list(zip(rest[::2], rest[1::2], strict=True))


def middle(read: Copied) -> tuple[float, float]:
    places = [(glyph.x, glyph.y) for glyph in read.glyphs if glyph]
    return float(np.mean([x for x, _ in places])), places[0][1]


def answers(scene: Scene) -> dict[str, str]:
    return {
        wording: text_of(exchange.answer) for exchange in scene.exchanges for wording in exchange.questions
    }


def test_labels_stand_below_their_values() -> None:
    """A bar's label and value share its middle, and bars are named from left to right."""
    for scene in CHARTS:
        middles = [(middle(label), middle(value)) for label, value in bars(scene)]
        for (below, low), (above, high) in middles:
            assert abs(below - above) < 8
            assert high < low
        lefts = [below for (below, _), _ in middles]
        assert lefts == sorted(lefts)


def test_heights_are_proportional() -> None:
    """A value stands as high above the shared base as its bar is high: in a straight line with the values,
    but for CLEARANCE.
    """
    for scene in CHARTS:
        values = np.array([int(value.text) for _, value in bars(scene)], float)
        heights = -np.array([middle(value)[1] for _, value in bars(scene)])
        visible = values / values.max() > 0.1  # lower ones have the least height that shows
        slope, offset = np.polyfit(values[visible], heights[visible], 1) if visible.sum() > 1 else (1, 0)
        assert slope > 0
        if visible.sum() > 1:
            np.testing.assert_allclose(values[visible] * slope + offset, heights[visible], atol=1 + CLEARANCE)


def test_bars_are_painted_between_label_and_value() -> None:
    """Halfway up, the middle of a bar has a colour that the gap beside it has not."""
    for scene in CHARTS:
        crop = scene.canvas.crop().astype(int)
        step = (scene.canvas.width - 8) / len(bars(scene))
        for label, value in bars(scene):
            (x, low), (_, high) = middle(label), middle(value)
            if low - high < 60:  # the bar is too low to tell from the base
                continue
            height = int((low + high) / 2)
            assert abs(crop[height, int(x)] - crop[height, int(x - step * 0.48)]).sum() > 20


def test_extremes_and_number() -> None:
    """The highest and the lowest bar are those of the largest and the smallest value; bars are counted."""
    for scene in CHARTS:
        named = [(label.text.strip(), int(value.text)) for label, value in bars(scene)]
        highest, lowest = max(named, key=lambda bar: bar[1]), min(named, key=lambda bar: bar[1])
        told = answers(scene)
        assert told[HIGHEST[0]] == f"The highest bar is {highest[0]} with {highest[1]}."
        assert told[LOWEST[0]] == f"The lowest bar is {lowest[0]} with {lowest[1]}."
        assert told[COUNT[0]] == f"There are {NUMBERS[len(named)]} bars in the chart."


def test_values_by_name() -> None:
    """Where labels can be named, asking for one gives its own value; no two bars share label or value."""
    asked = 0
    for scene in CHARTS:
        named = {label.text.strip(): int(value.text) for label, value in bars(scene)}
        assert len(named) == len({*named.values()}) == len(bars(scene))
        told = answers(scene)
        for label, value in named.items():
            for wording in VALUE:
                question = wording.format(label)
                if question in told:
                    asked += 1
                    assert told[question] == f"The value of {label} is {value}."
    assert asked > 50


@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_all_sizes_occur(count: int) -> None:
    """Charts have two to five bars."""
    assert any(len(bars(scene)) == count for scene in CHARTS)
