"""Each check finds what it looks for, in health and out of it."""

from pathlib import Path

import pytest

from phiserve.cli import checks
from phiserve.cli.checks import Check, CheckContext, Finding, examine


def test_healthy(checkpoint: Path) -> None:
    """On a host that can serve, nothing is wrong."""
    context = CheckContext(str(checkpoint))
    assert [check.__name__ for check in checks.CHECKS if examine(check, context).verdict == "wrong"] == []


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
    check: Check,
    variables: dict[str, str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What the environment gets wrong is named, in a sentence that needs no remedy beside it."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    finding = examine(check, CheckContext(None))
    assert (finding.verdict, said in finding.text, finding.remedy) == ("wrong", True, "")


def test_checkpoint_and_memory(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that is no checkpoint, and an engine that does not fit."""
    assert examine(checks.tokenizer, CheckContext("/no/such")).verdict == "wrong"
    assert examine(checks.memory, CheckContext(None)).verdict == "note"
    monkeypatch.setenv("PHISERVE_ENGINE__MAX_MODEL_LEN", "100000000")
    context = CheckContext(str(checkpoint))
    assert examine(checks.settings, context).verdict == "fine"
    assert examine(checks.tokenizer, context).verdict == "fine"
    assert "100000000" in examine(checks.memory, context).text


def test_pixels_that_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Pillow that resizes in another way is found."""
    monkeypatch.setattr(checks, "GOLDEN_CROPS", "0" * 64)
    assert examine(checks.image, CheckContext(None)).verdict == "wrong"


def test_whatever_is_raised_is_a_finding() -> None:
    """A missing library, and what nobody foresaw."""

    def missing(context: CheckContext) -> Finding:
        raise ModuleNotFoundError("No module named 'vllm'")

    def bug(context: CheckContext) -> Finding:
        raise KeyError("x")

    assert "cannot import: No module named 'vllm'" in examine(missing, CheckContext(None)).text
    assert "KeyError" in examine(bug, CheckContext(None)).text
