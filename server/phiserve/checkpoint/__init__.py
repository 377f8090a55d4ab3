"""Checkpoints on disk: opens them, refuses the wrong ones, writes those of our own.

Knows files; nothing of the engine.
"""
