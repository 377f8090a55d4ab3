"""RESULTS.md says what is in the run's file."""

from pathlib import Path

from benchmarks.figures import Spread
from benchmarks.records import Record
from benchmarks.report import write_report
from benchmarks.tables import number, with_spread
from benchmarks.targets import TARGETS
from runs import record, results


def served() -> list[Record]:
    """Two turns of both servers, one cell, and a session of each."""
    records = []
    for repetition in range(2):
        for peer, factor in (("phiserve", 3.0), ("vllm", 2.0)):
            rate = factor * (100 + repetition)
            measures = {
                "output_tokens_per_s": rate,
                "requests_per_s": rate / 10,
                "ttft_p50_ms": 5.0,
                "itl_p50_ms": 1.0,
            }
            records.append(record("text", peer, "text", "64 clients", repetition, **measures))
            records.append(
                record("text", peer, "session", "", repetition, ready_s=10 / factor, peak_all_bytes=factor)
            )
    return records


def grown() -> list[Record]:
    """Prompt length: ours grows linearly, theirs with the square."""
    return [
        record("growth", peer, "prompt length", f"{size} words", size=size, ttft_p50_ms=size**power)
        for peer, power in (("phiserve", 1), ("vllm", 2))
        for size in (100.0, 400.0, 1600.0)
    ]


def report(folder: Path, *records: Record) -> str:
    target = folder / "RESULTS.md"
    write_report(results(*records), Path("20260101.json"), target)
    return target.read_text(encoding="utf-8")


def test_targets_come_first(tmp_path: Path) -> None:
    """Each with its ratio, what was wanted, and whether it was reached."""
    text = report(tmp_path, *served())
    table = text[text.index("## Targets") : text.index("## Machine")]
    assert "| output tokens/s, 64 text streams, small checkpoint | at least 1.4x | 1.50x | reached |" in table
    assert "| time to ready, small checkpoint | at most 0.65x | 0.667x | **not reached** |" in table
    assert table.count("not measured") == len(TARGETS) - 2
    assert len(table.strip().splitlines()) == len(TARGETS) + 4


def test_medians_with_spread_and_ratio(tmp_path: Path) -> None:
    text = report(tmp_path, *served())
    assert "| text | 64 clients | 302 (300 to 303) | 201 (200 to 202) | 1.50x |" in text


def test_commands_machine_and_notes(tmp_path: Path) -> None:
    """No number without its command; bars do not break the table."""
    text = report(tmp_path, *served())
    assert "| phiserve on small | `python -m phiserve serve \\| cat` |" in text
    assert "| CPU | two |" in text
    assert "vllm 0.32.0" in text
    assert "- a note\n" in text


def test_growth_has_exponents_and_a_plot(tmp_path: Path) -> None:
    text = report(tmp_path, *grown())
    assert "| prompt length | phiserve | ttft_p50_ms | 100 to 1600 words | 1.00 | 1.00 |" in text
    assert "| prompt length | vllm | ttft_p50_ms | 100 to 1600 words | 2.00 | 2.00 |" in text
    assert "](plots/growth-prompt-length.png)" in text
    assert (tmp_path / "plots" / "growth-prompt-length.png").stat().st_size > 1000


def test_parts_that_were_not_run_are_left_out(tmp_path: Path) -> None:
    text = report(tmp_path)
    assert [line for line in text.splitlines() if line.startswith("## ")] == [
        "## Targets",
        "## Machine, versions, command",
        "## Commands",
    ]


def test_numbers() -> None:
    """Three digits that count."""
    assert [number(value) for value in (0.01234, 1.5, 123.4, 45678.0)] == ["0.0123", "1.5", "123", "45678"]
    assert with_spread(Spread(2, 1, 3, 3)) == "2 (1 to 3)"
    assert with_spread(Spread(2, 2, 2, 1)) == "2"
    assert with_spread(None) == "-"
