"""`POST /v1/responses` and `POST /v1/responses/input_tokens`: the same body, answered or only counted."""

from contextlib import aclosing
from typing import get_args

from fastapi import APIRouter, Request, Response

from phiserve.access.gate import Visit
from phiserve.api.answering import ANSWERING_ERRORS, READING_ERRORS, begin_answer, read_wire, stream_answer
from phiserve.api.authorization import tenant_of, visit_of
from phiserve.api.json_response import json_response
from phiserve.api.openapi import body_of, responses
from phiserve.api.request_log import RequestRecord, record_of
from phiserve.api.request_timeout import deadline_s_of
from phiserve.api.responses.draft import Draft
from phiserve.api.responses.writer import EventWriter, collect
from phiserve.api.services import Services, services_of
from phiserve.api.streaming import unless_hung_up
from phiserve.core import GenerationRequest
from phiserve.protocol.responses.events import Event
from phiserve.protocol.responses.request import ResponsesRequest
from phiserve.protocol.responses.response import InputTokens, ResponseObject
from phiserve.protocol.responses.translation import begun_response, to_generation_request
from phiserve.protocol.responses.turns import build_conversation
from phiserve.trace import step
from phiserve.turns import Line

router = APIRouter()


@router.post(
    "/v1/responses",
    tags=["responses"],
    summary="Answer a conversation, in OpenAI's Responses",
    response_class=Response,
    openapi_extra=body_of(ResponsesRequest),
    responses=responses(ResponseObject, *ANSWERING_ERRORS, typed_stream=get_args(Event)),
)
async def create_response(request: Request) -> Response:
    """Answer a conversation that may show images; as one object or, with `stream`, as typed events."""
    services = services_of(request)
    visit, deadline_s = visit_of(request), deadline_s_of(request, services.settings.max_request_s)
    asked = await read_wire(request, services, ResponsesRequest)
    inner = to_generation_request(asked, tenant_of(request), visit.cache_salt, deadline_s)
    begun = begun_response(asked, inner.id, services.check_model(asked.model))
    may_call = asked.tool_use is not None
    del asked
    record = record_of(request.scope)
    responding = _respond(services, inner, begun, may_call, visit, record)
    return await unless_hung_up(request.receive, responding)


@router.post(
    "/v1/responses/input_tokens",
    tags=["responses"],
    summary="Count the tokens of a response's input",
    response_class=Response,
    openapi_extra=body_of(ResponsesRequest),
    responses=responses(InputTokens, *READING_ERRORS),
)
async def count_input_tokens(request: Request) -> Response:
    """The prompt's tokens, without generating anything."""
    services, visit = services_of(request), visit_of(request)
    asked = await read_wire(request, services, ResponsesRequest)
    services.check_model(asked.model)
    counting = _count(services, asked, visit, Line(0, tenant_of(request)))
    with step(record_of(request.scope).trace, "prepare prompt"):
        count = await unless_hung_up(request.receive, counting)
    return json_response(InputTokens(count))


async def _count(services: Services, asked: ResponsesRequest, visit: Visit, line: Line) -> int:
    conversation = build_conversation(asked.input, asked.instructions, asked.tool_use)
    await visit.take_images(conversation.images)
    limit = asked.max_output_tokens
    prompt = await services.preparer.prepare(conversation, limit, visit.cache_salt, line)
    return len(prompt.ids)


async def _respond(
    services: Services,
    inner: GenerationRequest,
    begun: ResponseObject,
    may_call: bool,
    visit: Visit,
    record: RequestRecord,
) -> Response:
    is_streamed = inner.stream
    answer, deltas = await begin_answer(services, inner, visit, record)
    del inner
    draft = Draft(answer, begun, may_call=may_call)
    if is_streamed:
        writer = EventWriter(draft)
        return await stream_answer(services, deltas, writer, writer.fail)
    async with aclosing(deltas):
        return json_response(await collect(draft, deltas))
