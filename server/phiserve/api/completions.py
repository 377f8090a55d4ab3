"""`POST /v1/completions`: text that goes on from prompts as they are, without a conversation's form."""

import uuid
from collections.abc import Sequence
from contextlib import aclosing

from fastapi import APIRouter, Request, Response

from phiserve.access.visit import Visit
from phiserve.api.answering import ANSWERING_ERRORS, read_wire, stream_answer
from phiserve.api.authorization import tenant_of, visit_of
from phiserve.api.completion_writer import CompletionHead, CompletionWriter, collect
from phiserve.api.json_response import json_response
from phiserve.api.openapi import body_of, responses
from phiserve.api.request_log import RequestRecord, record_of
from phiserve.api.request_timeout import deadline_s_of
from phiserve.api.services import Services, services_of
from phiserve.api.several_prompts import begin_answers
from phiserve.api.streaming import unless_hung_up
from phiserve.core import GenerationRequest
from phiserve.protocol.completions import CompletionRequest, to_generation_requests
from phiserve.protocol.text_completion import TextCompletion

router = APIRouter()


@router.post(
    "/v1/completions",
    tags=["completions"],
    summary="Complete prompts",
    response_class=Response,
    openapi_extra=body_of(CompletionRequest),
    responses=responses(TextCompletion, *ANSWERING_ERRORS, stream=TextCompletion),
)
async def completions(request: Request) -> Response:
    """Go on from one or several prompts; as one object or, with `stream`, as server-sent events."""
    services = services_of(request)
    visit, deadline_s = visit_of(request), deadline_s_of(request, services.settings.max_request_s)
    wire = await read_wire(request, services, CompletionRequest)
    model = services.check_model(wire.model)
    answer_id = f"cmpl-{uuid.uuid4().hex}"
    inners = to_generation_requests(
        wire,
        answer_id,
        allow_control_ids=services.settings.allow_control_token_ids,
        tenant=tenant_of(request),
        cache_salt=wire.salt(visit.cache_salt),
        deadline_s=deadline_s,
    )
    head = CompletionHead.of(answer_id, model, wire)
    record = record_of(request.scope)
    answering = _respond(services, inners, head, visit, record)
    del wire, inners  # which may be long
    return await unless_hung_up(request.receive, answering)


async def _respond(
    services: Services,
    inners: Sequence[GenerationRequest],
    head: CompletionHead,
    visit: Visit,
    record: RequestRecord,
) -> Response:
    answers, deltas = await begin_answers(services, inners, visit, record)
    del inners
    if record.stream:
        return await stream_answer(services, deltas, CompletionWriter(answers, head))
    async with aclosing(deltas):
        return json_response(await collect(answers, deltas, head))
