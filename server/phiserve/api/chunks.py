"""Deltas -> server-sent events. One object per streamed answer: id and time never change within it."""

import time
from collections.abc import Iterator

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


def event(payload: object) -> bytes:
    """One server-sent event."""
    return b"data: " + encode_json(payload) + b"\n\n"


def error_response(error: RequestError) -> ErrorResponse:
    """OpenAI's envelope."""
    return ErrorResponse(ErrorBody(error.message, error.type, error.param, error.code))


class ChunkWriter:
    """Writes the events of one answer: `feed` for each delta, then `end`."""

    def __init__(self, answer: Answer, model: str) -> None:
        self._answer = answer
        self._request = answer.chat.request
        self._model = model
        self._created = int(time.time())
        self._opened: set[int] = set()
        self._prompt_sent = not self._request.return_token_ids

    def feed(self, delta: Delta) -> Iterator[bytes]:
        """Events for one delta: the role first, then text (empty while held back), the finish reason last and alone."""
        visible = self._answer.feed(delta)
        if visible.index not in self._opened:
            self._opened.add(visible.index)
            yield self._chunk(ChunkChoice(visible.index, ChunkDelta(role="assistant", content="")))
        if visible.text or visible.token_ids:
            yield self._chunk(self._content(visible))
        if visible.finish_reason is not None:
            yield self._chunk(ChunkChoice(visible.index, ChunkDelta(), finish_reason=visible.finish_reason))

    def end(self) -> Iterator[bytes]:
        """The usage chunk, if asked for, and the end mark."""
        if self._request.include_usage:
            yield self._event([], self._answer.usage())
        yield DONE

    def _content(self, visible: VisibleDelta) -> ChunkChoice:
        return ChunkChoice(
            visible.index,
            ChunkDelta(content=visible.text),
            logprobs=visible.logprobs or UNSET,
            token_ids=list(visible.token_ids) if self._request.return_token_ids else UNSET,
        )

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
