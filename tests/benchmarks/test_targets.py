"""Targets are ratios to a peer in the same run, and told as reached, missed or not measured."""

from pathlib import Path

import pytest

from benchmarks import batches, burst
from benchmarks.bench import Bench
from benchmarks.clip import clip_plan
from benchmarks.decisions import CHAT, DECISIONS, FIRST, HELD, PART, PHOTO, REAL_PHOTO, SMALL
from benchmarks.records import Record, ResultsFile
from benchmarks.render import STAGE_KINDS
from benchmarks.serving import Plan, image_plan, text_plan
from benchmarks.targets import TARGETS, Target, divided, to_vllm
from benchmarks.transformers_runs import BATCH, CLIENTS, NAME, ONE
from runs import CONTEXT, record, results

MEASURES = (
    *("images_per_s", "seen_images_per_s", "bytes_to_engine", "cpu_api_us_per_token", "output_tokens_per_s"),
    *("requests_per_s", "itl_p99_ms", "ready_s", "peak_all_bytes", "burst_s"),
    *("questions_per_s", "last_answer_s", "further_s", "ttft_p50_ms", "ttft_p99_ms"),
    *("grown_api_bytes", "input_bytes"),
)


def both(
    part: str, workload: str, load: str, measure: str, ours: float, theirs: float
) -> tuple[float | None, bool]:
    """The ratio and whether a target of 2 is reached."""
    found = results(
        record(part, "phiserve", workload, load, 0, **{measure: ours}),
        record(part, "vllm", workload, load, 0, **{measure: theirs}),
    )
    target = Target("x", 2, to_vllm(part, workload, load, measure), "")
    ratio = target.ratio(found)
    return ratio, ratio is not None and target.reached(ratio)


def test_at_least() -> None:
    assert both("stages", "1 MP", "one core", "images_per_s", 30, 10) == (3, True)
    assert both("stages", "1 MP", "one core", "images_per_s", 19, 10) == (1.9, False)


def test_at_most() -> None:
    target = Target("x", 0.5, to_vllm("a", "b", "c", "d"), "", at_most=True)
    assert [target.reached(ratio) for ratio in (0.4, 0.5, 0.51)] == [True, True, False]


@pytest.mark.parametrize(("ours", "theirs"), [(None, 1.0), (1.0, None), (1.0, 0.0)])
def test_not_measured(ours: float | None, theirs: float | None) -> None:
    assert divided(ours, theirs) is None


def full_run(bench: Bench) -> list[Record]:
    """A record of everything that parts would measure, all numbers 1."""
    plans: dict[str, Plan] = {
        "text": text_plan(bench),
        "pictures": image_plan(bench),
        "clip": clip_plan(bench),
    }
    cells = [(part, workload.name, load.name) for part, plan in plans.items() for workload, load, _ in plan]
    cells += [(part, "session", "") for part in plans]
    cells += [("stages", kind, cores) for kind in STAGE_KINDS for cores in ("one core", "all cores")]
    cells += [
        (part, f"{burst.STREAMS} text streams", load)
        for part in (burst.SMALL, burst.REAL)
        for load in (burst.QUIET, f"{burst.IMAGES} pictures")
    ]
    cells += [(NAME, workload, f"{CLIENTS} clients") for workload in ("text", "1 MP")]
    albums = (PHOTO, REAL_PHOTO, SMALL)
    cells += [(PART, album.name, way) for album in albums for way in (DECISIONS, FIRST, HELD, CHAT)]
    ways = (batches.BATCH, batches.FULL, batches.CHATS)
    asked = (batches.SMALL, batches.PHOTOS)
    cells += [(batches.PART, questions.name, way) for questions in asked for way in ways]
    cells += [(batches.PART, batches.WAITING, way) for way in (batches.ALONE, batches.BESIDE)]
    cells += [(batches.PART, batches.READING, f"{batches.MOST_LINES} lines")]
    measures = dict.fromkeys(MEASURES, 1.0)
    found = [
        record(part, peer, workload, load, 0, **measures)
        for part, workload, load in cells
        for peer in ("phiserve", "vllm")
    ]
    theirs = [
        record(NAME, NAME, workload, load, 0, **measures)
        for workload in ("text", "1 MP")
        for load in (ONE, BATCH)
    ]
    streams, pictures = f"{burst.STREAMS} text streams", f"{burst.IMAGES} pictures"
    long_slices = record(burst.REAL, burst.LONG_SLICES, streams, pictures, 0, **measures)
    return [*found, *theirs, long_slices]


def test_every_target_is_measured_by_a_full_run(tmp_path: Path) -> None:
    """Parts, workloads and loads are called what the targets call them."""
    bench = Bench(ResultsFile(tmp_path / "run.json", CONTEXT), tmp_path, tmp_path, short=False, repeat=1)
    found = results(*full_run(bench))
    assert [target.name for target in TARGETS if target.ratio(found) != 1] == []


def test_an_empty_run_reaches_nothing() -> None:
    assert [target.ratio(results()) for target in TARGETS] == [None] * len(TARGETS)
