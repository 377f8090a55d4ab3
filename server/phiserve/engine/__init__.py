"""vLLM as our process sees it: arguments, start, adapter.

Knows nothing of HTTP; `plugin` is what runs in vLLM's processes.
"""
