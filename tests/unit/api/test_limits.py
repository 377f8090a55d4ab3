"""Each key is kept to its limits, and told how they stand."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import httpx
import httpx2
import openai
import pytest
from fastapi.routing import APIRoute
from starlette.types import Message, Scope

from images import encode, image_part, noise, text_part
from key_files import bearer, limit_owners, secret_of, write_keys, write_two_keys
from phiserve.access import budgets
from phiserve.access.key import Unit
from phiserve.access.visit import REFUSED
from phiserve.api.app import create_app
from phiserve.api.authorization import COUNTED_PATHS, LIMIT_HEADERS
from phiserve.api.services import Services
from scripted import ScriptedEngine
from wire import ANSWER, BODY, call

MakeServices = Callable[..., Services]


def ask_as(services: Services, owner: str, path: str = COUNTED_PATHS[0], **fields: object) -> httpx.Response:
    """A request of an owner."""
    return call(services, "POST", path, headers=bearer(owner), json=BODY | fields)


def scope_of(headers: list[tuple[bytes, bytes]]) -> Scope:
    """What the application gets of a request's head."""
    return {
        "type": "http",
        "method": "POST",
        "path": COUNTED_PATHS[0],
        "query_string": b"",
        "headers": headers,
    }


def show(*parts: object) -> list[dict[str, object]]:
    """Messages with these parts."""
    return [{"role": "user", "content": [*parts]}]


def test_headers(make_services: MakeServices, tmp_path: Path) -> None:
    """As OpenAI sends them, to keys with limits; a stream's too, and a refusal's."""
    limits: dict[str, object] = {"requests_per_minute": 3, "tokens_per_minute": 1000}
    file = write_keys(tmp_path / "k", alice=limits, bob={}, carol={"requests_per_minute": 1})
    services = make_services(ScriptedEngine(ANSWER), keys_file=file)
    first, second, third, fourth = (ask_as(services, "alice", stream=stream) for stream in (False, True) * 2)
    assert [answer.status_code for answer in (first, second, third, fourth)] == [200, 200, 200, 429]
    answers = (first, second, third, fourth)
    assert [answer.headers["x-ratelimit-remaining-requests"] for answer in answers] == ["2", "1", "0", "0"]
    assert {answer.headers["x-ratelimit-limit-requests"] for answer in answers} == {"3"}
    used = first.json()["usage"]
    left = 1000 - used["prompt_tokens"]
    assert first.headers["x-ratelimit-remaining-tokens"] == str(left)
    assert second.headers["x-ratelimit-remaining-tokens"] == str(left - used["total_tokens"])
    assert first.headers["x-ratelimit-reset-requests"].endswith("s")
    assert 1 <= int(fourth.headers["retry-after"]) <= 60
    assert not {*LIMIT_HEADERS} & {*ask_as(services, "bob").headers}
    assert {*LIMIT_HEADERS} & {*ask_as(services, "carol").headers} == {*LIMIT_HEADERS[:3]}
    assert not {*LIMIT_HEADERS} & {*call(services, "GET", "/v1/models", headers=bearer("alice")).headers}


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/v1/chat/completions", {"messages": show(text_part("one two three"))}, "messages"),
        ("/v1/responses", {"input": "one two three"}, "input"),
        ("/v1/completions", {"prompt": "one two three"}, "prompt"),
    ],
)
def test_a_prompt_beyond_a_minute_is_named(
    make_services: MakeServices, tmp_path: Path, path: str, body: dict[str, object], param: str
) -> None:
    """As the field of the route that it is."""
    file = write_keys(tmp_path / "k", alice={"tokens_per_minute": 2})
    services = make_services(ScriptedEngine(ANSWER), keys_file=file)
    refused = call(services, "POST", path, headers=bearer("alice"), json=body)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, param)


def test_refusal(make_services: MakeServices, tmp_path: Path) -> None:
    """OpenAI's envelope, type and code; the message names the limit and nobody."""
    file = write_keys(tmp_path / "k", alice={"requests_per_minute": 1})
    services = make_services(ScriptedEngine(ANSWER), keys_file=file)
    assert ask_as(services, "alice", "/tokenize").status_code == 200
    refusal = ask_as(services, "alice")
    error = refusal.json()["error"]
    assert (error["type"], error["code"]) == ("rate_limit_error", "rate_limit_exceeded")
    assert error["message"].startswith("Rate limit reached for requests: the key's limit is 1 per minute")
    assert "alice" not in refusal.text
    assert refusal.headers["x-request-id"]


