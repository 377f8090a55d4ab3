"""Lines that fail over what may pass are tried again, asked once more in the end, or wait for a key."""

import asyncio
import errno
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pytest

from batching import asked, chat_line, created, ended, in_state, jsonl, outcome, uploaded
from images import data_url, encode, noise
from key_files import bearer, write_keys, write_two_keys
from phiserve.api.batches import tending
from phiserve.api.batches.answering import AskedBy, LineAnswerer
from phiserve.api.services import Services
from phiserve.errors import DownloadFailed, InvalidImage, ResourcesLacking
from phiserve.files.keeping import FileKeeper
from phiserve.vision.images import ImageService
from scripted import ScriptedEngine
from stateful import Held, running, until
from wire import ANSWER

MakeServices = Callable[..., Services]
Failures = Callable[[int], Exception | None]

pytestmark = pytest.mark.usefixtures("soon")


def shown(custom_id: str, seed: int) -> dict[str, Any]:
    """A line that shows an image of its own."""
    url = data_url(encode(noise(30, 30, seed)))
    return chat_line(custom_id, [{"type": "image_url", "image_url": {"url": url, "detail": "low"}}])


def answered(
    services: Services, fails: Failures, monkeypatch: pytest.MonkeyPatch
) -> tuple[tuple[Collection[str], Collection[str]], int]:
    """What becomes of lines whose images are read with these failures, and how many were read."""
    looks: list[int] = []
    read = ImageService.read

    async def reading(*arguments: Any) -> Any:
        looks.append(len(looks))
        if (error := fails(looks[-1])) is not None:
            raise error
        return await read(*arguments)

    monkeypatch.setattr(ImageService, "read", reading)

    async def run() -> tuple[list[str], list[str]]:
        async with running(services) as client:
            batch = await created(client, jsonl([shown(str(number), number) for number in range(6)]))
            return await outcome(client, await ended(client, batch["id"]))

    return asyncio.run(run()), len(looks)


ALL = [str(number) for number in range(6)]


