"""`/v1/uploads`: large files in parts, by openai's client and by hand."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from openai.types import Upload
from openai.types.uploads import UploadPart

from key_files import bearer, write_keys
from phiserve.api.services import Services
from responses_types import Specification
from scripted import ScriptedEngine
from stateful import answered, running

MakeServices = Callable[..., Services]
PATH = "/v1/uploads"
NEW: Any = {"filename": "a.bin", "purpose": "user_data", "mime_type": "text/plain", "bytes": 6}


async def sent(client: httpx.AsyncClient, upload_id: str, content: bytes, **options: Any) -> httpx.Response:
    """The answer to a part."""
    return await client.post(f"{PATH}/{upload_id}/parts", files={"data": ("p", content)}, **options)


def test_an_upload(make_services: MakeServices, tmp_path: Path, reference: Path) -> None:
    """In OpenAI's forms, from its beginning to its file, and another to its end."""
    specification = Specification(reference)

    async def run() -> None:
        async with running(make_services(ScriptedEngine(), state=tmp_path)) as client:
            begun = await answered(client, PATH, **NEW)
            assert (begun["status"], begun["expires_at"]) == ("pending", begun["created_at"] + 3600)
            parts = [(await sent(client, begun["id"], part)).json() for part in (b"abc", b"def")]
            for part in parts:
                specification.validate("UploadPart", part)
                UploadPart.model_validate(part, strict=True)
            ids = [part["id"] for part in parts]
            completed = await answered(client, f"{PATH}/{begun['id']}/complete", part_ids=ids[::-1])
            content = await client.get(f"/v1/files/{completed['file']['id']}/content")
            assert content.content == b"defabc"
            other = await answered(client, PATH, **NEW)
            cancelled = await answered(client, f"{PATH}/{other['id']}/cancel")
            for told in (begun, completed, cancelled):
                Upload.model_validate(told, strict=True)
            specification.validate("Upload", completed)
            assert cancelled == other | {"status": "cancelled"}

    asyncio.run(run())


def test_refusals(make_services: MakeServices, tmp_path: Path) -> None:
    """Each names its place."""

    async def run() -> None:
        async with running(make_services(ScriptedEngine(), state=tmp_path)) as client:
            for body, param in (
                (NEW | {"purpose": "assistants"}, "purpose"),
                (NEW | {"filename": "a\0b"}, "filename"),
                (NEW | {"filename": ""}, "filename"),
                (NEW | {"mime_type": "a\x7f"}, "mime_type"),
                (NEW | {"bytes": -1}, "bytes"),
                (NEW | {"expires_after": {"anchor": "created_at", "seconds": 1}}, "expires_after.seconds"),
                ({**NEW, "size": 6}, "size"),
            ):
                response = await client.post(PATH, json=body)
                assert (response.status_code, response.json()["error"]["param"]) == (400, param)
            too_large = await client.post(PATH, json=NEW | {"bytes": 2**40})
            assert (too_large.status_code, too_large.json()["error"]["param"]) == (413, "bytes")
            begun = await answered(client, PATH, **NEW)
            unknown = await sent(client, begun["id"], b"a", data={"colour": "red"})
            assert (unknown.status_code, unknown.json()["error"]["param"]) == (400, "colour")
            large = await sent(client, begun["id"], bytes(64 * 2**20 + 1))
            assert large.status_code == 413
            complete = f"{PATH}/{begun['id']}/complete"
            response = await client.post(complete, json={"part_ids": ["part_1"]})
            assert (response.status_code, response.json()["error"]["param"]) == (400, "part_ids[0]")
            assert (await sent(client, "upload_1", b"a")).status_code == 404
            for path in ("complete", "cancel"):
                response = await client.post(f"{PATH}/upload_1/{path}", json={"part_ids": []})
                assert response.status_code == 404, path

    asyncio.run(run())


def test_to_its_owner_alone(make_services: MakeServices, tmp_path: Path) -> None:
    """Another's is not there."""
    keys = write_keys(tmp_path / "keys.yaml", alice={}, bob={})

    async def run() -> None:
        services = make_services(ScriptedEngine(), state=tmp_path, keys_file=str(keys))
        async with running(services) as client:
            begun = (await client.post(PATH, json=NEW, headers=bearer("alice"))).json()
            assert (await sent(client, begun["id"], b"a", headers=bearer("bob"))).status_code == 404
            assert (await sent(client, begun["id"], b"a")).status_code == 401
            for path in ("complete", "cancel"):
                at = f"{PATH}/{begun['id']}/{path}"
                response = await client.post(at, json={"part_ids": []}, headers=bearer("bob"))
                assert response.status_code == 404
            assert (await sent(client, begun["id"], b"a", headers=bearer("alice"))).status_code == 200

    asyncio.run(run())
