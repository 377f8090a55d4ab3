"""Lines that fail over what may pass are tried again, or asked once more when all others are answered."""

import asyncio
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pytest

from batching import chat_line, created, ended, jsonl, outcome
from images import data_url, encode, noise
from phiserve.api.services import Services
from phiserve.errors import DownloadFailed, InvalidImage, ResourcesLacking
from phiserve.vision.images import ImageService
from scripted import ScriptedEngine
from stateful import running
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


def test_what_the_server_lacks(
    make_services: MakeServices, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While no image can be decoded, lines are tried again for as long as it takes."""
    services = make_services(ScriptedEngine(ANSWER), state=tmp_path)
    told = answered(services, lambda look: ResourcesLacking("none") if look < 40 else None, monkeypatch)
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
