"""The checkpoint's config.json as a transformers config class, in place of the repository's own Python."""

from typing import Any

from pydantic import JsonValue
from transformers import PretrainedConfig

from phiserve.plugin.lifeline import end_with_server

JsonObject = dict[str, JsonValue]


class Phi3VConfig(PretrainedConfig):
    """Configuration of Phi-3-vision.

    `rope_scaling` becomes transformers' `rope_parameters`, its legacy type "su" today's "longrope".
    `original_max_position_embeddings` stays at the top level, where vLLM looks for the default context.
    """

    model_type = "phi3_v"

    def __init__(
        self,
        vocab_size: int = 32064,
        hidden_size: int = 3072,
        intermediate_size: int = 8192,
        num_hidden_layers: int = 32,
        num_attention_heads: int = 32,
        num_key_value_heads: int | None = None,
        hidden_act: str = "silu",
        max_position_embeddings: int = 131072,
        original_max_position_embeddings: int = 4096,
        rms_norm_eps: float = 1e-5,
        rope_theta: float = 10000.0,
        rope_scaling: JsonObject | None = None,
        rope_parameters: JsonObject | None = None,
        embd_layer: JsonObject | None = None,
        img_processor: JsonObject | None = None,
        **kwargs: Any,  # whatever else config.json holds; transformers gives each a type of its own
    ) -> None:
        self.vocab_size = vocab_size
        self.hidden_size = hidden_size
        self.intermediate_size = intermediate_size
        self.num_hidden_layers = num_hidden_layers
        self.num_attention_heads = num_attention_heads
        self.num_key_value_heads = num_key_value_heads or num_attention_heads
        self.hidden_act = hidden_act
        self.max_position_embeddings = max_position_embeddings
        self.original_max_position_embeddings = original_max_position_embeddings
        self.rms_norm_eps = rms_norm_eps
        self.embd_layer = embd_layer or {}
        self.img_processor = img_processor or {}
        self.rope_parameters = rope_parameters or _rope_parameters(
            rope_theta, rope_scaling, original_max_position_embeddings, max_position_embeddings
        )
        super().__init__(**kwargs)

    def __setstate__(self, state: dict[str, object]) -> None:
        """Restore from a pickle, which ends this process when its server has ended.

        vLLM's configuration is unpickled in a new process before plugins load: this is our earliest hook
        there. Until it is called, such a process would wait for minutes for a server that has gone.
        """
        end_with_server()
        self.__dict__.update(state)


def _rope_parameters(theta: float, scaling: JsonObject | None, original: int, longest: int) -> JsonObject:
    """transformers' `rope_parameters` from a legacy `rope_scaling`.

    `original` and `longest` are the original and the longest context, in tokens.
    """
    if not scaling:
        return {"rope_type": "default", "rope_theta": theta}
    return {
        "rope_type": "longrope",
        "rope_theta": theta,
        "short_factor": scaling["short_factor"],
        "long_factor": scaling["long_factor"],
        "original_max_position_embeddings": original,
        "factor": longest / original,
    }
