"""What a request for completions is answered with: one object, or several of the same form as events."""

from typing import Literal

from msgspec import UNSET, Struct, UnsetType

from phiserve.core import FinishReason
from phiserve.protocol.chat_completion import Usage


class TextLogprobs(Struct, frozen=True):
    """Log-probabilities of an answer's tokens, in lists of one item a token.

    `text_offset` is where in the choice's text a token begins, in characters. `top_logprobs` has the most
    likely tokens and the chosen one. Tokens that are a part of a character are spelled as OpenAI does:
    `bytes:` and an escape for each byte.
    """

    tokens: list[str]
    token_logprobs: list[float]
    top_logprobs: list[dict[str, float]]
    text_offset: list[int]


class TextChoice(Struct, frozen=True):
    """One answer, or what an event adds to it.

    Only the last event of an answer has a `finish_reason`; its first one has the prompt's ids, where they are
    asked for.
    """

    index: int
    text: str
    logprobs: TextLogprobs | None = None
    finish_reason: FinishReason | None = None
    token_ids: list[int] | UnsetType = UNSET
    prompt_token_ids: list[int] | UnsetType = UNSET


class TextCompletion(Struct, frozen=True):
    """The whole answer to a request for completions; or, without `usage`, one event of a streamed one."""

    id: str
    created: int
    model: str
    choices: list[TextChoice]
    object: Literal["text_completion"] = "text_completion"
    usage: Usage | UnsetType = UNSET
