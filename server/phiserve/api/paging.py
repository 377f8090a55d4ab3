"""Which items of a list are asked for: the query parameters that OpenAI's lists have."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from fastapi import Request, Response

from phiserve.api.json_response import json_response
from phiserve.errors import InvalidRequest, shortened
from phiserve.protocol.responses.conversations import ItemList
from phiserve.store.interface import Order, Page

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


def page_response(page: Page) -> Response:
    """A page as it is answered."""
    items = [(item.id, item.payload) for item in page.items]
    return json_response(ItemList.of(items, has_more=page.has_more))


def _order(given: str) -> Literal["asc", "desc"]:
    if given == "asc":
        return "asc"
    if given == "desc":
        return "desc"
    raise InvalidRequest("must be 'asc' or 'desc'", param="order")
