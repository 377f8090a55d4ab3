"""Messages -> token ids. Pure and without I/O: knows turns, control tokens and slots; nothing of HTTP, pixels
or vLLM.
"""
