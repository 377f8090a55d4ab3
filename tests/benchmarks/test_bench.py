"""Servers take turns, and one that fails holds up no other."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.bench import Bench
from benchmarks.peers import RunningPeer
from benchmarks.records import Record, ResultsFile
from runs import CONTEXT, record


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Servers that are none: plain vLLM's does not start the second time."""
    starts: list[str] = []

    @contextmanager
    def serving(self: Bench, peer: str, checkpoint: str, settings: object = None) -> Iterator[RunningPeer]:
        starts.append(peer)
        if peer == "vllm" and starts.count("vllm") == 2:
            raise RuntimeError("no memory")
        yield RunningPeer(peer, "http://127.0.0.1:9", 2**22 + 1, 1.5)

    monkeypatch.setattr(Bench, "serving", serving)
    return Bench(ResultsFile(tmp_path / "run.json", CONTEXT), tmp_path, tmp_path, short=False, repeat=3)


def test_turns_and_failures(bench: Bench) -> None:
    """A B A B A: what was measured is written down, sessions too, and the failure is raised in the end."""

    def measure(server: RunningPeer, repetition: int) -> Iterator[Record]:
        yield record("text", server.name, "text", "1 client", repetition, x=1.0)

    with pytest.raises(RuntimeError, match="vllm: no memory"):
        bench.in_turn("text", "small", measure)
    order = [(one.peer, one.repetition) for one in bench.results.results.records if one.workload == "text"]
    assert order == [("phiserve", 0), ("vllm", 0), ("phiserve", 1), ("phiserve", 2)]
    sessions = [one for one in bench.results.results.records if one.workload == "session"]
    assert [one.measures["ready_s"] for one in sessions] == [1.5] * 4


def test_variants_are_ours_under_names_of_their_own(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each with its variables."""
    started: list[tuple[str, dict[str, str]]] = []

    @contextmanager
    def serving(
        self: Bench, peer: str, checkpoint: str, settings: object, **variables: str
    ) -> Iterator[RunningPeer]:
        started.append((peer, variables))
        yield RunningPeer(peer, "http://127.0.0.1:9", 2**22 + 1, 1.5)

    monkeypatch.setattr(Bench, "serving", serving)
    bench.repeat = 1
    bench.in_turn("text", "small", lambda server, repetition: [], {"one core": {"PHISERVE_X": "1"}})
    assert started == [("phiserve", {}), ("vllm", {}), ("phiserve", {"PHISERVE_X": "1"})]
    assert [one.peer for one in bench.results.results.records] == ["phiserve", "vllm", "one core"]


def test_short_runs_ask_less(bench: Bench) -> None:
    assert bench.count(100, 4) == 100
    bench.short = True
    assert bench.count(100, 4) == 4


def test_how_many_requests(bench: Bench) -> None:
    """A share of many, all of few, and what a short run has."""
    assert [bench.count(full, 20) for full in (1000, 60)] == [1000, 60]
    bench.share = 0.3
    assert [bench.count(full, 20) for full in (1000, 250, 60)] == [300, 128, 60]
    bench.short = True
    assert bench.count(1000, 20) == 20
