"""The server as a process: what it says, how it ends, and that it leaves nothing behind."""

import re
import signal
import threading
from contextlib import suppress

import httpx
import psutil
import pytest

from e2e.conftest import MODEL
from e2e.processes import gone, wait_until
from e2e.running import START_TIMEOUT_S, ServerProcess, server_process

BODY = {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}], "stream": True, "ignore_eos": True}
CHOICES = 16
"""Of an answer that takes longer than a second to fill a small context."""


def descendants(server: ServerProcess) -> list[psutil.Process]:
    return psutil.Process(server.process.pid).children(recursive=True)


def engine_is_loading(server: ServerProcess) -> bool:
    """Whether the engine's process is there; others come and go while one looks."""
    for process in descendants(server):
        with suppress(psutil.Error):
            if process.name().startswith("VLLM") or "EngineCore" in " ".join(process.cmdline()):
                return True
    return False


def requests_in_engine(server: ServerProcess) -> float:
    """Requests that run or wait, by the engine's metrics."""
    text = httpx.get(f"{server.url}/metrics").text
    return sum(map(float, re.findall(r"^vllm:num_requests_(?:running|waiting)\{.*\} (.*)$", text, re.M)))


def test_banner(server: ServerProcess) -> None:
    """States address, device, dtype, context and RoPE, capacity, max_crops, and that the answers mean
    nothing.
    """
    text = "".join(server.lines)
    for said in ("mean nothing", "device cpu, dtype ", "context 4096 tokens, short RoPE", "max_crops 16"):
        assert said in text
    assert re.search(r"dtype (bfloat16|float32)$", text, re.M)  # by what the processor multiplies
    assert "requests with one image at once" in text
    assert "Traceback" not in text


def test_settings_reach_the_engine(configured_server: ServerProcess) -> None:
    """File, environment and flags."""
    card = httpx.get(f"{configured_server.url}/v1/models").json()["data"][0]
    assert (card["id"], card["max_model_len"], card["max_crops"]) == (MODEL, 6000, 4)
    said = "context 6000 tokens, short RoPE factors up to 4096, long ones beyond"
    assert said in "".join(configured_server.lines)


def test_sigterm_lets_running_streams_finish(configured_server: ServerProcess) -> None:
    """A running answer is finished, then all ends, with status 0."""
    assert assert_finished(configured_server, MODEL, signal.SIGTERM, group=False) == 0


def test_ctrl_c_lets_running_streams_finish(demo_server: ServerProcess) -> None:
    """In a terminal, which sends it to the engine's process too."""
    assert_finished(demo_server, "phiserve-demo", signal.SIGINT, group=True)


def assert_finished(server: ServerProcess, model: str, number: int, *, group: bool) -> int:
    """End a server in the middle of an answer: the answer comes whole, and no process stays. The exit
    status.
    """
    processes = descendants(server)
    assert processes
    lines: list[str] = []
    begun = threading.Event()

    def listen() -> None:
        body = BODY | {"model": model, "max_tokens": 150}
        with httpx.stream("POST", f"{server.url}/v1/chat/completions", json=body, timeout=60) as response:
            for line in response.iter_lines():
                lines.append(line)
                begun.set()

    listening = threading.Thread(target=listen)
    listening.start()
    assert begun.wait(60)
    status = server.stop(number, group=group)
    assert status in (0, 130, 143)
    listening.join(30)
    assert lines[-2:] == ["data: [DONE]", ""]
    assert '"finish_reason":"length"' in "".join(lines)
    wait_until(lambda: gone(processes))
    return status


def test_ctrl_c_ends_long_streams_after_the_grace(short_server: ServerProcess) -> None:
    """A stream that does not end in time is told so, and the engine's processes end too."""
    processes = descendants(short_server)
    body = BODY | {"n": CHOICES}
    with httpx.stream("POST", f"{short_server.url}/v1/chat/completions", json=body, timeout=60) as response:
        lines = response.iter_lines()  # kept: without it, httpx would hang up
        next(lines)
        short_server.stop(signal.SIGINT, group=True)
        *_, error, _, done, _ = lines
    assert "The server is shutting down" in error
    assert done == "data: [DONE]"
    wait_until(lambda: gone(processes))
    assert "Traceback" not in "".join(short_server.lines)


def test_a_second_sigterm_ends_at_once() -> None:
    """However long the grace: streams and whole answers are told, and no process stays."""
    with server_process(PHISERVE_SHUTDOWN_GRACE_S="600") as server:
        server.wait_until_ready()
        processes = descendants(server)
        url, answers = f"{server.url}/v1/chat/completions", []

        def ask() -> None:
            answers.append(httpx.post(url, json=BODY | {"n": CHOICES, "stream": False}, timeout=60))

        asking = threading.Thread(target=ask)
        with httpx.stream("POST", url, json=BODY | {"n": CHOICES}, timeout=60) as response:
            lines = response.iter_lines()
            next(lines)
            asking.start()
            wait_until(lambda: requests_in_engine(server) > CHOICES)
            server.process.send_signal(signal.SIGTERM)
            wait_until(lambda: httpx.get(f"{server.url}/ready").status_code == 503)
            assert httpx.post(url, json=BODY).headers["retry-after"] == "2"
            assert server.stop(signal.SIGTERM) == 128 + signal.SIGTERM
            *_, error, _, done, _ = lines
        asking.join(30)
        assert ("The server is shutting down" in error, done) == (True, "data: [DONE]")
        assert [answer.status_code for answer in answers] == [503]
        wait_until(lambda: gone(processes))
        assert "Traceback" not in "".join(server.lines)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_loading_ends_everything(number: int) -> None:
    """A server that is still loading its model can be ended like any other."""
    with server_process() as server:
        wait_until(lambda: engine_is_loading(server), START_TIMEOUT_S)
        processes = descendants(server)
        server.stop(number)
        wait_until(lambda: gone(processes))


def test_a_killed_server_leaves_no_engine_behind(server: ServerProcess) -> None:
    """SIGKILL leaves it no time to end anything: its processes see to that themselves, in the middle of an
    answer too.
    """
    processes = descendants(server)
    assert any(process.name().startswith("VLLM") for process in processes)
    with httpx.stream("POST", f"{server.url}/v1/chat/completions", json=BODY, timeout=60) as response:
        lines = response.iter_lines()  # kept: without it, httpx would hang up
        next(lines)
        server.process.kill()
    wait_until(lambda: gone(processes))
    assert server.stop() == -signal.SIGKILL


def test_a_server_killed_while_loading_leaves_no_engine_behind() -> None:
    """Also before the engine has loaded any plugin, when it would wait for its server for minutes."""
    with server_process() as server:
        wait_until(lambda: engine_is_loading(server), START_TIMEOUT_S)
        processes = descendants(server)
        server.process.kill()
        wait_until(lambda: gone(processes), 120)
        assert server.stop() == -signal.SIGKILL
