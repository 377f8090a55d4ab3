"""vLLM's engine: configuration, model, plugin and adapter. The only package that imports vLLM; knows nothing of HTTP."""
