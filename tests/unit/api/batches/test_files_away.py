"""A batch whose files are away for a moment, as on a disk that is not mounted, loses no line."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from batching import asked, chat_line, checked, ended, in_state, jsonl, outcome, uploaded
from phiserve.api.batches import tending
from phiserve.api.services import Services
from stateful import Held, running, until

MakeServices = Callable[..., Services]
IDS = [str(number) for number in range(120)]

pytestmark = pytest.mark.usefixtures("soon")


@pytest.mark.parametrize("stage", ["validated", "answered"])
def test_a_folder_that_is_away(
    make_services: MakeServices,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    stage: str,
) -> None:
    """Neither does the batch fail, nor does a line get an error; all goes on once it is back."""
    monkeypatch.setattr(tending, "RENEW_S", 0.05)
    folder, aside, held = tmp_path / "files", tmp_path / "aside", Held()
    services = make_services(held.engine, state=tmp_path)

    async def run() -> None:
        async with running(services) as client:
            file_id = await uploaded(client, jsonl([chat_line(custom_id) for custom_id in IDS]))
            if stage == "validated":
                folder.rename(aside)
            batch = checked((await asked(client, file_id)).json())
            if stage == "answered":
                await in_state(client, batch["id"], "in_progress")
                await held.reached.wait()
                folder.rename(aside)
            held.may_go_on.set()
            await until(lambda: f"failed in {folder}" in caplog.text)
            aside.rename(folder)
            batch = await ended(client, batch["id"])
            assert batch["request_counts"] == {"total": 120, "completed": 120, "failed": 0}
            assert await outcome(client, batch) == (IDS, [])

    asyncio.run(run())
    assert len(held.engine.generations) == len(IDS)
