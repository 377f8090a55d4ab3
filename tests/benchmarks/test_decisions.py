"""The part's servers take turns, and each is asked in its own ways about images that nobody has seen."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks import decisions as part
from benchmarks.bench import Bench
from benchmarks.decisions import CHAT, DECISIONS, FIRST, HELD, LOW, ONE_ORDER, PHOTO, REAL_PHOTO, SMALL
from benchmarks.looks import Look, Requests
from benchmarks.peers import PHISERVE, VLLM, RunningPeer
from benchmarks.records import Record, ResultsFile
from benchmarks.targets import TARGETS
from runs import CONTEXT


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Servers that are none; one question takes a second, each further one a tenth."""
    sent: set[bytes] = set()

    @contextmanager
    def serving(
        self: Bench, peer: str, checkpoint: str, settings: object, **own: str
    ) -> Iterator[RunningPeer]:
        sent.clear()
        yield RunningPeer(peer, "http://127.0.0.1:9", os.getpid(), 1.5)

    def look_at(url: str, groups: Sequence[Requests], at_once: int) -> list[Look]:
        bodies = {body for group in groups for body in group.bodies}
        assert not bodies & sent
        sent.update(bodies)
        return [Look(group.questions, 0.0, (0.9 + group.questions / 10,), ()) for group in groups]

    monkeypatch.setattr(Bench, "serving", serving)
    monkeypatch.setattr(part, "look_at", look_at)
    monkeypatch.setattr(part, "read", lambda url: {"pictures_decoded": 1.0})
    return Bench(ResultsFile(tmp_path / "run.json", CONTEXT), tmp_path, tmp_path, short=False, repeat=2)


def found(bench: Bench, album: str) -> list[Record]:
    return [record for record in bench.results.results.records if record.workload == album]


def test_each_is_asked_in_its_own_ways(bench: Bench) -> None:
    """Photos in each turn, the albums of many images once, the real tower without a second phiserve."""
    part.decisions(bench)
    ways = [(PHISERVE, DECISIONS), (PHISERVE, HELD), (PHISERVE, FIRST), (VLLM, CHAT)]
    one_order = [(ONE_ORDER, DECISIONS), (ONE_ORDER, FIRST)]
    photos = [(one.peer, one.load) for one in found(bench, PHOTO.name)]
    assert photos == (ways[:3] * 3 + ways[3:] * 3 + one_order * 3) * 2
    assert sorted({one.repetition for one in found(bench, PHOTO.name)}) == list(range(6))
    assert [(one.peer, one.load) for one in found(bench, REAL_PHOTO.name)] == ways * 2
    for album in (LOW, SMALL):
        asked = [(one.peer, one.load, one.measures["questions"]) for one in found(bench, album.name)]
        every = float(album.images * album.questions)
        expected = [(PHISERVE, DECISIONS), (PHISERVE, HELD), (VLLM, CHAT), (ONE_ORDER, DECISIONS)]
        assert asked == [(peer, way, every) for peer, way in expected]


def test_albums_that_are_compared_with_plain_vllm_are_alike() -> None:
    """It has no `detail`: what only we look at less closely has no target."""
    compared = [album for album in (PHOTO, REAL_PHOTO, SMALL) if _is_a_target(album.name)]
    assert [album.detail for album in compared] == [None] * 3
    assert not _is_a_target(LOW.name)
    assert (SMALL.images, SMALL.questions) == (64, 5)


def _is_a_target(workload: str) -> bool:
    return f"questions/s, {workload}" in {target.name for target in TARGETS}


def test_what_the_other_questions_take(bench: Bench) -> None:
    """Over the first one's time, about another photo in the same turn."""
    part.decisions(bench)
    alone = [one.measures for one in found(bench, PHOTO.name) if one.load == FIRST]
    assert [one["last_answer_s"] for one in alone] == [pytest.approx(1.0)] * len(alone)
    assert [one["further_s"] for one in alone] == [pytest.approx(1.9)] * len(alone)


def test_short_runs_show_fewer_images(bench: Bench) -> None:
    bench.short, bench.repeat = True, 1
    part.decisions(bench)
    assert [one.measures["questions"] for one in found(bench, PHOTO.name)] == [20, 20, 1, 20, 20, 1]
    assert {one.measures["questions"] for one in found(bench, LOW.name)} == {20}
    assert found(bench, REAL_PHOTO.name) == found(bench, SMALL.name) == []
