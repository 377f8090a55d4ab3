"""What each owner has asked for is counted."""

from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from images import encode, image_part, noise, text_part
from key_files import bearer, write_keys
from phiserve.api.services import Services
from scripted import ScriptedEngine
from wire import ANSWER, BODY, post

WITH_IMAGE = BODY | {
    "messages": [{"role": "user", "content": [image_part(encode(noise(30, 20))), text_part("What?")]}]
}
KINDS = ("prompt", "cached", "image", "completion")


def value(name: str, **labels: str) -> float:
    """A number that is kept for each owner."""
    return REGISTRY.get_sample_value(f"phiserve_owner_{name}", labels) or 0.0


@pytest.mark.parametrize("owner", ["amy", ""])
def test_counted_for_the_owner(make_services: Callable[..., Services], tmp_path: Path, owner: str) -> None:
    """Requests and tokens when they end, and what runs; without keys the owner is the empty one."""
    running: list[float] = []

    async def look() -> None:
        running.append(value("running", owner=owner))

    tokens = {kind: value("tokens_total", owner=owner, kind=kind) for kind in KINDS}
    requests = value("requests_total", owner=owner)
    keys = {"keys_file": write_keys(tmp_path / "k", amy={})} if owner else {}
    services = make_services(ScriptedEngine([look, *ANSWER]), **keys)  # type: ignore[list-item]
    headers = bearer(owner) if owner else None
    answer = post(services, WITH_IMAGE, headers=headers)
    assert post(services, temperature="hot", headers=headers).status_code == 400
    usage = answer.json()["usage"]
    grown = {kind: value("tokens_total", owner=owner, kind=kind) - tokens[kind] for kind in KINDS}
    assert grown["prompt"] == usage["prompt_tokens"]
    assert grown["completion"] == usage["completion_tokens"]
    assert (grown["cached"], 0 < grown["image"] < grown["prompt"]) == (0, True)
    assert value("requests_total", owner=owner) == requests + 2
    assert (running, value("running", owner=owner)) == ([1], 0)
