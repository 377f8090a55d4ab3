#!/usr/bin/env bash
# Pillow 13.0.0: resizing and then turning an image by 90 degrees gives other pixels than turning it first.
#
# Guess: the filters are separable and the same along both sides, so it does not matter whether an image is set
# upright before or after it is resized; at worst a level is lost to rounding, as for a mirrored image.
# Seen: mirroring commutes exactly; turning differs by up to 19 levels in black and white noise. Each row is
# resized first, and the result stored in 8 bits, which cuts off what a filter with negative lobes overshoots
# before the columns are resized; a turned image has that happen to its columns. In mode F, which cuts nothing
# off, the two orders agree.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install --quiet --disable-pip-version-check --no-deps --target "$folder" pillow==13.0.0
PYTHONPATH=$folder python3 - <<'PYTHON'
import random
import sys
from importlib.metadata import version

from PIL import Image

print("pillow", version("pillow"))
print("guess: resize and transpose commute, to within one level")

random.seed(1)
grey = Image.new("L", (61, 97))
grey.putdata([random.choice((0, 255)) for _ in range(61 * 97)])


def difference(image: Image.Image, turn: Image.Transpose, filter_: Image.Resampling) -> float:
    """The largest between two orders of resizing to 30x40 and turning."""
    last = image.resize((30, 40), filter_).transpose(turn)
    first = image.transpose(turn).resize(last.size, filter_)
    return max(abs(a - b) for a, b in zip(last.get_flattened_data(), first.get_flattened_data()))


MIRROR, TURN = Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.ROTATE_90
ok = True
for filter_ in (Image.Resampling.BICUBIC, Image.Resampling.LANCZOS):
    mirrored, turned = difference(grey, MIRROR, filter_), difference(grey, TURN, filter_)
    as_float = difference(grey.convert("F"), TURN, filter_)
    print(f"seen: {filter_.name}: mirrored {mirrored}, turned {turned}, turned in mode F {as_float:.5f} levels")
    ok = ok and mirrored == 0 and turned >= 5 and as_float < 0.01
sys.exit(0 if ok else "the behaviour has changed")
PYTHON
