"""Java's own HTTP client, which offers h2c with every first request, asks the whole application."""

import asyncio
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import uvloop

from phiserve.api.app import create_app
from phiserve.api.services import Services
from scripted import ScriptedEngine
from serving import limits, serving
from wire import ANSWER, BODY

CLIENT = Path(__file__).with_name("Chat.java")
CURL = shutil.which("curl")
URL = "http://127.0.0.1:{}/v1/chat/completions"


def java_that_compiles() -> str | None:
    """The command of a Java that runs source files, which takes the compiler's module."""
    java = shutil.which("java")
    if java is None:
        return None
    listed = subprocess.run([java, "--list-modules"], capture_output=True, text=True, check=False)  # noqa: S603
    return java if "jdk.compiler@" in listed.stdout else None


JAVA = java_that_compiles()


def output_of(app_services: Services, *command: str) -> str:
    """What a command prints that asks a server; `{url}` in its arguments is the server's."""

    async def run() -> str:
        async with serving(create_app(app_services), limits=limits()) as server:
            url = URL.format(server.port)
            arguments = [part.replace("{url}", url) for part in command]
            process = await asyncio.create_subprocess_exec(
                *arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
            out, errors = await process.communicate()
            assert process.returncode == 0, errors.decode()
            return out.decode()

    return uvloop.run(run())


@pytest.mark.skipif(JAVA is None, reason="no Java with its compiler is installed (openjdk-17-jdk-headless)")
def test_java(make_services: Callable[..., Services]) -> None:
    """HTTP/2 is its preference, which it is not told to give up: a whole answer, a stream, and four more
    requests, on one connection.
    """
    bodies = [json.dumps(BODY | {"stream": stream}) for stream in (False, True)]
    out = output_of(make_services(ScriptedEngine(ANSWER)), str(JAVA), str(CLIENT), "{url}", *bodies)
    *answers, preference = out.splitlines()
    assert preference == "preferred HTTP_2"
    whole, stream = answers[0], answers[1:-4]
    assert whole.startswith("200 HTTP_1_1 ")
    assert json.loads(whole.removeprefix("200 HTTP_1_1 "))["choices"][0]["message"]["content"] == "Hello"
    assert stream[0] == "200 HTTP_1_1"
    assert [line for line in stream[1:] if line][-1] == "data: [DONE]"
    assert (
        "".join(
            json.loads(line.removeprefix("data: "))["choices"][0]["delta"].get("content") or ""
            for line in stream[1:]
            if line.startswith("data: {")
        )
        == "Hello"
    )
    assert answers[-4:] == ["200 HTTP_1_1"] * 4


@pytest.mark.skipif(CURL is None, reason="curl is not installed")
@pytest.mark.parametrize("stream", [True, False])
def test_curl_with_http2(make_services: Callable[..., Services], stream: bool) -> None:
    """`curl --http2` offers h2c too; the second request is sent on the first one's connection."""
    body = json.dumps(BODY | {"stream": stream})
    said = "%{http_code} %{http_version} %{num_connects}\n"
    ask = ["-d", body, "-H", "content-type: application/json", "-w", said, "{url}"]
    once = ["-s", "--http2", *ask]
    out = output_of(make_services(ScriptedEngine(ANSWER)), str(CURL), *once, "--next", *once)
    assert out.count("200 1.1 1\n") == 1
    assert out.count("200 1.1 0\n") == 1
    assert out.count("data: [DONE]" if stream else '"content":"Hello"') == 2
