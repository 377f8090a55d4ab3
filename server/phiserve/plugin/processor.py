"""What vLLM asks about images before any arrives.

It asks how many tokens one can take, and for a largest one to profile with.

Requests never come this way: phiserve renders them itself (see `engine.sender`), so that no transformers
processor is loaded.
"""

from collections.abc import Mapping
from typing import NoReturn

import torch
from blake3 import blake3
from transformers import BatchFeature
from vllm.config import ModelConfig, SchedulerConfig
from vllm.config.multimodal import MultiModalDummyOptions
from vllm.inputs import MultiModalDataDict
from vllm.inputs.engine import MultiModalInput, mm_input
from vllm.multimodal.cache.base import BaseMultiModalProcessorCache
from vllm.multimodal.inputs import (
    MultiModalBatchedField,
    MultiModalFieldElem,
    MultiModalKwargsItem,
    MultiModalKwargsItems,
    PlaceholderRange,
)
from vllm.multimodal.parse import MultiModalDataItems
from vllm.multimodal.processing import BaseDummyInputsBuilder, BaseMultiModalProcessor, BaseProcessingInfo
from vllm.multimodal.processing.context import TimingContext
from vllm.multimodal.processing.inputs import ProcessorInputs

from phiserve.chat.special_tokens import Control
from phiserve.checkpoint.opened import DEFAULT_MAX_CROPS
from phiserve.plugin.partial_encoding import ImageId
from phiserve.vision.sizes import CROP_SIDE, most_image_tokens

MAX_CROPS_KEY = "num_crops"
"""Key of max_crops in vLLM's `mm_processor_kwargs`.

Engine processes are spawned and know only what travels in the engine's configuration.
"""

ENCODE_SLICE_KEY = "encode_slice_ms"
"""Key of encode_slice_ms there."""

_PROFILE = "phiserve-profile"
_BATCHED = MultiModalBatchedField()
_BATCHED_ON_HOST = MultiModalBatchedField(keep_on_cpu=True)


def image_item(crops: torch.Tensor, padded: tuple[int, int], key: str) -> MultiModalKwargsItem:
    """One image as vLLM carries it, made in our process and read by `Phi3VForCausalLM.embed_multimodal`.

    `crops` is uint8 of shape (n, 336, 336, 3), row-major; `padded` is the padded image's (width, height);
    `key` its cache key, of which `image_ids` holds a 128-bit digest.
    """
    width, height = padded
    image_id = torch.frombuffer(bytearray(blake3(key.encode()).digest(16)), dtype=torch.int64)
    return MultiModalKwargsItem(
        {
            "crops": MultiModalFieldElem(data=crops, field=_BATCHED),
            "image_sizes": MultiModalFieldElem(data=torch.tensor([height, width]), field=_BATCHED_ON_HOST),
            "image_ids": MultiModalFieldElem(data=image_id, field=_BATCHED_ON_HOST),
        }
    )


def image_id_of(item: MultiModalKwargsItem) -> ImageId:
    """The id of an item that `image_item` made."""
    return tuple(item["image_ids"].data.tolist())


def encode_slice_s(config: ModelConfig) -> float:
    """Seconds that encoding may hold up a step, from encode_slice_ms in the engine's configuration."""
    return float(config.get_multimodal_config().mm_processor_kwargs[ENCODE_SLICE_KEY]) / 1000


class Phi3VProcessingInfo(BaseProcessingInfo):
    """Limits of one image, from max_crops in the engine's configuration."""

    @property
    def max_crops(self) -> int:
        """Largest number of crops of an image."""
        kwargs = self.ctx.get_mm_config().mm_processor_kwargs or {}
        return int(kwargs.get(MAX_CROPS_KEY, DEFAULT_MAX_CROPS))

    def get_supported_mm_limits(self) -> Mapping[str, int | None]:
        """Any number of images and nothing else."""
        return {"image": None}

    def get_mm_max_tokens_per_item(self, seq_len: int, mm_counts: Mapping[str, int]) -> Mapping[str, int]:
        """Tokens of the most expensive image; vLLM sizes its encoder budget by it."""
        return {"image": most_image_tokens(self.max_crops)}


class Phi3VDummyInputsBuilder(BaseDummyInputsBuilder[Phi3VProcessingInfo]):
    """Required by the registry; `Phi3VProcessor` makes its dummy inputs itself."""

    def get_dummy_text(self, mm_counts: Mapping[str, int]) -> str:
        """No text."""
        return ""

    def get_dummy_mm_data(
        self, seq_len: int, mm_counts: Mapping[str, int], mm_options: MultiModalDummyOptions
    ) -> MultiModalDataDict:
        """No raw data."""
        return {}


class Phi3VProcessor(BaseMultiModalProcessor[Phi3VProcessingInfo]):
    """Makes the largest image for profiling; refuses to render requests."""

    def get_dummy_mm_inputs(
        self,
        mm_counts: Mapping[str, int],
        *,
        cache: BaseMultiModalProcessorCache | None = None,
        scheduler_config: SchedulerConfig | None = None,
    ) -> MultiModalInput:
        """The image with the most tokens: one column of `max_crops` crops.

        With its global view it also has the most crops.
        """
        max_crops = self.info.max_crops
        length = most_image_tokens(max_crops)
        crops = torch.zeros(max_crops, CROP_SIDE, CROP_SIDE, 3, dtype=torch.uint8)
        item = image_item(crops, (CROP_SIDE, max_crops * CROP_SIDE), _PROFILE)
        return mm_input(
            prompt_token_ids=[Control.IMAGE.value] * length,
            mm_kwargs=MultiModalKwargsItems({"image": [item]}),
            mm_hashes={"image": [_PROFILE]},
            mm_placeholders={"image": [PlaceholderRange(offset=0, length=length)]},
        )

    def apply(self, inputs: ProcessorInputs, timing_ctx: TimingContext) -> NoReturn:
        """Refuse: requests must come rendered. Raises NotImplementedError."""
        raise NotImplementedError(
            "phiserve renders its requests itself; raw multimodal prompts are not supported"
        )

    def _get_mm_fields_config(
        self, hf_inputs: BatchFeature, hf_processor_mm_kwargs: Mapping[str, object]
    ) -> NoReturn:
        raise NotImplementedError

    def _get_prompt_updates(
        self,
        mm_items: MultiModalDataItems,
        hf_processor_mm_kwargs: Mapping[str, object],
        out_mm_kwargs: MultiModalKwargsItems,
    ) -> NoReturn:
        raise NotImplementedError
