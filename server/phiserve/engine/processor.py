"""What vLLM asks about pictures before any arrives: how many tokens one can take, and a largest one to profile with.

Requests never come this way: they are rendered by phiserve (see `adapter`), so no transformers processor is loaded.
"""

from collections.abc import Mapping
from typing import Any, NoReturn

import torch
from blake3 import blake3
from vllm.inputs.engine import MultiModalInput, mm_input
from vllm.multimodal.inputs import (
    MultiModalBatchedField,
    MultiModalFieldElem,
    MultiModalKwargsItem,
    MultiModalKwargsItems,
    PlaceholderRange,
)
from vllm.multimodal.processing import BaseDummyInputsBuilder, BaseMultiModalProcessor, BaseProcessingInfo

from phiserve.chat.special_tokens import Control
from phiserve.checkpoint.opened import DEFAULT_BUDGET
from phiserve.engine.slices import PictureId
from phiserve.vision.sizes import CROP_SIDE, most_image_tokens

BUDGET_KEY = "num_crops"
"""Key of the crop budget in vLLM's `mm_processor_kwargs`: engine processes are spawned and know nothing else of us."""

_PROFILE = "phiserve-profile"
_BATCHED = MultiModalBatchedField()
_BATCHED_ON_HOST = MultiModalBatchedField(keep_on_cpu=True)


def image_item(crops: torch.Tensor, padded: tuple[int, int], key: str) -> MultiModalKwargsItem:
    """One picture as vLLM carries it.

    `crops` is uint8 of shape (n, 336, 336, 3), row-major; `padded` is the padded picture's (width, height); `key` its cache key.
    """
    width, height = padded
    picture_id = torch.frombuffer(bytearray(blake3(key.encode()).digest(16)), dtype=torch.int64)
    return MultiModalKwargsItem(
        {
            "crops": MultiModalFieldElem(data=crops, field=_BATCHED),
            "image_sizes": MultiModalFieldElem(data=torch.tensor([height, width]), field=_BATCHED_ON_HOST),
            "picture_ids": MultiModalFieldElem(data=picture_id, field=_BATCHED_ON_HOST),
        }
    )


def picture_id_of(item: Mapping[str, Any]) -> PictureId:
    """The id of what `image_item` made."""
    return tuple(item["picture_ids"].data.tolist())


class Phi3VProcessingInfo(BaseProcessingInfo):
    """Limits of one picture, from the crop budget in the engine's configuration."""

    @property
    def budget(self) -> int:
        """Largest number of crops of a picture."""
        kwargs = self.ctx.get_mm_config().mm_processor_kwargs or {}
        return int(kwargs.get(BUDGET_KEY, DEFAULT_BUDGET))

    def get_supported_mm_limits(self) -> Mapping[str, int | None]:
        """Any number of images and nothing else."""
        return {"image": None}

    def get_mm_max_tokens_per_item(self, seq_len: int, mm_counts: Mapping[str, int]) -> Mapping[str, int]:
        """Tokens of the most expensive picture; vLLM sizes its encoder budget by it."""
        return {"image": most_image_tokens(self.budget)}


class Phi3VDummyInputsBuilder(BaseDummyInputsBuilder[Phi3VProcessingInfo]):
    """Required by the registry; `Phi3VProcessor` makes its dummy inputs itself."""

    def get_dummy_text(self, mm_counts: Mapping[str, int]) -> str:
        """No text."""
        return ""

    def get_dummy_mm_data(self, seq_len: int, mm_counts: Mapping[str, int], mm_options: Any) -> dict[str, Any]:
        """No raw data."""
        return {}


class Phi3VProcessor(BaseMultiModalProcessor[Phi3VProcessingInfo]):
    """Makes the largest picture for profiling; refuses to render requests."""

    def get_dummy_mm_inputs(
        self, mm_counts: Mapping[str, int], *, cache: Any = None, scheduler_config: Any = None
    ) -> MultiModalInput:
        """The picture with the most tokens, one column of `budget` crops: with its global view it also has the most crops."""
        budget = self.info.budget
        length = most_image_tokens(budget)
        crops = torch.zeros(budget, CROP_SIDE, CROP_SIDE, 3, dtype=torch.uint8)
        item = image_item(crops, (CROP_SIDE, budget * CROP_SIDE), _PROFILE)
        return mm_input(
            prompt_token_ids=[Control.IMAGE.value] * length,
            mm_kwargs=MultiModalKwargsItems({"image": [item]}),
            mm_hashes={"image": [_PROFILE]},
            mm_placeholders={"image": [PlaceholderRange(offset=0, length=length)]},
        )

    def apply(self, inputs: Any, timing_ctx: Any) -> NoReturn:
        """Refuse: requests must come rendered. Raises NotImplementedError."""
        raise NotImplementedError("phiserve renders its requests itself; raw multimodal prompts are not supported")

    def _get_mm_fields_config(self, hf_inputs: Any, hf_processor_mm_kwargs: Any) -> NoReturn:
        raise NotImplementedError

    def _get_prompt_updates(self, mm_items: Any, hf_processor_mm_kwargs: Any, out_mm_kwargs: Any) -> NoReturn:
        raise NotImplementedError
