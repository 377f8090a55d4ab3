"""The engine's process ends or stands still, and the server goes on by itself."""

import os
import re
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import openai
import psutil
import pytest

from collector import Collector, Taken, collecting
from e2e.conftest import MODEL
from e2e.livelock import LIVELOCK
from e2e.processes import wait_until
from e2e.running import START_TIMEOUT_S, ServerProcess, server_process

BODY = {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}], "ignore_eos": True}
LONG = BODY | {"stream": True, "max_tokens": 3500}
LEAKED_MIB = 80
"""Most memory that three engines may leave behind in the server's process: the second costs some once."""


@pytest.fixture(scope="module")
def livelock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that makes an engine go round without a step while it is there."""
    return tmp_path_factory.mktemp("livelock") / "on"


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    """What takes the server's traces."""
    with collecting() as collector:
        yield collector


@pytest.fixture(scope="module")
def restarting(livelock: Path, collector: Collector) -> Iterator[ServerProcess]:
    """A server that notices at once when its engine stands still, and starts as many as the tests need."""
    engine = "--engine", "scheduler_cls=e2e.livelock.LivelockingScheduler"
    environment = {
        "PHISERVE_ENGINE_HANG_S": "3",
        "PHISERVE_MAX_ENGINE_RESTARTS": "20",
        "PHISERVE_TRACES_URL": collector.url,
        "OTEL_BSP_SCHEDULE_DELAY": "200",  # milliseconds
        "PYTHONPATH": os.pathsep.join(sys.path),  # the scheduler is the tests' own
        LIVELOCK: str(livelock),
    }
    with server_process(*engine, **environment) as server:
        server.wait_until_ready()
        yield server


def engine_of(server: ServerProcess) -> psutil.Process:
    children = psutil.Process(server.process.pid).children(recursive=True)
    (engine,) = [child for child in children if child.name().startswith("VLLM")]
    return engine


def ready_reason(server: ServerProcess) -> str | None:
    """Why the server is not ready; None when it is."""
    response = httpx.get(f"{server.url}/ready", timeout=30)
    return None if response.status_code == 200 else response.json()["error"]["message"]


def counter(server: ServerProcess, name: str) -> float:
    """A counter's value, over all its labels."""
    text = httpx.get(f"{server.url}/metrics", timeout=30).text
    return sum(float(value) for value in re.findall(rf"^{re.escape(name)}(?:\{{.*\}})? (\S+)$", text, re.M))


def answer(server: ServerProcess, **more: object) -> httpx.Response:
    url = f"{server.url}/v1/chat/completions"
    return httpx.post(url, json=BODY | {"max_tokens": 5} | more, timeout=START_TIMEOUT_S)


class Streaming(threading.Thread):
    """Reads a long stream to its end."""

    def __init__(self, server: ServerProcess) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.begun = threading.Event()
        self._url = f"{server.url}/v1/chat/completions"
        self.start()
        assert self.begun.wait(60)

    def run(self) -> None:
        with httpx.stream("POST", self._url, json=LONG, timeout=90) as response:
            for line in response.iter_lines():
                self.lines.append(line)
                self.begun.set()

    def error_frame(self) -> str:
        """The last event of the finished stream."""
        self.join(START_TIMEOUT_S)
        *_, error, _, done, _ = self.lines
        assert done == "data: [DONE]"
        return error


def test_a_killed_engine_comes_back(restarting: ServerProcess) -> None:
    """A stream is told of it, an answer that had not begun comes from the new engine, counters go on."""
    assert ready_reason(restarting) is None
    old = engine_of(restarting)
    streaming = Streaming(restarting)
    answers: list[httpx.Response] = []
    whole = threading.Thread(target=lambda: answers.append(answer(restarting, max_tokens=3000)))
    whole.start()
    before = counter(restarting, "vllm:prompt_tokens_total")
    wait_until(lambda: counter(restarting, "vllm:num_requests_running") >= 2, 30)
    old.send_signal(signal.SIGKILL)
    wait_until(lambda: ready_reason(restarting) is not None, 30)
    wait_until(lambda: counter(restarting, "vllm:num_requests_running") == 0, 10)
    reason = ready_reason(restarting)
    assert reason is None or "was ended by SIGKILL; a new engine is being started (start 1" in reason
    assert httpx.get(f"{restarting.url}/health").status_code == 200
    frame = streaming.error_frame()
    assert '"code":"engine_unavailable"' in frame
    assert "The engine ended during this answer" in frame
    whole.join(START_TIMEOUT_S)
    assert answers[0].status_code == 200
    assert answers[0].json()["usage"]["completion_tokens"] == 3000
    wait_until(lambda: ready_reason(restarting) is None, START_TIMEOUT_S)
    assert engine_of(restarting).pid != old.pid
    assert counter(restarting, "phiserve_engine_restarts_total") == 1
    assert counter(restarting, "phiserve_requests_resent_total") == 1
    assert counter(restarting, "vllm:prompt_tokens_total") > before


