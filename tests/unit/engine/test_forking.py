"""Processes that are forked from a template are what new interpreters would be, and leave nothing behind."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from phiserve.engine import forking, template
from phiserve.engine.forking import EngineTemplate, NotForked, begin_template, fork_template

WAIT_S = 300
SERVER = """
import multiprocessing, os, signal, sys, threading, time
from phiserve.engine import forking, template

template._MODULES = ()


def told(results, number):
    parent = multiprocessing.parent_process()
    handlers = [str(signal.getsignal(one)) for one in (signal.SIGINT, signal.SIGTERM)]
    name = multiprocessing.current_process().name
    open_now = len(os.listdir("/proc/self/fd"))
    results.send((sys.argv, os.environ["SET_LATER"], parent.pid == os.getppid(), handlers, name, open_now))
    sys.exit(number)


def result(context, forked, number):
    reading, writing = context.Pipe(duplex=False)
    with forked.stands_in():
        process = context.Process(target=told, args=(writing, number), name="told")
        process.start()
    writing.close()
    told_by_it = reading.recv()
    reading.close()
    process.join()
    return process.pid, told_by_it, process.exitcode


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: None)
    with open(os.devnull) as file:  # the template's are no business of the processes'
        forked = forking.fork_template()
    threading.Thread(target=sys.stdin.read, daemon=True).start()
    os.environ["SET_LATER"] = "yes"
    context = multiprocessing.get_context("spawn")
    results = [result(context, each, 7) for each in (forked, forked, forking.EngineTemplate())]
    print(*(told[1:] for told in results), sep="\\n")
    os.kill(forked.pid, signal.SIGKILL)
    print(result(context, forked, 8)[1:], forked.pid)
    print("done", flush=True)
"""


def lines_of(script: str, path: Path) -> tuple[list[str], str]:
    """What a script prints, and says on standard error."""
    file = path / "server.py"
    file.write_text(script)
    ran = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, str(file)],
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=True,
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
        stdin=subprocess.DEVNULL,
    )
    return ran.stdout.splitlines(), ran.stderr


def test_a_fork_is_as_a_new_interpreter(tmp_path: Path) -> None:
    """Arguments, variables set by then, parent, signals, name, open descriptors and exit status; however
    many threads the server has by then. Where the template has been killed it is a new one.
    """
    (first, second, spawned, later), said = lines_of_server(tmp_path)
    assert first == second == spawned
    assert later == f"{spawned.replace(', 7)', ', 8)')} None"
    assert (
        said.count("An engine starts more slowly, in a new interpreter: the process to fork has ended") == 1
    )


def lines_of_server(path: Path) -> tuple[list[str], str]:
    *lines, done = (said := lines_of(SERVER, path))[0]
    assert done == "done"
    return lines, said[1]


KILLED = """
import sys
from phiserve.engine import forking, template
template._MODULES = ()
forked = forking.fork_template()
print(forked.pid, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_template_ends_with_the_server(number: signal.Signals) -> None:
    """However that ends; a signal to both does not end the template first."""
    with subprocess.Popen(  # noqa: S603 - our own command
        [sys.executable, "-c", KILLED], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        process = psutil.Process(int(server.stdout.readline()))
        process.send_signal(signal.SIGTERM)
        assert process.is_running()
        server.send_signal(number)
        server.wait(WAIT_S)
        gone, alive = psutil.wait_procs([process], WAIT_S)
    assert (len(gone), alive) == (1, [])


@pytest.fixture
def forked(monkeypatch: pytest.MonkeyPatch) -> Iterator[EngineTemplate]:
    """A template of this process."""
    monkeypatch.setattr(template, "_MODULES", ())
    forked = fork_template()
    yield forked
    forked.close()


def children() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def test_what_does_not_arrive_leaves_no_process(
    forked: EngineTemplate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Variables that are longer than a message may be."""
    before = children()
    for number in range(4):
        monkeypatch.setenv(f"LONG_{number}", "x" * 100_000)
    with pytest.raises(NotForked, match="too long"):
        forked.start([sys.executable, "-c", "raise SystemExit", "--multiprocessing-fork"], [])
    assert children() == before
    assert forked.pid is not None


def test_libraries_that_have_to_come_first(forked: EngineTemplate, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new interpreter loads them before all else, which a fork can't; those that are loaded are fine."""
    monkeypatch.setenv("LD_PRELOAD", "/no/such/libtcmalloc.so")
    with pytest.raises(NotForked, match="has to load /no/such/libtcmalloc"):
        forked.start([sys.executable, "-c", "", "--multiprocessing-fork"], [])
    with open("/proc/self/maps") as maps:
        loaded = next(line.split()[-1] for line in maps if "libc.so" in line)
    monkeypatch.setenv("LD_PRELOAD", loaded)
    pid = forked.start([sys.executable, "-c", "raise SystemExit(3)", "--multiprocessing-fork"], [])
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3


def test_a_template_that_does_not_answer(forked: EngineTemplate) -> None:
    """It is ended, and nothing is forked any more."""
    assert forked.pid is not None
    process = psutil.Process(forked.pid)
    process.suspend()
    assert forked._process is not None
    forked._process.control.settimeout(0.1)
    with pytest.raises(NotForked, match="has ended"):
        forked.start([sys.executable, "-c", "", "--multiprocessing-fork"], [])
    assert not process.is_running()
    assert forked.pid is None


REAL = """
import multiprocessing, os, sys, time
from vllm.v1.engine.core import EngineCoreProc
from phiserve.engine.process import reported
from phiserve.engine.forking import begin_template
from phiserve.engine.template import num_threads
from phiserve.plugin.core_process import failures_reported


def tell(results):
    import torch
    before = num_threads()
    square = torch.ones(512, 512)
    results.send((before, float((square @ square).sum()), "phiserve.plugin.worker" in sys.modules))


if __name__ == "__main__":
    began = begin_template()
    context = multiprocessing.get_context("spawn")
    print(num_threads(), began.pid is not None)
    for _ in range(2):
        reading, writing = context.Pipe(duplex=False)
        with began.stands_in():
            context.Process(target=tell, args=(writing,)).start()
        print(*reading.recv())
    with failures_reported() as failures, began.stands_in():
        process = context.Process(target=EngineCoreProc.run_engine_core)
        process.start()
    process.join()
    print(process.exitcode, reported(failures).line)
"""


def test_all_that_engines_need(tmp_path: Path) -> None:
    """Nothing of it begins a thread when it is imported, so that the template can fork; what it forks
    computes on all cores, and fails as an engine's process does.
    """
    (server, *computed, failed), said = lines_of(REAL, tmp_path)
    assert server == "1 True"
    assert computed == ["1 134217728.0 True"] * 2
    assert failed.startswith("1 KeyError: 'vllm_config' (core.py:")
    assert "Traceback" not in said


def test_processes_with_threads_are_not_forked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Engines' processes are new interpreters then."""
    before = children()
    monkeypatch.setattr(forking, "num_threads", lambda: 2)
    begun = begin_template()
    assert begun.pid is None
    assert children() == before
    begun.close()
