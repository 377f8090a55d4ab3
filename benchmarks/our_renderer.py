"""phiserve's way from a request's body to vLLM's engine input, with everything but the engine itself."""

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phiserve.chat.encoder import PromptEncoder
from phiserve.checkpoint.opened import open_checkpoint
from phiserve.core import GenerationRequest
from phiserve.engine.environment import prepare_environment
from phiserve.engine.host import detect_host
from phiserve.engine.interface import Admission, Delta, EngineHealth, EngineLimits, Generation
from phiserve.engine.plan import EngineOptions, plan_engine
from phiserve.engine.sender import ImageSender
from phiserve.load import Load
from phiserve.pipeline import Pipeline
from phiserve.preparation import PromptLimits, PromptPreparer
from phiserve.protocol.chat import ChatCompletionRequest
from phiserve.protocol.parsing import parse_off_loop
from phiserve.protocol.translation import to_generation_request
from phiserve.vision.images import ImageService
from phiserve.vision.limits import ImageLimits

_CONTEXT_TOKENS = 12288


class NoEngine:
    """Takes what an engine would be sent: loads the images that are missing, assembles vLLM's input, and
    answers nothing.
    """

    def __init__(self, sender: ImageSender) -> None:
        self._sender = sender
        self.last_bytes = 0

    @property
    def limits(self) -> EngineLimits:
        """A context in which four photos fit."""
        return EngineLimits(_CONTEXT_TOKENS, running=1, unfinished=1)

    @property
    def health(self) -> EngineHealth:
        """Nothing can end it."""
        return EngineHealth("serving")

    async def admit(self, request: GenerationRequest) -> Admission:
        """Everything is admitted."""
        return Admission()

    async def generate(self, generation: Generation) -> AsyncGenerator[Delta, None]:
        """Up to the send, as `engine.adapter` goes about it."""
        crops: dict[str, NDArray[np.uint8]] = {}
        while missing := self._sender.missing(generation.images, crops):
            loaded = await asyncio.gather(*(image.load() for image in missing.values()))
            crops.update(zip(missing, loaded, strict=True))
        self._sender.assemble(generation, crops)
        self.last_bytes = sum(pixels.nbytes for pixels in crops.values())
        nothing: tuple[Delta, ...] = ()
        for delta in nothing:
            yield delta

    async def answers_within(self, timeout_s: float) -> bool:
        """There is nothing to wait for."""
        return True


class OurRenderer:
    """Renders bodies as the chat route does. Make it with `open`."""

    def __init__(self, pipeline: Pipeline, engine: NoEngine) -> None:
        self._pipeline = pipeline
        self._engine = engine

    @classmethod
    @asynccontextmanager
    async def open(cls, model: str, *, one_core: bool) -> AsyncIterator["OurRenderer"]:
        """With the image threads of a server: one a core."""
        checkpoint = open_checkpoint(model)
        engine = NoEngine(ImageSender(_vllm_renderer(model)))
        images = ImageService(ImageLimits(), 1 if one_core else len(os.sched_getaffinity(0)))
        limits = PromptLimits(_CONTEXT_TOKENS, max_crops=16, max_images=16, answer_reserve=64)
        preparer = PromptPreparer(PromptEncoder.load(checkpoint.tokenizer_json), images, limits)
        try:
            yield cls(Pipeline(engine, preparer, images, Load(1, 16, max_queue_s=60), max_choices=16), engine)
        finally:
            images.close()

    async def render(self, body: bytes) -> int:
        """Body -> engine input; the bytes of pixels in it."""
        chat = await parse_off_loop(body, ChatCompletionRequest)
        prepared = await self._pipeline.prepare(to_generation_request(chat))
        async for _ in self._pipeline.deltas(prepared):
            pass
        return self._engine.last_bytes


def _vllm_renderer(model: str) -> Any:
    """vLLM's renderer as the engine's client has it, for its cache of images that were sent."""
    prepare_environment()
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.renderers.registry import renderer_from_config

    overrides = {
        "max_model_len": _CONTEXT_TOKENS,
        "kv_cache_memory_bytes": 2**30,
        "mm_processor_cache_gb": 1.0,
    }
    options = EngineOptions(
        name="m",
        max_crops=16,
        encode_slice_ms=30,
        max_images=16,
        max_crop_bytes_in_flight=2**30,
        max_queue_s=60,
        shutdown_grace_s=0,
        overrides=overrides,
    )
    plan = plan_engine(open_checkpoint(model), detect_host(), options)
    return renderer_from_config(AsyncEngineArgs(**plan.args).create_engine_config())
