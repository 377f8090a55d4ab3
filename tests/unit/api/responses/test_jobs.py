"""What is kept of a request in the background: enough to make the same inner request of it."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from phiserve.api.responses.gathering import gather
from phiserve.api.responses.jobs import job_of, read_job, requests_of
from phiserve.api.responses.keeping import begun_record, save_begun
from phiserve.api.services import Services
from phiserve.protocol.responses.request import ResponsesRequest
from phiserve.protocol.responses.translation import begun_response, to_generation_request
from scripted import ScriptedEngine


def test_a_request_is_made_again(make_services: Callable[..., Services], tmp_path: Path) -> None:
    """From its items in the store and the job, to the same inner request but for its time limit."""
    asked = ResponsesRequest.model_validate(
        {
            "input": "Hi",
            "instructions": "Be brief",
            "background": True,
            "temperature": 0.5,
            "ignore_eos": True,
            "structured_outputs": {"json": {"type": "integer"}},
        }
    )

    async def run() -> None:
        services = make_services(ScriptedEngine(), state=tmp_path)
        store = services.store
        assert store is not None
        try:
            gathered = await gather(services, "alice", asked, is_kept=True)
            inner = to_generation_request(gathered.request, "t", None, None, gathered.earlier, "alice")
            job = job_of(gathered.request, "k", "t", gathered.earlier)
            first = begun_record(begun_response(asked, inner.id, "m"), "alice", gathered, job)
            await save_begun(store, first, gathered.own)
            read = read_job(job)
            assert (read.key, read.tenant) == ("k", "t")
            again, made = await requests_of(services, store, first, read)
            assert (again.instructions, again.background) == ("Be brief", True)
            assert made == replace(inner, deadline_s=services.settings.max_request_s)
        finally:
            await services.close()

    asyncio.run(run())
