"""Answers that may call tools: a streamed choice's deltas -> parts of chunks, a whole one -> its message.

Log-probabilities are those of the content's tokens. Calls are no content and have none.
"""

import uuid

from msgspec import UNSET

from phiserve.answer import VisibleDelta
from phiserve.chat.call_reader import AnswerRead, CallBegun, CallReader, PieceRead, TextRead
from phiserve.core import FinishReason, TokenLogprob
from phiserve.protocol.chat_completion import (
    CalledFunction,
    ChoiceLogprobs,
    ChunkChoice,
    ChunkDelta,
    FunctionChunk,
    MessageToolCall,
    ResponseMessage,
    ToolCallChunk,
    WireFinishReason,
)
from phiserve.protocol.tools import CallsAs


def new_call_id() -> str:
    """An id as OpenAI's."""
    return f"call_{uuid.uuid4().hex[:24]}"


def message_of(read: AnswerRead, calls_as: CallsAs) -> ResponseMessage:
    """The message of an answer, under the name by which its calls were asked for."""
    functions = [CalledFunction(call.name, call.arguments) for call in read.calls]
    if not functions:
        return ResponseMessage(read.text)
    if calls_as == "function_call":
        return ResponseMessage(None, function_call=functions[0])
    return ResponseMessage(
        None, tool_calls=[MessageToolCall(new_call_id(), function) for function in functions]
    )


def finish_reason_of(reason: FinishReason, calls_as: CallsAs, *, is_whole: bool) -> WireFinishReason:
    """Why an answer ended, of which it is known whether it is made of calls that came to their end."""
    return calls_as if is_whole and reason == "stop" else reason


class CallingChoice:
    """Writes one streamed choice that may call tools: `feed` for each delta, the last of which has a reason.

    `must_call`: whether it is made of nothing else. `with_token_ids`: whether tokens are shown beside the
    text that they make.
    """

    def __init__(
        self, index: int, calls_as: CallsAs, *, must_call: bool = False, with_token_ids: bool
    ) -> None:
        self._index = index
        self._calls_as = calls_as
        self._with_token_ids = with_token_ids
        self._reader = CallReader(must_call=must_call)
        self._num_calls = 0
        self._is_begun = False
        self._token_ids: list[int] = []
        self._logprobs: list[TokenLogprob] = []

    def feed(self, visible: VisibleDelta) -> list[ChunkChoice]:
        """What a delta adds to the choice.

        The role comes first: before text alone, in a call's first part beside it. What may become a call is
        held back, and its tokens with it.
        """
        self._token_ids += visible.token_ids
        self._logprobs += visible.logprobs or ()
        pieces = self._reader.feed(visible.text)
        reason = visible.finish_reason
        if reason is not None:
            pieces += self._reader.end()
        choices = [choice for piece in pieces for choice in self._of_piece(piece)]
        if reason is not None:
            choices += self._begin_text()
            finish = finish_reason_of(reason, self._calls_as, is_whole=self._reader.is_whole)
            choices.append(self._choice(ChunkDelta(), finish))
        return choices

    def _of_piece(self, piece: PieceRead) -> list[ChunkChoice]:
        if isinstance(piece, TextRead):
            return [*self._begin_text(), self._choice(ChunkDelta(content=piece.text))]
        if isinstance(piece, CallBegun):
            return [self._begin_call(piece.name)]
        return [self._choice(self._call_delta(FunctionChunk(piece.text)))]

    def _begin_text(self) -> list[ChunkChoice]:
        """The role, unless it has come already."""
        if self._is_begun:
            return []
        self._is_begun = True
        content = None if self._reader.has_calls else ""
        return [ChunkChoice(self._index, ChunkDelta(role="assistant", content=content))]

    def _begin_call(self, name: str) -> ChunkChoice:
        self._num_calls += 1
        delta = self._call_delta(FunctionChunk("", name=name), call_id=new_call_id())
        if not self._is_begun:
            self._is_begun = True
            delta = ChunkDelta("assistant", None, delta.tool_calls, delta.function_call)
        return self._choice(delta)

    def _call_delta(self, function: FunctionChunk, call_id: str | None = None) -> ChunkDelta:
        """A part of the last call; with its id where it is the first part."""
        if self._calls_as == "function_call":
            return ChunkDelta(function_call=function)
        index = self._num_calls - 1
        if call_id is None:
            return ChunkDelta(tool_calls=[ToolCallChunk(index, function)])
        return ChunkDelta(tool_calls=[ToolCallChunk(index, function, id=call_id, type="function")])

    def _choice(self, delta: ChunkDelta, finish: WireFinishReason | None = None) -> ChunkChoice:
        """A part of the choice, with all tokens since the last one."""
        token_ids, self._token_ids = self._token_ids, []
        logprobs, self._logprobs = self._logprobs, []
        return ChunkChoice(
            self._index,
            delta,
            finish,
            logprobs=ChoiceLogprobs(logprobs) if logprobs and not self._reader.has_calls else UNSET,
            token_ids=token_ids if token_ids and self._with_token_ids else UNSET,
        )
