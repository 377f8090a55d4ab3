"""Prompts that share their beginning, images included, and differ in their ends: read and planned once."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from phiserve.chat.encoder import LONG_TEXT, EncodedPrompt, PromptEncoder
from phiserve.context import ContextNeed
from phiserve.core import Conversation, Detail, ImagePlaceholder, Part, Turn
from phiserve.errors import ContextLengthExceeded, InvalidRequest
from phiserve.preparation import PreparedImage, PreparedPrompt, PromptLimits
from phiserve.turns import NOBODY, Line
from phiserve.vision.fitting import fit_crops
from phiserve.vision.images import EncodedImage, ImageService
from phiserve.vision.sizes import CropPlan

Parts = tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class SharedPreparation:
    """The shared beginning: its ids, of which the prompts' own follow, and its images."""

    ids: list[int]
    images: tuple[PreparedImage, ...]

    @property
    def num_tokens(self) -> int:
        """Tokens that all prompts begin with."""
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class PromptEnd:
    """How one prompt goes on: its parts, how many tokens they take and, where it shows images, these."""

    parts: Parts
    num_tokens: int
    images: tuple[EncodedImage, ...] = ()
    plans: tuple[CropPlan, ...] = ()


@dataclass(frozen=True, slots=True)
class _Need:
    """What one end needs of the context: the tokens of its text, and its own images."""

    text_tokens: int
    images: tuple[EncodedImage, ...]
    details: tuple[Detail, ...]

    @property
    def sizes(self) -> tuple[tuple[int, int], ...]:
        """Width and height of each of its images."""
        return tuple(image.size for image in self.images)


