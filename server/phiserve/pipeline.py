"""The life of a chat request, from its wire form to the engine's deltas: one orchestration, no HTTP and no vLLM."""

import asyncio
import uuid
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from phiserve.chat.conversation import Conversation, ImageSlot, build_conversation
from phiserve.chat.encoder import LONG_TEXT, EncodedPrompt, PromptEncoder
from phiserve.engine.interface import Delta, EngineClient, Generation, PromptImage
from phiserve.errors import ContextLengthExceeded, InvalidRequest
from phiserve.protocol.requests import ChatCompletionRequest
from phiserve.vision.context import ContextNeed
from phiserve.vision.fitting import fit_crops
from phiserve.vision.pictures import EncodedPicture, PictureService, picture_key
from phiserve.vision.sizes import CropPlan


@dataclass(frozen=True, slots=True)
class PipelineLimits:
    """`budget`: crops of a picture at most. `answer_reserve`: tokens `auto` leaves for an answer of unstated length."""

    budget: int
    max_images: int
    answer_reserve: int


@dataclass(frozen=True, slots=True)
class PreparedImage:
    """A picture that has been read and planned, not decoded."""

    picture: EncodedPicture
    plan: CropPlan
    offset: int


@dataclass(frozen=True, slots=True)
class PreparedChat:
    """A request that has passed every check before the engine: its ids, pictures and room for the answer."""

    request_id: str
    request: ChatCompletionRequest
    prompt_ids: list[int]
    images: tuple[PreparedImage, ...]
    max_tokens: int

    @property
    def num_image_tokens(self) -> int:
        """Prompt tokens that are pictures'."""
        return sum(image.plan.num_tokens for image in self.images)


class ChatPipeline:
    """Turns requests into deltas. Holds the parts; each request's state is in `PreparedChat`."""

    def __init__(self, engine: EngineClient, encoder: PromptEncoder, pictures: PictureService, limits: PipelineLimits) -> None:
        self._engine = engine
        self._encoder = encoder
        self._pictures = pictures
        self._limits = limits

    async def admit(self, request: ChatCompletionRequest) -> None:
        """Whether the engine would take the request at all. Raises InvalidRequest, Overloaded or EngineUnavailable."""
        await self._engine.admit(request)

    async def prepare(self, request: ChatCompletionRequest) -> PreparedChat:
        """Everything before the engine, cheapest checks first; nothing is decoded.

        Raises InvalidRequest, InvalidImage or ContextLengthExceeded.
        """
        conversation = build_conversation(request.messages)
        self._check_image_count(conversation.slots)
        pictures = await self._pictures.read((slot.url, slot.param) for slot in conversation.slots)
        prompt = await self._encode(request, conversation, pictures)
        need = self._need(request, prompt.num_text_tokens, conversation.slots, pictures)
        self._check_context(need)
        return self._prepared(request, prompt, pictures, need.plans)

    def deltas(self, chat: PreparedChat) -> AsyncGenerator[Delta, None]:
        """Run a prepared request. Closing the generator aborts it. Raises as `EngineClient.generate`, and InvalidImage."""
        images = tuple(
            PromptImage(
                key=picture_key(image.picture.digest, image.plan),
                plan=image.plan,
                offset=image.offset,
                load=partial(self._pictures.crops, image.picture, image.plan),
            )
            for image in chat.images
        )
        return self._engine.generate(Generation(chat.request_id, chat.prompt_ids, images, chat.request, chat.max_tokens))

    def _check_image_count(self, slots: Sequence[ImageSlot]) -> None:
        if len(slots) > self._limits.max_images:
            message = f"The request has {len(slots)} pictures; the limit is {self._limits.max_images} (max_images)"
            raise InvalidRequest(message, param=slots[self._limits.max_images].param, code="too_many_images")

    async def _encode(
        self, request: ChatCompletionRequest, conversation: Conversation, pictures: Sequence[EncodedPicture]
    ) -> EncodedPrompt:
        """A long text is looked at first: one that is too long whatever its tokens are is not encoded."""
        if conversation.num_characters < LONG_TEXT:
            return self._encoder.encode(conversation)
        need = self._need(request, self._encoder.least_tokens(conversation), conversation.slots, pictures)
        self._check_context(replace(need, text_is_counted=False))
        return await asyncio.to_thread(self._encoder.encode, conversation)

    def _need(
        self, request: ChatCompletionRequest, text_tokens: int, slots: Sequence[ImageSlot], pictures: Sequence[EncodedPicture]
    ) -> ContextNeed:
        """What the request needs, `auto` pictures stepped down as far as it takes."""
        sizes = tuple(picture.size for picture in pictures)
        answer = request.output_limit or self._limits.answer_reserve
        available = self._engine.limits.context_tokens - text_tokens - answer
        plans = fit_crops(sizes, [slot.detail for slot in slots], self._limits.budget, available)
        return ContextNeed(text_tokens, sizes, plans, request.output_limit)

    def _check_context(self, need: ContextNeed) -> None:
        limit = self._engine.limits.context_tokens
        if need.total > limit:
            raise ContextLengthExceeded(need.explain(limit, self._limits.budget), param="messages")

    def _prepared(
        self,
        request: ChatCompletionRequest,
        prompt: EncodedPrompt,
        pictures: Sequence[EncodedPicture],
        plans: Sequence[CropPlan],
    ) -> PreparedChat:
        image_tokens = [plan.num_tokens for plan in plans]
        prompt_ids = prompt.ids(image_tokens)
        offsets = prompt.image_offsets(image_tokens)
        return PreparedChat(
            request_id=f"chatcmpl-{uuid.uuid4().hex}",
            request=request.model_copy(update={"messages": ()}),  # pictures as base64 need not live as long as the answer
            prompt_ids=prompt_ids,
            images=tuple(map(PreparedImage, pictures, plans, offsets)),
            max_tokens=request.output_limit or self._engine.limits.context_tokens - len(prompt_ids),
        )
