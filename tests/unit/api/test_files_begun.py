"""Fields that come before a file are checked before it is received."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import pytest

from phiserve.api.services import Services
from scripted import ScriptedEngine
from stateful import running

MakeServices = Callable[..., Services]
EXPIRY = {"expires_after[anchor]": "created_at", "expires_after[seconds]": "3600"}


def field(name: str, value: str) -> bytes:
    """A field of a form, with the boundary before it."""
    return f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()


@pytest.mark.parametrize(
    ("before", "after", "status", "is_told_early"),
    [
        ({"purpose": "assistants"}, {}, 400, True),
        ({"purpose": "vision", "colour": "red"}, {}, 400, True),
        ({"purpose": "vision", "expires_after[seconds]": "3600"}, {}, 400, False),
        ({}, {"purpose": "assistants"}, 400, False),
        ({"expires_after[anchor]": "created_at"}, EXPIRY | {"purpose": "vision"}, 400, False),
        ({}, EXPIRY | {"purpose": "vision"}, 200, False),
        (
            {"purpose": "vision", "expires_after[seconds]": "3600"},
            {"expires_after[anchor]": "created_at"},
            200,
            False,
        ),
    ],
)
def test_wrong_fields_are_told_before_the_file(
    make_services: MakeServices,
    tmp_path: Path,
    before: dict[str, str],
    after: dict[str, str],
    status: int,
    is_told_early: bool,
) -> None:
    """Where they come before it: the file is not received then. Fields may come in any order."""
    read: list[int] = []

    async def body() -> AsyncGenerator[bytes, None]:
        yield b"".join(field(*one) for one in before.items())
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        for number in range(20):
            read.append(number)
            yield bytes(1000)
        yield b"\r\n" + b"".join(field(*one) for one in after.items()) + b"--x--\r\n"

    async def use() -> None:
        headers = {"content-type": "multipart/form-data; boundary=x"}
        async with running(make_services(ScriptedEngine(), state=tmp_path)) as client:
            response = await client.post("/v1/files", content=body(), headers=headers)
        assert response.status_code == status
        assert (len(read) < 20) is is_told_early
        if "assistants" in (before | after).values():
            assert "'vision', 'user_data' or 'batch'" in response.json()["error"]["message"]

    asyncio.run(use())
