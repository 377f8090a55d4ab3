"""Environment variables of vLLM and torch, set before they are imported; vLLM's processes inherit them."""

import os

from phiserve.errors import StartupError

PLUGIN = "phiserve"
"""Name of our entry point in the group `vllm.general_plugins`."""

_DEFAULTS = {
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_WORKER_MULTIPROC_METHOD": "spawn",  # a fork would inherit the event loop and the socket
    # vLLM logs dozens of lines at every start; the banner says what was decided, and errors are still logged.
    "VLLM_LOGGING_LEVEL": "ERROR",
    "TORCH_CPP_LOG_LEVEL": "ERROR",
    "PYTHONWARNINGS": "ignore::FutureWarning",
    "TOKENIZERS_PARALLELISM": "false",  # a request has few texts; the cores are the engine's
    "TORCHINDUCTOR_CPP_DYNAMIC_THREADS": "1",  # as vLLM sets it on CPUs, where a fork has read it by then
}


def prepare_environment() -> None:
    """Set the variables that the user has not set. Call it before vLLM or torch is first imported.

    Raises StartupError when the user's VLLM_PLUGINS switches phiserve's plugin off.
    """
    if _plugin_is_off():
        raise StartupError("VLLM_PLUGINS switches phiserve's plugin off: add phiserve to it, or unset it")
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    if "OMP_WAIT_POLICY" not in os.environ:
        # After each parallel operation torch's threads would spin for a millisecond, on cores that the server
        # itself needs.
        os.environ.setdefault("GOMP_SPINCOUNT", "2000")


def _plugin_is_off() -> bool:
    """Whether the user's own VLLM_PLUGINS keeps vLLM's processes from loading this plugin."""
    allowed = os.environ.get("VLLM_PLUGINS")
    return allowed is not None and PLUGIN not in [name.strip() for name in allowed.split(",")]
