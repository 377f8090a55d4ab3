"""Conversations -> token ids.

Knows turns, control tokens and image placeholders; nothing of HTTP, pixels or vLLM. Reads no file but
tokenizer.json.
"""
