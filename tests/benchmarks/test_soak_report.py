"""What a soak came to is checked, written down and drawn."""

import json
from dataclasses import replace
from pathlib import Path

from benchmarks.records import Context
from benchmarks.soak_fates import ANSWERED, TOLD, VIOLATION, Fate
from benchmarks.soak_report import Soak, fates_table, write_soak
from benchmarks.soak_samples import Sample

CONTEXT = Context("2026-11-28 05:34 UTC", "python -m benchmarks.soak", {}, {}, {})
REST = Sample(0, 100, 10, 20, 1, 50, 5, 5, 1, 10, 0)
SAMPLES = [replace(REST, at_s=2.0 * at, engine_pid=1 + at // 10) for at in range(20)]
FATES = [Fate("text", 1, 2, ANSWERED, 200), Fate("stream", 15, 3, TOLD, 200, "engine_unavailable")]
SOAK = Soak(
    CONTEXT, SAMPLES, FATES, 2, [10.0], [20.0], 1, REST, REST, {}, {"phiserve_x_total": 1, "vllm:y": 2}
)


def failed(soak: Soak) -> list[str]:
    return [name for name, passed in soak.checks.items() if not passed]


def test_checks() -> None:
    """Each fails by what it is about, and by nothing else."""
    growing = [replace(one, api_mib=100 + 10 * one.at_s) for one in SAMPLES]
    swelling = [replace(one, engine_mib=50 * one.engine_pid) for one in SAMPLES]
    assert failed(SOAK) == []
    assert failed(replace(SOAK, fates=[*FATES, Fate("text", 1, 1, VIOLATION)], begun=3)) == ["no violations"]
    assert failed(replace(SOAK, begun=3)) == ["every request has a fate"]
    assert failed(replace(SOAK, kills=2)) == ["the engine came back each time"]
    assert failed(replace(SOAK, after=replace(REST, unfinished=1))) == ["no request left in the engine"]
    assert failed(replace(SOAK, after=replace(REST, api_threads=15))) == ["threads"]
    assert failed(replace(SOAK, after=replace(REST, api_descriptors=25))) == ["descriptors"]
    assert failed(replace(SOAK, after=replace(REST, others=2))) == ["processes"]
    assert failed(replace(SOAK, samples=growing)) == ["memory of the API process"]
    assert failed(replace(SOAK, samples=swelling)) == ["memory of the engines"]


def test_written_down(tmp_path: Path) -> None:
    """Counts instead of single requests, samples as columns, a graph."""
    file, graph = tmp_path / "soak.json", tmp_path / "plots" / "soak.svg"
    write_soak(SOAK, file, graph)
    told = json.loads(file.read_text(encoding="utf-8"))
    assert told["fates"] == {ANSWERED: 1, TOLD: 1}
    assert ["stream", TOLD, 200, "engine_unavailable", 1] in told["reasons"]
    assert told["samples"]["at_s"] == [one.at_s for one in SAMPLES]
    assert told["counted"] == {"phiserve_x_total": 1}
    assert graph.read_text(encoding="utf-8").count("<svg") == 1


def test_kinds_by_fate() -> None:
    assert "| stream | 1 | 0 | 0 | 1 | 0 | 0 | 3.0 | 3.0 |" in fates_table(FATES)
