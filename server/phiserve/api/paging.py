"""Which items of a list are asked for: the query parameters that OpenAI's lists have."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from fastapi import Request, Response
from starlette.types import Receive, Scope, Send

from phiserve.api.body_budget import BodyShare
from phiserve.api.services import services_of
from phiserve.errors import InvalidRequest, NotFound, shortened
from phiserve.protocol.events import encode_json
from phiserve.protocol.responses.conversations import ItemList
from phiserve.store.interface import Admit, Order, Page

MOST, DEFAULT = 100, 20
"""Items of a page."""

_KNOWN = ("after", "include", "include[]", "limit", "order")

Schema = dict[str, str | int | list[str]]

_SCHEMAS: dict[str, Schema] = {
    "after": {"type": "string"},
    "limit": {"type": "integer", "minimum": 1, "maximum": MOST, "default": DEFAULT},
    "order": {"enum": ["asc", "desc"], "default": "desc"},
    "include": {"type": "string"},
}

PAGE_PARAMETERS: dict[str, list[dict[str, str | Schema]]] = {
    "parameters": [{"name": name, "in": "query", "schema": schema} for name, schema in _SCHEMAS.items()]
}
"""`openapi_extra` of routes that answer a page. What `include` may name is always there."""


@dataclass(frozen=True, slots=True)
class PageQuery:
    """At most `limit` items from behind the item `after`, in this order."""

    after: str | None
    limit: int
    order: Order


def page_query(
    request: Request, *, most: int = MOST, default: int = DEFAULT, known: Sequence[str] = _KNOWN
) -> PageQuery:
    """What the query asks for, of at most `most` items. Raises InvalidRequest, which names the parameter."""
    given = request.query_params
    for name in given:
        if name not in known:
            reason = "this parameter is unknown"
            raise InvalidRequest(reason, param=shortened(name), code="unknown_parameter")
    limit = given.get("limit", str(default))
    if not (limit.isascii() and limit.isdigit() and len(limit) <= len(str(most)) and 1 <= int(limit) <= most):
        raise InvalidRequest(f"must be an integer from 1 to {most}", param="limit")
    return PageQuery(given.get("after"), int(limit), _order(given.get("order", "desc")))


class HeldResponse(Response):
    """What was loaded from the store, and counts as a body until it is sent. Make it with `held_response`."""

    media_type = "application/json"

    def __init__(self, content: bytes, share: BodyShare) -> None:
        super().__init__(content)
        self._share = share

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        with self._share:
            await super().__call__(scope, receive, send)


async def held_response(request: Request, load: Callable[[Admit], Awaitable[object]]) -> Response:
    """200 with what is loaded, as JSON. Raises Overloaded where there is no room for it now."""
    share = BodyShare(services_of(request).bodies)
    try:
        return HeldResponse(encode_json(await load(share.add)), share)
    except BaseException:
        share.release()
        raise


async def page_response(
    request: Request, load: Callable[[PageQuery, Admit, int], Awaitable[Page | None]], missing: NotFound
) -> Response:
    """The page that the query asks for, no larger than a body unless one item is.

    Raises InvalidRequest, `missing` where nothing is found, and Overloaded.
    """
    query, max_bytes = page_query(request), services_of(request).settings.max_body_bytes

    async def listed(admit: Admit) -> ItemList:
        """The page as it is answered."""
        page = await load(query, admit, max_bytes)
        if page is None:
            raise missing
        return ItemList.of([(item.id, item.payload) for item in page.items], has_more=page.has_more)

    return await held_response(request, listed)


def _order(given: str) -> Literal["asc", "desc"]:
    if given == "asc":
        return "asc"
    if given == "desc":
        return "desc"
    raise InvalidRequest("must be 'asc' or 'desc'", param="order")
