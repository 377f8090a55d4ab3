"""Fonts come from packages; widths are known before anything is drawn."""

import pytest

from demo import fonts
from demo.fonts import FONTS, load_font, width_em


@pytest.mark.parametrize("font", range(len(FONTS)))
def test_widths(font: int) -> None:
    """A text's width in units of the font size is the drawn one, but for hinting's rounding of each
    advance.
    """
    for size in (17, 25, 60):
        text = "Wi lmj Q0"
        assert load_font(font, size).getlength(text) == pytest.approx(
            width_em(font, text) * size, abs=0.5 * len(text)
        )


def test_fonts_differ() -> None:
    """No two of them are the same face."""
    assert len({load_font(font, 30).getname() for font in range(len(FONTS))}) == len(FONTS)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to install."""
    monkeypatch.setattr(fonts, "FONTS", (("no_such_package_of_fonts", "a.ttf"),))
    with pytest.raises(ModuleNotFoundError, match=r"no_such_package_of_fonts: pip install '\.\[demo\]'"):
        load_font.__wrapped__(0, 12)
