"""A prompt taken apart, with the server's own parts and without an engine."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pydantic import TypeAdapter

from phiserve.chat.encoder import PromptEncoder
from phiserve.chat.segments import Segment, split_segments
from phiserve.chat.vocabulary import Vocabulary
from phiserve.checkpoint.opened import Checkpoint
from phiserve.config import Settings
from phiserve.core import Conversation, DocumentPlaceholder, Part, Turn
from phiserve.preparation import PreparedPrompt, PromptLimits, PromptPreparer
from phiserve.protocol.messages import Message
from phiserve.protocol.translation import build_conversation
from phiserve.vision.fitting import fit_crops
from phiserve.vision.images import ImageService
from phiserve.vision.sizes import CropPlan

_MESSAGES: TypeAdapter[tuple[Message, ...]] = TypeAdapter(tuple[Message, ...])


@dataclass(frozen=True)
class Inspected:
    """A prompt as a server with default settings prepares it, and the limits that it was held against."""

    prompt: PreparedPrompt
    limits: PromptLimits

    @property
    def num_text_tokens(self) -> int:
        """Tokens that are not an image's."""
        return len(self.prompt.ids) - self.prompt.num_image_tokens

    def segments(self, vocabulary: Vocabulary) -> list[Segment]:
        """The prompt in segments of one kind each."""
        images = {image.offset: image.plan.num_tokens for image in self.prompt.images}
        return list(split_segments(self.prompt.ids, images, vocabulary))

    def under(self, detail: str) -> Sequence[CropPlan]:
        """Plans of all images if each had this `detail`."""
        sizes = [image.encoded.size for image in self.prompt.images]
        available = self.limits.available_image_tokens(self.num_text_tokens)
        return fit_crops(sizes, [detail] * len(sizes), self.limits.max_crops, available)


async def inspect(
    checkpoint: Checkpoint, service: ImageService, messages: Sequence[object], names: Sequence[str]
) -> Inspected:
    """Prepare a prompt without an engine; `names` stand for its images in errors.

    Raises InvalidRequest, InvalidImage or ContextLengthExceeded.
    """
    defaults = Settings()
    limits = PromptLimits(
        context_tokens=checkpoint.short_context,
        max_crops=checkpoint.max_crops,
        max_images=defaults.max_images,
        answer_reserve=defaults.answer_reserve_tokens,
    )
    preparer = PromptPreparer(PromptEncoder.load(checkpoint.tokenizer_json), service, limits)
    conversation = build_conversation(_MESSAGES.validate_python(messages))
    return Inspected(await preparer.prepare(_with_names(conversation, names)), limits)


def _with_names(conversation: Conversation, names: Sequence[str]) -> Conversation:
    """The same conversation, each image known by its name instead of its path in the request."""
    left = iter(names)

    def named(turn: Turn) -> Turn:
        """One turn, its images named."""
        return replace(turn, parts=tuple(map(named_part, turn.parts)))

    def named_part(part: Part) -> Part:
        """One part, with a name if it is an image or a PDF."""
        if isinstance(part, str):
            return part
        name = next(left)
        if isinstance(part, DocumentPlaceholder):
            return replace(part, param=name, part=name)
        return replace(part, param=name)

    return Conversation(tuple(map(named, conversation.turns)))
