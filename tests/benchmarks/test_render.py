"""Rendering is measured the same for whoever renders."""

import asyncio

import pytest

from benchmarks.render import SEEN_AGAIN, Options, measure_rendering, merge_stages


def test_measured_rendering() -> None:
    """Every unique image once, then one of them again and again, and some alone; bytes are those of unique
    ones.
    """
    seen: set[bytes] = set()
    calls: list[bytes] = []

    async def render(body: bytes) -> int:
        calls.append(body)
        await asyncio.sleep(0)
        new = body not in seen
        seen.add(body)
        return 1000 if new else 0

    options = Options(("small PNG",), one_core=True, images=5, repeat=3, model="")
    found = asyncio.run(measure_rendering(render, options))["small PNG"]
    assert (len(calls), len(seen)) == (1 + 5 + SEEN_AGAIN * 3 + 3, 1 + 5 + 3)
    assert found["bytes_to_engine"] == 1000
    assert found["images_per_s"] > 0
    assert found["seen_images_per_s"] > 0


def test_stages_are_told_beside_the_rest() -> None:
    assert merge_stages({"1 MP": {"images_per_s": 2.0}}, {"1 MP": {"decode": 3.0}}) == {
        "1 MP": {"images_per_s": 2.0, "stage_decode_ms": 3.0}
    }


def test_one_core_is_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything starts threads."""
    import os

    from benchmarks import render

    bound: list[set[int]] = []
    monkeypatch.setattr(os, "sched_setaffinity", lambda pid, cores: bound.append(cores))
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setattr("sys.argv", ["stages", "--cores", "one", "--kinds", "1 MP"])
    options = render.read_options("")
    assert (options.one_core, options.kinds) == (True, ("1 MP",))
    assert [len(cores) for cores in bound] == [1]
    assert os.environ["OMP_NUM_THREADS"] == "1"
