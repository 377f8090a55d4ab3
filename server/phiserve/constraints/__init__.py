"""What an answer must look like: JSON schemas, regular expressions, choices, grammars.

Knows no wire and no engine.
"""
