"""A Responses request -> the inner request, and the response object that its answer fills."""

import time
import uuid
from dataclasses import replace

from msgspec import UNSET

from phiserve.core import Conversation, GenerationRequest
from phiserve.protocol.responses.request import ResponsesRequest
from phiserve.protocol.responses.response import (
    ConversationOfResponse,
    FunctionToolObject,
    ResponseObject,
    TextSettings,
)
from phiserve.protocol.responses.tools import FunctionTool
from phiserve.protocol.responses.turns import NOTHING_EARLIER, Earlier, build_conversation


def to_generation_request(
    request: ResponsesRequest,
    tenant: str | None = None,
    cache_salt: str | None = None,
    deadline_s: float | None = None,
    earlier: Earlier = NOTHING_EARLIER,
    owner: str = "",
) -> GenerationRequest:
    """Translate a request of `tenant`, whose caches `cache_salt` separates from those of others.

    `earlier` is what comes before its own input, in which no reference is left. After `deadline_s` seconds
    nobody waits for the answer any more. `owner`: whose uploaded files its images may be.

    Raises InvalidRequest for text that is not Unicode (lone surrogates).
    """
    return GenerationRequest(
        id=f"resp_{uuid.uuid4().hex}",
        conversation=conversation_of(request, earlier, owner),
        sampling=request.sampling,
        stops=request.stops,
        constraint=request.constraint,
        top_logprobs=request.num_top_logprobs,
        stream=bool(request.stream),
        priority=1 if request.is_batch else 0,
        tenant=tenant,
        cache_salt=request.salt(cache_salt),
        deadline_s=deadline_s,
    )


def conversation_of(
    request: ResponsesRequest, earlier: Earlier = NOTHING_EARLIER, owner: str = ""
) -> Conversation:
    """The conversation that an owner's request is about. Raises as `build_conversation`."""
    conversation = build_conversation(request.input, request.instructions, request.tool_use, earlier)
    return replace(conversation, truncates=request.truncation == "auto", owner=owner)


def begun_response(request: ResponsesRequest, response_id: str, model: str) -> ResponseObject:
    """The response as it stands before any of its answer: what the request asked for, and what holds."""
    text, conversation = request.text, request.conversation
    return ResponseObject(
        id=response_id,
        created_at=int(time.time()),
        background=bool(request.background),
        conversation=None if conversation is None else ConversationOfResponse(conversation.id),
        previous_response_id=request.previous_response_id,
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
        tool_choice=_choice_as_given(request),
        tools=[_tool_as_given(tool) for tool in request.tools or ()],
        top_logprobs=request.top_logprobs or 0,
        truncation=request.truncation or "disabled",
        top_p=1.0 if request.top_p is None else request.top_p,
        user=UNSET if request.user is None else request.user,
    )


def _choice_as_given(request: ResponsesRequest) -> str | dict[str, object]:
    choice = request.tool_choice
    return (choice or "auto") if isinstance(choice, str | None) else choice.model_dump(mode="json")


def _tool_as_given(tool: FunctionTool) -> FunctionToolObject:
    """Arguments are always held to the schema, so that every tool is strict."""
    return FunctionToolObject(
        name=tool.name,
        parameters=tool.parameters,
        description=UNSET if tool.description is None else tool.description,
    )
