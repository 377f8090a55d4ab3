"""The plugin can be switched off only by mistake, and that is told."""

import pytest

from phiserve.engine.plugin import prepare_environment
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


def test_no_usage_reports_unless_the_user_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """vLLM's usage reports are off by default, and the user's own word is kept."""
    monkeypatch.delenv("VLLM_NO_USAGE_STATS", raising=False)
    prepare_environment()
    import os

    assert os.environ["VLLM_NO_USAGE_STATS"] == "1"
    monkeypatch.setenv("VLLM_NO_USAGE_STATS", "0")
    prepare_environment()
    assert os.environ["VLLM_NO_USAGE_STATS"] == "0"
