"""Messages -> conversation: turns of literal text and image slots, still without ids.

An image part is its slot and a newline; between other parts stands one newline unless the text has one there.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from phiserve.errors import InvalidRequest
from phiserve.protocol.messages import (
    AssistantMessage,
    ImagePart,
    Message,
    RefusalPart,
    SystemMessage,
    TextPart,
    ToolMessage,
    UserMessage,
)

Role = Literal["system", "user", "assistant"]
Detail = Literal["auto", "low", "high"]


@dataclass(frozen=True, slots=True)
class ImageSlot:
    """An image's place in the conversation: where it comes from, how closely to look, and where in the request it stands."""

    url: str
    detail: Detail
    param: str


Piece = str | ImageSlot


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn: its role and, in order, literal text and image slots. Adjacent texts are already joined."""

    role: Role
    pieces: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Conversation:
    """A whole conversation, ready to be encoded."""

    turns: tuple[Turn, ...]

    @property
    def slots(self) -> tuple[ImageSlot, ...]:
        """All image slots, in order."""
        return tuple(piece for turn in self.turns for piece in turn.pieces if isinstance(piece, ImageSlot))

    @property
    def num_characters(self) -> int:
        """Length of all text."""
        return sum(len(piece) for turn in self.turns for piece in turn.pieces if isinstance(piece, str))


def build_conversation(messages: Sequence[Message]) -> Conversation:
    """Turn messages into a conversation. Raises InvalidRequest for text that is not Unicode (lone surrogates)."""
    return Conversation(tuple(_turn(message, f"messages[{index}]") for index, message in enumerate(messages)))


def _turn(message: Message, param: str) -> Turn:
    match message:
        case SystemMessage():
            return Turn("system", _pieces(message.content, f"{param}.content"))
        case UserMessage():
            return Turn("user", _pieces(message.content, f"{param}.content"))
        case AssistantMessage():
            return Turn("assistant", _assistant_pieces(message, param))
        case ToolMessage():
            result = _text_of(_pieces(message.content, f"{param}.content"))
            return Turn("user", _join([_checked(f"Result of tool call {message.tool_call_id}:", param), result]))


def _assistant_pieces(message: AssistantMessage, param: str) -> tuple[Piece, ...]:
    """An earlier answer: its content, its refusal, then one line for each tool call."""
    pieces: list[Piece] = []
    if message.content is not None:
        pieces += _pieces(message.content, f"{param}.content")
    if message.refusal is not None:
        pieces.append(_checked(message.refusal, f"{param}.refusal"))
    for index, call in enumerate(message.tool_calls or ()):
        line = f"Tool call {call.id}: {call.function.name}({call.function.arguments})"
        pieces.append(_checked(line, f"{param}.tool_calls[{index}]"))
    return _join(pieces)


def _pieces(content: str | Sequence[TextPart | ImagePart | RefusalPart], param: str) -> tuple[Piece, ...]:
    if isinstance(content, str):
        return _join([_checked(content, param)])
    return _join([_piece(part, f"{param}[{index}]") for index, part in enumerate(content)])


def _piece(part: TextPart | ImagePart | RefusalPart, param: str) -> Piece:
    match part:
        case TextPart():
            return _checked(part.text, f"{param}.text")
        case RefusalPart():
            return _checked(part.refusal, f"{param}.refusal")
        case ImagePart():
            detail = part.image_url.detail or "auto"
            return ImageSlot(part.image_url.url, "high" if detail == "original" else detail, f"{param}.image_url")


def _join(parts: Iterable[Piece]) -> tuple[Piece, ...]:
    """Put the newlines between parts and merge texts that touch."""
    pieces: list[Piece] = []
    run: list[str] = []  # texts since the last image
    for part in parts:
        if isinstance(part, ImageSlot):
            if run and not run[-1].endswith("\n"):
                run.append("\n")
            pieces += [text for text in ["".join(run)] if text]
            pieces.append(part)
            run = ["\n"]
        else:
            if run and not run[-1].endswith("\n") and not part.startswith("\n"):
                run.append("\n")
            run.append(part)
    pieces += [text for text in ["".join(run)] if text]
    return tuple(pieces)


def _text_of(pieces: Sequence[Piece]) -> str:
    return "".join(piece for piece in pieces if isinstance(piece, str))


def _checked(text: str, param: str) -> str:
    """Refuse what UTF-8 cannot express: JSON can spell half a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidRequest(f"{param}: the text holds a lone surrogate and is not valid Unicode", param=param) from None
    return text