def test_what_reads_prompts_counts(make_services: MakeServices, tmp_path: Path) -> None:
    """Every POST but one that cancels; lists and metrics cost nothing."""
    file = write_keys(tmp_path / "k", alice={"requests_per_minute": 100})
    services = make_services(ScriptedEngine(ANSWER), keys_file=file)
    routes = [route for route in create_app(services).routes if isinstance(route, APIRoute)]
    counted = {
        (method, route.path)
        for route in routes
        for method in route.methods
        if LIMIT_HEADERS[0] in call(services, method, route.path, headers=bearer("alice"), json={}).headers
    }
    posts = {("POST", route.path) for route in routes if "POST" in route.methods}
    assert counted == posts - {("POST", "/v1/responses/{response_id}/cancel")}


def test_refused_before_the_body_is_read(make_services: MakeServices, tmp_path: Path) -> None:
    """Neither an unknown key's nor a used up one's."""
    file = write_keys(tmp_path / "k", alice={"requests_per_minute": 1}, bob={"tokens_per_minute": 40})
    services = make_services(ScriptedEngine(ANSWER), keys_file=file)

    async def status_of(owner: str) -> int:
        async def receive() -> Message:
            raise AssertionError("the body was asked for")

        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        headers = [(name.encode(), value.encode()) for name, value in bearer(owner).items()]
        await create_app(services)(scope_of(headers), receive, send)
        return int(sent[0]["status"])

    async def use_up() -> None:
        used: list[tuple[str, Unit, int]] = [("alice", "requests", 1), ("bob", "tokens", 40)]
        for owner, unit, limit in used:
            assert services.gate is not None
            key = services.gate.key_of(secret_of(owner).encode())
            assert key is not None
            await services.gate._budgets.charge(key.id, unit, limit, limit)

    asyncio.run(use_up())
    assert [asyncio.run(status_of(owner)) for owner in ("nobody", "alice", "bob")] == [401, 429, 429]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/tokenize"])
def test_images(make_services: MakeServices, tmp_path: Path, path: str) -> None:
    """Their number in a minute, and how closely they may be looked at: 429, or 400 with the place."""
    file = write_keys(tmp_path / "k", alice={"images_per_minute": 2, "max_detail": "low"})
    services = make_services(ScriptedEngine(ANSWER), keys_file=file)
    part = image_part(encode(noise(30, 20)))
    low = {"type": "image_url", "image_url": part["image_url"] | {"detail": "low"}}
    refusal = ask_as(services, "alice", path, messages=show(text_part("?"), part))
    assert refusal.status_code == 400
    assert refusal.json()["error"]["param"] == "messages[0].content[1].image_url.detail"
    statuses = [ask_as(services, "alice", path, messages=show(low)).status_code for _ in range(3)]
    assert statuses == [200, 200, 429]
    many = ask_as(services, "alice", path, messages=show(low, low, low))
    assert (many.status_code, many.json()["error"]["param"]) == (400, "messages[0].content[2].image_url")


def test_concurrent_requests(make_services: MakeServices, tmp_path: Path) -> None:
    """While one is answered, the second is refused at once; afterwards the next is let in."""
    file = write_keys(tmp_path / "k", alice={"concurrent_requests": 1}, bob={})

    async def run() -> None:
        running, over = asyncio.Event(), asyncio.Event()

        def wait() -> "asyncio.Future[None]":
            running.set()
            return asyncio.ensure_future(over.wait())  # type: ignore[arg-type]

        services = make_services(ScriptedEngine([wait, *ANSWER]), keys_file=file)
        transport = httpx.ASGITransport(create_app(services))
        async with httpx.AsyncClient(transport=transport, base_url="http://t") as client:

            def ask(owner: str) -> "asyncio.Task[httpx.Response]":
                return asyncio.create_task(client.post(COUNTED_PATHS[0], headers=bearer(owner), json=BODY))

            first = ask("alice")
            await running.wait()
            refusal = await ask("alice")
            assert (refusal.status_code, refusal.headers["retry-after"]) == (429, "1")
            assert "concurrent requests: the key's limit is 1 at once" in refusal.text
            other = ask("bob")
            over.set()
            assert [(await one).status_code for one in (first, other)] == [200, 200]
            assert (await ask("alice")).status_code == 200

    asyncio.run(run())


