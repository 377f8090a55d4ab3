"""One request of a batch: answered as its route would answer it, behind all that somebody waits for."""

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from phiserve.access.visit import Visit
from phiserve.api import chat_writer, completion_writer
from phiserve.api.answering import begin_answer
from phiserve.api.chat_writer import AnswerHead
from phiserve.api.completion_writer import CompletionHead
from phiserve.api.decisions import checked_model, decide
from phiserve.api.request_id import new_request_id
from phiserve.api.request_log import RequestLog, RequestRecord
from phiserve.api.responses import writer as response_writer
from phiserve.api.responses.draft import Draft
from phiserve.api.responses.gathering import gather
from phiserve.api.services import Services
from phiserve.api.several_prompts import begin_answers
from phiserve.core import GenerationRequest, TokenCounts
from phiserve.decisions.off_loop import off_loop
from phiserve.decisions.request import DecisionRequest
from phiserve.errors import (
    DownloadFailed,
    EngineEnded,
    EngineFailure,
    EngineUnavailable,
    Overloaded,
    RequestError,
    ResourcesLacking,
    StoreFailure,
    Unauthorized,
)
from phiserve.protocol.batches.bodies import read_request
from phiserve.protocol.batches.lines import BatchUrl
from phiserve.protocol.chat import ChatCompletionRequest
from phiserve.protocol.completions import CompletionRequest, to_generation_requests
from phiserve.protocol.decisions.request import DecisionsRequest
from phiserve.protocol.decisions.translation import decision_of, to_decision_request
from phiserve.protocol.events import encode_json, error_response
from phiserve.protocol.responses.request import ResponsesRequest
from phiserve.protocol.responses.translation import begun_response
from phiserve.protocol.responses.translation import to_generation_request as of_response
from phiserve.protocol.translation import to_generation_request as of_chat
from phiserve.turns import most_held
from phiserve.vision.faults import lacking

_LOG = logging.getLogger(__name__)

PASSING: tuple[type[RequestError], ...] = (Overloaded, EngineUnavailable, ResourcesLacking, StoreFailure)
"""Errors that say nothing of a request: it is to be tried again."""

BATCH_ROUTE = "batch"
"""What requests of batches are called in the log and in metrics."""

PRIORITY = 1
"""Of all batch work, whatever its requests say."""

_Inner = TypeVar("_Inner", GenerationRequest, DecisionRequest)


@dataclass(frozen=True, slots=True)
class AskedBy:
    """Whose batch it is: an owner's (`""` where there are no keys), who asked with the key of this id.

    `tenant`: whose turns its requests wait for.
    """

    owner: str = ""
    key: str | None = None
    tenant: str | None = None


@dataclass(frozen=True, slots=True)
class LineAnswer:
    """What a request of a batch is answered with.

    `body` is JSON: the route's answer, or OpenAI's envelope around an error. `counts`: tokens that it took;
    None for an error. `is_engine_failure`: the engine failed or ended, perhaps over another request beside
    this one. `ended_engine`: which one ended (`EngineEnded.engine`), None where none did. `may_pass`: the
    server failed where nobody expected it, or a download did, which later it may not.
    """

    status_code: int
    request_id: str
    body: bytes
    counts: TokenCounts | None = None
    is_engine_failure: bool = False
    ended_engine: int | None = None
    may_pass: bool = False

    @property
    def is_ok(self) -> bool:
        """Whether the request was answered."""
        return self.status_code < 400


_Answered = tuple[object, TokenCounts]
"""What a route would answer, and the tokens that it took."""


