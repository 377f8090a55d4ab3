"""An image file that has been taken apart, whatever its format, and its pixels."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
"""(height, width, 3), RGB, C-contiguous and writable."""

_SWAPS_SIDES = (5, 6, 7, 8)
_TURNS: dict[int, Callable[[Pixels], Pixels]] = {
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.transpose(1, 0, 2),
    6: lambda pixels: pixels[::-1].transpose(1, 0, 2),
    7: lambda pixels: pixels[::-1, ::-1].transpose(1, 0, 2),
    8: lambda pixels: pixels[:, ::-1].transpose(1, 0, 2),
}
"""From an image as stored to the upright one, by EXIF orientation (EXIF 2.32, 4.6.4); 1 is upright."""


@dataclass(frozen=True, slots=True, eq=False)
class ParsedImage:
    """A file whose size is known and whose pixels have not been decoded; it keeps what was parsed.

    `stored_size`: (width, height) in the file. `orientation`: EXIF's, 1 to 8. `decode_stored`: decodes the
    first frame as stored, transparent parts on white, into an array of its own, or raises InvalidImage.
    """

    stored_size: tuple[int, int]
    orientation: int
    decode_stored: Callable[[], Pixels]

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) as shown, orientation applied."""
        width, height = self.stored_size
        return (height, width) if self.orientation in _SWAPS_SIDES else (width, height)

    def decode(self) -> Pixels:
        """The first frame, upright, in an array of its own. Raises InvalidImage."""
        pixels = self.decode_stored()
        turn = _TURNS.get(self.orientation)
        return pixels if turn is None else np.ascontiguousarray(turn(pixels))
