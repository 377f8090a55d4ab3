"""Work for a worker, and how it is refused: in words for images, or in words for PDFs."""

from dataclasses import dataclass
from typing import TypeVar

from phiserve.errors import InvalidImage, InvalidPdf
from phiserve.sandbox.messages import DecodeImage, Done, Fault, PageRead, PdfOpened, Refused, Reply, Work
from phiserve.vision.decoding import DecodingFault
from phiserve.vision.sizes import CropPlan

CRASHED = "the image is damaged: its decoder crashed"
TOO_SLOW = "the image takes longer to decode than an image may"
PDF_CRASHED = "the PDF is damaged, or takes too much memory: what reads it crashed"
PDF_TOO_SLOW = "the PDF takes longer to read or draw than a page may"

Result = TypeVar("Result", Done, PdfOpened, PageRead)
"""A reply that is no failure."""


@dataclass(frozen=True, slots=True)
class Task:
    """Some work. `num_pixels`: of the image or page. `plan`: of the crops to be cut, if any are."""

    work: Work
    num_pixels: int = 0
    plan: CropPlan | None = None

    @property
    def noun(self) -> str:
        """What the work is about."""
        return "image" if isinstance(self.work, DecodeImage) else "PDF"

    def result(self, reply: Reply, expected: type[Result]) -> Result:
        """The reply, if it is no failure. Raises InvalidImage, InvalidPdf or DecodingFault."""
        if isinstance(reply, expected):
            return reply
        match reply:
            case Refused(reason=reason, code=code):
                raise self._refusal(reason, code)
            case Fault(name=name, trace=trace):
                raise DecodingFault(name, trace)
        raise DecodingFault("ProcessLost", f"replied with {type(reply).__name__}")

    def loss(self, too_slow: bool) -> InvalidImage | InvalidPdf:
        """What is answered where a worker was lost over the file."""
        if self.noun == "image":
            return self._refusal(TOO_SLOW if too_slow else CRASHED)
        return self._refusal(PDF_TOO_SLOW if too_slow else PDF_CRASHED)

    def _refusal(self, reason: str, code: str | None = None) -> InvalidImage | InvalidPdf:
        if self.noun == "image":
            return InvalidImage(reason, code=code)
        return InvalidPdf(reason, code=code)
