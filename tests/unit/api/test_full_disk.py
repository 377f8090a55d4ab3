"""A log that takes no lines, because its disk is full, costs no request its answer."""

import json
import resource
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from phiserve.api.services import Services
from scripted import ScriptedEngine
from wire import ANSWER, events, post

MakeServices = Callable[..., Services]


def lost() -> float:
    """Lines that were left out."""
    return REGISTRY.get_sample_value("phiserve_log_lines_lost_total") or 0.0


@contextmanager
def full_disk() -> Iterator[None]:
    """No file of this process can grow any more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_the_full_device(make_services: MakeServices, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole answers and streams; each line that is lost is counted."""
    full = open("/dev/full", "w")  # noqa: SIM115 - closing it fails, as the test wants it
    monkeypatch.setattr(sys, "stdout", full)
    services = make_services(ScriptedEngine(ANSWER))
    before = lost()
    assert post(services).status_code == 200
    assert events(post(services, stream=True))[-1] == "[DONE]"
    assert lost() == before + 2
    with pytest.raises(OSError, match="No space left"):
        full.close()


def test_a_disk_that_has_room_again(
    make_services: MakeServices, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its log goes on."""
    file = tmp_path / "log"
    with file.open("w") as log:
        monkeypatch.setattr(sys, "stdout", log)
        services = make_services(ScriptedEngine(ANSWER))
        with full_disk():
            before = lost()
            assert post(services).status_code == 200
            assert lost() == before + 1
        assert post(services).status_code == 200
    assert json.loads(file.read_text().splitlines()[-1])["outcome"] == "ok"