class SharedPreparer:
    """Turns a conversation and the ends of its last turn into prompts."""

    def __init__(self, encoder: PromptEncoder, images: ImageService, limits: PromptLimits) -> None:
        self.encoder = encoder
        self.images = images
        self._limits = limits

    async def prepare(
        self,
        conversation: Conversation,
        ends: Sequence[Parts],
        cache_salt: str | None = None,
        line: Line = NOBODY,
    ) -> tuple[SharedPreparation, list[PromptEnd]]:
        """Read and plan all images, and encode what is shared; nothing is decoded.

        `ends` are the parts of each prompt's end. The shared images are planned so that they fit with the
        longest one. Raises InvalidRequest, InvalidImage or ContextLengthExceeded.
        """
        conversation = _opened(conversation)
        own = [_images_of(parts) for parts in ends]
        placeholders = [*conversation.images, *(image for images in own for image in images)]
        self._check_image_count(placeholders)
        read = await self.images.read(placeholders, cache_salt, line)
        shared_images, rest = read[: len(conversation.images)], iter(read[len(conversation.images) :])
        shared, encoded = await self._encode(conversation, ends)
        needs = [
            _Need(
                end.num_text_tokens,
                tuple(next(rest) for _ in images),
                tuple(image.detail for image in images),
            )
            for end, images in zip(encoded, own, strict=True)
        ]
        plans = self._plan(conversation, shared.num_text_tokens, shared_images, needs)
        tokens = [plan.num_tokens for plan in plans]
        prepared = SharedPreparation(
            shared.ids(tokens),
            tuple(map(PreparedImage, shared_images, plans, shared.image_offsets(tokens))),
        )
        return prepared, [self._end(need, parts, prepared) for need, parts in zip(needs, ends, strict=True)]

    def prompt(self, shared: SharedPreparation, end: PromptEnd) -> PreparedPrompt:
        """One whole prompt, whose answer is one token. Raises ContextLengthExceeded."""
        tokens = [plan.num_tokens for plan in end.plans]
        encoded = self.encoder.encode_end(end.parts)
        ids = shared.ids + encoded.ids(tokens)
        if len(ids) >= self._limits.context_tokens:
            raise ContextLengthExceeded("The question takes more than the context leaves", param="input")
        offsets = encoded.image_offsets(tokens)
        own = [
            PreparedImage(image, plan, shared.num_tokens + offset)
            for image, plan, offset in zip(end.images, end.plans, offsets, strict=True)
        ]
        return PreparedPrompt(ids, (*shared.images, *own), 1)

    def _check_image_count(self, placeholders: Sequence[ImagePlaceholder]) -> None:
        limit = self._limits.max_images
        if len(placeholders) > limit:
            reason = f"the request has {len(placeholders)} images; the limit is {limit} (max_images)"
            raise InvalidRequest(reason, param=placeholders[limit].param, code="too_many_images")

    async def _encode(
        self, conversation: Conversation, ends: Sequence[Parts]
    ) -> tuple[EncodedPrompt, list[EncodedPrompt]]:
        """On a thread where that takes longer than a thread takes to wake up.

        A long text that cannot fit, whatever its tokens are, is refused before it is encoded.
        """

        def encode() -> tuple[EncodedPrompt, list[EncodedPrompt]]:
            shared = self.encoder.encode(conversation)
            return shared, [self.encoder.encode_end(parts) for parts in ends]

        of_ends = [sum(len(part) for part in parts if isinstance(part, str)) for parts in ends]
        if conversation.num_characters + sum(of_ends) < LONG_TEXT:
            return encode()
        least = self.encoder.least_tokens(conversation) + self.encoder.least_tokens_of(max(of_ends))
        need = ContextNeed(least, (), (), text_is_counted=False)
        if need.total > self._limits.context_tokens:
            reason = need.explain(self._limits.context_tokens, self._limits.max_crops)
            raise ContextLengthExceeded(reason, param=conversation.param)
        return await asyncio.to_thread(encode)

    def _plan(
        self,
        conversation: Conversation,
        text_tokens: int,
        images: Sequence[EncodedImage],
        ends: Sequence[_Need],
    ) -> tuple[CropPlan, ...]:
        """Plans of the shared images, with which every end fits as far as one can.

        Raises ContextLengthExceeded, with what the neediest prompt needs, where even the lowest do not.
        """
        sizes = [image.size for image in images]
        details = [placeholder.detail for placeholder in conversation.images]
        limit, max_crops = self._limits.context_tokens, self._limits.max_crops
        longest = max((end for end in ends if not end.sizes), key=_text_tokens, default=None)
        needs = []
        for end in (end for end in ends if end.sizes or end is longest):
            text = text_tokens + end.text_tokens
            every = [*sizes, *end.sizes], [*details, *end.details]
            needs.append(
                ContextNeed(text, (*sizes, *end.sizes), fit_crops(*every, max_crops, limit - text - 1))
            )
        worst = max(needs, key=lambda need: need.total)
        if worst.total > limit:
            raise ContextLengthExceeded(worst.explain(limit, max_crops), param=conversation.param)
        return min((need.plans[: len(sizes)] for need in needs), key=_num_tokens)

    def _end(self, need: _Need, parts: Parts, shared: SharedPreparation) -> PromptEnd:
        """An end whose own images take what the shared beginning leaves. Raises ContextLengthExceeded."""
        available = self._limits.context_tokens - shared.num_tokens - need.text_tokens - 1
        plans = fit_crops(need.sizes, need.details, self._limits.max_crops, available)
        return PromptEnd(parts, need.text_tokens + _num_tokens(plans), need.images, plans)


def _opened(conversation: Conversation) -> Conversation:
    """With the user's turn as the last one, left open for what follows."""
    turns = conversation.turns
    if not turns or turns[-1].role != "user":
        turns = (*turns, Turn("user", ()))
    return replace(conversation, turns=turns, is_open=True)


def _images_of(parts: Parts) -> list[ImagePlaceholder]:
    return [part for part in parts if isinstance(part, ImagePlaceholder)]


def _text_tokens(need: _Need) -> int:
    return need.text_tokens


def _num_tokens(plans: Sequence[CropPlan]) -> int:
    return sum(plan.num_tokens for plan in plans)
