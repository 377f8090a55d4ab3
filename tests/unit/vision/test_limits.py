"""Limits hold exactly, and each error names its limit."""

import pytest

from phiserve.errors import InvalidImage
from phiserve.vision.limits import ImageLimits, RequestMeter

LIMITS = ImageLimits(10, 100, 5, 25, 150)


def test_one_image() -> None:
    """At the limit is fine, beyond is not."""
    LIMITS.check_size((10, 10))
    LIMITS.check_size((20, 4))
    with pytest.raises(InvalidImage, match=r"101 x 1 pixels.* 100 \(max_image_pixels\)$"):
        LIMITS.check_size((101, 1))
    with pytest.raises(InvalidImage, match=r"^21 x 4 .* 5 to 1 \(max_image_aspect_ratio\)$"):
        LIMITS.check_size((21, 4))


def test_a_request() -> None:
    """Bytes and pixels add up over images."""
    meter = RequestMeter(LIMITS)
    meter.add_bytes(25)
    with pytest.raises(InvalidImage, match=r" 25 bytes \(max_request_image_bytes\)$"):
        meter.add_bytes(1)
    meter.add_pixels((15, 10))
    with pytest.raises(InvalidImage, match=r"151 pixels.* 150 \(max_request_image_pixels\)$"):
        meter.add_pixels((1, 1))
