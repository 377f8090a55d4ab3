"""OpenAI's wire format: requests and their translation, completions, chunks, errors.

Knows nothing of prompts, pixels or the engine.
"""
