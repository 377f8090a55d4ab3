"""The pictures of the documents: of the kinds the model knows, and drawn alike on every machine."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from demo import examples
from demo.canvas import Canvas


@pytest.mark.parametrize(
    ("draw", "size", "text"),
    [
        (examples.cover, (480, 640), "ALONEMorganMaxwell"),
        (examples.chart, (640, 480), "RAIN41Jan68Feb23Mar85Apr"),
        (examples.shapes, (512, 512), ""),
    ],
)
def test_they_show_what_they_should(draw: Callable[[], Canvas], size: tuple[int, int], text: str) -> None:
    """All their glyphs lie within the picture."""
    canvas = draw()
    assert canvas.picture.size == size
    assert "".join(glyph.character for glyph in canvas.glyphs) == text
    for glyph in canvas.glyphs:
        assert canvas.left < glyph.x < canvas.right
        assert canvas.top < glyph.y < canvas.bottom


def test_they_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As PNGs, which hold the pixels that were drawn."""
    monkeypatch.setattr(examples, "FOLDER", tmp_path / "images")
    examples.main()
    assert sorted(path.name for path in (tmp_path / "images").iterdir()) == [
        "chart.png",
        "cover.png",
        "shapes.png",
    ]
    with Image.open(tmp_path / "images" / "cover.png") as written:
        assert written.tobytes() == examples.cover().picture.tobytes()
