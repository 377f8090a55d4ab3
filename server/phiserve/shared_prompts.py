"""Prompts that share their beginning, images included, and differ in their ends: read and planned once."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import islice

from phiserve.chat.encoder import LONG_TEXT, EncodedPrompt, PromptEncoder
from phiserve.context import ContextNeed
from phiserve.core import Conversation, Detail, ImagePlaceholder, Part, Turn
from phiserve.errors import ContextLengthExceeded, InvalidRequest
from phiserve.pages import CountPages, PageLimits, PageReader, parts_with_files, with_files
from phiserve.preparation import PreparedImage, PreparedPrompt, PromptLimits
from phiserve.turns import NOBODY, Line
from phiserve.vision.documents import FileOwner
from phiserve.vision.fitting import fit_crops
from phiserve.vision.images import EncodedImage, ImageService
from phiserve.vision.sizes import CropPlan

Parts = tuple[Part, ...]

CALL_CHARACTERS = 200
"""Characters that take as long to encode as a call of the tokenizer besides."""


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
class Ending:
    """How some of the prompts go on: with `head`, and each of them with one of `tails`.

    Head and tails begin with a line break.
    """

    head: Parts
    tails: tuple[str, ...]

    @property
    def num_characters(self) -> int:
        """Length of the head's text and of the longest tail."""
        return sum(len(part) for part in self.head if isinstance(part, str)) + max(map(len, self.tails))


@dataclass(frozen=True, slots=True)
class _EncodedEnding:
    """The ids of an ending: of its head around its images, and of each tail."""

    head: EncodedPrompt
    tails: tuple[Sequence[int], ...]

    @property
    def most_text_tokens(self) -> int:
        """Tokens that are not an image's, with the longest tail."""
        return self.head.num_text_tokens + max(map(len, self.tails))


@dataclass(frozen=True, slots=True)
class PromptEnd:
    """How some of the prompts go on, prepared: its ids and, where it shows images, these and their plans."""

    encoded: _EncodedEnding
    images: tuple[EncodedImage, ...] = ()
    plans: tuple[CropPlan, ...] = ()

    @property
    def num_tokens(self) -> int:
        """Tokens with the first tail."""
        return self.encoded.head.num_text_tokens + _num_tokens(self.plans) + len(self.encoded.tails[0])


@dataclass(frozen=True, slots=True)
class _Need:
    """What one end needs of the context: the tokens of its text, and its own images."""

    text_tokens: int
    images: tuple[EncodedImage, ...]
    details: tuple[Detail, ...]


