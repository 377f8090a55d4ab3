"""The vLLM plugin: makes every vLLM process accept Phi-3-vision checkpoints without remote code.

Entry point `phiserve` in the group `vllm.general_plugins`. vLLM may call `register` several times and in
every process.
"""

import os

from phiserve.errors import StartupError

TOKENIZER_MODE = "phiserve"
"""vLLM's `tokenizer_mode` under which the exact tokenizer is found; vLLM picks a renderer by the same
name."""

MODEL_CLASS = "phiserve.plugin.model:Phi3VForCausalLM"


def register() -> None:
    """Register the config class, the tokenizer and the model class with transformers and vLLM."""
    from transformers import AutoConfig
    from vllm import ModelRegistry
    from vllm.renderers.registry import RENDERER_REGISTRY
    from vllm.tokenizers.registry import TokenizerRegistry

    from phiserve.plugin.hf_config import Phi3VConfig

    AutoConfig.register(Phi3VConfig.model_type, Phi3VConfig, exist_ok=True)
    # Assigned rather than registered: vLLM warns when a name is registered again.
    TokenizerRegistry.tokenizers[TOKENIZER_MODE] = ("phiserve.plugin.tokenizer", "Phi3VTokenizer")
    RENDERER_REGISTRY.renderers[TOKENIZER_MODE] = ("vllm.renderers.hf", "HfRenderer")
    ModelRegistry.register_model("Phi3VForCausalLM", MODEL_CLASS)


def prepare_environment() -> None:
    """Set vLLM's environment before it is first imported. Raises StartupError when this plugin is switched
    off.
    """
    if _switched_off():
        raise StartupError("VLLM_PLUGINS switches phiserve's plugin off: add phiserve to it, or unset it")
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    os.environ.setdefault(
        "VLLM_WORKER_MULTIPROC_METHOD", "spawn"
    )  # a fork would inherit the event loop and the socket
    # vLLM says dozens of lines at every start; the banner says what was decided, and errors still come
    # through.
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    os.environ.setdefault("PYTHONWARNINGS", "ignore::FutureWarning")
    os.environ.setdefault(
        "TOKENIZERS_PARALLELISM", "false"
    )  # texts of one request are few; the cores are the engine's
    if "OMP_WAIT_POLICY" not in os.environ:
        # After each parallel operation torch's threads would spin for a millisecond, on cores that the server
        # itself needs.
        os.environ.setdefault("GOMP_SPINCOUNT", "2000")


def _switched_off() -> bool:
    """Whether the user's own VLLM_PLUGINS keeps vLLM's processes from loading this plugin."""
    allowed = os.environ.get("VLLM_PLUGINS")
    return allowed is not None and "phiserve" not in [name.strip() for name in allowed.split(",")]
