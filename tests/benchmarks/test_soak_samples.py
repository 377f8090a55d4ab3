"""What is seen of processes, and whether it grows."""

import subprocess
import sys

import pytest

from benchmarks.soak_samples import Sample, engine_of, engine_peaks_mib, grown_mib, sample, slope


def seen(at_s: float, api_mib: float = 100, engine_pid: int = 1, engine_mib: float = 50) -> Sample:
    return Sample(at_s, api_mib, 1, 1, engine_pid, engine_mib, 1, 1, 0, 0.0, 0.0)


def test_single_peaks_move_no_slope() -> None:
    points = [(float(at), 2.0 * at + (500 if at == 7 else 0)) for at in range(20)]
    assert slope(points) == pytest.approx(2)
    assert slope([(float(at), 3.0 * at) for at in range(5000)]) == pytest.approx(3)
    assert slope(points[:1]) == 0


def test_growth_of_the_last_two_thirds() -> None:
    """What fills up at the beginning is no growth."""
    full = [seen(at, 100 + min(at, 30)) for at in range(91)]
    growing = [seen(at, 100 + at) for at in range(91)]
    assert grown_mib(full) == pytest.approx(0)
    assert grown_mib(growing) == pytest.approx(60)
    assert grown_mib([]) == 0


def test_peaks_of_engines() -> None:
    """In the order of their lives; while there is none, nothing is seen."""
    samples = [seen(0, engine_mib=5), seen(1, engine_mib=9), seen(2, engine_pid=0, engine_mib=0)]
    assert engine_peaks_mib([*samples, seen(3, engine_pid=2, engine_mib=7)]) == [9, 7]


def test_a_process() -> None:
    """It has memory, threads, descriptors and no engine. (This one may have other tests' engines.)"""
    command = [sys.executable, "-c", "print(); input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:  # noqa: S603 - Python itself
        assert process.stdout is not None
        process.stdout.readline()
        found, engine = sample(process.pid, 1.0, 0.0), engine_of(process.pid)
        process.communicate(b"\n")
    assert found.api_mib > 1
    assert found.api_threads >= 1
    assert found.api_descriptors >= 1
    assert engine is None
    assert found.engine_mib == 0
