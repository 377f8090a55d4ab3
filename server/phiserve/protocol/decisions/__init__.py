"""OpenAI's Decisions on the wire: requests and their translation, answers.

Knows nothing of prompts, pixels or the engine.
"""
