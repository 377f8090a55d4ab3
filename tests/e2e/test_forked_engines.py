"""Engines are forked from a template that has imported everything once; its loss costs only time."""

import signal
from contextlib import suppress

import httpx
import psutil

from e2e.conftest import MODEL
from e2e.processes import gone, wait_until
from e2e.running import START_TIMEOUT_S, ServerProcess, server_process

BODY = {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 20, "temperature": 0}
NEW_INTERPRETER = "in a new interpreter"


def named(server: ServerProcess, beginning: str) -> list[psutil.Process]:
    """The server's processes whose name begins so; others come and go while one looks."""
    found = []
    for process in psutil.Process(server.process.pid).children():
        with suppress(psutil.Error):
            if process.name().startswith(beginning):
                found.append(process)
    return found


def answer(server: ServerProcess) -> str:
    """An answer, by whichever engine comes to it."""
    response = httpx.post(f"{server.url}/v1/chat/completions", json=BODY, timeout=START_TIMEOUT_S)
    assert response.status_code == 200, response.text
    content: str = response.json()["choices"][0]["message"]["content"]
    return content


def answer_of_another(server: ServerProcess) -> str:
    """An answer by an engine that has taken the place of one that is killed."""
    (engine,) = named(server, "VLLM")
    engine.kill()
    wait_until(lambda: gone([engine]))
    content = answer(server)
    (other,) = named(server, "VLLM")
    assert other.pid != engine.pid
    return content


def test_engines_are_forked() -> None:
    """The first one and those after it, until the template is killed, which ends no engine: the next one is a
    new interpreter. All answer alike. A server that is killed leaves nothing behind.
    """
    with server_process() as server:
        server.wait_until_ready()
        first = answer(server)
        assert answer_of_another(server) == first
        assert NEW_INTERPRETER not in "".join(server.lines)
        (template,) = named(server, "phiserve::Engin")
        assert template.num_threads() == 1
        template.kill()
        wait_until(lambda: gone([template]))
        assert answer(server) == first
        assert answer_of_another(server) == first
        assert "".join(server.lines).count(NEW_INTERPRETER) == 1


def test_a_killed_server_leaves_no_template() -> None:
    """Nor an engine."""
    with server_process() as server:
        server.wait_until_ready()
        processes = psutil.Process(server.process.pid).children(recursive=True)
        assert len(named(server, "phiserve::Engin")) == len(named(server, "VLLM")) == 1
        assert server.stop(signal.SIGKILL) == -signal.SIGKILL
        wait_until(lambda: gone(processes))
