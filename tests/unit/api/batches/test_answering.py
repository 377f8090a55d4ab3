"""Requests of batches are answered as their routes answer them, behind what somebody waits for."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from images import data_url, encode, noise
from kept_files import kept
from key_files import secret_of, write_keys
from phiserve.access.key import Key
from phiserve.access.visit import REFUSED
from phiserve.api.batches.answering import PASSING, AskedBy, LineAnswer, LineAnswerer, window_of
from phiserve.api.services import Services
from phiserve.chat.encoder import PromptEncoder
from phiserve.decider import decider_of
from phiserve.decisions.temperatures import Temperatures
from phiserve.errors import (
    EngineEnded,
    EngineFailure,
    EngineUnavailable,
    Overloaded,
    RateLimitReached,
    RequestError,
    ResourcesLacking,
    StoreFailure,
    Unauthorized,
)
from phiserve.load import Load
from phiserve.preparation import PromptLimits
from phiserve.protocol.batches.lines import BatchUrl
from phiserve.shared_prompts import SharedPreparer
from phiserve.vision.images import ImageService
from reading import ReadingEngine
from scripted import ScriptedEngine
from stateful import WAIT_S, Held, running
from wire import ANSWER, post

MakeServices = Callable[..., Services]

IMAGE = data_url(encode(noise(40, 40)))
SHOWN: list[dict[str, Any]] = [
    {"type": "image_url", "image_url": {"url": IMAGE, "detail": "low"}},
    {"type": "text", "text": "?"},
]
CHAT: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": SHOWN}]}
QUESTION = {"type": "predicate", "instructions": "Is it red?"}
REQUESTS: list[tuple[BatchUrl, dict[str, Any]]] = [
    ("/v1/chat/completions", CHAT | {"n": 2}),
    ("/v1/responses", {"input": "Hi", "max_output_tokens": 9, "instructions": "Be brief"}),
    ("/v1/completions", {"prompt": ["Hi", "Ho"], "max_tokens": 4}),
    ("/v1/decisions", {"model": "m", "input": "Hi", "questions": [QUESTION]}),
]
WRONG: list[tuple[BatchUrl, dict[str, Any]]] = [
    ("/v1/chat/completions", CHAT | {"model": "x"}),
    ("/v1/chat/completions", CHAT | {"temperature": 3}),
    ("/v1/chat/completions", {"messages": [{"role": "user", "content": [SHOWN[0] | {"detail": 1}]}]}),
    ("/v1/responses", {"input": "Hi", "previous_response_id": "resp_1"}),
    ("/v1/completions", {"prompt": "Hi " * 5000}),
    ("/v1/decisions", {"input": "Hi " * 5000, "questions": [QUESTION]}),
]


def ask(services: Services, url: BatchUrl, body: dict[str, Any], by: AskedBy | None = None) -> LineAnswer:
    """The answer to one request of a batch."""
    return asyncio.run(answer_to(LineAnswerer(services), url, json.dumps(body).encode(), by or AskedBy()))


async def answer_to(answerer: LineAnswerer, url: BatchUrl, body: bytes, by: AskedBy) -> LineAnswer:
    """The answer to one request, within the limits of whoever asks."""
    async with answerer.visit(by) as visit:
        return await answerer.answer(url, body, by, visit)


def deciding(services: Services, encoder: PromptEncoder, images: ImageService) -> Services:
    """The same services, which also decide."""
    preparer = SharedPreparer(encoder, images, PromptLimits(4096, 16, 4, 64))
    decider = decider_of(services.engine, preparer, Load(64, 256, 60), 1, Temperatures())
    return replace(services, decider=decider)


def without_ids(document: Any) -> Any:
    """JSON without what differs between two answers to the same request."""
    if isinstance(document, list):
        return [without_ids(item) for item in document]
    if not isinstance(document, dict):
        return document
    changing = ("id", "created", "created_at", "completed_at")
    return {name: without_ids(value) for name, value in document.items() if name not in changing}


@pytest.mark.parametrize(("url", "body"), REQUESTS)
def test_as_the_route_answers(
    make_services: MakeServices,
    encoder: PromptEncoder,
    image_service: ImageService,
    url: BatchUrl,
    body: dict[str, Any],
) -> None:
    """The same prompt, the same body, tokens counted; but behind all that somebody waits for."""
    engine = ReadingEngine() if url == "/v1/decisions" else ScriptedEngine(ANSWER)
    services = deciding(make_services(engine), encoder, image_service)
    expected = post(services, body, url).json()
    asked = len(engine.generations)
    answer = ask(services, url, body, AskedBy(tenant="t"))
    assert without_ids(json.loads(answer.body)) == without_ids(expected)
    assert (answer.status_code, answer.is_ok) == (200, True)
    assert answer.counts is not None
    assert answer.counts.prompt > 0
    assert answer.request_id.startswith("req_")
    theirs, ours = engine.generations[:asked], engine.generations[asked:]
    assert [one.prompt_ids for one in theirs] == [one.prompt_ids for one in ours]
    assert {one.line for one in ours} == {(1, "t")}


@pytest.mark.parametrize(("url", "body"), WRONG)
def test_as_the_route_refuses(
    make_services: MakeServices,
    encoder: PromptEncoder,
    image_service: ImageService,
    tmp_path: Path,
    url: BatchUrl,
    body: dict[str, Any],
) -> None:
    """The same status, the same envelope."""
    services = deciding(make_services(ScriptedEngine(ANSWER), state=tmp_path), encoder, image_service)

    async def run() -> None:
        async with running(services) as client:
            refused = await client.post(url, json=body)
            answer = await answer_to(LineAnswerer(services), url, json.dumps(body).encode(), AskedBy())
        assert refused.status_code >= 400
        assert (answer.status_code, json.loads(answer.body)) == (refused.status_code, refused.json())
        assert answer.counts is None

    asyncio.run(run())


@pytest.mark.parametrize("url", ["/v1/chat/completions", "/v1/responses", "/v1/decisions"])
def test_files_of_the_owner(make_services: MakeServices, tmp_path: Path, url: BatchUrl) -> None:
    """They can be named on every route that shows images; another's are not there."""
    engine = ReadingEngine() if url == "/v1/decisions" else ScriptedEngine(ANSWER)
    services = make_services(engine, state=tmp_path)

    def body(file_id: str) -> bytes:
        shown = {"type": "input_image", "detail": "low", "file_id": file_id}
        in_chat = {"type": "image_file", "image_file": {"file_id": file_id, "detail": "low"}}
        bodies: dict[BatchUrl, dict[str, Any]] = {
            "/v1/chat/completions": {"messages": [{"role": "user", "content": [in_chat]}]},
            "/v1/responses": {"input": [{"role": "user", "content": [shown]}]},
            "/v1/decisions": {"input": [{"role": "user", "content": [shown]}], "questions": [QUESTION]},
        }
        return json.dumps(bodies[url]).encode()

    async def run() -> list[int]:
        assert services.files is not None
        file, answerer = await kept(services.files, encode(noise(40, 40)), "alice"), LineAnswerer(services)
        answers = [
            await answer_to(answerer, url, body(file.id), AskedBy(owner)) for owner in ("alice", "bob")
        ]
        await services.close()
        return [answer.status_code for answer in answers]

    assert asyncio.run(run()) == [200, 400]


