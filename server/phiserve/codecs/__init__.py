"""Bytes -> upright RGB pixels, one module for each file format. Knows nothing of where bytes come from or of
crops.
"""
