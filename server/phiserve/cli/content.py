"""What a person types -> content parts of a message."""

import base64
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Any

from phiserve.errors import StartupError

MAX_FILE_BYTES = 256 * 2**20
"""Larger files are no pictures for any server, and would be read into memory whole."""


class Detail(StrEnum):
    """How closely the model looks."""

    AUTO = "auto"
    LOW = "low"
    HIGH = "high"


def picture_url(argument: str) -> str:
    """A file as a data URL; a URL as it is, for the server to fetch or refuse. Raises StartupError."""
    if argument.startswith(("http://", "https://", "data:", "file://")):
        return argument
    file = Path(argument).expanduser()
    try:
        if file.stat().st_size > MAX_FILE_BYTES:
            raise StartupError(f"{argument} is too large for a picture")
        content = file.read_bytes()
    except OSError as error:
        raise StartupError(f"The picture {argument} cannot be read: {(error.strerror or str(error)).lower()}") from None
    except ValueError:
        raise StartupError(f"{argument!r} is not the name of a file") from None
    return f"data:application/octet-stream;base64,{base64.b64encode(content).decode()}"


def user_message(urls: Iterable[str], text: str, detail: Detail) -> dict[str, Any]:
    """A user's message: pictures first, then the text."""
    pictures = [{"type": "image_url", "image_url": {"url": url, "detail": detail.value}} for url in urls]
    return {"role": "user", "content": [*pictures, {"type": "text", "text": text}]}


def system_messages(text: str | None) -> list[dict[str, Any]]:
    """Instructions, if there are any."""
    return [{"role": "system", "content": text}] if text else []
