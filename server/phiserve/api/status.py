"""What the server serves and how it is: models, health, readiness, versions."""

import asyncio

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST

from phiserve.api.json_response import json_response
from phiserve.api.openapi import responses
from phiserve.api.services import services_of
from phiserve.errors import EngineUnavailable, ModelNotFound
from phiserve.protocol.compatibility import compatibility, plain_table
from phiserve.protocol.models import ModelCard, ModelList
from phiserve.protocol.refusals import refusals
from phiserve.protocol.responses.compatibility import RESPONSES_FIELDS, RESPONSES_VLLM_FIELDS

router = APIRouter()


@router.get(
    "/v1/models",
    tags=["models"],
    summary="List the served models",
    response_class=Response,
    responses=responses(ModelList),
)
async def list_models(request: Request) -> Response:
    """The one model this server serves, under each of its names."""
    return json_response(ModelList(services_of(request).cards))


@router.get(
    "/v1/models/{model_id:path}",
    tags=["models"],
    summary="Describe a model",
    response_class=Response,
    responses=responses(ModelCard, ModelNotFound),
)
async def retrieve_model(request: Request, model_id: str) -> Response:
    """The served model, or 404."""
    services = services_of(request)
    name = services.check_model(model_id)
    return json_response(next(card for card in services.cards if card.id == name))


@router.get("/v1/compatibility", tags=["models"], summary="What becomes of every request field")
async def show_compatibility() -> dict[str, object]:
    """Of every field of OpenAI's requests: served, accepted without effect, or refused, and why.

    Then all that is refused, fields and what may stand in them, in one list.
    """
    return compatibility() | {
        "responses": plain_table(RESPONSES_FIELDS),
        "responses_extra": plain_table(RESPONSES_VLLM_FIELDS),
        "refused": [refusal._asdict() for refusal in refusals()],
    }


@router.get(
    "/health",
    tags=["status"],
    summary="Can the server still recover?",
    responses=responses(None, EngineUnavailable),
)
async def health(request: Request) -> dict[str, str]:
    """200 while the server serves or starts a new engine; 503 once it will do neither again."""
    if (engine := services_of(request).engine.health).state == "lost":
        raise EngineUnavailable(engine.reason)
    return {"status": "ok"}


@router.get(
    "/ready", tags=["status"], summary="Does the engine answer?", responses=responses(None, EngineUnavailable)
)
async def ready(request: Request) -> dict[str, str]:
    """200 when the engine answered lately or answers a ping now; 503 otherwise."""
    services = services_of(request)
    if (health := services.engine.health).state != "serving":
        raise EngineUnavailable(health.reason)
    timeout_s = services.settings.ready_timeout_s
    if not await services.engine.answers_within(timeout_s):
        raise EngineUnavailable(f"The engine has not answered within {timeout_s:g} s")
    return {"status": "ready"}


@router.get(
    "/metrics",
    tags=["status"],
    summary="Prometheus metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def metrics(request: Request) -> Response:
    """vLLM's metrics and phiserve's, in Prometheus' text format."""
    content = await asyncio.to_thread(services_of(request).metrics)
    return Response(content, media_type=CONTENT_TYPE_LATEST)


@router.get("/version", tags=["status"], summary="Versions")
async def version(request: Request) -> dict[str, str]:
    """Versions of phiserve and of what it stands on."""
    return services_of(request).versions
