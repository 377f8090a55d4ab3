"""An engine of the command's own: what of a server's settings it has, and how its answers come."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import pytest
from pydantic import SecretStr
from rich.console import Console

from ending import Ending, killing
from phiserve.api.batches import ends
from phiserve.api.services import Services
from phiserve.cli.batch import engine
from phiserve.cli.batch.engine import EngineAnswering, OwnEngine, without_server
from phiserve.cli.batch.work import LineRequest, Outcome
from phiserve.config import Settings
from phiserve.engine.interface import Delta, EngineHealth, Generation
from phiserve.errors import (
    EngineFailure,
    EngineLost,
    EngineUnavailable,
    Overloaded,
    RequestError,
    StartupError,
)
from phiserve.protocol.batches.lines import BatchLine, LineRefused
from scripted import ScriptedEngine
from wire import ANSWER, BODY

MakeServices = Callable[..., Services]

REQUEST = LineRequest("/v1/chat/completions", json.dumps(BODY).encode())


@dataclass
class Failing(ScriptedEngine):
    """Fails as `failures` say, one after the other, before it answers. `lost`: why no other one comes."""

    failures: list[RequestError] = field(default_factory=list)
    lost: str = ""

    @property
    def health(self) -> EngineHealth:
        return EngineHealth("lost", self.lost) if self.lost else EngineHealth("serving")

    async def generate(self, generation: Generation) -> AsyncGenerator[Delta, None]:
        if self.failures:
            raise self.failures.pop(0)
        async for delta in super().generate(generation):
            yield delta


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "PAUSE_S", 0.0)


def ask(services: Services, request: LineRequest = REQUEST) -> Outcome:
    """The outcome of one request."""

    async def run() -> Outcome:
        return await EngineAnswering(services, 1).answer(request)

    return asyncio.run(run())


def test_answers_and_errors(make_services: MakeServices) -> None:
    """As the routes give them, in one line."""
    services = make_services(ScriptedEngine(ANSWER))
    outcome = ask(services)
    assert json.loads(outcome.body)["choices"][0]["message"]["content"] == "Hello"
    assert (outcome.status, outcome.failed, b"\n" in outcome.body) == (200, False, False)
    assert outcome.request_id.startswith("req_")
    assert ask(services, LineRequest("/v1/completions", b'{"prompt": 1}')).status == 400
    assert EngineAnswering(services, 3).model == services.card.id


def test_what_passes(make_services: MakeServices) -> None:
    """Is waited for: an engine that restarts, and one that has no room."""
    passing: list[RequestError] = [Overloaded("full"), EngineUnavailable("gone"), Overloaded("full")]
    scripted = Failing(ANSWER, failures=passing)
    assert ask(make_services(scripted)).status == 200
    assert scripted.failures == []


@pytest.mark.parametrize("error", [EngineFailure("died"), EngineFailure("?", code="internal_error")])
def test_what_fails(make_services: MakeServices, error: EngineFailure) -> None:
    """One failure may be another request's, or pass; the second is believed."""
    assert ask(make_services(Failing(ANSWER, failures=[error]))).status == 200
    assert ask(make_services(Failing(ANSWER, failures=[error, error]))).status == 500


def test_requests_over_which_engines_end(
    make_services: MakeServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is asked once more, by itself, and then has its error; engines do not end too often in a while."""
    monkeypatch.setattr(ends, "PERIOD_S", 0.3)
    scripted = Ending(is_late=True)
    services = make_services(scripted, max_engine_restarts=2)
    bad = LineRequest("/v1/chat/completions", json.dumps(killing("bad")["body"]).encode())

    async def run() -> list[int]:
        answering = EngineAnswering(services, 2)
        requests = [bad, REQUEST, REQUEST, bad, REQUEST]
        return [outcome.status for outcome in await asyncio.gather(*map(answering.answer, requests))]

    assert asyncio.run(run()) == [500, 200, 200, 500, 200]
    times = [at for _, at in scripted.ends]
    assert len(times) == 4
    assert all(later - at >= 0.3 for at, later in pairwise(times))
    assert [num for num, _ in scripted.ends].count(1) >= 2


def test_no_further_engine(make_services: MakeServices) -> None:
    """Ends the batch; the requests that are left are not answered with its errors."""
    lost = Failing(ANSWER, failures=[EngineUnavailable("gone")], lost="It ended too often")
    with pytest.raises(EngineLost, match="It ended too often"):
        ask(make_services(lost))


def test_settings_for_clients_are_left_out(tmp_path: Path) -> None:
    """A batch asks for no key, stores nothing and logs no requests; the rest is as it was."""
    given = Settings(
        model="phiserve-blank",
        api_key=SecretStr("k"),
        keys_file=tmp_path / "keys.yaml",
        limits_url=SecretStr("redis://example"),
        max_images=3,
        engine={"seed": 1},
    )
    settings = without_server(given)
    assert (settings.api_key, settings.keys_file, settings.limits_url) == (None, None, None)
    assert settings.state_url is not None
    assert (settings.state_url.get_secret_value(), settings.files_url, settings.log_requests) == ("off",) * 3
    assert (settings.max_images, settings.engine) == (3, {"seed": 1})


def test_lines_are_checked(tmp_path: Path) -> None:
    """By the routes' own rules, before any engine starts, and so is the checkpoint."""
    place = OwnEngine(Settings(model="phiserve-blank", served_model_name=("a", "b")))
    assert place.names == ("a", "b")
    line = BatchLine(4, "x", "/v1/completions", b'{"prompt": "Hi"}', "b", "")
    place.check(line)
    wrong = BatchLine(4, "x", "/v1/completions", b'{"prompt": "Hi", "odd": 1}', None, "")
    with pytest.raises(LineRefused, match=r"body\.odd: "):
        place.check(wrong)
    with pytest.raises(LineRefused, match="'c' is not served here"):
        place.check(BatchLine(4, "x", "/v1/completions", b"{}", "c", ""))
    with pytest.raises(StartupError, match="is not a Phi-3-vision checkpoint"):
        OwnEngine(Settings(model=str(tmp_path))).source(Console(), None)
