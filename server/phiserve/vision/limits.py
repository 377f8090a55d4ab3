"""Limits on images, each by itself and all of a request together.

Each limit is named in its error as in the settings.
"""

from dataclasses import dataclass, field
from threading import Lock

from phiserve.codecs import FORMATS
from phiserve.errors import InvalidImage
from phiserve.vision.sizes import MAX_ASPECT_RATIO


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """Limits on one image and on all images of a request.

    Bytes are those of files as received, pixels those of images as shown. `max_aspect_ratio`: long side to
    short side. `formats`: names of the formats that are read (see `codecs.formats`). `max_pdf_bytes`: of a
    PDF, whose pages count as images.
    """

    max_bytes: int = 20 * 2**20
    max_pixels: int = 64_000_000
    max_aspect_ratio: float = MAX_ASPECT_RATIO
    max_request_bytes: int = 96 * 2**20
    max_request_pixels: int = 256_000_000
    formats: tuple[str, ...] = FORMATS
    max_pdf_bytes: int = 50 * 2**20

    def check_size(self, size: tuple[int, int]) -> None:
        """Check the (width, height) of one image. Raises InvalidImage."""
        width, height = size
        if width * height > self.max_pixels:
            limit = f"{self.max_pixels} (max_image_pixels)"
            reason = f"the image has {width} x {height} pixels; the limit is {limit}"
            raise InvalidImage(reason, code="image_too_large")
        if max(size) > self.max_aspect_ratio * min(size):
            limit = f"{self.max_aspect_ratio:g} to 1 (max_image_aspect_ratio)"
            reason = f"{width} x {height} is too thin; the limit is {limit}"
            raise InvalidImage(reason, code="image_too_thin")


class TooLargeTogether(InvalidImage):
    """All images of a request have too many bytes or pixels; each by itself may have as many."""


@dataclass(slots=True)
class RequestMeter:
    """Adds up the bytes and pixels of one request's images as they come in; bytes from any thread."""

    limits: ImageLimits
    bytes: int = 0
    pixels: int = 0
    _lock: Lock = field(default_factory=Lock, init=False, repr=False, compare=False)

    def add_bytes(self, count: int) -> None:
        """Count bytes of a file. Raises TooLargeTogether if all together have too many bytes."""
        with self._lock:
            self.bytes += count
            total = self.bytes
        if total > self.limits.max_request_bytes:
            limit = f"{self.limits.max_request_bytes} bytes (max_request_image_bytes)"
            fault = "with this one the request's images are larger than allowed together"
            raise TooLargeTogether(f"{fault}; the limit is {limit}", code="image_too_large")

    def add_pixels(self, size: tuple[int, int]) -> None:
        """Count an image of (width, height). Raises TooLargeTogether if all together have too many pixels."""
        self.pixels += size[0] * size[1]
        if self.pixels > self.limits.max_request_pixels:
            limit = f"{self.limits.max_request_pixels} (max_request_image_pixels)"
            fault = f"with this one the request's images have {self.pixels} pixels"
            raise TooLargeTogether(f"{fault}; the limit is {limit}", code="image_too_large")
