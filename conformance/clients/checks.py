"""Runs the checks of a client written in Python and prints a line of JSON for each, as soon as it has ended.

Copied beside each `client.py`; knows nothing but the standard library.
"""

import asyncio
import base64
import inspect
import json
import os
import re
import subprocess
import sys
import traceback
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

Check = Callable[[], str | Awaitable[str]]

BASE_URL = os.environ.get("OPENAI_BASE_URL", "")
"""The server's address, with /v1."""

KEY = os.environ.get("OPENAI_API_KEY", "")
MODEL = os.environ.get("PHISERVE_MODEL", "")
IMAGE = Path(os.environ.get("PHISERVE_IMAGE", "image.png"))
"""A PNG file with shapes, as the demo model knows them."""

QUESTION = "What shapes are in this image?"
"""A question about the image in words that the demo model knows."""

PRICE_QUESTION = "What does the circle cost?"
"""A question about the image that only the tools below can answer."""

PRICE = 12
calls: list[tuple[str, dict[str, str]]] = []
"""What the tools below were called with since the last `priced`."""


class CannotDo(Exception):
    """The client cannot do this at all; the message says why."""


def image_url() -> str:
    """The image as a data URL."""
    return f"data:image/png;base64,{base64.b64encode(IMAGE.read_bytes()).decode()}"


def said(text: object) -> str:
    """A detail that tells what was answered. Raises AssertionError where that is no text or none."""
    assert isinstance(text, str), f"no text but {type(text).__name__}: {text!r}"
    assert text.strip(), "the answer is empty"
    return text.strip()


def shape_price(color: str, shape: str) -> int:
    """The price of a shape, by its color and its kind."""
    calls.append(("shape_price", {"color": color, "shape": shape}))
    return PRICE


def book_price(title: str) -> int:
    """The price of a book, by its title."""
    calls.append(("book_price", {"title": title}))
    return PRICE


def priced(answer: object) -> str:
    """A detail that tells what was called and answered. Raises AssertionError unless the price of
    the image's circle, a red one, was asked for, and is in the answer.
    """
    made = calls.copy()
    calls.clear()
    told = f"called {made}, answered {answer!r}"
    assert ("shape_price", {"color": "red", "shape": "circle"}) in made, told
    assert str(PRICE) in str(answer), told
    return told


def output_of(*command: str, **variables: str) -> str:
    """What a program of the client's writes, with these environment variables beside ours.

    Raises RuntimeError where it fails. The end of what it writes is the log's as well.
    """
    done = subprocess.run(
        command,
        env=os.environ | variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    print(done.stdout[-20_000:], file=sys.stderr)
    if done.returncode:
        raise RuntimeError(f"{command[0]} ended with {done.returncode}: {done.stdout[-600:]}")
    return done.stdout


def run(checks: Mapping[str, Check]) -> None:
    """Run the checks named on the command line, or all of them."""
    loop = asyncio.Runner()  # one for all, as in a user's program: clients keep connections
    for name, check in checks.items():
        if not sys.argv[1:] or name in sys.argv[1:]:
            ok, detail = _outcome(check, loop)
            line = {"check": name, "ok": ok, "detail": re.sub(r"\s+", " ", detail)[:400]}
            # in one piece, on a line of its own: threads of the client may write meanwhile
            sys.stdout.write(f"\n{json.dumps(line, ensure_ascii=False)}\n")
            sys.stdout.flush()
            sys.stdin.readline()  # what is asked from here on is the next check's
    os._exit(0)  # threads and exporters that a client leaves behind must not hold us up


def _outcome(check: Check, loop: asyncio.Runner) -> tuple[bool | None, str]:
    try:
        answer = check()
        return True, loop.run(_awaited(answer)) if inspect.isawaitable(answer) else str(answer)
    except CannotDo as reason:
        return None, str(reason)
    except Exception as error:
        traceback.print_exc()
        return False, f"{type(error).__name__}: {error}"


async def _awaited(answer: Awaitable[str]) -> str:
    return str(await answer)
