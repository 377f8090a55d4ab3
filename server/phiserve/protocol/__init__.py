"""OpenAI's wire format: requests, completions, chunks, errors. Knows nothing of tokens, pixels or the engine."""
