"""Errors on the wire: every failure becomes OpenAI's envelope, here and nowhere else."""

import asyncio
import logging
from typing import cast

from fastapi import FastAPI, Request, Response
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from phiserve.api.json_response import error_to_response
from phiserve.api.request_log import record_of
from phiserve.api.shutdown import shutting_down
from phiserve.api.streaming import ClientGone
from phiserve.errors import (
    EngineFailure,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    RequestError,
    shortened,
)

_LOG = logging.getLogger(__name__)
CLIENT_CLOSED_REQUEST = 499
"""nginx's status for a client that hung up: nobody reads it, access logs show it."""


def install_error_handlers(app: FastAPI) -> None:
    """Make `app` answer every exception with OpenAI's envelope."""
    app.add_exception_handler(RequestError, _answer_request_error)
    app.add_exception_handler(HTTPException, _answer_http_exception)
    app.add_exception_handler(ClientGone, _answer_nobody)
    app.add_middleware(_CatchAllMiddleware)


async def _answer_request_error(request: Request, error: Exception) -> Response:
    return error_to_response(cast("RequestError", error))


async def _answer_http_exception(request: Request, error: Exception) -> Response:
    """Starlette's own 404 and 405 (and whatever else the framework raises)."""
    raised = cast("HTTPException", error)
    where = shortened(f"{request.method} {request.url.path}")
    if raised.status_code == 404:
        response = error_to_response(NotFound(f"There is no route {where}"))
    elif raised.status_code == 405:
        response = error_to_response(MethodNotAllowed(f"The route does not allow {where}"))
    else:
        response = error_to_response(InvalidRequest(str(raised.detail)))
        response.status_code = raised.status_code
    response.headers.update(raised.headers or {})
    if raised.status_code == 405:
        response.headers["allow"] = ", ".join(sorted(_allowed(request)))
    return response


def _allowed(request: Request) -> set[str]:
    """The methods that a path has: Starlette names those of its first route alone.

    A path that is a route's own is nobody's id, though another route would take it for one.
    """
    app: Starlette = request.app
    routes = [route for route in app.routes if route.matches(request.scope)[0] is not Match.NONE]
    own = [route for route in routes if getattr(route, "path", None) == request.url.path]
    return {method for route in own or routes for method in getattr(route, "methods", None) or ()}


async def _answer_nobody(request: Request, error: Exception) -> Response:
    record_of(request.scope).end("client_gone")
    return Response(status_code=CLIENT_CLOSED_REQUEST)


class _CatchAllMiddleware:
    """Answers what nobody expected with a 500 in the envelope, and logs it; ends quietly what is cancelled.

    Starlette would do so outside all middleware, where the response gets no request id.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def watched_send(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watched_send)
        except asyncio.CancelledError:  # the server's, when the grace for running requests is over
            if scope["type"] != "http":
                raise
            record_of(scope).end("cancelled")
            if not started:
                await error_to_response(shutting_down())(scope, receive, send)
        except Exception:
            if scope["type"] != "http" or started:
                raise
            _LOG.exception("a request failed unexpectedly")
            record_of(scope).end("internal_error")
            await error_to_response(
                EngineFailure("The server failed on this request", code="internal_error")
            )(scope, receive, send)
