"""vLLM's environment: our defaults, the user's own values, and a plugin that is switched off."""

import os

import pytest

from phiserve.engine.environment import prepare_environment
from phiserve.errors import StartupError


@pytest.mark.parametrize("value", ["", "other", "other,another"])
def test_switched_off(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """vLLM_PLUGINS without us means vLLM's processes would not know the model."""
    monkeypatch.setenv("VLLM_PLUGINS", value)
    with pytest.raises(StartupError, match="VLLM_PLUGINS"):
        prepare_environment()


@pytest.mark.parametrize("value", [None, "phiserve", "other, phiserve"])
def test_on(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    """Unset, or naming us among others."""
    if value is None:
        monkeypatch.delenv("VLLM_PLUGINS", raising=False)
    else:
        monkeypatch.setenv("VLLM_PLUGINS", value)
    prepare_environment()


@pytest.mark.parametrize(
    ("given", "expected"),
    [({}, "2000"), ({"GOMP_SPINCOUNT": "5"}, "5"), ({"OMP_WAIT_POLICY": "active"}, None)],
    ids=["unset", "the user's count", "the user's policy"],
)
def test_idle_threads_do_not_spin_for_long(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], expected: str | None
) -> None:
    """Unless the user has decided."""
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    prepare_environment()
    assert os.environ.get("GOMP_SPINCOUNT") == expected


def test_no_usage_reports_unless_the_user_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """vLLM's usage reports are off by default, and the user's own word is kept."""
    monkeypatch.delenv("VLLM_NO_USAGE_STATS", raising=False)
    prepare_environment()
    assert os.environ["VLLM_NO_USAGE_STATS"] == "1"
    monkeypatch.setenv("VLLM_NO_USAGE_STATS", "0")
    prepare_environment()
    assert os.environ["VLLM_NO_USAGE_STATS"] == "0"
