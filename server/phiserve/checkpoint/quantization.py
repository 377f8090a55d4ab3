"""How weights are quantized, and how config.json says so: compressed-tensors' format, as vLLM reads it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from pydantic import JsonValue

QUANTIZATION_KEY = "quantization_config"
"""Key of config.json; whatever has it is quantized, by us or by others."""

MAX_INT8 = 127
MAX_INT8_OVERFLOWING = 64
"""Largest int8 weight with which x86 processors without VNNI multiply exactly.

They add two products of activations, 0 to 255, and weights in 16 bits: 2 * 255 * 64 fits, more is cut off.
"""

MAX_INT4 = 7
WEIGHTS_PER_INT32 = 8
GROUP_SIZES = (128, 64, 32)
"""Columns that share an int4 scale; the largest that divides all widths is taken.

vLLM's CPU kernel takes any even number, its kernels for GPUs these.
"""

_DECODER = r"model\.layers\.\d+\.(self_attn|mlp)\.\w+_proj"
_CLIP = r"model\.vision_embed_tokens\.img_processor\.vision_model\.encoder\.layers\.\d+\.(self_attn|mlp)\.\w+"
_VISION = r"re:model\.vision_embed_tokens\."
_NOT_CLIP = (r"re:model\.vision_embed_tokens\.img_projection\.", "lm_head")
"""Names as vLLM builds its layers, which are those of the checkpoint.

Regular expressions, because vLLM renames plain names in this list as it does weights', but not its layers.
"""


class Scheme(StrEnum):
    """What weights become.

    INT8: per output channel, with activations per token. INT4: in groups, activations stay. FP8: as vLLM
    makes them while it loads.
    """

    INT8 = "int8"
    INT4 = "int4"
    FP8 = "fp8"


@dataclass(frozen=True, slots=True)
class Quantization:
    """A way of quantizing a checkpoint's linear layers.

    `with_vision`: CLIP's too, not the decoder's alone. `max_int8`: the largest weight of INT8. `group_size`:
    columns that share a scale of INT4.
    """

    scheme: Scheme
    with_vision: bool = False
    max_int8: int = MAX_INT8
    group_size: int = GROUP_SIZES[0]

    @classmethod
    def of(cls, config: Mapping[str, JsonValue]) -> "Quantization | None":
        """What a config.json says; None for weights that are not quantized, or not by us."""
        stated = _object(config.get(QUANTIZATION_KEY))
        groups = list(_object(stated.get("config_groups")).values())
        weights = _object(_object(groups[0]).get("weights")) if groups else {}
        largest, group_size = _object(weights.get("observer_kwargs")).get("max"), weights.get("group_size")
        found = cls(
            Scheme.INT8 if weights.get("num_bits") == 8 else Scheme.INT4,
            stated.get("ignore") == list(_NOT_CLIP),
            largest if isinstance(largest, int) else MAX_INT8,
            group_size if isinstance(group_size, int) else GROUP_SIZES[0],
        )
        return found if found.config() == stated else None

    @property
    def bytes_per_weight(self) -> float:
        """Bytes of a weight in memory, with its share of a scale where that counts."""
        return 0.5 + 2 / self.group_size if self.scheme is Scheme.INT4 else 1.0

    @property
    def ignored(self) -> list[JsonValue]:
        """Layers that vLLM is told to leave alone."""
        return list(_NOT_CLIP) if self.with_vision else [_VISION, "lm_head"]

    def covers(self, weight: str) -> bool:
        """Whether it applies to the weight of this name."""
        pattern = rf"({_DECODER}|{_CLIP})\.weight" if self.with_vision else rf"{_DECODER}\.weight"
        return re.fullmatch(pattern, weight) is not None

    def stored(self, weight: str, rows: int, columns: int) -> dict[str, tuple[int, ...]]:
        """The tensors that stand for a weight of this name and size: their names and shapes."""
        match self.scheme:
            case Scheme.INT8:
                return {weight: (rows, columns), f"{weight}_scale": (rows, 1)}
            case Scheme.INT4:
                scales = (rows, columns // self.group_size)
                packed = (rows, columns // WEIGHTS_PER_INT32)
                return {f"{weight}_packed": packed, f"{weight}_scale": scales, f"{weight}_shape": (2,)}
            case Scheme.FP8:
                return {weight: (rows, columns)}

    def config(self) -> dict[str, JsonValue]:
        """The value of `quantization_config` for INT8 and INT4."""
        is_int8 = self.scheme is Scheme.INT8
        weights: dict[str, JsonValue] = {"type": "int", "symmetric": True, "dynamic": False}
        if is_int8:
            weights |= {"num_bits": 8, "strategy": "channel", "observer_kwargs": {"max": self.max_int8}}
        else:
            weights |= {"num_bits": 4, "strategy": "group", "group_size": self.group_size}
        token: dict[str, JsonValue] = {"num_bits": 8, "strategy": "token", "type": "int"}
        activations: JsonValue = {**token, "symmetric": True, "dynamic": True} if is_int8 else None
        return {
            "quant_method": "compressed-tensors",
            "format": "int-quantized" if is_int8 else "pack-quantized",
            "quantization_status": "compressed",
            "config_groups": {
                "group_0": {"targets": ["Linear"], "weights": weights, "input_activations": activations}
            },
            "ignore": self.ignored,
        }


def _object(value: JsonValue) -> Mapping[str, JsonValue]:
    """A JSON object; any other value counts as an empty one."""
    return value if isinstance(value, dict) else {}
