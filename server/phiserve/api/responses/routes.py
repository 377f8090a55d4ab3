"""`POST /v1/responses` and `POST /v1/responses/input_tokens`: the same body, answered or only counted."""

from dataclasses import dataclass
from functools import partial
from typing import get_args

from fastapi import APIRouter, Request, Response
from msgspec.structs import replace

from phiserve.access.visit import Visit
from phiserve.api.answering import ANSWERING_ERRORS, READING_ERRORS, begin_answer, read_wire, stream_frames
from phiserve.api.authorization import key_id_of, owner_of, tenant_of, visit_of
from phiserve.api.json_response import json_response
from phiserve.api.openapi import body_of, responses
from phiserve.api.request_log import RequestRecord, record_of
from phiserve.api.request_timeout import deadline_s_of
from phiserve.api.responses.background import Background, background_of
from phiserve.api.responses.draft import Draft
from phiserve.api.responses.gathering import Gathered, gather
from phiserve.api.responses.jobs import job_of
from phiserve.api.responses.keeping import (
    Keeping,
    Kept,
    NotKept,
    begun_record,
    kept_frames,
    kept_response,
    save_begun,
)
from phiserve.api.responses.stored_routes import stream_telling
from phiserve.api.responses.writer import EventWriter
from phiserve.api.services import Services, services_of
from phiserve.api.streaming import unless_hung_up
from phiserve.core import GenerationRequest, ToolUse
from phiserve.errors import StoreFailure
from phiserve.protocol.responses.events import Event
from phiserve.protocol.responses.request import ResponsesRequest
from phiserve.protocol.responses.response import InputTokens, ResponseObject
from phiserve.protocol.responses.translation import begun_response, conversation_of, to_generation_request
from phiserve.trace import step
from phiserve.turns import Line

router = APIRouter()


@router.post(
    "/v1/responses",
    tags=["responses"],
    summary="Answer a conversation, in OpenAI's Responses",
    response_class=Response,
    openapi_extra=body_of(ResponsesRequest),
    responses=responses(ResponseObject, *ANSWERING_ERRORS, StoreFailure, typed_stream=get_args(Event)),
)
async def create_response(request: Request) -> Response:
    """Answer a conversation that may show images; as one object or, with `stream`, as typed events."""
    services, background, owner = services_of(request), background_of(request), owner_of(request)
    visit, deadline_s = visit_of(request), deadline_s_of(request, services.settings.max_request_s)
    asked = await read_wire(request, services, ResponsesRequest)
    model = services.check_model(asked.model)
    if asked.background and background is not None:
        background.check_room(owner)
    is_kept = background is not None and asked.store is not False
    gathered = await gather(services, owner, asked, is_kept=is_kept)
    asked, earlier = gathered.request, gathered.earlier
    inner = to_generation_request(asked, tenant_of(request), visit.cache_salt, deadline_s, earlier, owner)
    begun = begun_response(asked, inner.id, model)
    if background is None or not is_kept:
        keeping: Keeping = NotKept()
    elif asked.background:
        asked_by = (key_id_of(request), tenant_of(request))
        queued = await _queue(background, owner, begun, gathered, asked_by)
        visit.only_follows()  # the response needs its place, which a stream of it would wait for
        if not asked.stream:
            return json_response(queued)
        return await stream_telling(request, background.telling(owner, queued.id))
    else:
        keeping = Kept(background.keeper, begun_record(begun, owner, gathered), gathered.own)
    asking = _Asking(begun, keeping, asked.tool_use)
    del asked, gathered, earlier
    responding = _respond(services, inner, asking, visit, record_of(request.scope))
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
    owner = owner_of(request)
    gathered = await gather(services, owner, asked, is_kept=False)
    counting = _count(services, gathered, visit, Line(0, tenant_of(request)), owner)
    with step(record_of(request.scope).trace, "prepare prompt"):
        count = await unless_hung_up(request.receive, counting)
    return json_response(InputTokens(count))


@dataclass(frozen=True, slots=True)
class _Asking:
    """A response that is about to be answered: what it is before, and what becomes of it in the store."""

    begun: ResponseObject
    keeping: Keeping
    tool_use: ToolUse | None


async def _queue(
    background: Background,
    owner: str,
    begun: ResponseObject,
    gathered: Gathered,
    asked_by: tuple[str | None, str | None],
) -> ResponseObject:
    """Store a response that is to be answered in the background; `asked_by`: the key's id, and the tenant.

    Where it is to be streamed, its events are kept from now on.
    """
    begun = replace(begun, status="queued")
    job = job_of(gathered.request, *asked_by, gathered.earlier)
    await save_begun(background.keeper.store, begun_record(begun, owner, gathered, job), gathered.own)
    if gathered.request.stream:
        background.logs.begin(begun.id)
    background.start(owner, begun.id)
    return begun


async def _count(services: Services, gathered: Gathered, visit: Visit, line: Line, owner: str) -> int:
    asked = gathered.request
    conversation = services.preparer.shortened(conversation_of(asked, gathered.earlier, owner))
    shown = conversation.shown
    await visit.take_images(shown)
    salt, count_pages = asked.salt(visit.cache_salt), partial(visit.take_pages, shown)
    prompt = await services.preparer.prepare(
        conversation, asked.max_output_tokens, salt, line, count_pages=count_pages
    )
    return len(prompt.ids)


async def _respond(
    services: Services, inner: GenerationRequest, asking: _Asking, visit: Visit, record: RequestRecord
) -> Response:
    is_streamed = inner.stream
    answer, deltas = await begin_answer(services, inner, visit, record)
    del inner
    draft = Draft(answer, asking.begun, asking.tool_use)
    if is_streamed:
        writer = EventWriter(draft)
        return await stream_frames(services, kept_frames(deltas, writer, asking.keeping), writer.fail)
    return json_response(await kept_response(deltas, draft, asking.keeping))
