"""The pictures of README.md and docs/, drawn: `python -m demo.examples` writes them into docs/images."""

from pathlib import Path

import typer

from demo.canvas import Canvas
from demo.fonts import width_em
from demo.palette import COLOURS

FOLDER = Path(__file__).parents[1] / "docs" / "images"
_INK = (25, 30, 60)


def cover() -> Canvas:
    """A book cover, 480 x 640."""
    canvas = Canvas((480, 640), (238, 226, 200))
    _centred(canvas, 80, "ALONE", 34)
    canvas.shape("circle", 168, 170, 16, COLOURS["orange"])
    _centred(canvas, 276, "Morgan", 25)
    _centred(canvas, 306, "Maxwell", 25)
    return canvas


def chart() -> Canvas:
    """A bar chart, 640 x 480."""
    canvas = Canvas((640, 480), (255, 255, 255))
    _centred(canvas, canvas.top + 20, "RAIN", 27)
    base, bars = canvas.bottom - 27, (("Jan", 41), ("Feb", 68), ("Mar", 23), ("Apr", 85))
    step = canvas.width / len(bars)
    for number, (label, value) in enumerate(bars):
        middle = canvas.left + step * (number + 0.5)
        top = base - 150 * value / 85
        canvas.rectangle(middle - 24, top, middle + 24, base, COLOURS["blue"])
        _centred(canvas, top - 13, str(value), 19, middle)
        _centred(canvas, base + 13, label, 19, middle)
    canvas.rectangle(canvas.left + 2, base, canvas.right - 2, base + 1, _INK)
    return canvas


def shapes() -> Canvas:
    """Three shapes, 512 x 512."""
    canvas = Canvas((512, 512), COLOURS["white"])
    canvas.shape("circle", 60, 62, 42, COLOURS["red"])
    canvas.shape("square", 168, 168, 40, COLOURS["blue"])
    canvas.shape("triangle", 276, 274, 44, COLOURS["green"])
    return canvas


def _centred(canvas: Canvas, y: float, text: str, size: float, x: float | None = None) -> None:
    middle = canvas.left + canvas.width / 2 if x is None else x
    canvas.text(middle - width_em(0, text) * size / 2, y, text, size, _INK, 0)


def main() -> None:
    """Write the pictures."""
    FOLDER.mkdir(exist_ok=True)
    for name, canvas in (("cover", cover()), ("chart", chart()), ("shapes", shapes())):
        canvas.picture.save(FOLDER / f"{name}.png", optimize=True)


if __name__ == "__main__":
    typer.run(main)
