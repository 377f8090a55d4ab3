"""The server as a process: what it says, how it ends, and that it leaves nothing behind."""

import re
import signal
import threading
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import pytest

from e2e.conftest import MODEL
from e2e.processes import gone, wait_until
from e2e.running import START_TIMEOUT_S, ServerProcess, server_process

BODY = {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}], "stream": True, "ignore_eos": True}


def descendants(server: ServerProcess) -> list[psutil.Process]:
    return psutil.Process(server.process.pid).children(recursive=True)


def engine_is_loading(server: ServerProcess) -> bool:
    """Whether the engine's process is there; others come and go while one looks."""
    for process in descendants(server):
        with suppress(psutil.Error):
            if process.name().startswith("VLLM") or "EngineCore" in " ".join(process.cmdline()):
                return True
    return False


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


@pytest.mark.parametrize(("number", "group"), [(signal.SIGTERM, False), (signal.SIGINT, True)])
def test_settings_reach_the_engine_and_running_streams_finish(
    tmp_path: Path, number: int, group: bool
) -> None:
    """File, environment and flags arrive; on SIGTERM, or Ctrl-C in a terminal, a running answer is finished,
    then all ends.
    """
    file = tmp_path / "settings.yaml"
    file.write_text("served_model_name: other\nshutdown_grace_s: 30\nengine: {max_model_len: 6000}\n")
    arguments = ["--config", str(file), "--served-model-name", MODEL, "--engine", "max_num_seqs=5"]
    with server_process(*arguments, XDG_CACHE_HOME=str(tmp_path), PHISERVE_MAX_CROPS="4") as server:
        server.wait_until_ready()
        card = httpx.get(f"{server.url}/v1/models").json()["data"][0]
        assert (card["id"], card["max_model_len"], card["max_crops"]) == (MODEL, 6000, 4)
        assert "context 6000 tokens, long RoPE" in "".join(server.lines)
        processes = descendants(server)
        assert processes
        lines: list[str] = []
        begun = threading.Event()

        def listen() -> None:
            with httpx.stream(
                "POST", f"{server.url}/v1/chat/completions", json=BODY | {"max_tokens": 300}, timeout=60
            ) as r:
                for line in r.iter_lines():
                    lines.append(line)
                    begun.set()

        listening = threading.Thread(target=listen)
        listening.start()
        assert begun.wait(60)
        assert server.stop(number, group=group) in (0, 130, 143)
        listening.join(30)
        assert lines[-2:] == ["data: [DONE]", ""]
        assert '"finish_reason":"length"' in "".join(lines)
        wait_until(lambda: gone(processes))


def test_ctrl_c_ends_endless_streams_after_the_grace(tmp_path: Path) -> None:
    """A stream that does not end in time is cut, and the engine's processes end too."""
    with server_process(XDG_CACHE_HOME=str(tmp_path), PHISERVE_SHUTDOWN_GRACE_S="1") as server:
        server.wait_until_ready()
        processes = descendants(server)
        with httpx.stream("POST", f"{server.url}/v1/chat/completions", json=BODY, timeout=60) as response:
            next(response.iter_lines())
            server.stop(signal.SIGINT, group=True)
        wait_until(lambda: gone(processes))
        assert "Traceback" not in "".join(server.lines)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_loading_ends_everything(tmp_path: Path, number: int) -> None:
    """A server that is still loading its model can be ended like any other."""
    with server_process(XDG_CACHE_HOME=str(tmp_path)) as server:
        wait_until(lambda: engine_is_loading(server), START_TIMEOUT_S)
        processes = descendants(server)
        server.stop(number)
        wait_until(lambda: gone(processes))


def test_a_killed_server_leaves_no_engine_behind(tmp_path: Path) -> None:
    """SIGKILL leaves it no time to end anything: its processes see to that themselves, in the middle of an
    answer too.
    """
    with server_process(XDG_CACHE_HOME=str(tmp_path)) as server:
        server.wait_until_ready()
        processes = descendants(server)
        assert any(process.name().startswith("VLLM") for process in processes)
        with httpx.stream("POST", f"{server.url}/v1/chat/completions", json=BODY, timeout=60) as response:
            next(response.iter_lines())
            server.process.kill()
        wait_until(lambda: gone(processes))
        assert server.stop() == -signal.SIGKILL


def test_a_server_killed_while_loading_leaves_no_engine_behind(tmp_path: Path) -> None:
    """Also before the engine has loaded any plugin, when it would wait for its server for minutes."""
    with server_process(XDG_CACHE_HOME=str(tmp_path)) as server:
        wait_until(lambda: engine_is_loading(server), START_TIMEOUT_S)
        processes = descendants(server)
        server.process.kill()
        wait_until(lambda: gone(processes), 120)
        assert server.stop() == -signal.SIGKILL
