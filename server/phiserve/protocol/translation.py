"""A chat request -> the inner request.

Messages become turns of literal text and image placeholders, calls and results of tools among them; options
get one name each.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace

from phiserve.chat.joining import checked_text, join_parts
from phiserve.chat.tools import result_headings, with_tools, written
from phiserve.core import (
    Conversation,
    Detail,
    GenerationRequest,
    ImagePlaceholder,
    Part,
    ToolCall,
    Turn,
)
from phiserve.protocol.chat import ChatCompletionRequest
from phiserve.protocol.documents import placed
from phiserve.protocol.messages import (
    AssistantMessage,
    FilePart,
    FunctionMessage,
    ImageFilePart,
    ImagePart,
    Message,
    RefusalPart,
    SystemMessage,
    TextPart,
    ToolMessage,
    UserMessage,
    WireDetail,
)
from phiserve.protocol.messages import ToolCall as WireToolCall

_WirePart = TextPart | ImagePart | ImageFilePart | FilePart | RefusalPart


def to_generation_request(
    chat: ChatCompletionRequest,
    tenant: str | None = None,
    cache_salt: str | None = None,
    deadline_s: float | None = None,
    owner: str = "",
) -> GenerationRequest:
    """Translate a chat request of `tenant`, whose caches `cache_salt` separates from those of others.

    After `deadline_s` seconds nobody waits for the answer any more. `owner`: whose uploaded files its images
    may be.

    Raises InvalidRequest for text that is not Unicode (lone surrogates).
    """
    return GenerationRequest(
        id=f"chatcmpl-{uuid.uuid4().hex}",
        conversation=told_conversation(chat, owner),
        sampling=chat.sampling,
        stops=chat.stops,
        constraint=chat.constraint,
        top_logprobs=(chat.top_logprobs or 0) if chat.logprobs else None,
        num_choices=chat.num_choices,
        stream=bool(chat.stream),
        echo=bool(chat.echo),
        priority=1 if chat.is_batch else 0,
        tenant=tenant,
        cache_salt=cache_salt,
        deadline_s=deadline_s,
    )


def told_conversation(chat: ChatCompletionRequest, owner: str = "") -> Conversation:
    """The conversation of an owner's chat request, with the tools that may be called in the answer.

    Raises InvalidRequest for text that is not Unicode (lone surrogates).
    """
    conversation = build_conversation(chat.messages, is_open=bool(chat.continue_final_message))
    conversation = replace(conversation, owner=owner)
    return conversation if chat.tool_use is None else with_tools(conversation, chat.tool_use.tools)


def build_conversation(messages: Sequence[Message], *, is_open: bool = False) -> Conversation:
    """Turn messages into a conversation. `is_open`: the answer goes on with the last message.

    Raises InvalidRequest for text that is not Unicode (lone surrogates).
    """
    headings: dict[str, str] = {}
    turns = []
    for index, message in enumerate(messages):
        turns.append(_turn(message, f"messages[{index}]", headings))
        if isinstance(message, AssistantMessage):
            headings |= _result_headings(message.tool_calls or ())
    return Conversation(tuple(turns), is_open=is_open)


def _turn(message: Message, param: str, headings: Mapping[str, str]) -> Turn:
    match message:
        case SystemMessage():
            return Turn("system", join_parts(_parts(message.content, f"{param}.content")))
        case UserMessage():
            return Turn("user", join_parts(_parts(message.content, f"{param}.content")))
        case AssistantMessage():
            return Turn("assistant", _assistant_parts(message, param))
        case ToolMessage():
            call_id = message.tool_call_id
            heading = headings.get(call_id, f"Result of tool call {call_id}:")
            return _result(checked_text(heading, param), message.content or (), f"{param}.content")
        case FunctionMessage():
            heading = checked_text(f"Result of {message.name}:", param)
            return _result(heading, message.content or (), f"{param}.content")


def _result_headings(calls: Sequence[WireToolCall]) -> dict[str, str]:
    """What stands before the result of each of a turn's calls, by the call's id."""
    headings = result_headings([call.function.name for call in calls])
    return {call.id: heading for call, heading in zip(calls, headings, strict=True)}


def _result(heading: str, content: str | Sequence[_WirePart], param: str) -> Turn:
    return Turn("user", join_parts([heading, *_parts(content, param)]))


def _assistant_parts(message: AssistantMessage, param: str) -> tuple[Part, ...]:
    """An earlier answer: its content, its refusal, then its calls as the model writes them."""
    parts: list[Part] = []
    if message.content:
        parts += join_parts(_parts(message.content, f"{param}.content"))
    if message.refusal is not None:
        parts.append(checked_text(message.refusal, f"{param}.refusal"))
    if calls := _calls(message, param):
        parts.append(written(calls))
    return join_parts(parts)


def _calls(message: AssistantMessage, param: str) -> list[ToolCall]:
    calls = [(call.function, f"{param}.tool_calls[{i}]") for i, call in enumerate(message.tool_calls or ())]
    if message.function_call is not None:
        calls.append((message.function_call, f"{param}.function_call"))
    return [ToolCall(checked_text(call.name, at), checked_text(call.arguments, at)) for call, at in calls]


def _parts(content: str | Sequence[_WirePart], param: str) -> list[Part]:
    if isinstance(content, str):
        return [checked_text(content, param)]
    return [_part(part, f"{param}[{index}]") for index, part in enumerate(content)]


def _part(part: _WirePart, param: str) -> Part:
    match part:
        case TextPart():
            return checked_text(part.text, f"{param}.text")
        case RefusalPart():
            return checked_text(part.refusal, f"{param}.refusal")
        case FilePart(file=file):
            sources = {"file_data": file.file_data, "file_id": file.file_id}
            return placed(f"{param}.file", file.detail, file.pages, **sources)
        case ImagePart():
            detail = _detail(part.image_url.detail)
            return ImagePlaceholder(part.image_url.url, detail, f"{param}.image_url", part.uuid)
        case ImageFilePart(image_file=image):
            at = f"{param}.image_file.file_id"
            return ImagePlaceholder("", _detail(image.detail), at, file_id=image.file_id)


def _detail(given: WireDetail | None) -> Detail:
    return "high" if given == "original" else given or "auto"
