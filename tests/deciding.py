"""What the server makes of a request for decisions, up to its engine."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any

from phiserve.chat.encoder import PromptEncoder
from phiserve.decider import Decider
from phiserve.decisions.labels import Labels
from phiserve.decisions.temperatures import Temperatures
from phiserve.load import Load
from phiserve.preparation import PromptLimits
from phiserve.protocol.decisions.request import DecisionsRequest
from phiserve.protocol.decisions.translation import to_decision_request
from phiserve.protocol.parsing import parse_request
from phiserve.shared_prompts import SharedPreparer
from phiserve.vision.images import ImageService
from phiserve.vision.limits import ImageLimits
from reading import ReadingEngine


@dataclass(frozen=True, slots=True)
class PutToEngine:
    """A prompt, and the labels' tokens that were read after it, in the order in which options are shown."""

    prompt_ids: list[int]
    label_ids: tuple[int, ...]


def put_to_engine(encoder: PromptEncoder, body: dict[str, Any], num_orders: int = 1) -> list[PutToEngine]:
    """All prompts of a request whose model sees images in one crop, as the embedded demo model does."""
    request = to_decision_request(parse_request(json.dumps(body).encode(), DecisionsRequest))
    images, engine = ImageService(ImageLimits(), workers=1), ReadingEngine()

    async def decide() -> None:
        preparer = SharedPreparer(encoder, images, PromptLimits(4096, 1, 4, 64))
        load, labels = Load(64, 256, 60), Labels.load(encoder)
        decider = Decider(engine, preparer, load, labels, num_orders, Temperatures())
        await decider.decide(await decider.prepare(request))

    try:
        asyncio.run(decide())
    finally:
        images.close()
    prompts = [generation.prompt_ids for generation in engine.generations]
    return [PutToEngine(*pair) for pair in zip(prompts, engine.asked, strict=True)]
