"""What a worker may take for one image: memory, processor time, and time by the clock."""

from dataclasses import dataclass

from phiserve.codecs import FORMATS
from phiserve.vision.sizes import CROP_SIDE

MIB = 2**20

BYTES_PER_PIXEL = 32
"""Most address space that a pixel takes while it is decoded and cut, in any format, with a third to spare.

Measured on images of 16 and 64 megapixels: 22 for a WEBP with transparency (its canvases, Pillow's copy, the
image on white and its array), 20 for an AVIF with transparency, 15 for a HEIC and for a progressive JPEG of
inks.
"""

_SPARE_BYTES = 192 * MIB
"""What does not grow with an image: threads of the AVIF decoder with their stacks, tables, Python's own."""

_COPIES_OF_A_FILE = 3
"""The file as the worker holds it, reduced to what matters, and once more in a library."""

CROP_BYTES = CROP_SIDE * CROP_SIDE * 3

_CPU_S_PER_PIXEL = 0.5e-6
"""Six times what a pixel of the slowest format, AVIF, was measured to take."""


@dataclass(frozen=True, slots=True)
class WorkerLimits:
    """What a worker may be given, and what it may take for it.

    `max_bytes` and `max_pixels`: of an image. `max_crops`: most crops that one is cut into. `formats`: those
    that are served. `least_cpu_s`: processor time that even the smallest image may take. `patience`: how many
    times as long as that it may take by the clock, since workers give way to everything else.
    `max_pdf_bytes`: of a PDF, each page of which may take what an image may.
    """

    max_bytes: int = 20 * MIB
    max_pixels: int = 64_000_000
    max_crops: int = 16
    formats: tuple[str, ...] = FORMATS
    least_cpu_s: float = 10.0
    patience: float = 6.0
    max_pdf_bytes: int = 50 * MIB

    @property
    def max_file_bytes(self) -> int:
        """Bytes of the largest file of either kind."""
        return max(self.max_bytes, self.max_pdf_bytes)

    @property
    def exchange_bytes(self) -> int:
        """Bytes of the memory that the server and one worker share."""
        return self.max_file_bytes + self.max_crops * CROP_BYTES

    @property
    def memory_bytes(self) -> int:
        """Bytes that a worker may take beyond what it has when it is idle."""
        return BYTES_PER_PIXEL * self.max_pixels + _COPIES_OF_A_FILE * self.max_file_bytes + _SPARE_BYTES

    @property
    def all_bytes(self) -> int:
        """Bytes that decoding an image may take in all, in whichever process."""
        return self.memory_bytes + self.exchange_bytes

    def cpu_s(self, num_pixels: int) -> float:
        """Seconds of processor time that an image of `num_pixels` may take."""
        return self.least_cpu_s + _CPU_S_PER_PIXEL * num_pixels

    def wait_s(self, num_pixels: int) -> float:
        """Seconds by the clock after which a worker is given up."""
        return self.patience * self.cpu_s(num_pixels)
