"""Files to crops: what a decoder does, and the one that does it in the thread that asks."""

from collections.abc import Callable, Collection, Sequence
from contextlib import closing
from typing import Protocol

from phiserve.codecs import ParsedImage
from phiserve.codecs.pdf import OpenedPdf, Outline
from phiserve.vision.crops import Crops, compile_ahead, cut_crops
from phiserve.vision.sizes import CropPlan

Parse = Callable[[bytes, Collection[str]], ParsedImage]
"""As `codecs.parse`: (file content, formats served) -> the file taken apart, or InvalidImage."""


class DecodingFault(Exception):
    """An exception of our own in another process: the name of its class, and where it was raised."""

    def __init__(self, name: str, trace: str) -> None:
        super().__init__(name)
        self.name = name
        self.trace = trace


class Decoder(Protocol):
    """Takes files apart, decodes and cuts them. All calls block, and may be made on several threads."""

    def start(self) -> None:
        """Get ready, which takes seconds that no image should wait for."""

    def open(self, content: bytes) -> tuple[tuple[int, int], ParsedImage | None]:
        """The (width, height) of an image as shown, and whatever else is known now.

        Raises InvalidImage, or anything else where the fault is not the image's.
        """

    def crops(self, content: bytes, num_pixels: int, plan: CropPlan, parsed: ParsedImage | None) -> Crops:
        """Decode an image and cut it: uint8 (n, 336, 336, 3).

        `num_pixels`: how many it has. `parsed`: what `open` returned, if it was asked. Raises as `open`.
        """

    def open_pdf(self, content: bytes, pages: Sequence[int] | None, most: int) -> Outline:
        """The sizes of a PDF's `pages`, counted from 0, or of its first `most`; of those that there are.

        Raises InvalidPdf, or anything else where the fault is not the PDF's.
        """

    def draw_page(self, content: bytes, page: int, plan: CropPlan) -> Crops:
        """Draw a page at `plan.resized` and cut it: uint8 (n, 336, 336, 3). Raises as `open_pdf`."""

    def read_page(self, content: bytes, page: int) -> str:
        """The text of a page. Raises as `open_pdf`."""

    def describe(self) -> str:
        """Where images are decoded, in a line for the banner. Call it once it is started."""

    def close(self) -> None:
        """End what was started; what is being decoded may fail."""


class ThreadDecoder:
    """Decodes in the thread that asks. `formats`: those that are served."""

    def __init__(self, parse: Parse, formats: tuple[str, ...]) -> None:
        self._parse = parse
        self._formats = formats

    def start(self) -> None:
        """Compile what images are cut with."""
        compile_ahead()

    def open(self, content: bytes) -> tuple[tuple[int, int], ParsedImage | None]:
        """As `Decoder.open`."""
        parsed = self._parse(content, self._formats)
        return parsed.size, parsed

    def crops(self, content: bytes, num_pixels: int, plan: CropPlan, parsed: ParsedImage | None) -> Crops:
        """As `Decoder.crops`."""
        return cut_crops((parsed or self._parse(content, self._formats)).decode(), plan)

    def open_pdf(self, content: bytes, pages: Sequence[int] | None, most: int) -> Outline:
        """As `Decoder.open_pdf`."""
        with closing(OpenedPdf(content)) as pdf:
            return pdf.outline(pages, most)

    def draw_page(self, content: bytes, page: int, plan: CropPlan) -> Crops:
        """As `Decoder.draw_page`."""
        with closing(OpenedPdf(content)) as pdf:
            return cut_crops(pdf.draw(page, plan.resized), plan)

    def read_page(self, content: bytes, page: int) -> str:
        """As `Decoder.read_page`."""
        with closing(OpenedPdf(content)) as pdf:
            return pdf.text(page)

    def describe(self) -> str:
        """As `Decoder.describe`."""
        return "images decoded in threads of the server, without limits on memory and time"

    def close(self) -> None:
        """There is nothing to end."""
