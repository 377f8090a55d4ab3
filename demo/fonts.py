"""The fonts that pictures are drawn in, from PyPI packages with free licences."""

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from PIL import ImageFont

FONTS = (
    ("matplotlib", "mpl-data/fonts/ttf/DejaVuSans-Bold.ttf"),
    ("matplotlib", "mpl-data/fonts/ttf/DejaVuSans.ttf"),
    ("font_roboto", "files/Roboto-Medium.ttf"),
    ("font_source_serif_pro", "files/SourceSerifPro-Bold.otf"),
)
"""Package and file. The first is the "one font" of the measured table. Licences: DejaVu's own free one;
Apache-2.0; OFL."""

_REFERENCE_SIZE = 100


@lru_cache(maxsize=4096)
def load_font(index: int, size_px: int) -> ImageFont.FreeTypeFont:
    """A font at a size in pixels. Raises ModuleNotFoundError when its package is not installed (extra
    `demo`).
    """
    package, name = FONTS[index]
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"fonts come from the package {package}: pip install '.[demo]'")
    path = Path(spec.submodule_search_locations[0]) / name
    return ImageFont.truetype(str(path), size_px, layout_engine=ImageFont.Layout.BASIC)


@lru_cache(maxsize=4096)
def advance_em(index: int, character: str) -> float:
    """How far a character moves the pen, in units of the font size."""
    return load_font(index, _REFERENCE_SIZE).getlength(character) / _REFERENCE_SIZE


def width_em(index: int, text: str) -> float:
    """Width of a text, in units of the font size."""
    return sum(advance_em(index, character) for character in text)