@pytest.mark.parametrize(
    "error",
    [
        Overloaded("full"),
        EngineUnavailable("gone"),
        StoreFailure("busy"),
        RateLimitReached("spent"),
        ResourcesLacking("short"),
    ],
)
def test_what_passes_is_raised(make_services: MakeServices, error: RequestError) -> None:
    """It says nothing of the request, which is to be tried again."""
    with pytest.raises(PASSING) as caught:
        ask(make_services(ScriptedEngine([error])), "/v1/chat/completions", CHAT)
    assert caught.value is error


def test_an_engine_that_ends(make_services: MakeServices) -> None:
    """Over a request is none of what passes: it may be what ended it."""
    engine = ScriptedEngine([ANSWER[0], EngineEnded("gone", engine=3)])
    failed = ask(make_services(engine), "/v1/chat/completions", CHAT)
    assert (failed.status_code, failed.is_engine_failure, failed.ended_engine) == (500, True, 3)
    assert engine.generations[0].is_sent_once


def test_failures_of_the_engine_are_told_apart(make_services: MakeServices) -> None:
    """One may be over another request that ran at the same time; what fails elsewhere is its own."""
    failed = ask(make_services(ScriptedEngine([EngineFailure("died")])), "/v1/chat/completions", CHAT)
    assert (failed.status_code, failed.is_engine_failure, failed.may_pass) == (500, True, False)
    broken = ask(make_services(ScriptedEngine([ValueError("?")])), "/v1/chat/completions", CHAT)
    assert (broken.status_code, broken.is_engine_failure, broken.may_pass) == (500, False, True)
    assert json.loads(broken.body)["error"]["code"] == "internal_error"


