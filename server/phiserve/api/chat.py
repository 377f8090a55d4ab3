"""`POST /v1/chat/completions` and `POST /tokenize`: the same body, answered or only counted."""

from contextlib import aclosing
from functools import partial

from fastapi import APIRouter, Request, Response

from phiserve.access.visit import Visit
from phiserve.api.answering import ANSWERING_ERRORS, READING_ERRORS, begin_answer, read_wire, stream_answer
from phiserve.api.authorization import owner_of, tenant_of, visit_of
from phiserve.api.chat_writer import AnswerHead, ChunkWriter, collect
from phiserve.api.json_response import json_response
from phiserve.api.openapi import body_of, responses
from phiserve.api.request_log import RequestRecord, record_of
from phiserve.api.request_timeout import deadline_s_of
from phiserve.api.services import Services, services_of
from phiserve.api.streaming import unless_hung_up
from phiserve.core import Conversation, GenerationRequest
from phiserve.preparation import PreparedPrompt
from phiserve.protocol.chat import ChatCompletionRequest
from phiserve.protocol.chat_completion import ChatCompletion, ChatCompletionChunk
from phiserve.protocol.models import Tokenized, TokenizedImage
from phiserve.protocol.translation import to_generation_request, told_conversation
from phiserve.trace import step
from phiserve.turns import Line

router = APIRouter()


@router.post(
    "/v1/chat/completions",
    tags=["chat"],
    summary="Answer a conversation",
    response_class=Response,
    openapi_extra=body_of(ChatCompletionRequest),
    responses=responses(ChatCompletion, *ANSWERING_ERRORS, stream=ChatCompletionChunk),
)
async def chat_completions(request: Request) -> Response:
    """Answer a conversation that may show images; as one object or, with `stream`, as server-sent events."""
    services = services_of(request)
    visit, deadline_s = visit_of(request), deadline_s_of(request, services.settings.max_request_s)
    chat = await _read_request(request, services)
    inner = to_generation_request(
        chat, tenant_of(request), chat.salt(visit.cache_salt), deadline_s, owner_of(request)
    )
    head = AnswerHead.of(inner.id, services.check_model(chat.model), chat, chat.calls_as)
    del chat
    record = record_of(request.scope)
    return await unless_hung_up(request.receive, _respond(services, inner, head, visit, record))


@router.post(
    "/tokenize",
    tags=["chat"],
    summary="Count a conversation's tokens",
    response_class=Response,
    openapi_extra=body_of(ChatCompletionRequest),
    responses=responses(Tokenized, *READING_ERRORS),
)
async def tokenize(request: Request) -> Response:
    """The prompt's ids and what each image costs, without generating anything."""
    services = services_of(request)
    chat = await _read_request(request, services)
    conversation = told_conversation(chat, owner_of(request))
    counting = _count(services, chat, conversation, visit_of(request), Line(0, tenant_of(request)))
    with step(record_of(request.scope).trace, "prepare prompt"):
        prompt = await unless_hung_up(request.receive, counting)
    return json_response(_tokenized(prompt, services.card.max_model_len))


async def _read_request(request: Request, services: Services) -> ChatCompletionRequest:
    chat = await read_wire(request, services, ChatCompletionRequest)
    services.check_model(chat.model)
    return chat


async def _count(
    services: Services, chat: ChatCompletionRequest, conversation: Conversation, visit: Visit, line: Line
) -> PreparedPrompt:
    shown = conversation.shown
    await visit.take_images(shown)
    salt, count_pages = chat.salt(visit.cache_salt), partial(visit.take_pages, shown)
    return await services.preparer.prepare(
        conversation, chat.output_limit, salt, line, count_pages=count_pages
    )


async def _respond(
    services: Services, inner: GenerationRequest, head: AnswerHead, visit: Visit, record: RequestRecord
) -> Response:
    is_streamed = inner.stream
    answer, deltas = await begin_answer(services, inner, visit, record)
    del inner
    if is_streamed:
        return await stream_answer(services, deltas, ChunkWriter(answer, head))
    async with aclosing(deltas):
        return json_response(await collect(answer, deltas, head))


def _tokenized(prompt: PreparedPrompt, max_model_len: int) -> Tokenized:
    images = [
        TokenizedImage(
            offset=image.offset,
            tokens=image.plan.num_tokens,
            crops=image.plan.num_crops,
            size=list(image.encoded.size),
            padded_size=list(image.plan.padded),
        )
        for image in prompt.images
    ]
    return Tokenized(len(prompt.ids), max_model_len, prompt.ids, images)
