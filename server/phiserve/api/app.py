"""The application factory: routes and middleware around running services."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cache

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Mount, Route

from phiserve import __version__
from phiserve.api import chat, completions, conversations, decisions, files, status, tokenizer_hub, uploads
from phiserve.api.authorization import LIMIT_HEADERS, AuthorizationMiddleware
from phiserve.api.batches import routes as batch_routes
from phiserve.api.batches.parts import BatchParts
from phiserve.api.batches.tending import Batches
from phiserve.api.errors import install_error_handlers
from phiserve.api.head_requests import HeadMiddleware
from phiserve.api.openapi import document
from phiserve.api.request_id import RequestIdMiddleware
from phiserve.api.request_log import RequestLog, RequestLogMiddleware, line_logger
from phiserve.api.responses import routes as responses
from phiserve.api.responses import stored_routes as stored_responses
from phiserve.api.responses.background import Background
from phiserve.api.responses.keeping import Keeper
from phiserve.api.services import Services
from phiserve.api.shutdown import Shutdown, ShutdownMiddleware
from phiserve.config import Settings


def create_app(services: Services, shutdown: Shutdown | None = None) -> FastAPI:
    """Build the application; it closes the services when it shuts down.

    `shutdown` tells it when the server begins to end.
    """
    shutdown = shutdown or Shutdown()
    log = RequestLog(line_logger(services.settings.log_requests))
    background = _background(services, shutdown, log)
    batches = _batches(services, shutdown, log)

    # Offline: the page's scripts come from here, not from elsewhere on the web.
    app = FastAPIOffline(
        title="phiserve",
        version=__version__,
        lifespan=_lifespan(services, background, batches),
        redirect_slashes=False,
        redoc_url=None,
    )
    app.state.services = services
    app.state.background = background
    app.state.batches = batches
    settings = services.settings
    app.state.body_budget = services.bodies
    surfaces = (chat, completions, decisions, responses, stored_responses, conversations)
    for surface in (*surfaces, files, uploads, batch_routes, status, tokenizer_hub):
        app.include_router(surface.router)
    install_error_handlers(app)
    if services.gate is not None:
        app.add_middleware(AuthorizationMiddleware, gate=services.gate)
    app.add_middleware(ShutdownMiddleware, shutdown=shutdown)
    app.add_middleware(HeadMiddleware)
    _add_cors(app, settings)
    paths = [route.path for route in app.routes if isinstance(route, Route | Mount)]
    app.add_middleware(RequestLogMiddleware, paths=paths, log=log)
    _add_tracing(app, services)
    app.add_middleware(RequestIdMiddleware)  # outermost: preflights are answered by the one before
    app.openapi = cache(lambda: document(app, services))  # type: ignore[method-assign]
    return app


def _lifespan(
    services: Services, background: Background | None, batches: Batches | None
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """What begins and ends with the application."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        """Background answers and batches end before what they need."""
        if background is not None:
            background.begin()
        if services.files is not None:
            services.files.begin()
        if batches is not None:
            batches.begin()
        try:
            yield
        finally:
            if batches is not None:
                await batches.close()
            if background is not None:
                await background.close()
            await services.close()

    return lifespan


def _background(services: Services, shutdown: Shutdown, log: RequestLog) -> Background | None:
    """What answers in the background, where responses are stored."""
    if services.store is None:
        return None
    background = Background(services, Keeper(services.store), shutdown, log)
    shutdown.wait_for(background.is_answering)
    return background


def _batches(services: Services, shutdown: Shutdown, log: RequestLog) -> Batches | None:
    """What works on batches, where files are kept."""
    parts = BatchParts.of(services, shutdown, log)
    if parts is None:
        return None
    batches = Batches(parts)
    shutdown.wait_for(batches.is_answering)
    return batches


def _add_cors(app: FastAPI, settings: Settings) -> None:
    """Let web pages of the settings' origins call."""
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["*"],
            expose_headers=["x-request-id", "retry-after", *LIMIT_HEADERS],
        )


def _add_tracing(app: FastAPI, services: Services) -> None:
    """Make spans of requests where they are exported."""
    if services.tracer is not None:
        from phiserve.api.tracing import TracingMiddleware  # brings OpenTelemetry

        app.add_middleware(TracingMiddleware, tracer=services.tracer, model=services.card.id)
