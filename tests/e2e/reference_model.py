"""The decoder of Phi-3-vision as transformers computes it, in float32: the reference at any length.

transformers' Phi-3 has the architecture of Phi-3-vision's decoder, its names of tensors, and its rule for the
two sets of RoPE factors: by the number of tokens that are read at once. Nothing is cached here: where its
`generate` throws the cache away to change factors, transformers 5.19 forgets to read the text again.
"""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from transformers import Phi3Config, Phi3ForCausalLM

_VISION = "model.vision_embed_tokens."
_SHAPE = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "rms_norm_eps",
    "max_position_embeddings",
    "original_max_position_embeddings",
)


class ReferenceDecoder:
    """Reads texts of a checkpoint with one file of weights."""

    def __init__(self, checkpoint: Path) -> None:
        config = json.loads((checkpoint / "config.json").read_text())
        self.short_tokens: int = config["original_max_position_embeddings"]
        rope = {name: config["rope_scaling"][name] for name in ("short_factor", "long_factor")}
        rope |= {"rope_type": "longrope", "rope_theta": config["rope_theta"]}
        shape = {name: config[name] for name in _SHAPE}
        build: Any = Phi3ForCausalLM  # which has no types
        self._model = build(Phi3Config(**shape, rope_parameters=rope))
        self._model.eval()
        with safe_open(checkpoint / "model.safetensors", "pt") as weights:
            names = [name for name in weights.keys() if not name.startswith(_VISION)]  # noqa: SIM118 - no mapping
            self._model.load_state_dict({name: weights.get_tensor(name).float() for name in names})

    def logprobs(self, prompt: list[int], answer: list[int]) -> torch.Tensor:
        """Log-probabilities of all tokens at each place of an answer, (answer, vocabulary).

        Each as if all before it, and nothing else, were read at once: one pass over what the short factors
        read, and one over all of it with the long ones.
        """
        num_short = max(0, min(len(answer), self.short_tokens - len(prompt) + 1))
        ids = prompt + answer
        parts = []
        if num_short:
            parts.append(self._last(ids[: len(prompt) + num_short - 1], num_short))
        if num_short < len(answer):
            parts.append(self._last(ids[:-1], len(answer) - num_short))
        return torch.cat(parts)

    def long_logprobs(self, prompt: list[int], answer: list[int]) -> torch.Tensor:
        """The same of a short text, were it read with the long factors.

        Only distances between positions matter, and where these begin decides about the factors.
        """
        return self._last((prompt + answer)[:-1], len(answer), self.short_tokens)

    @torch.inference_mode()
    def _last(self, ids: list[int], count: int, begin: int = 0) -> torch.Tensor:
        """What follows each of the last `count` tokens, where all of `ids` is read at once."""
        positions = torch.arange(begin, begin + len(ids))
        logits = self._model(
            torch.tensor([ids]), position_ids=positions[None], use_cache=False, logits_to_keep=count
        ).logits[0]
        return torch.log_softmax(logits, -1)
