"""Deltas -> one completion, for requests that did not ask for a stream."""

import time
from collections.abc import AsyncIterable
from dataclasses import dataclass, field

from msgspec import UNSET

from phiserve.answer import Answer, VisibleDelta
from phiserve.engine.interface import Delta
from phiserve.protocol.responses import ChatCompletion, Choice, ChoiceLogprobs, FinishReason, ResponseMessage, TokenLogprob


@dataclass(slots=True)
class _Collected:
    text: list[str] = field(default_factory=list)
    logprobs: list[TokenLogprob] = field(default_factory=list)
    token_ids: list[int] = field(default_factory=list)
    finish_reason: FinishReason = "stop"

    def add(self, visible: VisibleDelta) -> None:
        """Take in one delta."""
        self.text.append(visible.text)
        self.token_ids += visible.token_ids
        if visible.logprobs is not None:
            self.logprobs += visible.logprobs.content
        if visible.finish_reason is not None:
            self.finish_reason = visible.finish_reason


async def collect(answer: Answer, deltas: AsyncIterable[Delta], model: str) -> ChatCompletion:
    """Consume all deltas and build the completion, choices in order."""
    collected: dict[int, _Collected] = {}
    async for delta in deltas:
        collected.setdefault(delta.index, _Collected()).add(answer.feed(delta))
    request = answer.chat.request
    return ChatCompletion(
        id=answer.chat.request_id,
        created=int(time.time()),
        model=model,
        choices=[
            Choice(
                index=index,
                message=ResponseMessage("".join(choice.text)),
                finish_reason=choice.finish_reason,
                logprobs=ChoiceLogprobs(choice.logprobs) if request.logprobs else None,
                token_ids=choice.token_ids if request.return_token_ids else UNSET,
            )
            for index, choice in sorted(collected.items())
        ],
        usage=answer.usage(),
        prompt_token_ids=answer.chat.prompt_ids if request.return_token_ids else UNSET,
    )
