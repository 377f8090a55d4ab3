"""Conversation -> prompt ids, with its images planned.

Everything before the engine, of which this module knows nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from phiserve.chat.encoder import LONG_TEXT, EncodedPrompt, PromptEncoder
from phiserve.chat.truncation import newest_turns, num_omissible, without_oldest
from phiserve.context import ContextNeed
from phiserve.core import Conversation, ImagePlaceholder, Prompt, RawPrompt
from phiserve.errors import ContextLengthExceeded, InvalidRequest
from phiserve.pages import CountPages, PageLimits, PageReader, least_shown
from phiserve.turns import NOBODY, Line
from phiserve.vision.fitting import fit_crops
from phiserve.vision.images import EncodedImage, ImageService
from phiserve.vision.limits import TooLargeTogether
from phiserve.vision.sizes import CropPlan


@dataclass(frozen=True, slots=True)
class PromptLimits:
    """What a prompt must fit into.

    `max_crops`: crops of one image at most. `answer_reserve`: tokens `auto` leaves for an answer, unless it
    may only be shorter or must be longer.
    """

    context_tokens: int
    max_crops: int
    max_images: int
    answer_reserve: int

    def available_image_tokens(
        self, text_tokens: int, max_tokens: int | None = None, min_tokens: int = 0
    ) -> int:
        """Tokens that all images may take together.

        The rest is text and what is left for an answer of at most `max_tokens` and at least `min_tokens`:
        the reserve between these bounds.
        """
        reserve = self.answer_reserve if max_tokens is None else min(max_tokens, self.answer_reserve)
        return self.context_tokens - text_tokens - max(reserve, min_tokens)


@dataclass(frozen=True, slots=True)
class PreparedImage:
    """An image that has been read and planned, not decoded. `offset`: where its ids start in the prompt."""

    encoded: EncodedImage
    plan: CropPlan
    offset: int


@dataclass(frozen=True, slots=True)
class PreparedPrompt:
    """A prompt that fits the context: its ids, its images and how many tokens the answer may take."""

    ids: list[int]
    images: tuple[PreparedImage, ...]
    max_tokens: int

    @property
    def num_image_tokens(self) -> int:
        """Image tokens in the prompt."""
        return sum(image.plan.num_tokens for image in self.images)


class PromptPreparer:
    """Turns conversations into prompts. Holds the parts; each prompt's state is in `PreparedPrompt`."""

    def __init__(self, encoder: PromptEncoder, images: ImageService, limits: PromptLimits) -> None:
        self._encoder = encoder
        self._images = images
        self._limits = limits
        self._pages = PageReader(
            images.documents, PageLimits(images.limits, limits.max_images, limits.max_crops)
        )

    async def prepare(
        self,
        conversation: Prompt,
        max_tokens: int | None = None,
        cache_salt: str | None = None,
        line: Line = NOBODY,
        min_tokens: int = 0,
        count_pages: CountPages | None = None,
    ) -> PreparedPrompt:
        """Prepare a conversation or a raw prompt, cheapest checks first; nothing is decoded or drawn.

        `max_tokens` is the answer's own limit, if it has one; what the context does not leave of it is cut.
        Images are known again only under an equal `cache_salt`; `line` is where images wait for a thread.
        Where there are files, `count_pages` is told of their pages before these are read. Of a conversation
        that truncates, the oldest turns are left out until its images are not too many, nor too large
        together, and its tokens fit. Its images are read once, unless they are too large. Raises
        InvalidRequest, InvalidImage, InvalidPdf, or ContextLengthExceeded where no token is left for the
        answer.
        """
        if not isinstance(conversation, RawPrompt):
            conversation = await self._pages.with_pages(conversation, cache_salt, line, count_pages)
        conversation, images = await self._read(conversation, cache_salt, line)
        try:
            return await self._prepare(conversation, images, max_tokens, min_tokens)
        except ContextLengthExceeded:
            if isinstance(conversation, RawPrompt) or not conversation.truncates:
                raise
        return await self._prepare_truncated(conversation, images, max_tokens, min_tokens)

    def shortened(self, conversation: Prompt) -> Prompt:
        """Without the oldest turns, where it truncates, that show more images than a request may have."""
        if isinstance(conversation, RawPrompt) or not conversation.truncates:
            return conversation
        return newest_turns(conversation, self._limits.max_images, map(least_shown, conversation.shown))

    async def _read(
        self, conversation: Prompt, cache_salt: str | None, line: Line
    ) -> tuple[Prompt, Sequence[EncodedImage]]:
        """The images, and the conversation without what they leave no room for, where it truncates."""

        async def read(kept: Prompt) -> Sequence[EncodedImage]:
            return await self._images.read(kept.images, cache_salt, line, kept.owner)

        conversation = self.shortened(conversation)
        self._check_image_count(conversation.images)
        try:
            return conversation, await read(conversation)
        except TooLargeTogether:
            if isinstance(conversation, RawPrompt) or not conversation.truncates:
                raise
        return await _newest_read(conversation, read)

    async def _prepare_truncated(
        self,
        conversation: Conversation,
        images: Sequence[EncodedImage],
        max_tokens: int | None,
        min_tokens: int,
    ) -> PreparedPrompt:
        """Prepare the newest turns that leave room for an answer, found by halves; the last one is kept."""

        async def prepare(omitted: int) -> PreparedPrompt:
            kept = without_oldest(conversation, omitted)
            return await self._prepare(kept, _of_newest(images, kept), max_tokens, min_tokens)

        reserve = self._limits.answer_reserve
        wanted = reserve if max_tokens is None else min(max_tokens, reserve)
        too_few, enough = 0, num_omissible(conversation)
        best = await prepare(enough)
        while enough - too_few > 1:
            middle = (too_few + enough) // 2
            try:
                prompt = await prepare(middle)
            except ContextLengthExceeded:
                too_few = middle
                continue
            if prompt.max_tokens < wanted:
                too_few = middle
            else:
                enough, best = middle, prompt
        return best

    async def _prepare(
        self,
        conversation: Prompt,
        images: Sequence[EncodedImage],
        max_tokens: int | None,
        min_tokens: int,
    ) -> PreparedPrompt:
        prompt = await self._encode(conversation, images)
        available = self._limits.available_image_tokens(prompt.num_text_tokens, max_tokens, min_tokens)
        need = self._need(conversation, images, prompt.num_text_tokens, available)
        self._check_context(need, conversation.param)
        return self._prepared(prompt, images, need.plans, max_tokens)

    def _check_image_count(self, placeholders: Sequence[ImagePlaceholder]) -> None:
        limit = self._limits.max_images
        if len(placeholders) > limit:
            reason = f"the request has {len(placeholders)} images; the limit is {limit} (max_images)"
            raise InvalidRequest(reason, param=placeholders[limit].param, code="too_many_images")

    async def _encode(self, conversation: Prompt, images: Sequence[EncodedImage]) -> EncodedPrompt:
        """A long text that cannot fit, whatever its tokens are, is refused before it is encoded."""
        if conversation.num_characters < LONG_TEXT:
            return self._encoder.encode(conversation)
        least = self._encoder.least_tokens(conversation)
        need = self._need(conversation, images, least, self._limits.available_image_tokens(least))
        self._check_context(replace(need, text_is_counted=False), conversation.param)
        return await asyncio.to_thread(self._encoder.encode, conversation)

    def _need(
        self, conversation: Prompt, images: Sequence[EncodedImage], text_tokens: int, available: int
    ) -> ContextNeed:
        """What the request needs, `auto` images stepped down until all take no more than `available`."""
        sizes = tuple(image.size for image in images)
        details = [placeholder.detail for placeholder in conversation.images]
        plans = fit_crops(sizes, details, self._limits.max_crops, available)
        are_pages = tuple(image.page is not None for image in images)
        return ContextNeed(text_tokens, sizes, plans, are_pages=are_pages)

    def _check_context(self, need: ContextNeed, param: str) -> None:
        limit = self._limits.context_tokens
        if need.total > limit:
            raise ContextLengthExceeded(need.explain(limit, self._limits.max_crops), param=param)

    def _prepared(
        self,
        prompt: EncodedPrompt,
        images: Sequence[EncodedImage],
        plans: Sequence[CropPlan],
        max_tokens: int | None,
    ) -> PreparedPrompt:
        image_tokens = [plan.num_tokens for plan in plans]
        ids = prompt.ids(image_tokens)
        prepared = tuple(map(PreparedImage, images, plans, prompt.image_offsets(image_tokens)))
        left = self._limits.context_tokens - len(ids)
        return PreparedPrompt(ids, prepared, left if max_tokens is None else min(max_tokens, left))


def _of_newest(images: Sequence[EncodedImage], kept: Conversation) -> Sequence[EncodedImage]:
    """The images of a conversation whose oldest turns are left out: instructions, which stay, show none."""
    return images[len(images) - len(kept.images) :]


async def _newest_read(
    conversation: Conversation, read: Callable[[Conversation], Awaitable[Sequence[EncodedImage]]]
) -> tuple[Conversation, Sequence[EncodedImage]]:
    """The newest turns whose images are not too large together, found by halves, and these images.

    Raises as `read` where those of the last turn are.
    """
    counts = [1] * len(conversation.images)
    found: tuple[Conversation, Sequence[EncodedImage]] | None = None
    enough, too_many = 0, len(counts)
    while too_many - enough > 1:
        middle = (enough + too_many) // 2
        kept = newest_turns(conversation, middle, counts)
        try:
            found, enough = (kept, await read(kept)), middle
        except TooLargeTogether:
            too_many = middle
    if found is not None:
        return found
    kept = newest_turns(conversation, 0, counts)
    return kept, await read(kept)