class SharedPreparer:
    """Turns a conversation and the ends of its last turn into prompts."""

    def __init__(self, encoder: PromptEncoder, images: ImageService, limits: PromptLimits) -> None:
        self.encoder = encoder
        self.images = images
        self._limits = limits
        self._pages = PageReader(
            images.documents, PageLimits(images.limits, limits.max_images, limits.max_crops)
        )

    async def prepare(
        self,
        conversation: Conversation,
        endings: Sequence[Ending],
        cache_salt: str | None = None,
        line: Line = NOBODY,
        count_pages: CountPages | None = None,
    ) -> tuple[SharedPreparation, list[PromptEnd]]:
        """Read and plan all images, and encode all text; nothing is decoded or drawn.

        The shared images are planned so that they fit with the longest ending. `count_pages` is told of the
        pages of files, the endings' too, before these are read. Raises InvalidRequest, InvalidImage,
        InvalidPdf or ContextLengthExceeded.
        """
        owner = FileOwner(line, cache_salt, conversation.owner)
        conversation, endings = await self._with_pages(_opened(conversation), endings, owner, count_pages)
        own = [_images_of(ending.head) for ending in endings]
        placeholders = [*conversation.images, *(image for images in own for image in images)]
        self._check_image_count(placeholders)
        read = iter(await self.images.read(placeholders, cache_salt, line, conversation.owner))
        shared_images = list(islice(read, len(conversation.images)))
        shared, encoded = await self._encode(conversation, endings)
        needs = [
            _Need(
                ending.most_text_tokens,
                tuple(islice(read, len(images))),
                tuple(image.detail for image in images),
            )
            for ending, images in zip(encoded, own, strict=True)
        ]
        plans = self._plan(conversation, shared.num_text_tokens, shared_images, needs)
        tokens = [plan.num_tokens for plan in plans]
        prepared = SharedPreparation(
            shared.ids(tokens),
            tuple(map(PreparedImage, shared_images, plans, shared.image_offsets(tokens))),
        )
        return prepared, [self._end(*pair, prepared) for pair in zip(needs, encoded, strict=True)]

    def prompt(self, shared: SharedPreparation, end: PromptEnd, tail: int) -> PreparedPrompt:
        """One whole prompt, which ends with this one of its tails; its answer is one token."""
        tokens = [plan.num_tokens for plan in end.plans]
        head = end.encoded.head
        own = [
            PreparedImage(image, plan, shared.num_tokens + offset)
            for image, plan, offset in zip(end.images, end.plans, head.image_offsets(tokens), strict=True)
        ]
        ids = [*shared.ids, *head.ids(tokens), *end.encoded.tails[tail]]
        return PreparedPrompt(ids, (*shared.images, *own), 1)

    async def _with_pages(
        self,
        conversation: Conversation,
        endings: Sequence[Ending],
        owner: FileOwner,
        count_pages: CountPages | None,
    ) -> tuple[Conversation, list[Ending]]:
        """The same with what stands in the place of files."""
        own = [part for ending in endings for part in ending.head if not isinstance(part, str)]
        shown = iter(await self._pages.pages_of([*conversation.shown, *own], owner, count_pages))
        conversation = with_files(conversation, shown)
        return conversation, [
            replace(ending, head=parts_with_files(ending.head, shown)) for ending in endings
        ]

    def _check_image_count(self, placeholders: Sequence[ImagePlaceholder]) -> None:
        limit = self._limits.max_images
        if len(placeholders) > limit:
            reason = f"the request has {len(placeholders)} images; the limit is {limit} (max_images)"
            raise InvalidRequest(reason, param=placeholders[limit].param, code="too_many_images")

    async def _encode(
        self, conversation: Conversation, endings: Sequence[Ending]
    ) -> tuple[EncodedPrompt, list[_EncodedEnding]]:
        """On a thread where that takes longer than a thread takes to wake up; equal tails once.

        A long text that cannot fit, whatever its tokens are, is refused before it is encoded, and a prompt
        that does not fit before the next one is.
        """

        def encode() -> tuple[EncodedPrompt, list[_EncodedEnding]]:
            shared, encode_end = self.encoder.encode(conversation), cache(self.encoder.encode_end)
            encoded = []
            for ending in endings:
                tails = tuple(map(encode_end, ending.tails))
                encoded.append(_EncodedEnding(self.encoder.encode_more(ending.head), tails))
                text_tokens = shared.num_text_tokens + encoded[-1].most_text_tokens
                self._check_context(ContextNeed(text_tokens, (), ()), conversation.param)
            return shared, encoded

        texts = [*{tail for ending in endings for tail in ending.tails}]
        texts += [part for ending in endings for part in ending.head if isinstance(part, str)]
        if conversation.num_characters + sum(map(len, texts)) + CALL_CHARACTERS * len(texts) < LONG_TEXT:
            return encode()
        longest = max(ending.num_characters for ending in endings)
        least = self.encoder.least_tokens(conversation) + self.encoder.least_tokens_of(longest)
        self._check_context(ContextNeed(least, (), (), text_is_counted=False), conversation.param)
        return await asyncio.to_thread(encode)

    def _check_context(self, need: ContextNeed, param: str) -> None:
        limit = self._limits.context_tokens
        if need.total > limit:
            raise ContextLengthExceeded(need.explain(limit, self._limits.max_crops), param=param)

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
        details = [placeholder.detail for placeholder in conversation.images]
        longest = max((end for end in ends if not end.images), key=_text_tokens, default=None)
        needs = [
            self._need(text_tokens + end.text_tokens, [*images, *end.images], [*details, *end.details])
            for end in ends
            if end.images or end is longest
        ]
        self._check_context(max(needs, key=lambda need: need.total), conversation.param)
        return min((need.plans[: len(images)] for need in needs), key=_num_tokens)

    def _need(
        self, text_tokens: int, images: Sequence[EncodedImage], details: Sequence[Detail]
    ) -> ContextNeed:
        sizes, limits = tuple(image.size for image in images), self._limits
        plans = fit_crops(sizes, details, limits.max_crops, limits.context_tokens - text_tokens - 1)
        are_pages = tuple(image.page is not None for image in images)
        return ContextNeed(text_tokens, sizes, plans, are_pages=are_pages)

    def _end(self, need: _Need, encoded: _EncodedEnding, shared: SharedPreparation) -> PromptEnd:
        """An end whose own images take what the shared beginning leaves."""
        available = self._limits.context_tokens - shared.num_tokens - need.text_tokens - 1
        sizes = [image.size for image in need.images]
        plans = fit_crops(sizes, need.details, self._limits.max_crops, available)
        return PromptEnd(encoded, need.images, plans)


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
