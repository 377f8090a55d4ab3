"""OpenAI's Responses on the wire: requests and their translation, response objects, events.

Knows nothing of prompts, pixels or the engine.
"""
