"""Every name under which vLLM looks for something of ours is that of something."""

import logging
import tomllib
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import pytest
from transformers import AutoConfig
from vllm import ModelRegistry
from vllm.renderers.hf import HfRenderer
from vllm.renderers.registry import RENDERER_REGISTRY
from vllm.tokenizers.registry import TokenizerRegistry
from vllm.v1 import structured_output

from phiserve.plugin.hf_config import Phi3VConfig
from phiserve.plugin.model import Phi3VForCausalLM
from phiserve.plugin.register import _REGISTRY_LOGGER, MODEL_CLASS, TOKENIZER_MODE, register
from phiserve.plugin.structured_output import EnforcingBackend
from phiserve.plugin.tokenizer import Phi3VTokenizer

GROUP = "vllm.general_plugins"
PYPROJECT = Path(__file__).parents[3] / "pyproject.toml"


def test_the_entry_point() -> None:
    """As declared in pyproject.toml and as installed: a stale installation would hide the model from vLLM."""
    declared = tomllib.loads(PYPROJECT.read_text())["project"]["entry-points"][GROUP]["phiserve"]
    assert EntryPoint("phiserve", declared, GROUP).load() is register
    (installed,) = entry_points(group=GROUP, name="phiserve")
    assert installed.load() is register


def test_what_is_registered() -> None:
    """Found again through vLLM's and transformers' own registries; twice, as vLLM may call it."""
    register()
    register()
    assert AutoConfig.for_model("phi3_v").__class__ is Phi3VConfig
    assert TokenizerRegistry.load_tokenizer_cls(TOKENIZER_MODE) is Phi3VTokenizer
    assert RENDERER_REGISTRY.load_renderer_cls(TOKENIZER_MODE) is HfRenderer
    assert ModelRegistry.models["Phi3VForCausalLM"].load_model_cls() is Phi3VForCausalLM
    assert structured_output.GuidanceBackend is EnforcingBackend


def test_the_models_name() -> None:
    """In the form of an entry point, which is vLLM's own."""
    assert EntryPoint("model", MODEL_CLASS, GROUP).load() is Phi3VForCausalLM


@dataclass
class Info:
    """Stands for what vLLM finds out about a model's class."""

    name: str = "m"


@pytest.mark.parametrize(("info", "lines"), [(Info(), 0), (object(), 1)])
def test_a_cache_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, info: object, lines: int
) -> None:
    """vLLM does without it, and says nothing; any other failure is still logged."""
    register()
    (tmp_path / "no folder").touch()
    monkeypatch.setenv("VLLM_CACHE_ROOT", str(tmp_path / "no folder"))
    written: list[logging.LogRecord] = []
    handler = logging.Handler()
    monkeypatch.setattr(handler, "emit", written.append)
    logger = logging.getLogger(_REGISTRY_LOGGER)
    logger.addHandler(handler)
    try:
        ModelRegistry.models["Phi3VForCausalLM"]._save_modelinfo_to_cache(info, "hash")
    finally:
        logger.removeHandler(handler)
    assert len(written) == lines
