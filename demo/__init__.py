"""The embedded model: drawn pictures, a tiny Phi-3-vision trained on them, and what it can do, measured.

Knows the package's vision pipeline and prompt encoder, so that training sees exactly what is served. The server knows
nothing of it, and has its weights in compact form (`phiserve.checkpoint.demo`).
"""
