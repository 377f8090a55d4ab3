"""config.json becomes a transformers config that vLLM understands."""

import json
from pathlib import Path

from phiserve.plugin.hf_config import Phi3VConfig


def test_reference_config(reference: Path) -> None:
    """The legacy rope type is today's, and the short context stays where vLLM looks for it."""
    config = Phi3VConfig(**json.loads((reference / "config.json").read_text()))
    assert config.rope_parameters["rope_type"] == "longrope"
    assert config.rope_parameters["rope_theta"] == 10000.0
    assert config.rope_parameters["original_max_position_embeddings"] == 4096
    assert len(config.rope_parameters["short_factor"]) == len(config.rope_parameters["long_factor"]) == 48
    assert (config.original_max_position_embeddings, config.max_position_embeddings) == (4096, 131072)
    assert config.img_processor["num_img_tokens"] == 144


def test_round_trip(reference: Path) -> None:
    """Written and read again, as vLLM's processes do, nothing is lost."""
    config = Phi3VConfig(**json.loads((reference / "config.json").read_text()))
    again = Phi3VConfig(**config.to_dict())
    assert again.rope_parameters == config.rope_parameters
    assert again.num_key_value_heads == config.num_key_value_heads == 32


def test_plain_rope() -> None:
    """Without scaling, positions are plain."""
    assert Phi3VConfig().rope_parameters == {"rope_type": "default", "rope_theta": 10000.0}
