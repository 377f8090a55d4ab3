"""Deltas -> server-sent events. One object per streamed answer: id and time never change within it."""

import time

from msgspec import UNSET

from phiserve.answer import Answer, VisibleDelta
from phiserve.engine.interface import Delta
from phiserve.errors import RequestError
from phiserve.protocol.responses import (
    ChatCompletionChunk,
    ChunkChoice,
    ChunkDelta,
    ErrorBody,
    ErrorResponse,
    Usage,
    encode_json,
)

DONE = b"data: [DONE]\n\n"
KEEPALIVE = b": keep-alive\n\n"
_TEXT = "\0"
"""Stands for the text of an event: no id or name holds it."""


def event(payload: object) -> bytes:
    """One server-sent event."""
    return b"data: " + encode_json(payload) + b"\n\n"


def error_response(error: RequestError) -> ErrorResponse:
    """OpenAI's envelope."""
    return ErrorResponse(ErrorBody(error.message, error.type, error.param, error.code))


class ChunkWriter:
    """Writes the events of one answer: `feed` for each delta, then `end`. Both return one or several events, or nothing."""

    def __init__(self, answer: Answer, model: str) -> None:
        self._answer = answer
        self._request = answer.chat.request
        self._model = model
        self._created = int(time.time())
        self._around_text: dict[int, tuple[bytes, bytes]] = {}
        self._prompt_sent = not self._request.return_token_ids

    def feed(self, delta: Delta) -> bytes:
        """Events for one delta: the role first, then text (empty while held back), the finish reason last and alone."""
        visible = self._answer.feed(delta)
        begin = b"" if visible.index in self._around_text else self._open(visible.index)
        content = self._content(visible) if visible.text or visible.token_ids else b""
        if visible.finish_reason is None:
            return begin + content
        return begin + content + self._chunk(ChunkChoice(visible.index, ChunkDelta(), finish_reason=visible.finish_reason))

    def end(self) -> bytes:
        """The usage chunk, if asked for, and the end mark."""
        return self._event([], self._answer.usage()) + DONE if self._request.include_usage else DONE

    def _open(self, index: int) -> bytes:
        """The event with a choice's role. What all its plain events with text share is encoded now, once."""
        role = self._chunk(ChunkChoice(index, ChunkDelta(role="assistant", content="")))
        before, _, after = self._chunk(ChunkChoice(index, ChunkDelta(content=_TEXT))).partition(encode_json(_TEXT))
        self._around_text[index] = before, after
        return role

    def _content(self, visible: VisibleDelta) -> bytes:
        if visible.logprobs is None and not self._request.return_token_ids:
            before, after = self._around_text[visible.index]
            return before + encode_json(visible.text) + after
        choice = ChunkChoice(
            visible.index,
            ChunkDelta(content=visible.text),
            logprobs=visible.logprobs or UNSET,
            token_ids=list(visible.token_ids) if self._request.return_token_ids else UNSET,
        )
        return self._chunk(choice)

    def _chunk(self, choice: ChunkChoice) -> bytes:
        return self._event([choice], None)

    def _event(self, choices: list[ChunkChoice], usage: Usage | None) -> bytes:
        prompt_ids = UNSET if self._prompt_sent else self._answer.chat.prompt_ids
        self._prompt_sent = True
        return event(
            ChatCompletionChunk(
                id=self._answer.chat.request_id,
                created=self._created,
                model=self._model,
                choices=choices,
                usage=usage or UNSET,
                prompt_token_ids=prompt_ids,
            )
        )
