"""Checkpoints on disk: opening one and refusing the wrong ones, writing blank ones. Knows files; nothing of
the engine.
"""
