"""Content parts of a request -> literal texts and placeholders of images and files."""

from collections.abc import Sequence

from phiserve.chat.joining import checked_text
from phiserve.core import Part as InnerPart
from phiserve.protocol.decisions.parts import DecisionRefusal, JsonInput, Part, compact
from phiserve.protocol.input_parts import GivenFile, GivenImage, placeholder_of


def parts_of(content: str | Sequence[Part], param: str) -> list[InnerPart]:
    """A content's literal texts, images and files; `param` is its path."""
    if isinstance(content, str):
        return [checked_text(content, param)]
    return [_part(part, f"{param}[{index}]") for index, part in enumerate(content)]


def _part(part: Part, param: str) -> InnerPart:
    match part:
        case GivenImage() | GivenFile():
            return placeholder_of(part, param)
        case JsonInput():
            return checked_text(compact(part.data), f"{param}.data")
        case DecisionRefusal():
            return checked_text(part.refusal, f"{param}.refusal")
        case _:
            return checked_text(part.text, f"{param}.text")