def test_an_engine_that_stands_still_is_replaced(restarting: ServerProcess) -> None:
    """It is found out while somebody waits for it, within engine_hang_s."""
    old = engine_of(restarting)
    streaming = Streaming(restarting)
    old.send_signal(signal.SIGSTOP)
    assert "The engine ended during this answer" in streaming.error_frame()
    with openai.OpenAI(base_url=f"{restarting.url}/v1", api_key="none", max_retries=0) as client:
        completion = client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": "Hi"}], max_tokens=5
        )
    assert completion.usage is not None
    assert engine_of(restarting).pid != old.pid
    assert not psutil.pid_exists(old.pid)
    assert "answered nothing for 3 s and was ended" in "".join(restarting.lines)


def test_an_engine_that_goes_round_without_a_step_is_replaced(
    restarting: ServerProcess, livelock: Path
) -> None:
    """Its loop answers all the while, and it is found out all the same."""
    old = engine_of(restarting)
    streaming = Streaming(restarting)
    livelock.touch()
    wait_until(lambda: ready_reason(restarting) is not None, 60)
    livelock.unlink()
    assert "The engine ended during this answer" in streaming.error_frame()
    assert answer(restarting).status_code == 200
    assert engine_of(restarting).pid != old.pid
    assert "answered, but made no step for 3 s and was ended" in "".join(restarting.lines)
    assert "Traceback" not in "".join(restarting.lines)


def test_traces_reach_into_the_engine(restarting: ServerProcess, collector: Collector) -> None:
    """vLLM's own span is a part of ours, which is a part of the client's; here of an engine that has taken
    another's place.
    """
    trace_id, client_span = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    headers = {"traceparent": f"00-{trace_id}-{client_span}-01"}
    url = f"{restarting.url}/v1/chat/completions"
    assert httpx.post(url, json=BODY | {"max_tokens": 5}, headers=headers, timeout=60).status_code == 200

    def spans() -> dict[str, Taken]:
        return {span.name: span for span in collector.spans if span.trace_id == trace_id}

    wait_until(lambda: {"llm_request", "POST /v1/chat/completions"} <= spans().keys(), 30)
    ours, engines = spans()["POST /v1/chat/completions"], spans()["llm_request"]
    assert (ours.parent_id, engines.parent_id) == (client_span, ours.span_id)
    assert ours.began_ns < engines.began_ns <= engines.ended_ns
    assert engines.attributes["gen_ai.usage.completion_tokens"] == 5
    assert engines.resource["service.name"] == ours.resource["service.name"] == "phiserve"


def test_an_engine_that_fails_says_why_once(restarting: ServerProcess, livelock: Path) -> None:
    """In one line of the log, which clients do not get, and without a traceback."""
    streaming = Streaming(restarting)
    livelock.with_name("failing").write_text("a step is broken")
    livelock.with_name("failing").rename(livelock)
    wait_until(lambda: ready_reason(restarting) is not None, 60)
    livelock.unlink()
    assert "a step is broken" not in streaming.error_frame()
    assert answer(restarting).status_code == 200
    text = "".join(restarting.lines)
    assert text.count("The engine's process failed: RuntimeError: a step is broken (livelock.py:") == 1
    assert text.count("a step is broken") == 1
    assert "Traceback" not in text


def test_nothing_stays_of_ended_engines(restarting: ServerProcess) -> None:
    """Threads, descriptors, memory, requests."""

    def held() -> tuple[int, int, float]:
        process = psutil.Process(restarting.process.pid)
        assert answer(restarting).status_code == 200
        return process.num_threads(), process.num_fds(), process.memory_info().rss / 2**20

    threads, descriptors, memory = held()
    for _ in range(2):
        engine_of(restarting).send_signal(signal.SIGKILL)
        wait_until(lambda: ready_reason(restarting) is not None, 30)
        assert answer(restarting).status_code == 200
    threads_after, descriptors_after, memory_after = held()
    assert threads_after <= threads + 2  # workers of the default pool, which has a bound
    assert descriptors_after <= descriptors + 2
    assert memory_after <= memory + LEAKED_MIB
    assert counter(restarting, "vllm:num_requests_running") == 0


def test_the_server_ends_when_no_engine_stays() -> None:
    """With a status that makes a service manager start it anew."""
    with server_process(PHISERVE_MAX_ENGINE_RESTARTS="0") as server:
        server.wait_until_ready()
        os.kill(engine_of(server).pid, signal.SIGKILL)
        assert server.process.wait(60) not in (0, None)
        server.stop()
        assert "was ended by SIGKILL" in "".join(server.lines)
        assert "Traceback" not in "".join(server.lines)
