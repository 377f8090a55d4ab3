"""JPEG: follows the codes of a sequential scan one by one, compiled: Python takes a hundred times as long.

Import it where it is called: numba takes half a second (see `vision.crops.cut_crops`).
"""

import numpy as np
from numpy.typing import NDArray

from phiserve.codecs.compiled import compiled

PADDING = bytes(3)
"""What must stand behind the data: a code is looked up by three bytes, the last one at the data's end."""

_COEFFICIENTS = 64


@compiled
def follow(
    data: NDArray[np.uint8],
    start: int,
    num_units: int,
    tables: NDArray[np.int32],
    blocks: NDArray[np.int32],
    most_codes: int,
) -> tuple[int, int]:
    """Follow the codes of up to `num_units` units from the bit `start` on, and no more than `most_codes`.

    `data`: unescaped, with `PADDING`. `tables` (n, 65536): what each value of the next 16 bits begins with,
    `step << 8 | bits`, or 0 where there is no such code. `blocks` (n, 2): for each block of a unit the tables
    of its mean and of its other coefficients. Returns the number of units that are there, and the bit where
    they end.
    """
    bit, end, num_codes = start, 8 * (len(data) - 3), 0
    for found in range(num_units):
        for block in range(len(blocks)):
            count, table = 0, tables[blocks[block, 0]]
            while count < _COEFFICIENTS:
                at = bit >> 3
                three = int(data[at]) << 16 | int(data[at + 1]) << 8 | int(data[at + 2])
                entry = int(table[three >> 8 - (bit & 7) & 0xFFFF])
                bit += entry & 0xFF
                num_codes += 1
                if entry == 0 or bit > end or num_codes > most_codes:
                    return found, start
                count += entry >> 8
                table = tables[blocks[block, 1]]
        start = bit
    return num_units, start
