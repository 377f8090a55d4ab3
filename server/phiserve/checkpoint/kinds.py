"""The kinds of checkpoints that are served: the real model's, and our own that only have its format."""

from collections.abc import Mapping
from enum import StrEnum

from pydantic import JsonValue


class CheckpointKind(StrEnum):
    """Whose weights a checkpoint holds. The value of our own kinds is the key in config.json that says so."""

    PHI3_VISION = "phi3_v"
    DEMO = "phiserve_demo"
    BLANK = "phiserve_blank"

    @classmethod
    def of(cls, config: Mapping[str, JsonValue]) -> "CheckpointKind":
        """The kind that a config.json tells."""
        return next((kind for kind in (cls.BLANK, cls.DEMO) if config.get(kind.value)), cls.PHI3_VISION)

    @property
    def is_real(self) -> bool:
        """Whether it is Phi-3-vision itself."""
        return self is CheckpointKind.PHI3_VISION

    @property
    def description(self) -> str:
        """What people should know about the model, for the banner and `/v1/models`."""
        return _DESCRIPTIONS[self]


_DESCRIPTIONS = {
    CheckpointKind.PHI3_VISION: "Phi-3-vision",
    CheckpointKind.DEMO: (
        "a tiny model trained on drawn images, to show and test the server; not Phi-3-vision"
    ),
    CheckpointKind.BLANK: (
        "Phi-3-vision with random weights, for trying out the server; its answers mean nothing"
    ),
}