def test_cancelled(make_services: MakeServices) -> None:
    """The engine is told; the place is free again."""
    held = Held()
    services = make_services(held.engine)

    async def run() -> None:
        body = json.dumps(CHAT).encode()
        answering = asyncio.create_task(
            answer_to(LineAnswerer(services), "/v1/chat/completions", body, AskedBy())
        )
        await asyncio.wait_for(held.reached.wait(), WAIT_S)
        answering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await answering
        await asyncio.wait_for(held.engine.closed.wait(), WAIT_S)

    asyncio.run(run())


def test_a_half_of_the_key_s_limits(make_services: MakeServices, tmp_path: Path) -> None:
    """The other half is left to requests that somebody waits for; those at once are not counted."""
    limits: dict[str, object] = {"requests_per_minute": 4, "concurrent_requests": 1}
    keys = write_keys(tmp_path / "keys.yaml", alice=limits)
    services = make_services(ScriptedEngine(ANSWER), keys_file=str(keys))
    gate = services.gate
    assert gate is not None

    async def run() -> None:
        key = _key(services)
        by = AskedBy("alice", key.id, "alice")
        answerer, body = LineAnswerer(services), json.dumps(CHAT).encode()
        async with gate.enter(key):
            for _ in range(3):
                assert (await answer_to(answerer, "/v1/chat/completions", body, by)).is_ok
            with pytest.raises(RateLimitReached):
                await answer_to(answerer, "/v1/chat/completions", body, by)
        for owner, key_id in (("bob", "0" * 12), ("bob", key.id), ("", None)):
            with pytest.raises(Unauthorized):
                await answer_to(answerer, "/v1/chat/completions", body, AskedBy(owner, key_id))

    asyncio.run(run())


def test_all_at_once_leave_the_half(make_services: MakeServices, tmp_path: Path) -> None:
    """Lines that begin in the same moment take no more of it than one after the other, and those that have
    to wait have used nothing.
    """
    limits: dict[str, object] = {"tokens_per_minute": 100, "requests_per_minute": 1000}
    keys = write_keys(tmp_path / "keys.yaml", alice=limits)
    services = make_services(ScriptedEngine(ANSWER), keys_file=str(keys))
    gate = services.gate
    assert gate is not None
    refused = _refusals()

    async def run() -> None:
        key = _key(services)
        by = AskedBy("alice", key.id, "alice")
        chat = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
        answerer, body = LineAnswerer(services), json.dumps(chat).encode()
        asked = (answer_to(answerer, "/v1/chat/completions", body, by) for _ in range(30))
        ended = await asyncio.gather(*asked, return_exceptions=True)
        answers = [answer for answer in ended if isinstance(answer, LineAnswer)]
        waiting = [answer for answer in ended if isinstance(answer, RateLimitReached)]
        assert answers
        assert len(answers) + len(waiting) == 30
        each = answers[0].counts
        assert each is not None
        assert len(answers) * each.prompt < 50 + each.prompt
        async with gate.enter(key) as visit:
            await visit.begin()
            told = visit.headers()
        assert told["x-ratelimit-remaining-requests"] == str(1000 - len(answers) - 1)
        used = len(answers) * (each.prompt + each.completion)
        assert told["x-ratelimit-remaining-tokens"] == str(max(0, 100 - used))

    asyncio.run(run())
    assert _refusals() == refused


def _refusals() -> float:
    samples = (sample for metric in REFUSED.collect() for sample in metric.samples)
    return sum(sample.value for sample in samples if sample.name.endswith("_total"))


def _key(services: Services) -> Key:
    assert services.gate is not None
    key = services.gate.key_of(secret_of("alice").encode())
    assert key is not None
    return key


def test_the_window(make_services: MakeServices) -> None:
    """More than the engine runs at once, fewer than batch work may hold."""
    assert window_of(make_services(ScriptedEngine(ANSWER))) == 96
