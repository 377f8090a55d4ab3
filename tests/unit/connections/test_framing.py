"""HTTP/1 as real clients speak it: offers of another protocol, and clients of HTTP/1.0."""

import asyncio
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import uvloop
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from phiserve.connections.framing import head_without_offer
from serving import GET, answers, connected, echo, limits, serving

CURL = shutil.which("curl")
JAVA = shutil.which("java")
JAVA_CLIENT = """
import java.net.URI;
import java.net.http.*;
public class Client {
    public static void main(String[] arguments) throws Exception {
        HttpRequest request = HttpRequest.newBuilder(URI.create(arguments[0]))
            .POST(HttpRequest.BodyPublishers.ofString("the body")).build();
        HttpResponse<String> response =
            HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString());
        System.out.print(response.statusCode() + " " + response.version() + " " + response.body());
    }
}
"""


def test_the_offer_is_taken_out() -> None:
    """And nothing else: other options of the connection stay, and so does the body's length."""
    headers = [
        (b"host", b"t"),
        (b"connection", b"keep-alive, Upgrade ,HTTP2-Settings"),
        (b"upgrade", b"h2c"),
        (b"http2-settings", b"AAMAAABk"),
        (b"content-length", b"5"),
    ]
    assert head_without_offer(b"POST /?q HTTP/1.1", headers) == (
        b"POST /?q HTTP/1.1\r\nhost: t\r\nconnection: keep-alive\r\ncontent-length: 5\r\n\r\n"
    )


@pytest.mark.parametrize("offer", [b"h2c", b"websocket", b"TLS/1.0, HTTP/2.0"])
def test_an_offer_of_another_protocol_is_passed_over(offer: bytes) -> None:
    """The body is kept, whole or in parts, and the connection goes on."""

    async def run(framing: bytes, *parts: bytes) -> bytes:
        async with serving(echo, limits=limits()) as server, connected(server.port) as client:
            head = b"POST / HTTP/1.1\r\nhost: t\r\nconnection: Upgrade, HTTP2-Settings\r\nupgrade: " + offer
            await client.send(head + b"\r\nhttp2-settings: AAMAAABk\r\n" + framing + b"\r\n\r\n" + parts[0])
            for part in parts[1:]:
                await asyncio.sleep(0.01)
                await client.send(part)
            first = await client.until(b"POST 1.1 hello")
            assert b"connection: close" not in first
            await client.send(GET)
            return await client.until(b"GET 1.1 ")

    uvloop.run(run(b"content-length: 5", b"hello"))
    uvloop.run(run(b"content-length: 5", b"", b"he", b"llo"))
    uvloop.run(run(b"transfer-encoding: chunked", b"5\r\nhello\r\n0\r\n\r\n"))


@pytest.mark.skipif(CURL is None, reason="curl is not installed")
def test_curl_with_http2() -> None:
    """`curl --http2` offers h2c, and is answered on HTTP/1.1."""

    async def run() -> bytes:
        async with serving(echo, limits=limits()) as server:
            command = ["curl", "-s", "--http2", "-d", "the body", f"http://127.0.0.1:{server.port}/"]
            process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
            return (await process.communicate())[0]

    assert uvloop.run(run()) == b"POST 1.1 the body"


@pytest.mark.skipif(JAVA is None, reason="Java is not installed")
def test_java_s_own_client(tmp_path: Path) -> None:
    """It offers h2c with every first request."""
    (tmp_path / "Client.java").write_text(JAVA_CLIENT)

    async def run() -> bytes:
        async with serving(echo, limits=limits()) as server:
            command = ["java", str(tmp_path / "Client.java"), f"http://127.0.0.1:{server.port}/"]
            process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
            return (await process.communicate())[0]

    assert uvloop.run(run()) == b"200 HTTP_1_1 POST 1.1 the body"


async def streamed(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers in parts, without a length."""

    async def parts() -> Any:
        for part in ("a", "b", "c"):
            yield part

    if scope["type"] == "http":
        await StreamingResponse(parts())(scope, receive, send)


def test_http_1_0_gets_no_chunks() -> None:
    """A stream ends with the connection; an answer with a length has it. HTTP/1.1 still gets chunks."""
    plain = answers(b"GET / HTTP/1.0\r\n\r\n", app=streamed)
    assert b"transfer-encoding" not in plain
    assert plain.endswith(b"\r\n\r\nabc")
    known = answers(b"GET / HTTP/1.0\r\n\r\n")
    assert b"content-length: 8" in known
    assert known.endswith(b"GET 1.0 ")
    chunked = answers(b"GET / HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n", app=streamed)
    assert chunked.endswith(b"1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\n\r\n")
