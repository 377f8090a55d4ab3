"""What it takes to answer a response elsewhere or later: the request beside its items, as it is stored."""

import asyncio
from dataclasses import replace
from typing import Any

import msgspec
from msgspec import Struct

from phiserve.api.body_budget import BodyShare
from phiserve.api.services import Services
from phiserve.core import GenerationRequest
from phiserve.protocol.events import encode_json
from phiserve.protocol.responses.request import ResponsesRequest
from phiserve.protocol.responses.stored_items import read_items
from phiserve.protocol.responses.translation import to_generation_request
from phiserve.protocol.responses.turns import Earlier
from phiserve.store.interface import Store, StoredResponse


class Job(Struct, frozen=True):
    """What it takes to answer a response elsewhere, beside its items.

    `body`: the request without its input. `key`: id of the key that asked. `tenant`: whose request it is.
    `earlier`: how many items of the context come before the request's own, and the field that stands for
    them.
    """

    body: dict[str, Any]  # what msgspec calls a value of any kind
    key: str | None
    tenant: str | None
    earlier: int
    earlier_param: str


def job_of(asked: ResponsesRequest, key: str | None, tenant: str | None, earlier: Earlier) -> str:
    """The JSON of what it takes to answer a request elsewhere."""
    body = asked.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude={"input"})
    return encode_json(Job(body, key, tenant, len(earlier.items), earlier.param)).decode()


def read_job(request: str) -> Job:
    """The job that `job_of` wrote."""
    return msgspec.json.decode(request, type=Job)


async def requests_of(
    services: Services, store: Store, stored: StoredResponse, job: Job
) -> tuple[ResponsesRequest, GenerationRequest]:
    """The request as it came, and the inner one.

    Raises StoreFailure; Overloaded, before anything is loaded, where there is no room for it now.
    """
    bodies = services.bodies
    with BodyShare(bodies) as share:
        # As written it may be a little more than its body was, and than all bodies may be
        items = await store.items(
            stored.owner, stored.context, lambda size: share.hold(min(size, bodies.max_bytes))
        )
        read = await asyncio.to_thread(read_items, [item.payload for item in items])
    request = await asyncio.to_thread(ResponsesRequest.model_validate, job.body | {"input": "-"})
    request = request.model_copy(update={"input": read[job.earlier :]})
    earlier = Earlier(read[: job.earlier], job.earlier_param)
    deadline_s = services.settings.max_request_s
    inner = to_generation_request(request, job.tenant, None, deadline_s, earlier, stored.owner)
    return request, replace(inner, id=stored.id)
