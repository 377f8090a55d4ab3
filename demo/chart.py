"""Bar charts: a title, two to five bars, each with a label below and its value above."""

import random
from dataclasses import dataclass

from demo.book import DESCRIBE
from demo.canvas import Canvas, Colour, fit_size, random_size
from demo.fonts import width_em
from demo.palette import bar_colours, text_colours
from demo.scene import Answer, Copied, Exchange, Literal, Scene, copied
from demo.style import Style
from demo.words import CHART_LABELS, draw_word

INTRODUCE = (
    "Could you please introduce this chart to me?",
    "Please introduce this chart to me.",
    "Introduce this chart.",
    "Describe this chart.",
    "What does this chart show?",
    "What is shown in this chart?",
    "Please explain this chart.",
    "Explain the chart.",
    "Can you explain this chart to me?",
    "What are the values in this chart?",
)
HIGHEST = (
    "Which bar is the highest?",
    "What is the highest bar?",
    "Which one is the largest?",
    "What is the largest value?",
    "Which bar is the tallest?",
)
LOWEST = (
    "Which bar is the lowest?",
    "What is the lowest bar?",
    "Which one is the smallest?",
    "What is the smallest value?",
    "Which bar is the shortest?",
)
VALUE = (
    "What is the value of {}?",
    "How much is {}?",
    "What value does {} have?",
    "Tell me the value of {}.",
)
COUNT = ("How many bars are there?", "How many bars are in this chart?", "How many bars does the chart have?")
TITLE = (
    "What is the title of this chart?",
    "What is the title of the chart?",
    "What is the chart called?",
    "What is the title?",
)

NUMBERS = ("zero", "one", "two", "three", "four", "five")
_SIDE = 4
_LABEL_SIZES = (17.0, 21.0)


@dataclass(frozen=True, slots=True)
class _Bar:
    label: Copied
    value: Copied
    height: int


@dataclass(frozen=True, slots=True)
class _Pen:
    """A canvas with the font and the colour it is written on in."""

    canvas: Canvas
    font: int
    ink: Colour

    def write_centred(self, text: str, middle: float, y: float, size: float) -> Copied:
        """Write a line around x = `middle`; its text after a space, as answers tell it."""
        x = middle - width_em(self.font, text) * size / 2
        return copied(" " + text, [self.canvas.text(x, y, text, size, self.ink, self.font)])


def draw_chart(rng: random.Random, style: Style) -> Scene:
    """A bar chart and what can be asked of it."""
    while True:
        scene = _try_chart(rng, style)
        if scene:
            return scene


def _try_chart(rng: random.Random, style: Style) -> Scene | None:
    """One attempt; None where the labels take too much room.

    The order of draws from `rng` must stay: the shipped weights and their exam were made with it.
    """
    background, ink = text_colours(rng, dark=0.1)
    canvas = Canvas(random_size(rng, rng.choice([1.0, rng.uniform(0.9, 1.4)])), background)
    font = style.font(rng)
    labels, nameable = _labels(rng, style, rng.randint(2, 5))
    step = (canvas.width - 2 * _SIDE) / len(labels)
    size = fit_size(max(labels, key=lambda label: width_em(font, label)), font, step - 3, *_LABEL_SIZES, rng)
    title = draw_word(rng, style.held_out)
    title = title.upper() if rng.random() < 0.7 else title.capitalize()
    title_size = fit_size(
        title, font, canvas.width - 2 * _SIDE, max(19, style.smallest), min(30, style.largest), rng
    )
    if size is None or title_size is None:
        return None
    pen = _Pen(canvas, font, ink)
    title_read, below_title = _write_title(rng, pen, title, title_size)
    bars = _draw_bars(rng, pen, labels, size, below_title)
    if bars is None:
        return None
    exchanges = _exchanges(title_read, bars, nameable)
    return Scene("chart", canvas, exchanges, (Literal(' a bar chart titled "'), title_read, Literal('"')))


