"""Pillow's bilinear resize, bit for bit, written straight into crops.

It is compiled by numba and runs without the interpreter's lock. Pillow spends nearly as long on copying
pixels into its own memory and out again as on resizing. Here an image is read once and every crop is written
once; only the few rows between the two passes are kept.

Source: Pillow 13, `src/libImaging/Resample.c` (precompute_coeffs, normalize_coeffs_8bpc, the 8 bit passes).
What must be kept of it: weights in doubles, summed in order; fixed point of 22 bits; the pass along rows
first, rounded to 8 bits before the other.
"""

import numpy as np
from numba import int32
from numpy.typing import NDArray

from phiserve.codecs.compiled import compiled
from phiserve.vision.sizes import CROP_SIDE

_BITS = 22
_HALF = 1 << (_BITS - 1)
_CROP_ROW = 3 * CROP_SIDE
"""Bytes of a row of a crop."""

_BLOCK = 32
"""Number of rows that are resized along themselves at once."""

Bytes = NDArray[np.uint8]
Fixed = NDArray[np.int32]


@compiled
def weights(num_in: int, num_out: int) -> tuple[Fixed, Fixed, Fixed]:
    """The input pixels that each output pixel is made of, and their weights.

    Returns the first input pixel (num_out,), the number of input pixels (num_out,), and their weights in
    fixed point (num_out, maximum number of input pixels).
    """
    scale = num_in / num_out
    support = max(scale, 1.0)
    first, count = np.empty(num_out, np.int32), np.empty(num_out, np.int32)
    most = int(np.ceil(support)) * 2 + 1
    fixed, exact = np.zeros((num_out, most), np.int32), np.empty(most, np.float64)
    inverse = 1.0 / support
    for out in range(num_out):
        centre = (out + 0.5) * scale
        begin = max(int(centre - support + 0.5), 0)
        end = min(int(centre + support + 0.5), num_in)
        total = 0.0
        for k in range(end - begin):
            distance = abs((k + begin - centre + 0.5) * inverse)
            exact[k] = 1.0 - distance if distance < 1.0 else 0.0
            total += exact[k]
        for k in range(end - begin):
            share = exact[k] / total if total != 0.0 else exact[k]
            fixed[out, k] = int(0.5 + share * (1 << _BITS))
        first[out], count[out] = begin, end - begin
    return first, count, fixed


@compiled
def weighted_sum(rows: Bytes, begin: int, count: int, fixed: Fixed, totals: Fixed, out: Bytes) -> None:
    """Weighted sum of `count` rows of a ring buffer (num_rows, n), from row `begin` on -> `out` (n,).

    `fixed`: the rows' weights, in fixed point. `totals`: scratch memory for n sums.
    """
    length, last = len(out), len(rows)
    if count == 2:
        one, other = rows[begin % last], rows[(begin + 1) % last]
        weight, other_weight = fixed[0], fixed[1]
        for k in range(length):
            total = int32(_HALF + int32(int32(one[k]) * weight))
            out[k] = int32(total + int32(int32(other[k]) * other_weight)) >> _BITS
        return
    totals[:length] = _HALF
    for number in range(count):
        row, weight = rows[(begin + number) % last], fixed[number]
        for k in range(length):
            totals[k] = int32(totals[k] + int32(int32(row[k]) * weight))
    for k in range(length):
        out[k] = totals[k] >> _BITS


