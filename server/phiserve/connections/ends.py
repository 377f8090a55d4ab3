"""Requests that end at the connection: each is counted and logged, as those that an application answers."""

from collections.abc import MutableMapping
from typing import Any

from phiserve.api.request_id import new_request_id, request_id_of
from phiserve.api.request_log import (
    CONNECTION_ROUTE,
    REQUEST_ID,
    RequestLog,
    RequestRecord,
    begun_record,
)
from phiserve.errors import RequestError

Scope = MutableMapping[str, Any]
"""What ASGI tells of a request."""


class RequestEnds:
    """Notes how requests end of which an application sees nothing, or not the end.

    One that the application has is noted in its record: the application's middleware tells the log when it
    ends. Others are told at once, under a route of their own.
    """

    def __init__(self, log: RequestLog) -> None:
        self._log = log

    def refused(self, error: RequestError, running: Scope | None, began_at: float) -> str:
        """A request is refused, `running` if an application has it. Returns the id to answer with.

        `began_at`: when its first byte came, `time.monotonic()`'s.
        """
        if running is not None:
            request_id = request_id_of(running)
            record = begun_record(running)
            record.status = record.status or error.status
            record.end(error)
            return request_id
        request_id = new_request_id()
        record = RequestRecord(arrived_at=began_at, status=error.status)
        record.end(error)
        self._log.tell(CONNECTION_ROUTE, request_id, None, record)
        return request_id

    def not_read(self, scope: Scope, *, is_running: bool) -> None:
        """A connection is cut because its client does not read; `scope` is its last request's."""
        if is_running:
            begun_record(scope).end("not_read")
            return
        record = RequestRecord()
        record.end("not_read")
        self._log.tell(CONNECTION_ROUTE, scope.get(REQUEST_ID), scope["method"], record)
