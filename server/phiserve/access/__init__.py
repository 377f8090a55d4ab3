"""Keys and their owners: who may come in, and how much each key may ask for.

Knows no HTTP and no engine.
"""
