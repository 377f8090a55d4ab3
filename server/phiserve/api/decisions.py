"""`POST /v1/decisions`: typed questions about one input, answered with probabilities."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from fastapi import APIRouter, Request, Response

from phiserve.access.visit import Visit
from phiserve.api.answering import ANSWERING_ERRORS, read_wire
from phiserve.api.authorization import owner_of, tenant_of, visit_of
from phiserve.api.json_response import json_response
from phiserve.api.openapi import body_of, responses
from phiserve.api.request_log import RequestRecord, record_of
from phiserve.api.request_timeout import deadline_s_of
from phiserve.api.services import Services, services_of
from phiserve.api.streaming import unless_hung_up
from phiserve.core import TokenCounts
from phiserve.decider import PreparedDecision, Undecided
from phiserve.decisions.off_loop import off_loop
from phiserve.decisions.request import Decided, DecisionRequest
from phiserve.errors import ContextLengthExceeded, ModelNotFound, NotServed
from phiserve.protocol.decisions.request import DecisionsRequest
from phiserve.protocol.decisions.response import Decision
from phiserve.protocol.decisions.translation import decision_of, to_decision_request
from phiserve.protocol.parsing import Uncoded

router = APIRouter()


@router.post(
    "/v1/decisions",
    tags=["decisions"],
    summary="Answer typed questions about one input with probabilities",
    response_class=Response,
    openapi_extra=body_of(DecisionsRequest),
    responses=responses(Decision, *ANSWERING_ERRORS, NotServed),
)
async def create_decision(request: Request) -> Response:
    """Answer 1 to 400 questions about a conversation that may show images, all with one look at it."""
    services = services_of(request)
    visit, deadline_s = visit_of(request), deadline_s_of(request, services.settings.max_request_s)
    asked = await read_wire(request, services, DecisionsRequest)
    model = checked_model(services, asked.model)
    inner = await off_loop(
        asked.num_pieces,
        partial(
            to_decision_request, asked, tenant_of(request), visit.cache_salt, deadline_s, owner_of(request)
        ),
    )
    deciding = decide(services, inner, visit, record_of(request.scope))
    decided, counts = await unless_hung_up(request.receive, deciding)
    least = services.settings.min_label_mass
    return await off_loop(
        asked.num_pieces, lambda: json_response(decision_of(asked, model, decided, counts, least))
    )


async def decide(
    services: Services, inner: DecisionRequest, visit: Visit, record: RequestRecord
) -> tuple[list[Decided], TokenCounts]:
    """What was decided, and the tokens that it took. Cancelling it aborts what is being read."""
    with _without_code():
        decided, prepared = await _decide(services, inner, visit, record)
    return decided, prepared.counts()


async def _decide(
    services: Services, inner: DecisionRequest, visit: Visit, record: RequestRecord
) -> tuple[list[Decided], PreparedDecision]:
    if isinstance(services.decider, Undecided):
        raise NotServed(services.decider.reason)
    shown = inner.shown
    record.images = len(shown)
    await visit.take_images(shown)
    count_pages = partial(visit.take_pages, shown)
    prepared = await services.decider.prepare(inner, record.trace, count_pages)
    record.images = prepared.num_images
    try:
        await visit.take_prompt(prepared.num_tokens, "input")
    except BaseException:
        prepared.place.leave()  # rather than when nothing holds it any more
        raise
    visit.answering(prepared.counts)
    record.sent(prepared)
    return await services.decider.decide(prepared), prepared


def checked_model(services: Services, name: str | None) -> str:
    """As `Services.check_model`; OpenAI's error of this route names no place."""
    try:
        return services.check_model(name)
    except ModelNotFound as error:
        raise ModelNotFound(error.reason) from None


@contextmanager
def _without_code() -> Iterator[None]:
    """What is too long for the context has no code on this route, as OpenAI's has none."""
    try:
        yield
    except ContextLengthExceeded as error:
        raise Uncoded(f"Decision input exceeds the token limit. {error.reason}", param=error.param) from None