def test_an_abandoned_answer_is_charged(make_services: MakeServices, tmp_path: Path) -> None:
    """What was generated before the client hung up counts, and the place is free again."""
    file = write_keys(tmp_path / "k", alice={"tokens_per_minute": 1000, "concurrent_requests": 1})

    async def run() -> None:
        def never() -> "asyncio.Future[None]":
            return asyncio.get_running_loop().create_future()

        engine = ScriptedEngine([*ANSWER[:2], never])
        services = make_services(engine, keys_file=file)
        body = json.dumps(BODY | {"stream": True}).encode()
        first_frame = asyncio.Event()
        messages: list[Message] = [{"type": "http.request", "body": body}]

        async def receive() -> Message:
            if messages:
                return messages.pop()
            await first_frame.wait()
            return {"type": "http.disconnect"}

        heads: list[dict[bytes, bytes]] = []

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                heads.append(dict(message["headers"]))
            elif b"Hel" in message.get("body", b""):
                first_frame.set()

        headers = [(name.encode(), value.encode()) for name, value in bearer("alice").items()]
        await create_app(services)(scope_of(headers), receive, send)
        assert engine.closed.is_set()
        engine.steps = ANSWER
        left = int(heads[0][b"x-ratelimit-remaining-tokens"])
        transport = httpx.ASGITransport(create_app(services))
        async with httpx.AsyncClient(transport=transport, base_url="http://t") as client:
            answer = await client.post(COUNTED_PATHS[0], headers=bearer("alice"), json=BODY)
        charged = left - int(answer.headers["x-ratelimit-remaining-tokens"]) - (1000 - left)
        assert charged in (1, 2)  # tokens of the deltas that were seen

    asyncio.run(run())


def test_the_openai_client_tries_again(
    make_services: MakeServices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits as long as it is told to, and is then let in: one retry is enough."""
    monkeypatch.setattr(budgets, "WINDOW_S", 2)
    file = write_keys(tmp_path / "k", alice={"requests_per_minute": 1})
    services = make_services(ScriptedEngine(ANSWER), keys_file=file)
    before = REFUSED.labels("requests")._value.get()

    async def run() -> None:
        transport = httpx2.ASGITransport(create_app(services))
        async with (
            httpx2.AsyncClient(transport=transport) as web,
            openai.AsyncOpenAI(
                base_url="http://t/v1", api_key=secret_of("alice"), http_client=web, max_retries=1
            ) as client,
        ):
            for _ in range(2):
                answer = await client.chat.completions.create(
                    model="m", messages=[{"role": "user", "content": "Hi"}]
                )
                assert answer.choices[0].message.content == "Hello"

    asyncio.run(run())
    assert REFUSED.labels("requests")._value.get() == before + 1


def test_limit_headers_are_shown_to_web_pages(make_services: MakeServices) -> None:
    """A page of an allowed origin may read them."""
    services = make_services(ScriptedEngine(ANSWER), cors_origins=["http://page"])
    answer = call(services, "POST", COUNTED_PATHS[0], headers={"origin": "http://page"}, json=BODY)
    exposed = answer.headers["access-control-expose-headers"]
    assert [name for name in LIMIT_HEADERS if name not in exposed] == []


def test_two_keys_of_one_owner(make_services: MakeServices, tmp_path: Path) -> None:
    """Share the owner's minute, and are told so."""
    file = limit_owners(write_two_keys(tmp_path / "k", "a", {}, {}), a={"requests_per_minute": 2})
    services = make_services(ScriptedEngine(ANSWER), keys_file=file)
    answers = [ask_as(services, name) for name in ("first", "second", "second")]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert [answer.headers["x-ratelimit-remaining-requests"] for answer in answers] == ["1", "0", "0"]
    assert "the owner's limit is 2 per minute" in answers[2].json()["error"]["message"]
