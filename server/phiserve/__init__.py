"""phiserve: an OpenAI-compatible chat server for Phi-3-vision, backed by vLLM."""

__version__ = "0.1.0"
