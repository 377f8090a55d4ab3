"""Deltas -> a chat completion, whole or as chunks.

There is one writer for each answer, so that id and time never change within it.
"""

import time
from collections.abc import AsyncIterable
from dataclasses import dataclass, field

from msgspec import UNSET

from phiserve.answer import Answer, VisibleDelta
from phiserve.api.call_writer import CallingChoice, finish_reason_of, message_of
from phiserve.chat.call_reader import read_answer
from phiserve.core import FinishReason, TokenLogprob
from phiserve.engine.interface import Delta
from phiserve.protocol.chat_completion import (
    ChatCompletion,
    ChatCompletionChunk,
    Choice,
    ChoiceLogprobs,
    ChunkChoice,
    ChunkDelta,
    ResponseMessage,
    Usage,
    WireFinishReason,
)
from phiserve.protocol.events import DONE, encode_json, event
from phiserve.protocol.sampling import SamplingFields
from phiserve.protocol.tools import CallsAs, ToolFields

_TEXT = "\0"
"""Stands for the text of an event: no id or name holds it."""


@dataclass(frozen=True, slots=True)
class AnswerHead:
    """What all parts of one answer share.

    Its id, the served model's name, when it began (seconds since 1970), which extras were asked for, and by
    which name it gives its calls of tools, where it may call any, or must. `with_counts`: each chunk has the
    counts so far, besides the usage at the end.
    """

    id: str
    model: str
    with_usage: bool
    with_token_ids: bool
    calls_as: CallsAs | None = None
    with_counts: bool = False
    must_call: bool = False
    created: int = field(default_factory=lambda: int(time.time()))

    @classmethod
    def of(
        cls, answer_id: str, model: str, request: SamplingFields, calls_as: CallsAs | None = None
    ) -> "AnswerHead":
        """Of the answer to a request, which need not live as long: its images may be large."""
        tool_use = request.tool_use if isinstance(request, ToolFields) else None
        return cls(
            answer_id,
            model,
            request.include_usage,
            request.return_token_ids,
            calls_as,
            request.continuous_usage,
            tool_use is not None and tool_use.must_call,
        )


class ChunkWriter:
    """Writes the events of one answer: `feed` for each delta, then `end`.

    Both return one or several events, or nothing.
    """

    def __init__(self, answer: Answer, head: AnswerHead) -> None:
        self._answer = answer
        self._head = head
        self._around_text: dict[int, tuple[bytes, bytes]] = {}
        self._calling: dict[int, CallingChoice] = {}
        self._prompt_sent = not head.with_token_ids

    def feed(self, delta: Delta) -> bytes:
        """The events for one delta.

        The role comes first, then text (empty while held back); the finish reason comes last, in an event of
        its own.
        """
        visible = self._answer.feed(delta)
        if self._head.calls_as is not None:
            return self._feed_calling(visible, self._head.calls_as)
        begin = b"" if visible.index in self._around_text else self._open(visible.index)
        content = self._content(visible) if visible.text or visible.token_ids else b""
        if visible.finish_reason is None:
            return begin + content
        return (
            begin
            + content
            + self._chunk(ChunkChoice(visible.index, ChunkDelta(), finish_reason=visible.finish_reason))
        )

    def end(self) -> bytes:
        """The usage chunk, if asked for, and the end mark."""
        return self._event([], Usage.of(self._answer.counts())) + DONE if self._head.with_usage else DONE

    def _feed_calling(self, visible: VisibleDelta, calls_as: CallsAs) -> bytes:
        """The events for one delta of an answer that may call tools."""
        choice = self._calling.get(visible.index)
        if choice is None:
            must_call, with_token_ids = self._head.must_call, self._head.with_token_ids
            choice = CallingChoice(
                visible.index, calls_as, must_call=must_call, with_token_ids=with_token_ids
            )
            self._calling[visible.index] = choice
        return b"".join(map(self._chunk, choice.feed(visible)))

    def _open(self, index: int) -> bytes:
        """The event with a choice's role. What all its plain events with text share is encoded now, once."""
        role = self._chunk(ChunkChoice(index, ChunkDelta(role="assistant", content="")))
        before, _, after = self._chunk(ChunkChoice(index, ChunkDelta(content=_TEXT))).partition(
            encode_json(_TEXT)
        )
        self._around_text[index] = before, after
        return role

    def _content(self, visible: VisibleDelta) -> bytes:
        is_plain = visible.logprobs is None and not self._head.with_token_ids
        if is_plain and not self._head.with_counts:
            before, after = self._around_text[visible.index]
            return before + encode_json(visible.text) + after
        choice = ChunkChoice(
            visible.index,
            ChunkDelta(content=visible.text),
            logprobs=UNSET if visible.logprobs is None else ChoiceLogprobs(visible.logprobs),
            token_ids=list(visible.token_ids) if self._head.with_token_ids else UNSET,
        )
        return self._chunk(choice)

    def _chunk(self, choice: ChunkChoice) -> bytes:
        return self._event([choice], Usage.of(self._answer.counts()) if self._head.with_counts else None)

    def _event(self, choices: list[ChunkChoice], usage: Usage | None) -> bytes:
        prompt_ids = UNSET if self._prompt_sent else self._answer.prompt_ids
        self._prompt_sent = True
        chunk = ChatCompletionChunk(
            id=self._head.id,
            created=self._head.created,
            model=self._head.model,
            choices=choices,
            usage=usage or UNSET,
            prompt_token_ids=prompt_ids,
        )
        return event(chunk)


@dataclass(slots=True)
class _Collected:
    """One choice so far."""

    text: list[str] = field(default_factory=list)
    logprobs: list[TokenLogprob] = field(default_factory=list)
    token_ids: list[int] = field(default_factory=list)
    finish_reason: FinishReason = "stop"

    def add(self, visible: VisibleDelta) -> None:
        """Take in one delta."""
        self.text.append(visible.text)
        self.token_ids += visible.token_ids
        self.logprobs += visible.logprobs or ()
        if visible.finish_reason is not None:
            self.finish_reason = visible.finish_reason

    def written(self, index: int, head: AnswerHead, with_logprobs: bool) -> Choice:
        """The whole choice, calls read out of its text where it may have any."""
        message = ResponseMessage("".join(self.text))
        finish: WireFinishReason = self.finish_reason
        if head.calls_as is not None:
            read = read_answer("".join(self.text), must_call=head.must_call)
            message = message_of(read, head.calls_as)
            finish = finish_reason_of(self.finish_reason, head.calls_as, is_whole=read.is_whole)
        has_logprobs = with_logprobs and message.content is not None
        return Choice(
            index=index,
            message=message,
            finish_reason=finish,
            logprobs=ChoiceLogprobs(self.logprobs) if has_logprobs else None,
            token_ids=self.token_ids if head.with_token_ids else UNSET,
        )


async def collect(answer: Answer, deltas: AsyncIterable[Delta], head: AnswerHead) -> ChatCompletion:
    """Consume all deltas and build the completion, choices in order."""
    collected: dict[int, _Collected] = {}
    async for delta in deltas:
        collected.setdefault(delta.index, _Collected()).add(answer.feed(delta))
    with_logprobs = answer.top_logprobs is not None
    return ChatCompletion(
        id=head.id,
        created=head.created,
        model=head.model,
        choices=[choice.written(index, head, with_logprobs) for index, choice in sorted(collected.items())],
        usage=Usage.of(answer.counts()),
        prompt_token_ids=answer.prompt_ids if head.with_token_ids else UNSET,
    )
