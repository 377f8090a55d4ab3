"""A stand-in for torchvision, for the model repository's image processor alone: what it calls, step for step as there.

Source: torchvision 0.17, `transforms/transforms.py`, `transforms/functional.py` and `transforms/_functional_pil.py`.
"""

from . import transforms

__all__ = ["transforms"]
