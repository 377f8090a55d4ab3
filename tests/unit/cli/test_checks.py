"""Each check finds what it looks for, in health and out of it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from phiserve.cli import checks
from phiserve.cli.checks import Finding, Patient, examine


def test_healthy(checkpoint: Path) -> None:
    """On a host that can serve, nothing is wrong."""
    patient = Patient(str(checkpoint))
    assert [check.__name__ for check in checks.CHECKS if examine(check, patient).verdict == "wrong"] == []


@pytest.mark.parametrize(
    ("check", "variables", "said"),
    [
        (checks.plugin, {"VLLM_PLUGINS": ""}, "VLLM_PLUGINS"),
        (checks.settings, {"PHISERVE_NO_SUCH": "1"}, "no_such"),
        (checks.settings, {"PHISERVE_IMAGE_FOLDER": "/no/such"}, "image_folder"),
        (checks.settings, {"PHISERVE_IMAGE_HOSTS": "[a.example, localhost]"}, "'localhost'"),
    ],
)
def test_environment(
    check: Callable[[Patient], Finding], variables: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the environment gets wrong is named."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    finding = examine(check, Patient(None))
    assert (finding.verdict, said in finding.text, finding.remedy != "") == ("wrong", True, True)


def test_checkpoint_and_memory(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that is no checkpoint, and an engine that does not fit."""
    assert examine(checks.tokenizer, Patient("/no/such")).verdict == "wrong"
    assert examine(checks.memory, Patient(None)).verdict == "note"
    monkeypatch.setenv("PHISERVE_ENGINE__MAX_MODEL_LEN", "100000000")
    patient = Patient(str(checkpoint))
    assert examine(checks.settings, patient).verdict == "fine"
    assert examine(checks.tokenizer, patient).verdict == "fine"
    assert "100000000" in examine(checks.memory, patient).text


def test_pixels_that_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Pillow that resizes in another way is found."""
    monkeypatch.setattr(checks, "GOLDEN_CROPS", "0" * 64)
    assert examine(checks.image, Patient(None)).verdict == "wrong"


def test_whatever_is_raised_is_a_finding() -> None:
    """A missing library, and what nobody foresaw."""

    def missing(patient: Patient) -> Finding:
        raise ModuleNotFoundError("No module named 'vllm'")

    def bug(patient: Patient) -> Finding:
        raise KeyError("x")

    assert "cannot import: No module named 'vllm'" in examine(missing, Patient(None)).text
    assert "KeyError" in examine(bug, Patient(None)).text
