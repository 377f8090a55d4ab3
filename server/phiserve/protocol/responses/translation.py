"""A Responses request -> the inner request, and the response object that its answer fills."""

import time
import uuid
from collections.abc import Sequence

from msgspec import UNSET

from phiserve.chat.joining import checked_text, join_parts
from phiserve.core import (
    Conversation,
    GenerationRequest,
    ImagePlaceholder,
    Role,
    SamplingOptions,
    StopConditions,
    Turn,
)
from phiserve.core import Part as InnerPart
from phiserve.protocol.responses.items import (
    AssistantItem,
    InputImage,
    MessageItem,
    Part,
    Refusal,
    SystemItem,
    UserItem,
)
from phiserve.protocol.responses.request import ResponsesRequest
from phiserve.protocol.responses.response import ResponseObject, TextSettings


def to_generation_request(
    request: ResponsesRequest,
    tenant: str | None = None,
    cache_salt: str | None = None,
    deadline_s: float | None = None,
) -> GenerationRequest:
    """Translate a request of `tenant`, whose caches `cache_salt` separates from those of others.

    After `deadline_s` seconds nobody waits for the answer any more.

    Raises InvalidRequest for text that is not Unicode (lone surrogates).
    """
    return GenerationRequest(
        id=f"resp_{uuid.uuid4().hex}",
        conversation=build_conversation(request),
        sampling=SamplingOptions(
            temperature=1.0 if request.temperature is None else request.temperature,
            top_p=1.0 if request.top_p is None else request.top_p,
        ),
        stops=StopConditions(request.max_output_tokens),
        constraint=request.constraint,
        top_logprobs=request.num_top_logprobs,
        stream=bool(request.stream),
        priority=1 if request.is_batch else 0,
        tenant=tenant,
        cache_salt=cache_salt,
        deadline_s=deadline_s,
    )


def build_conversation(request: ResponsesRequest) -> Conversation:
    """Turn instructions and input into a conversation.

    Raises InvalidRequest for text that is not Unicode (lone surrogates).
    """
    turns = []
    if request.instructions:
        turns.append(Turn("system", join_parts([checked_text(request.instructions, "instructions")])))
    if isinstance(request.input, str):
        turns.append(Turn("user", join_parts([checked_text(request.input, "input")])))
    else:
        turns += [_turn(item, f"input[{index}]") for index, item in enumerate(request.input)]
    return Conversation(tuple(turns), param="input")


def begun_response(request: ResponsesRequest, response_id: str, model: str) -> ResponseObject:
    """The response as it stands before any of its answer: what the request asked for, and what holds."""
    text = request.text
    return ResponseObject(
        id=response_id,
        created_at=int(time.time()),
        model=model,
        instructions=request.instructions,
        max_output_tokens=request.max_output_tokens,
        max_tool_calls=request.max_tool_calls,
        metadata=request.metadata or {},
        parallel_tool_calls=request.parallel_tool_calls is not False,
        prompt_cache_key=request.prompt_cache_key,
        safety_identifier=request.safety_identifier,
        service_tier="flex" if request.is_batch else "default",
        temperature=1.0 if request.temperature is None else request.temperature,
        text=TextSettings({"type": "text"} if text is None else text.format_as_given),
        tool_choice="none" if request.tool_choice == "none" else "auto",
        top_logprobs=request.top_logprobs or 0,
        top_p=1.0 if request.top_p is None else request.top_p,
        user=UNSET if request.user is None else request.user,
    )


def _turn(item: MessageItem, param: str) -> Turn:
    return Turn(_role(item), join_parts(_parts(item.content, f"{param}.content")))


def _role(item: MessageItem) -> Role:
    match item:
        case SystemItem():
            return "system"
        case UserItem():
            return "user"
        case AssistantItem():
            return "assistant"


def _parts(content: str | Sequence[Part], param: str) -> list[InnerPart]:
    if isinstance(content, str):
        return [checked_text(content, param)]
    return [_part(part, f"{param}[{index}]") for index, part in enumerate(content)]


def _part(part: Part, param: str) -> InnerPart:
    match part:
        case InputImage():
            detail = part.detail or "auto"
            return ImagePlaceholder(
                part.image_url, "high" if detail == "original" else detail, f"{param}.image_url"
            )
        case Refusal():
            return checked_text(part.refusal, f"{param}.refusal")
        case _:
            return checked_text(part.text, f"{param}.text")
