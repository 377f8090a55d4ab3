"""vLLM's scheduler, which lets running answers go on while an image is encoded."""

from functools import partial
from typing import Any

import torch
from vllm.multimodal.inputs import MultiModalFeatureSpec
from vllm.multimodal.utils import get_mm_features_in_window
from vllm.v1.core.sched.scheduler import Scheduler
from vllm.v1.request import Request

from phiserve.plugin.model import tower_input
from phiserve.plugin.partial_encoding import SLICES
from phiserve.plugin.processor import image_id_of


class ImageScheduler(Scheduler):
    """Schedules an image's tokens only once it has been encoded slice by slice, if others are being answered
    meanwhile.
    """

    def schedule(self, *arguments: Any, **options: Any) -> Any:
        """As vLLM's."""
        SLICES.begin_step()
        return super().schedule(*arguments, **options)

    def _try_schedule_encoder_inputs(
        self, request: Request, num_computed_tokens: int, num_new_tokens: int, *arguments: Any, **options: Any
    ) -> Any:
        """As vLLM's, for the tokens before the first image that is not ready: as if there were no budget to
        encode it.
        """
        if SLICES.are_served and any(other is not request and _is_answered(other) for other in self.running):
            low, high = get_mm_features_in_window(
                request.mm_features, num_computed_tokens, num_computed_tokens + num_new_tokens
            )
            for feature in request.mm_features[low:high]:
                if not self._is_ready(feature):
                    SLICES.want(image_id_of(feature.data), partial(_inputs, feature.data))
                    num_new_tokens = max(0, feature.mm_position.offset - num_computed_tokens)
                    break
        return super()._try_schedule_encoder_inputs(
            request, num_computed_tokens, num_new_tokens, *arguments, **options
        )

    def _is_ready(self, feature: MultiModalFeatureSpec) -> bool:
        if feature.data is None or feature.identifier in self.encoder_cache_manager.cached:
            return True
        return SLICES.is_whole(image_id_of(feature.data))


def _is_answered(request: Request) -> bool:
    """Whether somebody reads its tokens already: one whose prompt is still being read can wait for a whole
    image.
    """
    return request.num_computed_tokens >= request.num_prompt_tokens


def _inputs(data: Any) -> torch.Tensor:
    return tower_input(data["crops"].data, data["image_sizes"].data.tolist())