class LineAnswerer:
    """Answers requests of batches. Cancel the task of one to abort it."""

    def __init__(self, services: Services, log: RequestLog | None = None) -> None:
        self._services = services
        self._log = log or RequestLog()

    @asynccontextmanager
    async def visit(self, asked_by: AskedBy) -> AsyncIterator[Visit]:
        """The limits of the key that asked, for as long as the answer takes; to be looked at before reading.

        Another key's of its owner where that one is not valid any more. Raises Unauthorized where there is
        none, RateLimitReached where they are used up.
        """
        gate = self._services.gate
        if gate is None and asked_by.key is None:
            yield Visit()
            return
        key = None if gate is None else gate.key_of_batch(asked_by.owner, asked_by.key)
        if gate is None or key is None:
            raise Unauthorized("No API key of the owner who asked for this batch is valid any more")
        async with gate.enter_in_batch(key) as visit:
            yield visit

    async def answer(self, url: BatchUrl, body: bytes, asked_by: AskedBy, visit: Visit) -> LineAnswer:
        """The answer to a request, or the error in which it ends. `visit`: see there.

        Raises one of `PASSING` where it is to be tried again, after `retry_after_s` seconds if that says so.
        """
        record, request_id = RequestRecord(owner=asked_by.owner or None), new_request_id()
        try:
            answered, counts = await self._answered(url, body, asked_by, visit, record)
        except asyncio.CancelledError:
            record.end("cancelled")
            raise
        except EngineEnded as error:
            record.end(error)
            return _failed(EngineFailure("The engine ended over this request"), request_id, error.engine)
        except PASSING as error:
            record.end(error)
            raise
        except RequestError as error:
            record.end(error)
            return _failed(error, request_id)
        except Exception as error:
            _LOG.exception("a request of a batch failed unexpectedly")
            if (passing := lacking(error)) is not None:
                record.end(passing)
                raise passing from error
            record.end("internal_error")
            failure = EngineFailure("The server failed on this request", code="internal_error")
            return _failed(failure, request_id)
        else:
            record.end("ok")
            return LineAnswer(200, request_id, encode_json(answered), counts)
        finally:
            if record.outcome != Overloaded.default_code or record.sent_at is not None:
                self._log.tell(BATCH_ROUTE, request_id, None, record)

    async def _answered(
        self, url: BatchUrl, body: bytes, asked_by: AskedBy, visit: Visit, record: RequestRecord
    ) -> _Answered:
        request = await asyncio.to_thread(read_request, url, body)
        match request:
            case ChatCompletionRequest():
                return await self._chat(request, asked_by, visit, record)
            case ResponsesRequest():
                return await self._response(request, asked_by, visit, record)
            case CompletionRequest():
                return await self._completion(request, asked_by, visit, record)
            case DecisionsRequest():
                return await self._decision(request, asked_by, visit, record)

    async def _chat(
        self, chat: ChatCompletionRequest, asked_by: AskedBy, visit: Visit, record: RequestRecord
    ) -> _Answered:
        model, salt = self._services.check_model(chat.model), chat.salt(visit.cache_salt)
        inner = _of_batch(of_chat(chat, asked_by.tenant, salt, None, asked_by.owner))
        head = AnswerHead.of(inner.id, model, chat, chat.calls_as)
        answer, deltas = await begin_answer(self._services, inner, visit, record)
        async with aclosing(deltas):
            return await chat_writer.collect(answer, deltas, head), answer.counts()

    async def _response(
        self, asked: ResponsesRequest, asked_by: AskedBy, visit: Visit, record: RequestRecord
    ) -> _Answered:
        model = self._services.check_model(asked.model)
        gathered = await gather(self._services, asked_by.owner, asked, is_kept=False)
        asked, earlier = gathered.request, gathered.earlier
        inner = of_response(asked, asked_by.tenant, visit.cache_salt, None, earlier, asked_by.owner)
        begun = begun_response(asked, inner.id, model)
        answer, deltas = await begin_answer(self._services, _of_batch(inner), visit, record)
        draft = Draft(answer, begun, asked.tool_use)
        async with aclosing(deltas):
            return await response_writer.collect(draft, deltas), answer.counts()

    async def _completion(
        self, wire: CompletionRequest, asked_by: AskedBy, visit: Visit, record: RequestRecord
    ) -> _Answered:
        model, answer_id = self._services.check_model(wire.model), f"cmpl-{uuid.uuid4().hex}"
        inners = to_generation_requests(
            wire,
            answer_id,
            allow_control_ids=self._services.settings.allow_control_token_ids,
            tenant=asked_by.tenant,
            cache_salt=wire.salt(visit.cache_salt),
        )
        inners = [_of_batch(inner) for inner in inners]
        head = CompletionHead.of(answer_id, model, wire)
        answers, deltas = await begin_answers(self._services, inners, visit, record)
        async with aclosing(deltas):
            return await completion_writer.collect(answers, deltas, head), answers.counts()

    async def _decision(
        self, asked: DecisionsRequest, asked_by: AskedBy, visit: Visit, record: RequestRecord
    ) -> _Answered:
        model = checked_model(self._services, asked.model)
        translate = partial(
            to_decision_request, asked, asked_by.tenant, visit.cache_salt, None, asked_by.owner
        )
        inner = await off_loop(asked.num_pieces, translate)
        decided, counts = await decide(self._services, _of_batch(inner), visit, record)
        least = self._services.settings.min_label_mass
        answer = partial(decision_of, asked, model, decided, counts, least)
        return await off_loop(asked.num_pieces, answer), counts


def _of_batch(inner: _Inner) -> _Inner:
    """Behind all that somebody waits for; asked again here, not by the engine's supervisor."""
    return replace(inner, priority=PRIORITY, is_sent_once=True)


def window_of(services: Services) -> int:
    """How many requests of batches to have in flight: what the engine runs at once, and some more prepared.

    All together are within what batch work may hold (see `turns.may_hold`).
    """
    limits = services.engine.limits
    return max(1, min(limits.running + max(2, limits.running // 2), most_held(limits.unfinished) // 2))


def not_asked(reason: str) -> LineAnswer:
    """The answer to a request that is not asked, for what engines did before."""
    return replace(_failed(EngineFailure(reason), new_request_id()), is_engine_failure=False)


def _failed(error: RequestError, request_id: str, ended_engine: int | None = None) -> LineAnswer:
    body = encode_json(error_response(error))
    is_failure = isinstance(error, EngineFailure)
    is_engines = is_failure and error.code == EngineFailure.default_code
    may_pass = isinstance(error, DownloadFailed) or (is_failure and not is_engines)
    return LineAnswer(error.status, request_id, body, None, is_engines, ended_engine, may_pass)