@compiled
def along_rows(
    rows: Bytes,
    first: Fixed,
    count: Fixed,
    fixed: Fixed,
    lying: Bytes,
    resized: Bytes,
    totals: Fixed,
    out: Bytes,
) -> None:
    """Resize up to _BLOCK rows (n, 3 * width) along themselves -> `out` (n, 3 * num_out).

    They are transposed first, so that one weight applies to many adjacent values. `first`, `count`, `fixed`:
    as `weights` returns them. Scratch memory: `lying` (width, 3 * _BLOCK), `resized` (3 * _BLOCK), `totals`.
    """
    num = len(rows)
    for r in range(num):
        row = rows[r]
        for x in range(len(lying)):
            lying[x, r] = row[3 * x]
            lying[x, _BLOCK + r] = row[3 * x + 1]
            lying[x, 2 * _BLOCK + r] = row[3 * x + 2]
    for x in range(len(first)):
        weighted_sum(lying, first[x], count[x], fixed[x], totals, resized)
        for r in range(num):
            out[r, 3 * x] = resized[r]
            out[r, 3 * x + 1] = resized[_BLOCK + r]
            out[r, 3 * x + 2] = resized[2 * _BLOCK + r]


@compiled
def fill_landscape(pixels: Bytes, size: tuple[int, int], top: int, crops: Bytes) -> None:
    """Resize `pixels` (h, w, 3) to `size` (width, height) and write them into `crops`, along rows first.

    `crops` is (rows, columns, 336, 1008) and is filled from row `top` of the padded image on.
    """
    height, width = pixels.shape[:2]
    source = pixels.reshape(height, 3 * width)
    first, count, fixed = weights(width, size[0])
    first_row, num_rows, fixed_rows = weights(height, size[1])
    ring = np.empty((_BLOCK * (2 + fixed_rows.shape[1] // _BLOCK), 3 * size[0]), np.uint8)
    lying, resized = np.zeros((width, 3 * _BLOCK), np.uint8), np.empty(3 * _BLOCK, np.uint8)
    totals = np.empty(3 * max(_BLOCK, CROP_SIDE), np.int32)
    done = 0
    for y in range(size[1]):
        begin, end = first_row[y], first_row[y] + num_rows[y]
        while done < end:
            block = source[done : done + _BLOCK]
            at = done % len(ring)
            along_rows(block, first, count, fixed, lying, resized, totals, ring[at : at + len(block)])
            done += _BLOCK
        row, inner = divmod(y + top, CROP_SIDE)
        for column in range(crops.shape[1]):
            part = ring[:, column * _CROP_ROW : (column + 1) * _CROP_ROW]
            weighted_sum(part, begin, num_rows[y], fixed_rows[y], totals, crops[row, column, inner])


@compiled
def fill_portrait(pixels: Bytes, size: tuple[int, int], left: int, crops: Bytes) -> None:
    """Resize `pixels` (h, w, 3) to `size` (width, height) and write them into `crops`, along columns first.

    This is how the image is resized as if it lay on its side. `crops` is (rows, columns, 336, 1008) and is
    filled from column `left` of the padded image on, white beside it.
    """
    height, width = pixels.shape[:2]
    source = pixels.reshape(height, 3 * width)
    first, count, fixed = weights(width, size[0])
    first_row, num_rows, fixed_rows = weights(height, size[1])
    between = np.empty((_BLOCK, 3 * width), np.uint8)
    lines = np.full((_BLOCK, crops.shape[1] * _CROP_ROW), 255, np.uint8)
    lying, resized = np.zeros((width, 3 * _BLOCK), np.uint8), np.empty(3 * _BLOCK, np.uint8)
    totals = np.empty(3 * max(_BLOCK, width), np.int32)
    for begin in range(0, size[1], _BLOCK):
        num = min(_BLOCK, size[1] - begin)
        for k in range(num):
            y = begin + k
            weighted_sum(source, first_row[y], num_rows[y], fixed_rows[y], totals, between[k])
        shown = lines[:num, 3 * left : 3 * (left + size[0])]
        along_rows(between[:num], first, count, fixed, lying, resized, totals, shown)
        for k in range(num):
            row, inner = divmod(begin + k, CROP_SIDE)
            for column in range(crops.shape[1]):
                crops[row, column, inner] = lines[k, column * _CROP_ROW : (column + 1) * _CROP_ROW]