def _write_title(rng: random.Random, pen: _Pen, title: str, size: float) -> tuple[Copied, float]:
    """Write the title at the top, mostly in the middle; its text, and the y below it."""
    canvas = pen.canvas
    spare = canvas.width - width_em(pen.font, title) * size
    y = canvas.top + size * 0.6 + rng.uniform(0, 6)
    x = canvas.left + (spare / 2 if rng.random() < 0.8 else rng.uniform(2, max(2, spare - 2)))
    return copied(title, [canvas.text(x, y, title, size, pen.ink, pen.font)]), y + size * 0.6


def _draw_bars(
    rng: random.Random, pen: _Pen, labels: list[str], size: float, top: float
) -> list[_Bar] | None:
    """Draw a bar for each label between `top` and the lower border, its value above and its label below, and
    the line they stand on; None where that leaves too little room.
    """
    canvas = pen.canvas
    values = rng.sample(
        rng.choices((range(1, 100), range(10, 100), range(10, 1000)), (0.6, 0.28, 0.12))[0], len(labels)
    )
    label_y = canvas.bottom - size * 0.6 - rng.uniform(0, 5)
    base = label_y - size * 0.65
    room = base - top - size * 1.3 - 4
    if room < 60:
        return None
    bars = []
    step = (canvas.width - 2 * _SIDE) / len(labels)
    half = step * rng.uniform(0.25, 0.42)
    colours = bar_colours(rng, len(labels))
    for number, (label, value, colour) in enumerate(zip(labels, values, colours, strict=True)):
        middle = canvas.left + _SIDE + step * (number + 0.5)
        height = max(2, room * value / max(values))
        canvas.rectangle(middle - half, base - height, middle + half, base, colour)
        value_read = pen.write_centred(str(value), middle, base - height - size * 0.65, size)
        bars.append(_Bar(pen.write_centred(label, middle, label_y, size), value_read, value))
    canvas.rectangle(canvas.left + 2, base, canvas.right - 2, base + 1, pen.ink)
    return bars


def _labels(rng: random.Random, style: Style, count: int) -> tuple[list[str], bool]:
    """Labels, and whether questions may name them."""
    kind = rng.random()
    if kind < 0.35:
        return rng.sample(CHART_LABELS, count), True
    if kind < 0.6:
        first = rng.randint(1950, 2060)
        years = range(first, first + count) if rng.random() < 0.6 else rng.sample(range(1900, 2100), count)
        return [str(year) for year in years], True
    labels: list[str] = []
    while len(labels) < count:
        word = draw_word(rng, style.held_out, 3, 5).capitalize()
        labels += [word] * (word not in labels)
    return labels, False


def _exchanges(title: Copied, bars: list[_Bar], nameable: bool) -> tuple[Exchange, ...]:
    highest, lowest = max(bars, key=lambda bar: bar.height), min(bars, key=lambda bar: bar.height)
    exchanges = [
        Exchange(INTRODUCE, _introduction(title, bars)),
        Exchange(
            HIGHEST,
            (Literal(" The highest bar is"), highest.label, Literal(" with"), highest.value, Literal(".")),
        ),
        Exchange(
            LOWEST,
            (Literal(" The lowest bar is"), lowest.label, Literal(" with"), lowest.value, Literal(".")),
        ),
        Exchange(COUNT, (Literal(f" There are {NUMBERS[len(bars)]} bars in the chart."),)),
        Exchange(TITLE, (Literal(' The title is "'), title, Literal('".'))),
        Exchange(DESCRIBE, _introduction(title, bars)),
    ]
    if nameable:
        for bar in bars:
            answer = (Literal(" The value of"), bar.label, Literal(" is"), bar.value, Literal("."))
            exchanges.append(
                Exchange(tuple(wording.format(bar.label.text.strip()) for wording in VALUE), answer)
            )
    return tuple(exchanges)


def _introduction(title: Copied, bars: list[_Bar]) -> Answer:
    answer: list[Literal | Copied] = [
        Literal(' This is a bar chart titled "'),
        title,
        Literal(f'" with {NUMBERS[len(bars)]} bars:'),
    ]
    for number, bar in enumerate(bars):
        answer += [bar.label, bar.value, Literal("," if number < len(bars) - 1 else ".")]
    return tuple(answer)
