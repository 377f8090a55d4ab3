"""The application factory: routes and middleware around running services."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi_offline import FastAPIOffline
from starlette.middleware.cors import CORSMiddleware

from phiserve import __version__
from phiserve.api import chat, status
from phiserve.api.authorization import ApiKeyMiddleware
from phiserve.api.errors import install_error_handlers
from phiserve.api.request_id import RequestIdMiddleware
from phiserve.api.services import Services
from phiserve.protocol.requests import ChatCompletionRequest


def create_app(services: Services) -> FastAPI:
    """Build the application; it closes the services when it shuts down."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await services.close()

    # Offline: the page's scripts come from here, not from elsewhere on the web.
    app = FastAPIOffline(title="phiserve", version=__version__, lifespan=lifespan, redirect_slashes=False, redoc_url=None)
    app.state.services = services
    app.include_router(chat.router)
    app.include_router(status.router)
    install_error_handlers(app)
    if services.settings.api_key is not None:
        app.add_middleware(ApiKeyMiddleware, key=services.settings.api_key.get_secret_value())
    app.add_middleware(RequestIdMiddleware)
    if services.settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=services.settings.cors_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["*"],
            expose_headers=["x-request-id", "retry-after"],
        )
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


def _openapi(app: FastAPI) -> dict[str, Any]:
    """FastAPI's document plus the request schema, which the chat routes validate themselves to name places exactly."""
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, routes=app.routes)
        schema = ChatCompletionRequest.model_json_schema(ref_template="#/components/schemas/{model}")
        definitions = schema.pop("$defs", {})
        document.setdefault("components", {}).setdefault("schemas", {}).update(definitions, ChatCompletionRequest=schema)
        app.openapi_schema = document
    return app.openapi_schema
