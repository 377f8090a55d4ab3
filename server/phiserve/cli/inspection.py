"""A prompt taken apart, with the server's own parts and without an engine."""

from collections.abc import Sequence
from dataclasses import dataclass

from phiserve.chat.conversation import build_conversation
from phiserve.chat.encoder import EncodedPrompt, PromptEncoder
from phiserve.chat.segments import Segment, split_segments
from phiserve.chat.vocabulary import Vocabulary
from phiserve.checkpoint.opened import Checkpoint
from phiserve.protocol.chat import ChatCompletionRequest
from phiserve.vision.fitting import fit_crops
from phiserve.vision.images import EncodedImage, ImageService
from phiserve.vision.sizes import CropPlan

ANSWER_RESERVE = 64
"""Tokens left for the answer, as a server leaves by default."""


@dataclass(frozen=True)
class Inspected:
    """A prompt, its images and how closely each is looked at. `available_tokens`: what images may take
    together.
    """

    prompt: EncodedPrompt
    images: Sequence[EncodedImage]
    plans: Sequence[CropPlan]
    max_crops: int
    available_tokens: int

    @property
    def image_tokens(self) -> list[int]:
        """What each image takes."""
        return [plan.num_tokens for plan in self.plans]

    @property
    def ids(self) -> list[int]:
        """The whole prompt."""
        return self.prompt.ids(self.image_tokens)

    def segments(self, vocabulary: Vocabulary) -> list[Segment]:
        """The prompt in stretches."""
        offsets = self.prompt.image_offsets(self.image_tokens)
        return list(split_segments(self.ids, dict(zip(offsets, self.image_tokens, strict=True)), vocabulary))

    def under(self, detail: str) -> Sequence[CropPlan]:
        """Plans of all images if each had this `detail`."""
        sizes = [image.size for image in self.images]
        return fit_crops(sizes, [detail] * len(sizes), self.max_crops, self.available_tokens)


async def inspect(
    checkpoint: Checkpoint, service: ImageService, messages: Sequence[object], names: Sequence[str]
) -> Inspected:
    """Take a prompt apart; `names` stand for its images in errors. Raises InvalidRequest or InvalidImage."""
    request = ChatCompletionRequest.model_validate({"model": "any", "messages": messages})
    conversation = build_conversation(request.messages)
    prompt = PromptEncoder.load(checkpoint.tokenizer_json).encode(conversation)
    slots = conversation.slots
    images = await service.read(zip((slot.url for slot in slots), names, strict=True))
    available = checkpoint.short_context - prompt.num_text_tokens - ANSWER_RESERVE
    plans = fit_crops(
        [image.size for image in images], [slot.detail for slot in slots], checkpoint.max_crops, available
    )
    return Inspected(prompt, images, plans, checkpoint.max_crops, available)
