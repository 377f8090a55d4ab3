"""What servers share is said in the words of each, and both take it."""

import dataclasses

from vllm.engine.arg_utils import AsyncEngineArgs

from benchmarks.settings import EngineSettings
from phiserve.cli.serve import key_value


def test_phiserve_s_flags() -> None:
    """Engine arguments of vLLM's."""
    values = dict(key_value(flag) for flag in EngineSettings().for_phiserve()[1::2])
    assert values["max_model_len"] == EngineSettings().max_model_len
    assert values["dtype"] == "bfloat16"
    assert set(values) <= {field.name for field in dataclasses.fields(AsyncEngineArgs)}


def test_both_are_told_the_same() -> None:
    """Every value of ours is among plain vLLM's."""
    settings = EngineSettings()
    theirs = settings.for_vllm()
    for flag in settings.for_phiserve()[1::2]:
        name, _, value = flag.partition("=")
        assert theirs[theirs.index(f"--{name.replace('_', '-')}") + 1] == value
    assert "--enforce-eager" in theirs