@pytest.mark.parametrize(
    "error", [ResourcesLacking("none"), MemoryError(), OSError(errno.EMFILE, "too many open files")]
)
def test_what_the_server_lacks(
    make_services: MakeServices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """While no image can be decoded, lines are tried again for as long as it takes."""
    services = make_services(ScriptedEngine(ANSWER), state=tmp_path)
    told = answered(services, lambda look: error if look < 40 else None, monkeypatch)
    assert told == ((ALL, []), 46)


@pytest.mark.parametrize("error", [ValueError("?"), DownloadFailed("answered with status 503")])
def test_once_more_in_the_end(
    make_services: MakeServices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Where the server failed unexpectedly, or an image's server did not hand it over."""
    services = make_services(ScriptedEngine(ANSWER), state=tmp_path)
    told = answered(services, lambda look: error if look < 6 else None, monkeypatch)
    assert told == ((ALL, []), 12)


def test_not_more_than_once(
    make_services: MakeServices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What fails again has its error."""
    services = make_services(ScriptedEngine(ANSWER), state=tmp_path)
    assert answered(services, lambda look: ValueError("?"), monkeypatch) == (([], ALL), 12)


def test_errors_of_its_own(
    make_services: MakeServices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are not asked for twice."""
    services = make_services(ScriptedEngine(ANSWER), state=tmp_path)
    assert answered(services, lambda look: InvalidImage("bad"), monkeypatch) == (([], ALL), 6)


def test_lines_that_wait_for_a_limit(
    make_services: MakeServices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are not read until the key has any of it left."""
    keys = write_keys(tmp_path / "keys.yaml", alice={"requests_per_minute": 4})
    services = make_services(ScriptedEngine(ANSWER), state=tmp_path, keys_file=str(keys))
    visits: list[AskedBy] = []
    read: list[int] = []
    visit, read_part = LineAnswerer.visit, FileKeeper.read_part

    def visiting(answerer: LineAnswerer, asked_by: AskedBy) -> Any:
        visits.append(asked_by)
        return visit(answerer, asked_by)

    async def reading(files: FileKeeper, name: str, offset: int, num_bytes: int) -> bytes:
        read.append(offset)
        return await read_part(files, name, offset, num_bytes)

    monkeypatch.setattr(LineAnswerer, "visit", visiting)
    monkeypatch.setattr(FileKeeper, "read_part", reading)

    async def run() -> None:
        async with running(services) as client:
            lines = jsonl([chat_line(str(number)) for number in range(9)])
            file_id = await uploaded(client, lines, headers=bearer("alice"))
            await asked(client, file_id, bearer("alice"))
            await until(lambda: len(visits) > 40)

    asyncio.run(run())
    assert len(read) <= 3


def test_a_key_that_was_replaced(make_services: MakeServices, tmp_path: Path) -> None:
    """Another one of its owner's takes its place: no line has an error for it."""
    file = write_two_keys(tmp_path / "keys.yaml", "alice", {}, {})
    first, second = ({"authorization": f"Bearer secret of {name}"} for name in ("first", "second"))

    async def run() -> None:
        services = make_services(Held().engine, state=tmp_path, keys_file=str(file))
        async with running(services) as client:
            file_id = await uploaded(client, jsonl([chat_line("a")]), headers=first)
            batch_id = (await asked(client, file_id, first)).json()["id"]
            await in_state(client, batch_id, "in_progress", headers=first)
        write_two_keys(file, "alice", {"revoked": "2020-01-01"}, {})
        services = make_services(ScriptedEngine(ANSWER), state=tmp_path, keys_file=str(file))
        async with running(services) as client:
            batch = await ended(client, batch_id, second)
            assert batch["request_counts"] == {"total": 1, "completed": 1, "failed": 0}

    asyncio.run(run())


async def batch_of(client: Any, owner: str) -> str:
    """A new batch of one line."""
    file_id = await uploaded(client, jsonl([chat_line("a")]), headers=bearer(owner))
    batch_id: str = (await asked(client, file_id, bearer(owner))).json()["id"]
    return batch_id


def test_an_owner_without_a_key(
    make_services: MakeServices,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Its batches wait, of which the log tells once, and others go on; with a key again they are answered."""
    monkeypatch.setattr(tending, "RENEW_S", 0.01)
    monkeypatch.setattr(tending, "HOLD_S", 0.02)
    visits: list[str] = []
    visit = LineAnswerer.visit

    def visiting(answerer: LineAnswerer, asked_by: AskedBy) -> Any:
        visits.append(asked_by.owner)
        return visit(answerer, asked_by)

    monkeypatch.setattr(LineAnswerer, "visit", visiting)
    file = write_keys(tmp_path / "keys.yaml", alice={}, bob={})
    engine = ScriptedEngine(ANSWER)

    async def run() -> None:
        services = make_services(Held().engine, state=tmp_path, keys_file=str(file))
        async with running(services) as client:
            batch_id = await batch_of(client, "alice")
            await in_state(client, batch_id, "in_progress", headers=bearer("alice"))
        write_keys(file, bob={})
        services = make_services(engine, state=tmp_path, keys_file=str(file))
        async with running(services) as client:
            await until(lambda: "no API key of this owner" in caplog.text)
            await ended(client, await batch_of(client, "bob"), bearer("bob"))
            await until(lambda: visits.count("alice") > 4)
        assert len(engine.generations) == 1
        assert caplog.text.count("no API key of this owner") == 1
        write_keys(file, alice={})
        services = make_services(engine, state=tmp_path, keys_file=str(file))
        async with running(services) as client:
            batch = await ended(client, batch_id, bearer("alice"))
            assert batch["request_counts"] == {"total": 1, "completed": 1, "failed": 0}

    asyncio.run(run())
