"""A chat request -> the inner request.

Messages become turns of literal text and image placeholders, options get one name each.
"""

import uuid
from collections.abc import Sequence

from phiserve.chat.joining import checked_text, join_parts
from phiserve.core import (
    Conversation,
    GenerationRequest,
    ImagePlaceholder,
    Part,
    Turn,
)
from phiserve.protocol.chat import ChatCompletionRequest
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


def to_generation_request(
    chat: ChatCompletionRequest,
    tenant: str | None = None,
    cache_salt: str | None = None,
    deadline_s: float | None = None,
) -> GenerationRequest:
    """Translate a chat request of `tenant`, whose caches `cache_salt` separates from those of others.

    After `deadline_s` seconds nobody waits for the answer any more.

    Raises InvalidRequest for text that is not Unicode (lone surrogates).
    """
    return GenerationRequest(
        id=f"chatcmpl-{uuid.uuid4().hex}",
        conversation=build_conversation(chat.messages),
        sampling=chat.sampling,
        stops=chat.stops,
        constraint=chat.constraint,
        top_logprobs=(chat.top_logprobs or 0) if chat.logprobs else None,
        num_choices=chat.num_choices,
        stream=bool(chat.stream),
        priority=1 if chat.is_batch else 0,
        tenant=tenant,
        cache_salt=cache_salt,
        deadline_s=deadline_s,
    )


def build_conversation(messages: Sequence[Message]) -> Conversation:
    """Turn messages into a conversation.

    Raises InvalidRequest for text that is not Unicode (lone surrogates).
    """
    return Conversation(tuple(_turn(message, f"messages[{index}]") for index, message in enumerate(messages)))


def _turn(message: Message, param: str) -> Turn:
    match message:
        case SystemMessage():
            return Turn("system", join_parts(_parts(message.content, f"{param}.content")))
        case UserMessage():
            return Turn("user", join_parts(_parts(message.content, f"{param}.content")))
        case AssistantMessage():
            return Turn("assistant", _assistant_parts(message, param))
        case ToolMessage():
            heading = checked_text(f"Result of tool call {message.tool_call_id}:", param)
            return Turn(
                "user", join_parts([heading, *join_parts(_parts(message.content, f"{param}.content"))])
            )


def _assistant_parts(message: AssistantMessage, param: str) -> tuple[Part, ...]:
    """An earlier answer: its content, its refusal, then one line for each tool call."""
    parts: list[Part] = []
    if message.content is not None:
        parts += join_parts(_parts(message.content, f"{param}.content"))
    if message.refusal is not None:
        parts.append(checked_text(message.refusal, f"{param}.refusal"))
    for index, call in enumerate(message.tool_calls or ()):
        line = f"Tool call {call.id}: {call.function.name}({call.function.arguments})"
        parts.append(checked_text(line, f"{param}.tool_calls[{index}]"))
    return join_parts(parts)


def _parts(content: str | Sequence[TextPart | ImagePart | RefusalPart], param: str) -> list[Part]:
    if isinstance(content, str):
        return [checked_text(content, param)]
    return [_part(part, f"{param}[{index}]") for index, part in enumerate(content)]


def _part(part: TextPart | ImagePart | RefusalPart, param: str) -> Part:
    match part:
        case TextPart():
            return checked_text(part.text, f"{param}.text")
        case RefusalPart():
            return checked_text(part.refusal, f"{param}.refusal")
        case ImagePart():
            detail = part.image_url.detail or "auto"
            return ImagePlaceholder(
                part.image_url.url, "high" if detail == "original" else detail, f"{param}.image_url"
            )
