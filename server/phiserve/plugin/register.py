"""The vLLM plugin: makes every vLLM process accept Phi-3-vision checkpoints without remote code.

Entry point `phiserve` in the group `vllm.general_plugins` (see pyproject.toml). vLLM may call `register`
several times and in every process.
"""

import logging

TOKENIZER_MODE = "phiserve"
"""vLLM's `tokenizer_mode` under which the exact tokenizer is found; vLLM picks a renderer by that name."""

TOKENIZER_CLASS = ("phiserve.plugin.tokenizer", "Phi3VTokenizer")
RENDERER_CLASS = ("vllm.renderers.hf", "HfRenderer")
"""Module and class, imported by vLLM only in the processes that need them."""

MODEL_CLASS = "phiserve.plugin.model:Phi3VForCausalLM"
"""Module and class, in the form that vLLM's model registry takes."""

_REGISTRY_LOGGER = "vllm.model_executor.models.registry"


def register() -> None:
    """Register what vLLM's processes need of phiserve.

    The config class, the tokenizer and the model class with transformers and vLLM, and the way answers are
    constrained.
    """
    from transformers import AutoConfig
    from vllm import ModelRegistry
    from vllm.renderers.registry import RENDERER_REGISTRY
    from vllm.tokenizers.registry import TokenizerRegistry
    from vllm.v1 import structured_output

    from phiserve.plugin.hf_config import Phi3VConfig
    from phiserve.plugin.structured_output import EnforcingBackend

    AutoConfig.register(Phi3VConfig.model_type, Phi3VConfig, exist_ok=True)
    # Assigned rather than registered: vLLM warns when a name is registered again.
    TokenizerRegistry.tokenizers[TOKENIZER_MODE] = TOKENIZER_CLASS
    RENDERER_REGISTRY.renderers[TOKENIZER_MODE] = RENDERER_CLASS
    ModelRegistry.register_model("Phi3VForCausalLM", MODEL_CLASS)
    # vLLM has no registry of these: its manager looks the class up in its module by this name.
    structured_output.GuidanceBackend = EnforcingBackend
    logging.getLogger(_REGISTRY_LOGGER).addFilter(_matters)


def _matters(record: logging.LogRecord) -> bool:
    """Leave out that vLLM cannot write into its cache, which it logs with a traceback.

    It keeps there what it found out about the model's class, and without it finds out anew: a read-only
    home or a full disk costs a start some seconds.
    """
    return not (record.exc_info and isinstance(record.exc_info[1], OSError))
