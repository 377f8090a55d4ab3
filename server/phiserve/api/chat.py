"""`POST /v1/chat/completions` and `POST /tokenize`: the same body, answered or only counted."""

from contextlib import aclosing

from fastapi import APIRouter, Request, Response

from phiserve.answer import Answer
from phiserve.api.body import read_body
from phiserve.api.chunks import ChunkWriter
from phiserve.api.completion import collect
from phiserve.api.openapi import CHAT_BODY, answers
from phiserve.api.services import Services, services_of
from phiserve.api.streaming import EventStream, Frames, unless_hung_up, with_keepalive
from phiserve.errors import EngineFailure, EngineUnavailable, InvalidRequest, ModelNotFound, Overloaded, RequestTooLarge
from phiserve.pipeline import PreparedChat
from phiserve.protocol.parsing import parse_aside
from phiserve.protocol.requests import ChatCompletionRequest
from phiserve.protocol.responses import ChatCompletion, ChatCompletionChunk, Tokenized, TokenizedImage, encode_json

router = APIRouter()
_READING = (InvalidRequest, ModelNotFound, RequestTooLarge)
_ANSWERING = (*_READING, Overloaded, EngineFailure, EngineUnavailable)


@router.post(
    "/v1/chat/completions",
    tags=["chat"],
    summary="Answer a conversation",
    response_class=Response,
    openapi_extra=CHAT_BODY,
    responses=answers(ChatCompletion, *_ANSWERING, stream=ChatCompletionChunk),
)
async def chat_completions(request: Request) -> Response:
    """Answer a conversation that may show pictures; as one object or, with `stream`, as server-sent events."""
    services = services_of(request)
    chat_request = await _read_request(request, services)
    return await unless_hung_up(request.receive, _respond(services, chat_request))


@router.post(
    "/tokenize",
    tags=["chat"],
    summary="Count a conversation's tokens",
    response_class=Response,
    openapi_extra=CHAT_BODY,
    responses=answers(Tokenized, *_READING),
)
async def tokenize(request: Request) -> Response:
    """The prompt's ids and what each picture costs, without generating anything."""
    services = services_of(request)
    chat_request = await _read_request(request, services)
    chat = await unless_hung_up(request.receive, services.pipeline.prepare(chat_request))
    return json_response(_tokenized(chat, services.card.max_model_len))


def json_response(payload: object) -> Response:
    """200 with a struct as JSON."""
    return Response(encode_json(payload), media_type="application/json")


async def _read_request(request: Request, services: Services) -> ChatCompletionRequest:
    body = await read_body(request, services.settings.max_body_bytes)
    chat_request = await parse_aside(body)
    services.check_model(chat_request.model)
    return chat_request


async def _respond(services: Services, chat_request: ChatCompletionRequest) -> Response:
    await services.pipeline.admit(chat_request)
    chat = await services.pipeline.prepare(chat_request)
    answer = Answer(chat, services.vocabulary)
    if chat_request.stream:
        frames = _frames(services, chat, ChunkWriter(answer, services.card.id))
        interval_s = services.settings.sse_keepalive_s
        return await EventStream.open(frames if interval_s is None else with_keepalive(frames, interval_s))
    async with aclosing(services.pipeline.deltas(chat)) as deltas:
        return json_response(await collect(answer, deltas, services.card.id))


async def _frames(services: Services, chat: PreparedChat, writer: ChunkWriter) -> Frames:
    async with aclosing(services.pipeline.deltas(chat)) as deltas:
        async for delta in deltas:
            if events := writer.feed(delta):
                yield events
    yield writer.end()


def _tokenized(chat: PreparedChat, max_model_len: int) -> Tokenized:
    images = [
        TokenizedImage(
            offset=image.offset,
            tokens=image.plan.num_tokens,
            crops=image.plan.num_crops,
            size=list(image.picture.size),
            padded_size=list(image.plan.padded),
        )
        for image in chat.images
    ]
    return Tokenized(len(chat.prompt_ids), max_model_len, chat.prompt_ids, images)
