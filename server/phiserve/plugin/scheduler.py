"""vLLM's scheduler, which lets running answers go on while an image is encoded."""

from functools import partial
from typing import Any

from vllm.multimodal.inputs import MultiModalFeatureSpec, MultiModalKwargsItem
from vllm.multimodal.utils import get_mm_features_in_window
from vllm.v1.core.sched.output import SchedulerOutput
from vllm.v1.request import Request, RequestStatus

from phiserve.plugin.length_scheduler import LengthScheduler
from phiserve.plugin.model import tower_input
from phiserve.plugin.partial_encoding import PARTIAL_ENCODER, Encoding, ImageId
from phiserve.plugin.processor import image_id_of


class PartialEncodingScheduler(LengthScheduler):
    """Postpones an image's tokens until it has been encoded, while others are being answered."""

    def schedule(self, throttle_prefills: bool = False) -> SchedulerOutput:
        """Schedule a step as vLLM does, with no image requested at first."""
        PARTIAL_ENCODER.begin_step()
        output = super().schedule(throttle_prefills)
        PARTIAL_ENCODER.steps_are_short = self.steps_are_short
        PARTIAL_ENCODER.nobody_waits = self.nobody_waits
        return output

    def _try_schedule_encoder_inputs(
        self,
        request: Request,
        num_computed_tokens: int,
        num_new_tokens: int,
        encoder_compute_budget: int,
        shift_computed_tokens: int = 0,
    ) -> tuple[list[int], int, int, list[int], list[int]]:
        """Decide as vLLM does which images of the next `num_new_tokens` tokens are encoded in this step.

        The tokens end before the first image that is not ready, as vLLM itself lets them end where the
        encoder's budget is used up. Nothing changes where nobody would have to wait.
        """
        if PARTIAL_ENCODER.has_worker and self._holds_up_others(request):
            num_new_tokens = self._tokens_before_encoding(request, num_computed_tokens, num_new_tokens)
        return super()._try_schedule_encoder_inputs(
            request, num_computed_tokens, num_new_tokens, encoder_compute_budget, shift_computed_tokens
        )

    def _free_request(
        self, request: Request, delay_free_blocks: bool = False
    ) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
        """Free a request that has ended as vLLM does, and what was encoded of images that no other one shows.

        An aborted request may leave an image behind that has been encoded in part.
        """
        if PARTIAL_ENCODER.images:
            for image in _images(request) - self._images_of_others(request):
                PARTIAL_ENCODER.forget(image)
        return super()._free_request(request, delay_free_blocks)

    def _images_of_others(self, request: Request) -> frozenset[ImageId]:
        return frozenset().union(
            *(_images(other) for other in self.requests.values() if other is not request)
        )

    def _holds_up_others(self, request: Request) -> bool:
        """Whether others are answered. Batch work always does: who comes next waits for its step's end."""
        return request.priority > 0 or any(
            other is not request and _is_answered(other) for other in self.running
        )

    def _tokens_before_encoding(self, request: Request, num_computed_tokens: int, num_new_tokens: int) -> int:
        """How many of the next tokens come before the first image that is not ready.

        That image is requested from the partial encoder. Batch work does not begin with it: the prefix cache
        is asked once, when a request begins, and lines that show the same image find nothing there yet.
        """
        low, high = get_mm_features_in_window(
            request.mm_features, num_computed_tokens, num_computed_tokens + num_new_tokens
        )
        for number, feature in enumerate(request.mm_features[low:high]):
            if not self._is_ready(feature):
                PARTIAL_ENCODER.request(image_id_of(feature.data), partial(_prepare, feature.data))
                if not number and request.priority > 0 and request.status != RequestStatus.RUNNING:
                    return 0
                return max(0, feature.mm_position.offset - num_computed_tokens)
        return num_new_tokens

    def _is_ready(self, feature: MultiModalFeatureSpec) -> bool:
        """Whether the step need not encode the image.

        vLLM has its embedding, or all its features are there.
        """
        if feature.data is None or feature.identifier in self.encoder_cache_manager.cached:
            return True
        return PARTIAL_ENCODER.is_complete(image_id_of(feature.data))


def _is_answered(request: Request) -> bool:
    """Whether a client already receives this request's tokens.

    Before that, while its prompt is read, it can wait for a whole image.
    """
    return request.num_computed_tokens >= request.num_prompt_tokens


def _images(request: Request) -> frozenset[ImageId]:
    """Ids of the images that a request shows."""
    return frozenset(image_id_of(one.data) for one in request.mm_features if one.data is not None)


def _prepare(item: MultiModalKwargsItem) -> Encoding:
    return tower_input(item["crops"].data, item["image_sizes"].data.tolist())
