"""Questions that are answered with probabilities, read off the model's next token.

Knows no wire format and no engine: from questions to what a prompt says of them, and from log-probabilities
to figures.
"""
